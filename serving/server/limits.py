"""What one request may ask for at most, and all that wait together, over either protocol."""

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import numpy as np

from serving.server.errors import ServingError, invalid

MEGABYTE = 2**20
MOST_DIMENSIONS = 32  # that numpy can iterate over

_STRINGS_PER_ROW, _STRINGS_BESIDE = 16, 256  # with the names that JSON repeats in every row
_CHUNK = MEGABYTE // 4
_SMALL = MEGABYTE  # bytes of a request
_TRIM_FROM, _TRIM_SECONDS = 32 * MEGABYTE, 1.0


@dataclass(frozen=True)
class Limits:
    """The largest request that is served; the largest picture in pixels is the model's own affair."""

    request_bytes: int = 64 * MEGABYTE  # of a request's body, once inflated if it came compressed
    rows: int = 1024  # of one input, its first axis
    string_bytes: int = 16 * MEGABYTE  # of one string, e.g. one encoded picture
    values: int = 2 * MEGABYTE  # numbers, strings, lists and objects of one request
    waiting: int = 1000  # requests that wait or run at once; further ones are told to come again later
    waiting_bytes: int = 256 * MEGABYTE  # of their bodies, together

    @property
    def strings(self) -> int:
        """Strings of one request, which cost more memory than their bytes."""
        return _STRINGS_PER_ROW * self.rows + _STRINGS_BESIDE

    def check(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Refuses arrays, strings as objects, of too many rows or with too long a string with INVALID_ARGUMENT."""
        for name, array in inputs.items():
            self.check_rows(name, len(array) if array.ndim else 0)
            if array.dtype.kind == "O":
                self.check_strings(name, array.flat)

    def check_rows(self, name: str, rows: int) -> None:
        """Refuses an input of too many rows with INVALID_ARGUMENT."""
        if rows > self.rows:
            raise invalid(f"{name} has {rows:,} rows, more than the limit of {self.rows:,}: ask for fewer")

    def check_strings(self, name: str, strings: Iterable[bytes]) -> None:
        """Refuses an input that holds too long a string with INVALID_ARGUMENT."""
        longest = max(map(len, strings), default=0)
        if longest > self.string_bytes:
            raise invalid(
                f"{name} holds a string of {longest:,} bytes, more than the limit of {self.string_bytes:,}: "
                "send a smaller picture"
            )

    def check_json(self, body: bytes | bytearray) -> None:
        """Refuses JSON of too many values with INVALID_ARGUMENT; parsing it may take fifty times its bytes."""
        values = quotes = 0
        for start in range(0, len(body), _CHUNK):  # chunk by chunk, for other threads to have their turn
            chunk = body[start : start + _CHUNK]
            values += chunk.count(b",") + chunk.count(b"[") + chunk.count(b"{")
            quotes += chunk.count(b'"')
            self.check_values(values, quotes // 2)

    def check_values(self, values: int, strings: int) -> None:
        """Refuses a request of too many values or strings with INVALID_ARGUMENT."""
        for count, limit, kind in ((values, self.values, "values"), (strings, self.strings, "strings")):
            if count > limit:
                raise invalid(f"The request holds more than {limit:,} {kind}: ask for fewer rows at a time")


class Waiting:
    """Counts what waits for its answer, and refuses what would be too much."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._requests = self._bytes = self._most_bytes = 0

    @contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """Counts a request for as long as the context is open.

        Yields:
            A function to be told of each part of the request, in bytes, as it arrives. It raises as `place` does.

        Raises:
            ServingError: RESOURCE_EXHAUSTED, too much waits already.
        """
        limits, held = self._limits, 0

        def hold(size: int) -> None:
            nonlocal held
            # An eighth is kept for small requests, or a few large ones that come slowly would keep all others out.
            room = limits.waiting_bytes * 7 // 8 if held + size > _SMALL else limits.waiting_bytes
            if self._bytes + size > room:
                raise _full(f"requests of {self._bytes:,} bytes")
            self._bytes, held = self._bytes + size, held + size
            self._most_bytes = max(self._most_bytes, self._bytes)

        if self._requests >= limits.waiting:
            raise _full(f"{self._requests:,} requests")
        self._requests += 1
        try:
            yield hold
        finally:
            self._requests, self._bytes = self._requests - 1, self._bytes - held
            if not self._requests and self._most_bytes > _TRIM_FROM:
                self._most_bytes = 0
                timer = threading.Timer(_TRIM_SECONDS, _trim)
                timer.daemon = True
                timer.start()


def _trim() -> None:
    """Has the C library give back to the system what large requests have freed: gRPC's small blocks it would keep."""
    with contextlib.suppress(OSError, AttributeError):  # another C library, which has nothing of the kind
        ctypes.CDLL(None).malloc_trim(0)


def _full(what: str) -> ServingError:
    message = f"The server has {what} to answer, as many as it takes: try again later"
    return ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
