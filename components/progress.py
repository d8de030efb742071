"""How far a stage has come: said by the stage, shown by whoever runs it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SECONDS_BETWEEN_LOG_LINES = 10


@dataclass(frozen=True)
class Progress:
    """One report. `part` names what is under way within the stage; `total` is None while it is unknown."""

    part: str
    done: int
    total: int | None = None
    note: str = ""

    def __str__(self) -> str:
        count = f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"
        return " · ".join(filter(None, (self.part, count, self.note)))


_lock = threading.Lock()
_listener: Callable[[Progress], None] | None = None
_last_logged = 0.0


def report(part: str, done: int, total: int | None = None, note: str = "") -> None:
    """Reports progress of the running stage; cheap enough to be called for every batch."""
    global _last_logged
    progress = Progress(part, done, total, note)
    listener = _listener
    if listener is not None:
        listener(progress)
    with _lock:
        now = time.monotonic()
        if done != total and now - _last_logged < _SECONDS_BETWEEN_LOG_LINES:
            return
        _last_logged = now
    logging.info("%s", progress)


@contextmanager
def listen(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Sends every report made in this process to `listener`, until the block ends."""
    global _listener
    previous, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = previous
