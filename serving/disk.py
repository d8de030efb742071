"""Files that are whole whenever somebody looks, and locks that end with their process."""

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, busy: Callable[[str], object] | None = None) -> Iterator[None]:
    """Holds a lock, which the system frees with the process, however that ends.

    Args:
        path: the lock's file. Its folder is made if missing; the file is gone afterwards.
        busy: called once with the holder if the lock is taken, and then waits for it, or raises instead.

    Raises:
        OSError: the file cannot be written, or its file system has no locks.
    """
    # Without `fallback_to_soft`: where a file system has no locks, a killed process would leave one.
    lock = FileLock(path, fallback_to_soft=False, on_acquired=_sign)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        (busy or _wait)(_holder(path))
        lock.acquire()
    try:
        yield
    finally:
        # While it is held: who waits for it sees that the file is another one, and opens that.
        path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a file to be put in the place of another in one step, when it is complete and on the disk.

    Raises:
        OSError: it cannot be written; what was there still is.
    """
    path = path.resolve()
    unfinished = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with open(unfinished, "wb") as file:
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        sync(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Has a file's content, or a folder's list of names, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # a full disk does not keep anybody from holding a lock
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError):  # it may be gone by now
        if text := path.read_text(encoding="utf-8"):
            return text
    return "another process"


def _wait(holder: str) -> None:
    logging.info("waiting for %s", holder)
