"""The files in a tar, compressed or not."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import posixpath
import shutil
import tarfile
import tempfile
import threading
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import IO, Any, BinaryIO, cast

import numpy as np

from components.errors import CatalogueError
from components.ingest.files import Files, changed_at, clean_name, first_bytes, is_scratch, open_file, readable

_BUFFER = 1 << 16
_OPENING = threading.Lock()
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, ValueError)
_UNPACK: Mapping[bytes, Callable[[BinaryIO], IO[bytes]]] = {
    b"\x1f\x8b": lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file)),
    b"BZh": lambda file: bz2.BZ2File(file),
    b"\xfd7zXZ\0": lambda file: lzma.LZMAFile(file),  # noqa: SIM115
}


class TarFiles(Files):
    """The files in a tar, read where they lie in it.

    What is compressed as a whole (tar.gz, tar.bz2, tar.xz) cannot be read from its middle: each process unpacks it once
    to a temporary file, which needs the space of all its pictures and is gone with the process.
    """

    def names(self) -> Sequence[str]:
        return self._tar().names

    def open(self, name: str) -> io.BufferedReader:
        tar = self._tar()
        place = bisect_left(tar.names, name)
        if place == len(tar.names) or tar.names[place] != name:
            raise FileNotFoundError(f"{self.path} has no file {name}")
        return io.BufferedReader(_Part(tar.file, *tar.places[place].tolist()), _BUFFER)

    def digest(self, names: Iterable[str]) -> str:
        """Returns the digest of the archive: a tar says of its files neither when nor whether they changed."""
        with readable(self.path), open_file(self.path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _tar(self) -> "_Tar":
        with _OPENING:
            return _open_tar(self.path, changed_at(self.path))


class _Tar:
    """An open tar: the names, sorted, and int64 [n, 2], where in the file each begins and how long it is."""

    def __init__(self, file: IO[bytes]) -> None:
        places: dict[str, tuple[int, int]] = {}
        links: dict[str, str] = {}
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while member := tar.next():
                tar.members = []  # type: ignore[attr-defined]  # they take a kilobyte each
                name = clean_name(member.name)
                if member.isreg() and not member.issparse():
                    places[name] = member.offset_data, member.size
                elif member.islnk():
                    links[name] = clean_name(member.linkname)
                elif member.issym():
                    links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        places |= {name: places[target] for name, target in links.items() if target in places}
        self.file = file
        self.names = sorted(name for name in places if not is_scratch(name))
        self.places = np.array([places[name] for name in self.names], np.int64).reshape(-1, 2)


@lru_cache(maxsize=1)
def _open_tar(path: str, changed: int) -> _Tar:
    try:
        file: BinaryIO = open_file(path)
        start = first_bytes(path)
        for magic, unpack in _UNPACK.items():
            if start.startswith(magic):
                unpacked = cast(BinaryIO, tempfile.TemporaryFile(prefix="fashion-"))  # noqa: SIM115
                with unpack(file) as content:
                    shutil.copyfileobj(content, unpacked, 1 << 20)
                unpacked.seek(0)
                file = unpacked
        return _Tar(file)
    except _DAMAGED as error:
        raise CatalogueError(f"{path}: cannot be read as a tar ({error}). Copy it again, or pack it again.") from error


class _Part(io.RawIOBase):
    """A part of a file that several threads and processes read at once."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._place = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._place))
        content = os.pread(self._file.fileno(), wanted, self._start + self._place)
        if wanted and not content:
            raise OSError("the archive ends within the file")
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)
