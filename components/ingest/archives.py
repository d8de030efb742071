"""The files in a zip or a tar, as the tools of all systems pack them."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import posixpath
import re
import shutil
import tarfile
import tempfile
import threading
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import IO, Any, BinaryIO, cast

import numpy as np

from components.errors import CatalogueError
from components.ingest.files import Files, clean_name, combined_digest, is_scratch, open_file, read_limited, readable

HOW_TO_PACK = (
    "Give the unpacked folder; or unpack it and pack it again, by `zip -r shop.zip shop`, or with 7-Zip as zip by the "
    "method Deflate, without a password."
)

_BUFFER = 1 << 16
_OPENING = threading.Lock()
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError, ValueError)
_READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"}
_ENCRYPTED, _UTF8 = 0x1, 0x800
# Names of Shift-JIS or GBK stand in runs; those of Europe, read so, give single ideographs between Latin letters.
_IDEOGRAPHS = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff01-\uff5e]{2,}")
_UNPACK: Mapping[bytes, Callable[[BinaryIO], IO[bytes]]] = {
    b"\x1f\x8b": lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file)),
    b"BZh": lambda file: bz2.BZ2File(file),
    b"\xfd7zXZ\0": lambda file: lzma.LZMAFile(file),  # noqa: SIM115
}


class ZipFiles(Files):
    """The files in a zip, whose directory each process reads once, at first use."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._opened: _Zip | None = None
        self._opener = 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __contains__(self, name: str) -> bool:
        return name in self._zip().entries

    def names(self) -> Sequence[str]:
        return self._zip().names

    def open(self, name: str) -> io.BufferedReader:
        return io.BufferedReader(_Sound(self._open(name)), _BUFFER)

    def read(self, name: str) -> bytes:
        try:
            with self._open(name) as file:
                return read_limited(file)
        except _DAMAGED as error:
            raise OSError(str(error)) from error

    def digest(self, names: Iterable[str]) -> str:
        entries = self._zip().entries
        return combined_digest(f"{name}/{entries[name].file_size}/{entries[name].CRC}".encode() for name in names)

    def _open(self, name: str) -> IO[bytes]:
        archive = self._zip()
        entry = archive.entries.get(name)
        if entry is None:
            raise FileNotFoundError(f"{self.path} has no file {name}")
        if obstacle := _obstacle(entry):
            raise OSError(f"{obstacle}; pack it again without a password, with the method Deflate")
        try:
            return archive.file.open(entry)
        except _DAMAGED as error:
            raise OSError(str(error)) from error

    def _zip(self) -> "_Zip":
        # A forked process shares its parent's file position, so it needs a file of its own.
        if self._opened is None or self._opener != os.getpid():
            # Beam copies the catalogue for each step, and threads ask at once: reading the directory of 40,000 pictures
            # takes a third of a second, so they wait for one of them.
            with _OPENING:
                self._opened = _open_zip(self.path, os.getpid(), _changed(self.path))
            self._opener = os.getpid()
        return self._opened


class _Zip:
    """An open zip, and its entries by clean name."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self.file = file
        self.entries = _entries(file.filelist)
        self.names = sorted(self.entries)
        # The entries are most of what a zip takes in memory: 0.6 GB of a million pictures.
        file.NameToInfo.clear()


@lru_cache(maxsize=1)
def _open_zip(path: str, process: int, changed: int) -> _Zip:
    """Opens a zip once for a process, and again when the file has changed."""
    try:
        archive = _Zip(zipfile.ZipFile(path))
    except (OSError, *_DAMAGED) as error:
        hint = "Give a folder, a zip or a tar."
        if _first_bytes(path).startswith(b"PK"):
            hint = "Its directory, at the end of the file, is missing or damaged: copy or download it again."
        raise CatalogueError(f"{path}: cannot be read as a zip ({error}). {hint}") from error
    unread = [(name, why) for name, entry in archive.entries.items() if (why := _obstacle(entry))]
    if len(unread) * 2 > len(archive.entries):
        name, why = unread[0]
        raise CatalogueError(f"{path}: {name} {why} ({len(unread):,} of {len(archive.entries):,} files). {HOW_TO_PACK}")
    return archive


def _entries(listed: Sequence[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The files by clean name; the last of those with one name, as in archives that were added to."""
    unmarked = [entry for entry in listed if not entry.flag_bits & _UTF8 and not entry.filename.isascii()]
    raw = [entry.filename.encode("cp437") for entry in unmarked]
    encoding = _encoding(raw) if raw else ""
    decoded = {id(entry): name.decode(encoding) for entry, name in zip(unmarked, raw, strict=True)}
    entries = {}
    for entry in listed:
        name = decoded.get(id(entry), entry.filename)
        if "\\" in name or name[:1] in "./" or name[1:2] == ":":
            name = clean_name(name)
        if name and not name.endswith("/") and not is_scratch(name):
            entries[name] = entry
    return entries


def _encoding(names: Sequence[bytes]) -> str:
    """Tells how names are written that do not say it: as today's tools do, as in Japan or China, or as in DOS."""
    for encoding in ("utf-8", "cp932", "gb18030"):
        try:
            text = "/".join(name.decode(encoding) for name in names)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or 2 * len("".join(_IDEOGRAPHS.findall(text))) > sum(char > "\x7f" for char in text):
            return encoding
    return "cp437"


def _obstacle(entry: zipfile.ZipInfo) -> str:
    """Why a file in a zip cannot be read, as half a sentence; "" if it can."""
    if entry.compress_type not in _READ_METHODS:
        method = _METHODS.get(entry.compress_type, f"method {entry.compress_type}")
        return f"is packed with {method}, which is not read"
    return "is locked with a password" if entry.flag_bits & _ENCRYPTED else ""


class _Sound(io.RawIOBase):
    """A file in a zip, whose faults are all of one kind."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._file.read(len(buffer))
        except _DAMAGED as error:
            raise OSError(str(error)) from error
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


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
            return _open_tar(self.path, _changed(self.path))


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
        start = _first_bytes(path)
        for magic, unpack in _UNPACK.items():
            if start.startswith(magic):
                unpacked = cast(BinaryIO, tempfile.TemporaryFile(prefix="fashion-"))  # noqa: SIM115
                with unpack(file) as content:
                    shutil.copyfileobj(content, unpacked, 1 << 20)
                unpacked.seek(0)
                file = unpacked
        return _Tar(file)
    except (OSError, tarfile.TarError, *_DAMAGED) as error:
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


def _changed(path: str) -> int:
    with readable(path):
        return os.stat(path).st_mtime_ns


def _first_bytes(path: str) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(8)
    except OSError:
        return b""
