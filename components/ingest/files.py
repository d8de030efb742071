"""Opens what lies where a catalogue should be: nothing there may block, or fill the memory."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from typing import IO

from components.errors import CatalogueError

_LONGEST_LINE = 1 << 20


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


def lines_of(file: IO[bytes], name: str) -> Iterator[bytes]:
    """Yields the lines of a table with their ends.

    Raises:
        CatalogueError: a line is longer than 1 MiB; it is not read to its end.
    """
    for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE + 1), b""), start=1):
        if len(line) > _LONGEST_LINE:
            raise CatalogueError(
                f"{name}: line {number:,} is longer than {_LONGEST_LINE >> 20} MiB. A table has a line for each "
                "product; check what this file is."
            )
        yield line
