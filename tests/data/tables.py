"""Tables as bytes, to be read like a catalogue's."""

import io
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from components.ingest.formats import Source
from components.ingest.settings import DEFAULT_LAYOUT, Layout


class Tables:
    """A catalogue without pictures: tables by name."""

    def __init__(self, *contents: bytes, layout: Layout = DEFAULT_LAYOUT, names: Iterable[str] = ()) -> None:
        self.layout = layout
        given = tuple(names) or ("styles.csv", *(f"part-{n}.csv" for n in range(2, len(contents) + 1)))
        self._tables = dict(zip(given, contents, strict=False))

    def tables(self) -> Sequence[str]:
        return tuple(self._tables)

    def open_table(self, name: str) -> BinaryIO:
        return io.BytesIO(self._tables[name])


def lines_of(catalogue: Source) -> list[bytes]:
    """The lines of a catalogue's table with their ends."""
    with catalogue.open_table(catalogue.tables()[0]) as file:
        return file.readlines()
