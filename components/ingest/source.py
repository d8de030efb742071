"""A catalogue on disk: `styles.csv` and `images/` in a folder or a zip."""

import hashlib
import os
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, BinaryIO, cast

from components.errors import CatalogueError
from components.ingest.files import lines_of, open_file
from components.ingest.settings import DEFAULT_LAYOUT

TABLE = "styles.csv"

IMAGES = "images"

_SUFFIXES = (".jpg", ".jpeg", ".png")
# A picture file this large is a mistake or an attack; it must not be read into memory.
_MOST_BYTES = 256 << 20


class Catalogue(ABC):
    """Read access to one catalogue. Can be pickled, and read by several threads at once.

    Attributes:
        layout: how it is to be read.
    """

    layout = DEFAULT_LAYOUT

    def tables(self) -> Sequence[str]:
        return (TABLE,)

    @abstractmethod
    def open_table(self, name: str) -> BinaryIO: ...

    @abstractmethod
    def read_table(self) -> Iterator[bytes]:
        """Yields the lines of `styles.csv` with their ends.

        Raises:
            CatalogueError: the table cannot be read to its end.
        """

    @abstractmethod
    def read_picture(self, product: str) -> bytes | None:
        """Returns the file of a product's picture, None if there is none.

        Args:
            product: id of digits.

        Raises:
            OSError: there is a file, but it cannot be read or is larger than 256 MiB.
        """

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


class FolderCatalogue(Catalogue):
    """A catalogue whose `styles.csv` and `images/` lie in one folder."""

    def __init__(self, folder: str) -> None:
        self._table = os.path.join(folder, TABLE)
        self._images = os.path.join(folder, IMAGES)

    def read_table(self) -> Iterator[bytes]:
        try:
            with open_file(self._table) as file:
                yield from lines_of(file, self._table)
        except OSError as error:
            raise _unreadable(self._table, error) from error

    def open_table(self, name: str) -> BinaryIO:
        return open_file(self._table)

    def read_picture(self, product: str) -> bytes | None:
        for suffix in _SUFFIXES:
            path = os.path.join(self._images, product + suffix)
            try:
                with open_file(path) as file:
                    return _within_limit(file.read(_MOST_BYTES + 1))
            except FileNotFoundError:
                continue
        return None

    def digest(self) -> str:
        try:
            with open_file(self._table) as file:
                parts = [hashlib.file_digest(file, "sha256").digest()]
            with os.scandir(self._images) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise _unreadable(os.path.dirname(self._table), error) from error
        for entry in ordered:
            try:
                status = entry.stat()
            except OSError:  # a link to nowhere: the picture is missing, which is the row's fault
                continue
            parts.append(f"{entry.name}/{status.st_size}/{status.st_mtime_ns}".encode("utf-8", "surrogateescape"))
        return combined_digest(parts)


class ZipCatalogue(Catalogue):
    """A catalogue whose `styles.csv` and `images/` lie at `base` within a zip; opened by each process at first use."""

    def __init__(self, path: str, base: str) -> None:
        self._path = path
        self._base = base
        self._opened: zipfile.ZipFile | None = None
        self._opener = 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def read_table(self) -> Iterator[bytes]:
        name = self._base + TABLE
        try:
            with self._zip().open(name) as file:
                yield from lines_of(file, f"{self._path}/{name}")
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise _unreadable(f"{self._path}/{name}", error) from error

    def open_table(self, name: str) -> BinaryIO:
        return cast(BinaryIO, self._zip().open(self._base + TABLE))

    def read_picture(self, product: str) -> bytes | None:
        for suffix in _SUFFIXES:
            try:
                entry = self._zip().getinfo(f"{self._base}{IMAGES}/{product}{suffix}")
            except KeyError:
                continue
            try:
                with self._zip().open(entry) as file:
                    return _within_limit(file.read(_MOST_BYTES + 1))
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
                raise OSError(str(error)) from error
        return None

    def digest(self) -> str:
        ours = (self._base + TABLE, f"{self._base}{IMAGES}/")
        entries = (entry for entry in self._zip().infolist() if entry.filename.startswith(ours))
        return combined_digest(sorted(f"{entry.filename}/{entry.file_size}/{entry.CRC}".encode() for entry in entries))

    def _zip(self) -> zipfile.ZipFile:
        # A forked process shares its parent's file position, so it needs a file of its own.
        if self._opened is None or self._opener != os.getpid():
            # Beam copies the catalogue for each step, and threads ask at once: reading the directory of 40,000 pictures
            # takes a third of a second, so they wait for one of them.
            with _OPENING:
                self._opened = _open_zip(self._path, os.getpid(), os.stat(self._path).st_mtime_ns)
            self._opener = os.getpid()
        return self._opened


_OPENING = threading.Lock()


@lru_cache(maxsize=1)
def _open_zip(path: str, process: int, changed: int) -> zipfile.ZipFile:
    """Opens a zip once for a process, and again when the file has changed."""
    return zipfile.ZipFile(path)


def _within_limit(content: bytes) -> bytes:
    if len(content) > _MOST_BYTES:
        raise OSError(f"the file is larger than {_MOST_BYTES >> 20} MiB")
    return content


def _unreadable(name: str, error: Exception) -> CatalogueError:
    return CatalogueError(f"{name}: cannot be read ({error}). Check the file, or copy the catalogue again.")


def combined_digest(parts: Iterable[bytes]) -> str:
    """Returns hex digits that change when one of the parts does, or their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
