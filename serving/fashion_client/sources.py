"""The pictures below a folder or in a zip, one after another, with a name each."""

import os
import posixpath
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from fashion_client.errors import SourceError
from fashion_client.pictures import MOST_BYTES, Source, read_file

SUFFIXES = (".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Sources:
    """Pictures to be read one at a time."""

    sources: tuple[Source, ...]  # the pictures
    skipped: tuple[str, ...] = ()  # names of files whose suffix is not a picture's

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Source]:
        return iter(self.sources)


def pictures_in(path: str | os.PathLike[str]) -> Sources:
    """Lists the pictures of a folder with all below it, or of a zip, by suffix, in a fixed order.

    A picture is named by `path` and its place below it: `shop/images/7.jpg`, `shop.zip/images/7.jpg`. Hidden files
    and folders, and those that macOS adds to zips, do not count.

    Raises:
        SourceError: there is no such folder or zip, it cannot be read, or it holds no picture.
    """
    name = os.fspath(path)
    try:
        found = _in_folder(name) if os.path.isdir(name) else _in_zip(name)
    except OSError as error:
        raise SourceError(name, f"cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise SourceError(name, f"is not a zip that can be read: {error}") from error
    if not found:
        there = f"none of the {len(found.skipped):,} files in it" if found.skipped else "nothing in it"
        raise SourceError(name, f"{there} is a picture by its suffix ({' '.join(SUFFIXES)})")
    return found


def _in_folder(folder: str) -> Sources:
    def refuse(error: OSError) -> None:
        raise error

    sources, skipped = [], []
    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(each for each in files if not each.startswith(".")):
            path = os.path.join(where, file)
            if _is_picture(file):
                sources.append(Source(path, partial(read_file, path)))
            else:
                skipped.append(path)
    return Sources(tuple(sources), tuple(skipped))


def _in_zip(path: str) -> Sources:
    # Stays open as long as one of its pictures is held; ZipFile lets several threads read.
    archive = zipfile.ZipFile(path)
    # Of entries with the same name the last one counts, as it does for every program that unpacks.
    entries = {entry.filename: entry for entry in archive.infolist()}
    sources, skipped = [], []
    for name in sorted(entries):
        parts = name.split("/")
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
        if hidden or entries[name].is_dir():
            continue
        full = posixpath.join(path, name)
        if _is_picture(name):
            sources.append(Source(full, partial(_read_entry, archive, entries[name])))
        else:
            skipped.append(full)
    return Sources(tuple(sources), tuple(skipped))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise OSError("it is a link within the zip")
    try:
        with archive.open(entry) as file:
            return file.read(MOST_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        # RuntimeError: a password is wanted, or a compression that this Python lacks (NotImplementedError).
        raise OSError(str(error) or "the zip is damaged there") from error
