"""A catalogue on disk: its table and its pictures, in a folder or an archive."""

import hashlib
import re
import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from components.ingest.files import Files, combined_digest, readable
from components.ingest.pictures import Match, Pictures, is_picture, plain, shown
from components.ingest.settings import DEFAULT_LAYOUT, Layout

if TYPE_CHECKING:
    from components.ingest.table import Row

IMAGES = "images"

_OPENING = threading.Lock()


class Catalogue(ABC):
    """Read access to one catalogue, as `layout` says. Can be pickled, and read by several threads at once."""

    layout: Layout = DEFAULT_LAYOUT

    @abstractmethod
    def tables(self) -> Sequence[str]:
        """The names of its tables: one, or the parts of one."""

    @abstractmethod
    def open_table(self, name: str) -> BinaryIO:
        """Opens a table to read bytes.

        Raises:
            CatalogueError: it cannot be opened.
        """

    def read_picture(self, row: "Row") -> bytes | None:
        """Returns the file of a product's main picture, None if there is none.

        Raises:
            OSError: there is a file, but it cannot be read or is larger than 256 MiB.
        """
        names = self.picture_names(row)
        try:
            return self.read_file(names[0]) if names else None
        except FileNotFoundError:  # a link to nowhere
            return None

    @abstractmethod
    def read_file(self, name: str) -> bytes:
        """Returns the file of one of `picture_names`.

        Raises:
            OSError: as `read_picture`; FileNotFoundError, it is a link to nowhere.
        """

    @abstractmethod
    def picture_names(self, row: "Row") -> Sequence[str]:
        """Returns the names of all pictures of a product, the main one first."""

    def near_misses(self, row: "Row") -> str:
        """Says what is there in place of a product's picture that is not; "" where nothing is."""
        return ""

    @abstractmethod
    def digest(self) -> str:
        """Returns hex digits that change when the content does, without decoding the pictures."""

    @property
    def has_parts(self) -> bool:
        """Whether it was published in two parts, one to train on and one to test on."""
        return False

    def part_of(self, product: str) -> str | None:
        """The part that a product was published in, "train" or "test"; None where there are no parts."""
        return None


class ShopCatalogue(Catalogue):
    """Tables, and pictures in any folders beside and below them."""

    def __init__(self, files: Files, tables: Sequence[str], layout: Layout = DEFAULT_LAYOUT) -> None:
        self.files, self.layout = files, layout
        self._tables = tuple(tables)
        self._key = files, self._tables, layout.model_dump_json()
        self._found: _Finder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_found": None}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShopCatalogue) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def tables(self) -> Sequence[str]:
        return self._tables

    def open_table(self, name: str) -> BinaryIO:
        with readable(f"{self.files.path}/{shown(name)}"):
            return self.files.open(name)

    def read_file(self, name: str) -> bytes:
        return self.files.read(name)

    def picture_names(self, row: "Row") -> Sequence[str]:
        if not self.layout.picture and not row.picture and self._finder.is_plain:
            name = f"{self._finder.first}{row.id}.jpg"
            if name in self.files:
                return (name,)
        return self.find(row).names

    def near_misses(self, row: "Row") -> str:
        match = self.find(row)
        return f"{shown(match.names[0])} is a link to a file that is not there" if match.names else match.hint

    def find(self, row: "Row") -> Match:
        """Finds a product's pictures: as the layout says, by the column with pictures, or by the id."""
        pictures = self._finder.pictures
        if self.layout.picture:
            match = pictures.by_path(self.layout.picture.replace("{id}", row.id), whole=True)
            if match.names:
                return replace(match, rule="template")
            other = pictures.by_id(row.id)
            return Match(hint=f"there is {shown(other.names[0])}" if other.names else other.hint)
        named = pictures.by_paths(row.all_pictures)
        match = named if named.names else pictures.by_id(row.id)
        return match if match.names or match.hint else named

    def digest(self) -> str:
        parts = []
        for name in self._tables:
            with readable(f"{self.files.path}/{shown(name)}"), self.files.open(name) as file:
                parts.append(hashlib.file_digest(file, "sha256").digest())
        return combined_digest([*parts, self.files.digest(self._finder.names).encode()])

    @property
    def _finder(self) -> "_Finder":
        if self._found is None:
            with _OPENING:  # or each thread would make its own
                self._found = _shared_finder(self)
        return self._found


class _Finder:
    """The picture files of a catalogue, which each process lists once."""

    def __init__(self, catalogue: ShopCatalogue) -> None:
        self._catalogue = catalogue
        table = catalogue.tables()[0]
        base, _, own = table.rpartition("/")
        base += "/" if base else ""
        self.first = f"{base}{IMAGES}/"
        # A copy of the catalogue deeper in it, with pictures of its own, is not part of it.
        names = catalogue.files.names()
        copied = [f"{name.removesuffix(own)}{IMAGES}/" for name in names if name != table and name.endswith(f"/{own}")]
        copies = tuple(folder for folder in copied if folder.startswith(base))
        self.names = [name for name in names if is_picture(name) and not (copies and name.startswith(copies))]

    @cached_property
    def is_plain(self) -> bool:
        """Whether all pictures are called `images/<id>.jpg`, so that no product can have several: no index is made."""
        pattern = re.compile(rf"{re.escape(self.first)}[^/ _.(-]+\.jpg")
        return all(map(pattern.fullmatch, self.names))

    @cached_property
    def pictures(self) -> Pictures:
        """The index of the names."""
        return Pictures(self.names, self.first, self._is_id)

    def _is_id(self, text: str) -> bool:
        place = bisect_left(self._ids, hash(text))
        return place < len(self._ids) and bool(self._ids[place] == hash(text))

    @cached_property
    def _ids(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Sorted hashes of all ids: read only where a file might be one product's or another's."""
        from components.ingest.table import Row, read_rows  # which reads catalogues

        rows = read_rows(self._catalogue, ())
        return np.sort(np.fromiter((hash(plain(row.id)) for row in rows if isinstance(row, Row)), np.int64))


@lru_cache(maxsize=2)
def _shared_finder(catalogue: ShopCatalogue) -> _Finder:
    return _Finder(catalogue)
