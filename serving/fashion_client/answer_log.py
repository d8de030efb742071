"""A log of answers, for `fashion monitor` to judge: who answered what about which picture, in Parquet.

TensorFlow Serving's open-source build cannot log requests, so whoever asks it does. Needs pyarrow; with Pillow, each
picture is measured too.
"""

import hashlib
import logging
import os
import queue
import random
import re
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
from fashion_client.pictures import format_of
from pyarrow import parquet

_log = logging.getLogger(__name__)

LOOKS = ("brightness", "contrast", "sharpness", "warmth", "tint")
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", "UTC")), ("sample", pa.float32()), ("model", pa.string()), ("version", pa.int64()),
        ("request", pa.string()), ("product", pa.string()), ("digest", pa.string()), ("bytes", pa.int32()),
        ("width", pa.int32()), ("height", pa.int32()), ("format", pa.string()), ("label", pa.string()),
        ("confidence", pa.float32()),
        ("top", pa.list_(pa.struct([("label", pa.string()), ("confidence", pa.float32())]))),
        ("outside", pa.float32()), ("decision", pa.string()), ("error", pa.string()), ("latency_ms", pa.float32()),
        ("projection", pa.list_(pa.float32())), ("slices", pa.list_(pa.string())),
        *((name, pa.float32()) for name in LOOKS), ("picture", pa.binary()),
    ]
)  # fmt: skip
TOP = 3  # classes of an answer
COLUMNS, VALUES = 4, 20  # of slices: columns, and values of each
OTHER = "other"  # stands for further ones

_UTC = timezone.utc  # noqa: UP017 - Python 3.10 has no datetime.UTC
_DAY = re.compile(r"day=(\d{4}-\d\d-\d\d)")
_MOST_BYTES = 64 << 20  # of pictures that wait

Row = Mapping[str, Any]


class AnswerLog:
    """Writes a sample of answers to files that appear whole. Thread-safe, and never in the way of an answer.

    A row waits in a queue of bounded length and bytes for the one thread that writes; what finds no room is dropped and
    counted, and so is what the disk refuses. A process that is killed loses the rows of one file at most.

    Attributes:
        written: rows in files.
        dropped: rows that found no room in the queue.
        failed: rows that could not be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        sample: float = 1.0,
        *,
        pictures: bool = False,
        keep_days: int = 30,
        rows: int = 1000,
        seconds: float = 60.0,
        waiting: int = 5000,
    ) -> None:
        """Starts the thread; nothing is written before the first answer.

        Args:
            folder: gets a folder `day=YYYY-MM-DD` for each day; several processes may share it.
            sample: share of the answers that is logged, 0..1, drawn at random.
            pictures: whether the pictures are kept too.
            keep_days: age from which on a day is deleted, with all that was logged.
            rows: of a file at most.
            seconds: after which a file is written, however few rows there are.
            waiting: rows in the queue at most.
        """
        if not 0 <= sample <= 1 or keep_days < 1:
            raise ValueError(f"sample {sample}, keep_days {keep_days}: give a share of 0 to 1, and at least one day")
        self.folder, self.sample = Path(folder), sample
        self.written = self.dropped = self.failed = 0
        self._pictures, self._keep_days, self._rows, self._seconds = pictures, keep_days, rows, seconds
        self._queue: queue.Queue[dict[str, Any] | threading.Event | None] = queue.Queue(waiting)
        self._held, self._lock, self._broken = 0, threading.Lock(), False
        self._slices: dict[str, set[str]] = {}
        self._thread = threading.Thread(target=self._work, name="answer-log", daemon=True)
        self._thread.start()

    def draw(self, count: int) -> Sequence[int]:
        """Draws which of so many answers to log."""
        return range(count) if self.sample >= 1 else [n for n in range(count) if random.random() < self.sample]

    def offer(self, row: Row) -> None:
        """Takes a row of `SCHEMA`, or drops it; returns at once.

        What follows from `picture`, encoded bytes, is added later: digest, size, format and looks. `about` may be a
        function that finds further columns out; `slices` are as for `read_slices`.
        """
        size = len(row.get("picture") or b"")
        with self._lock:
            full = self._held + size > _MOST_BYTES
            if not full:
                try:
                    self._queue.put_nowait({"time": datetime.now(_UTC), "sample": self.sample, **row})
                    self._held += size
                except queue.Full:
                    full = True
            self.dropped += full

    def flush(self, seconds: float = 10.0) -> bool:
        """Has what was offered so far written; returns whether that came to an end in time."""
        written = threading.Event()
        try:
            self._queue.put(written, timeout=seconds)
        except queue.Full:
            return False
        return written.wait(seconds)

    def close(self) -> None:
        """Writes the rest, and ends the thread."""
        if self.flush():
            self._queue.put(None)
            self._thread.join(10.0)

    def _work(self) -> None:
        rows: list[dict[str, Any]] = []
        until = time.monotonic() + self._seconds
        while True:
            try:
                item = self._queue.get(timeout=max(until - time.monotonic(), 0) if rows else None)
            except queue.Empty:
                item = threading.Event()
            if isinstance(item, dict):
                until = until if rows else time.monotonic() + self._seconds
                rows.append(self._described(item))
            if rows and (not isinstance(item, dict) or len(rows) >= self._rows or self._held > _MOST_BYTES // 2):
                self._write(rows)
                rows = []
            if isinstance(item, threading.Event):
                item.set()
            elif item is None:
                return

    def _described(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            row |= row.pop("about", dict)()
        except Exception:  # noqa: BLE001 - it may ask a server, which may be gone
            _log.debug("a row of the log does not say which version answered", exc_info=True)
        held = len(row.get("picture") or b"")
        row = described(row, self._pictures)
        row["slices"] = list(bounded(row["slices"], self._slices))
        if not self._pictures:
            self._release(held)
        return row

    def _release(self, size: int) -> None:
        with self._lock:
            self._held -= size

    def _write(self, rows: list[dict[str, Any]]) -> None:
        now = datetime.now(_UTC)
        folder = self.folder / f"day={now:%Y-%m-%d}"
        name = f"answers-{now:%H%M%S}-{uuid.uuid4().hex[:12]}.parquet"
        unfinished = folder / f".{name}"
        try:
            new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            with open(unfinished, "wb") as file:
                parquet.write_table(pa.Table.from_pylist(rows, SCHEMA), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, folder / name)
            if new:
                self._forget(now.date())
        except Exception as error:  # noqa: BLE001 - whatever it is, answers go on, and the next file is tried
            self.failed += len(rows)
            if not self._broken:
                _log.warning("answers are not logged, and requests are answered nevertheless: %s", error)
            self._broken = True
            with suppress(OSError):
                unfinished.unlink()
        else:
            self.written += len(rows)
            self._broken = False
        self._release(sum(len(row.get("picture") or b"") for row in rows))

    def _forget(self, today: date) -> None:
        for each in self.folder.iterdir():
            day = _DAY.fullmatch(each.name)
            if day and date.fromisoformat(day[1]) <= today - timedelta(days=self._keep_days):
                shutil.rmtree(each, ignore_errors=True)


def described(row: Row, pictures: bool = False) -> dict[str, Any]:
    """Adds what follows from the picture to a row, and leaves the picture itself out unless it is to be kept."""
    row = {**row, "top": list(row.get("top") or ())[:TOP], "slices": read_slices(row.get("slices") or "")}
    picture: bytes | None = row.get("picture") if pictures else row.pop("picture", None)
    if picture is not None:
        row |= {"digest": hashlib.sha256(picture).hexdigest()[:32], "bytes": len(picture)}
        row |= {"format": format_of(picture)} if row.get("error") else _looks(picture)
    return row


def read_slices(said: str | Mapping[str, str]) -> list[str]:
    """Reads which part of the traffic an answer belongs to: a mapping, or `gender=Women, season=Fall`, to its pairs."""
    pairs = (part.partition("=")[::2] for part in said.split(",")) if isinstance(said, str) else said.items()
    return [f"{column.strip()}={value.strip()}" for column, value in pairs if column.strip() and value.strip()]


def bounded(slices: Iterable[str], seen: dict[str, set[str]]) -> Iterable[str]:
    """Lets the first few columns pass, of each the first few values, and names the rest `other`; `seen` is kept up."""
    for each in slices:
        column, _, value = each.partition("=")
        if column not in seen and len(seen) == COLUMNS:
            column = value = OTHER
        values = seen.setdefault(column, set()) if column != OTHER else {OTHER}
        if len(values) < VALUES:
            values.add(value)
        yield f"{column}={value if value in values else OTHER}"


def _looks(picture: bytes) -> dict[str, Any]:
    try:
        from fashion_client.looks import looks
    except ImportError:
        return {"format": format_of(picture)}
    return looks(picture)
