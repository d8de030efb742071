"""Keeps a log readable, and a disk from filling up, when the same thing goes wrong thousands of times."""

import logging
import threading
import time

_KEY = 80  # characters by which lines are known to be alike


class Repeats(logging.Filter):
    """Lets `most` lines of a kind pass in so many seconds, and at their end says how many more there were."""

    def __init__(self, most: int = 5, seconds: float = 10.0) -> None:
        super().__init__()
        self._most, self._seconds = most, seconds
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}  # since when, and how many

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line passes."""
        if hasattr(record, "repeats"):
            return True
        kind, now = (record.name, str(record.msg).partition("\n")[0][:_KEY]), time.monotonic()
        with self._lock:
            since, count = self._kinds.get(kind, (now, 0))
            if now - since >= self._seconds:
                since, count = now, 0
            self._kinds[kind] = since, count + 1
        if count == self._most:
            timer = threading.Timer(since + self._seconds - now, self._tell, (kind, record))
            timer.daemon = True
            timer.start()
        return count < self._most

    def _tell(self, kind: tuple[str, str], record: logging.LogRecord) -> None:
        with self._lock:
            _, count = self._kinds.pop(kind)
        line = record.getMessage().partition("\n")[0]
        message, extra = f"{line} … repeated {count - self._most:,} times", {"repeats": True}
        logging.getLogger(record.name).log(record.levelno, "%s", message, extra=extra)
