"""What tables have in common, whatever they are written in."""

import io
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO, cast

from components.errors import CatalogueError
from components.ingest.columns import Column
from components.ingest.dialect import Header
from components.ingest.records import Record

IsRecord = Callable[[Sequence[str]], bool]

_MOST_COLUMNS = 1 << 14  # Excel's


class Table(ABC):
    """A table whose header has been read; errors call it by its `place`."""

    separator = ","

    def __init__(self, place: str, header: Header) -> None:
        self.place, self.header = place, header
        if len(header.names) > _MOST_COLUMNS:
            raise CatalogueError(
                f"{place}: has {len(header.names):,} columns. Leave out what is not needed; {_MOST_COLUMNS:,} fit."
            )

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self.header.names

    @property
    def columns(self) -> Mapping[str, Column]:
        """Role to column."""
        return self.header.columns

    @abstractmethod
    def records(self, is_record: IsRecord) -> Iterator[Record]:
        """Reads the rows beneath the header, of any length.

        Args:
            is_record: whether values look like those of a row, where quotation marks leave that open.

        Raises:
            CatalogueError: it cannot be read to its end.
        """

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Says how it is written."""


def seekable(file: BinaryIO) -> BinaryIO:
    """Returns a file in which one can jump: a copy, unless it lies in a folder and can itself."""
    if isinstance(file, io.BufferedReader):
        return file
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    with file:
        shutil.copyfileobj(file, copy)
    copy.seek(0)
    return cast(BinaryIO, copy)
