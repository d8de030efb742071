"""What a model is asked about: pictures in files, folders and zips, or the products of a catalogue."""

import os
import zipfile
from collections.abc import Iterator, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fashion_client
from fashion_client import SourceError
from fashion_client.pictures import Source, encode, read_file
from fashion_client.sources import Sources

from components.answers.settings import read_settings
from components.errors import CatalogueError
from components.features import IMAGE_BYTES, NAME
from components.ingest.faults import Fault, Reason
from components.ingest.files import combined_digest
from components.ingest.settings import Layout
from components.ingest.table import read_rows


class Input(NamedTuple):
    """One picture to ask about: what its answer is named by, unlike any other, and what it is read from."""

    name: tuple[object, ...]
    item: Any


class Pictures:
    """Picture files, and those in folders and zips, each once. Can be pickled: they are listed again then.

    Attributes:
        columns: of a table of answers, those that name a picture.
        skipped: files in the folders and zips whose suffix is not a picture's.
    """

    columns = ("picture",)
    named = False

    def __init__(self, paths: Sequence[str]) -> None:
        """Lists them.

        Raises:
            CatalogueError: a path leads nowhere, or a folder or zip cannot be read or holds no picture.
        """
        listed = [_listed(path) for path in paths]
        self._paths, self.skipped = tuple(paths), sum((each.skipped for each in listed), ())
        self._sources = {source.name: source for each in listed for source in each}

    def __str__(self) -> str:
        return ", ".join(self._paths)

    def __reduce__(self) -> tuple[type["Pictures"], tuple[tuple[str, ...]]]:
        return Pictures, (self._paths,)

    def __iter__(self) -> Iterator[Input]:
        return (Input((plain(name),), name) for name in self._sources)

    def read(self, item: str) -> bytes | Fault:
        """Returns a picture's bytes as they are, or why it cannot be read."""
        try:
            return self._sources[item].read()
        except OSError as error:
            return Fault(0, item, Reason.UNREADABLE_PICTURE, f"cannot be read: {error.strerror or error}")

    def slices_of(self, item: str) -> dict[str, str]:
        """Returns nothing: a picture alone has no columns."""
        return {}

    def digest(self) -> str:
        """Returns hex digits that change when a picture is another one, by sizes and times of files."""
        files = ((name, os.stat(name)) for name in (*self._paths, *self._sources) if os.path.isfile(name))
        stamps = (f"{name}/{status.st_size}/{status.st_mtime_ns}" for name, status in files)
        return combined_digest(map(os.fsencode, (*self._sources, *stamps)))


class Products:
    """The rows of a catalogue's table, in its order, with their pictures. Can be pickled.

    Attributes as of `Pictures`, and `catalogue`, what is read, and `slices`, columns by whose values answers are
    logged.

    Pictures are checked as ingest does. The client then gets the bytes as they are, so that the model answers as it
    would to any other.
    """

    columns = ("row", "id")
    skipped = ()
    named = False
    slices: tuple[str, ...] = ()

    def __init__(
        self, data: Path, model: Path | None = None, layout: Layout | None = None, kept: Sequence[str] = ()
    ) -> None:
        """Opens a catalogue.

        Args:
            data: a folder, a zip or a tar.
            model: a SavedModel; the limits for pictures are those of the recipe in its `assets.extra`, if it has one.
            layout: how to read the catalogue; None is as that recipe says.
            kept: further columns whose values are read.

        Raises:
            CatalogueError: the catalogue cannot be read.
            AnswerError: the recipe cannot be read.
        """
        from components.ingest.catalogue import open_catalogue

        settings = read_settings(model)
        self._data, self._limits, self._kept = data, settings.picture, tuple(kept)
        self.catalogue = open_catalogue(str(data), layout or settings.catalogue)

    def __str__(self) -> str:
        return str(self._data)

    def __iter__(self) -> Iterator[Input]:
        row = None
        for row in read_rows(self.catalogue, (), self._kept):
            yield Input((row.row if isinstance(row, Fault) else row.number, plain(row.id)), row)
        if row is None:
            raise CatalogueError(
                f"{self}: {self.catalogue.tables()[0]} has a header and no rows. Add a row for each product."
            )

    def read(self, item: Any) -> bytes | Fault:
        """Returns the picture of a row, or what is wrong with the row or its picture."""
        from components.ingest.judge import read_checked

        content = item if isinstance(item, Fault) else read_checked(item, self.catalogue, self._limits)
        if isinstance(content, Fault):
            return content
        return _example(content[0], item.fields.get(NAME, "")) if self.named else content[0]

    def slices_of(self, item: Any) -> dict[str, str]:
        """Returns the values of a row in the columns that answers are logged by."""
        fields = {} if isinstance(item, Fault) else item.fields
        return {column: fields[column] for column in self.slices if column in fields}

    def with_slices(self, columns: Sequence[str]) -> "Products":
        """Returns the same, whose answers are logged by the values of some columns."""
        products = copy(self)
        products.slices, products._kept = tuple(columns), (*self._kept, *columns)
        return products

    def with_names(self) -> "Products":
        """Returns the same, read as serialized examples of pictures and names, for a model that reads both."""
        products = copy(self)
        products.named = True
        return products

    @property
    def reading(self) -> dict[str, Any]:
        """What opens the same catalogue again, as JSON has it: its path and how it is read."""
        layout = self.catalogue.layout.model_dump(mode="json", exclude_defaults=True)
        return {"path": str(self._data.absolute()), "layout": layout}

    def digest(self) -> str:
        """Returns hex digits that change when the catalogue does, or how it is read."""
        return combined_digest([self.catalogue.digest().encode(), self.catalogue.layout.model_dump_json().encode()])


def _example(picture: bytes, name: str) -> bytes:
    from components.examples import example_of

    data = encode(picture).data or picture  # a JPEG, of what the model does not read
    return example_of({IMAGE_BYTES: data, NAME: name.encode()})


Inputs = Pictures | Products


def plain(name: str) -> str:
    """A name or message as valid text of one line: file systems and tables allow more."""
    return name.encode("utf-8", "backslashreplace").decode().replace("\r", "\\r").replace("\n", "\\n")


def _listed(path: str) -> Sources:
    if not os.path.exists(path):
        raise CatalogueError(f"{path}: there is no such file or folder. Check the path.")
    is_zip = path.lower().endswith(".zip") or (os.path.isfile(path) and zipfile.is_zipfile(path))
    if not is_zip and not os.path.isdir(path):
        return Sources((Source(path, partial(read_file, path)),))
    try:
        return fashion_client.pictures_in(path)
    except SourceError as error:
        raise CatalogueError(str(error)) from error
