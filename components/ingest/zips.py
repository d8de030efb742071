"""The files in a zip, as the tools of all systems pack it."""

import io
import lzma
import os
import re
import threading
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import IO, Any

from components.errors import CatalogueError
from components.ingest.files import (
    Files,
    changed_at,
    clean_name,
    combined_digest,
    first_bytes,
    is_scratch,
    read_limited,
)

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
                self._opened = _open_zip(self.path, os.getpid(), changed_at(self.path))
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
        if first_bytes(path).startswith(b"PK"):
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
