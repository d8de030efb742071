"""What lies in a catalogue's folder or archive: files by their names, and nothing there blocks or fills the memory."""

import hashlib
import os
import re
import stat
import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from heapq import heappop, heappush
from io import BufferedReader
from typing import IO, Any, AnyStr

from components.errors import CatalogueError

_LONGEST_LINE = 1 << 20
# A picture file this large is a mistake or an attack; it must not be read into memory.
_MOST_BYTES = 256 << 20
# What file managers, cameras and office programs leave beside the files: of any part of a path.
_SCRATCH = re.compile(
    r"(?:^|/)(?:\.[^/]|~\$|(?:__macosx|thumbs\.db|desktop\.ini|@eadir|lost\+found|\$recycle\.bin|"
    r"system volume information)(?:/|$))",
    re.IGNORECASE,
)


class Files(ABC):
    """The files of a folder or an archive. Can be pickled, and read by several threads at once.

    Names are paths below it, with slashes. Only what is listed can be opened, so no name leads out of it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # Copies of one object share in a process what was listed; whoever opens the catalogue again looks again.
        self._opened_at = time.time_ns()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Files) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __contains__(self, name: str) -> bool:
        names = self.names()
        place = bisect_left(names, name)
        return place < len(names) and names[place] == name

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Lists the files, sorted, without what file managers and office programs leave among them.

        Raises:
            CatalogueError: it, or a folder in it, cannot be listed.
        """

    @abstractmethod
    def open(self, name: str) -> BufferedReader:
        """Opens a file to read bytes.

        Raises:
            OSError: it is not listed, or cannot be read; so do the methods of what is returned.
        """

    @abstractmethod
    def digest(self, names: Iterable[str]) -> str:
        """Returns hex digits that change when one of these files does, without reading all of them."""

    def read(self, name: str) -> bytes:
        """Returns the content of a picture file.

        Raises:
            OSError: see `open`; or it is larger than 256 MiB.
        """
        with self.open(name) as file:
            return read_limited(file)

    def _key(self) -> tuple[Any, ...]:
        return type(self), self.path, self._opened_at


class FolderFiles(Files):
    """The files below a folder; links to files and folders are followed, each folder once."""

    def names(self) -> Sequence[str]:
        return _listing(self.path, self._opened_at)[0]

    def open(self, name: str) -> BufferedReader:
        return open_file(self._place(name))

    def digest(self, names: Iterable[str]) -> str:
        parts = []
        for name in names:
            try:
                status = os.stat(self._place(name))
            except OSError:  # a link to nowhere: the picture is missing, which is the row's fault
                continue
            parts.append(f"{name}/{status.st_size}/{status.st_mtime_ns}".encode("utf-8", "surrogateescape"))
        return combined_digest(parts)

    def _place(self, name: str) -> str:
        if name not in self:
            raise FileNotFoundError(f"{self.path} has no file {name}")
        return os.path.join(self.path, _listing(self.path, self._opened_at)[1].get(name, name))


@lru_cache(maxsize=2)
def _listing(path: str, opened_at: int) -> tuple[list[str], dict[str, str]]:
    """The names below a folder, sorted; and to those that hold backslashes, which are turned, what they are really."""
    found = list(_walk(path))
    turned = {clean_name(name): name for name in found if "\\" in name}
    return sorted({*turned, *(name for name in found if "\\" not in name)} if turned else found), turned


def _walk(root: str) -> Iterator[str]:
    whole = os.path.realpath(root)
    folders, links, seen = [""], list[tuple[int, str]](), set[tuple[int, int]]()
    while folders or links:
        # Links last, the outermost first: a folder has the name that it has without them.
        below = folders.pop() if folders else heappop(links)[1]
        path = os.path.join(root, below)
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                for entry in entries:
                    name = below + entry.name
                    if is_scratch(entry.name):
                        continue
                    if not _is_folder(entry):
                        yield name
                    elif not entry.is_symlink():
                        folders.append(f"{name}/")
                    elif not _holds(os.path.realpath(entry.path), whole):
                        heappush(links, (name.count("/"), f"{name}/"))
        except OSError as error:
            raise CatalogueError(
                f"{path.rstrip('/')}: cannot be listed ({error}). Allow it to be read, or move it out of the catalogue."
            ) from error


def _holds(folder: str, path: str) -> bool:
    return os.path.commonpath((folder, path)) == folder


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_scratch(name: str) -> bool:
    """Whether a file or folder is what file managers, cameras and office programs leave behind."""
    return _SCRATCH.search(name) is not None


def clean_name(name: str) -> str:
    """Returns a name from an archive as the others are: slashes for backslashes, nothing before the first part."""
    return re.sub(r"^(?:[A-Za-z]:)?(?:\.?/)+", "", name.replace("\\", "/"))


def open_file(path: str) -> BufferedReader:
    """Opens a regular file to read bytes.

    Raises:
        OSError: there is none, or it cannot be read; a pipe, a socket or a device is refused at once.
    """
    # A pipe that nobody writes to would be waited for.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is not a regular file")
    return file


def read_limited(file: IO[bytes]) -> bytes:
    """Returns the rest of a file.

    Raises:
        OSError: it is larger than 256 MiB, and not read to its end.
    """
    content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(f"the file is larger than {_MOST_BYTES >> 20} MiB")
    return content


@contextmanager
def readable(place: str) -> Iterator[None]:
    """Turns an OSError of a table or an archive into a CatalogueError that names it."""
    try:
        yield
    except OSError as error:
        raise CatalogueError(
            f"{place}: cannot be read ({error}). Check the file, or copy the catalogue again."
        ) from error


def changed_at(path: str) -> int:
    """Returns when a file was last written to, in nanoseconds."""
    with readable(path):
        return os.stat(path).st_mtime_ns


def first_bytes(path: str) -> bytes:
    """Returns the beginning of a file, by which its kind is told; nothing of one that cannot be read."""
    try:
        with open_file(path) as file:
            return file.read(8)
    except OSError:
        return b""


def lines_of(file: IO[AnyStr], name: str) -> Iterator[AnyStr]:
    """Yields the lines of a table with their ends.

    Raises:
        CatalogueError: a line is longer than 1 MiB; it is not read to its end.
    """
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise CatalogueError(
                f"{name}: line {number:,} is longer than {_LONGEST_LINE >> 20} MiB. A table has a line for each "
                "product; check what this file is."
            )
        yield line


def combined_digest(parts: Iterable[bytes]) -> str:
    """Returns hex digits that change when one of the parts does, or their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
