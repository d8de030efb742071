"""A log of answers as it lies on disk, read a batch at a time."""

from collections.abc import Collection, Container, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
from fashion_client.answer_log import SCHEMA
from pyarrow import parquet

from components.errors import AnswerError
from pipeline.monitor.tally import COLUMNS, TRUTH, Tally, days

_BATCH = 1 << 15  # of which no more than two are in memory
_FULL = SCHEMA.append(pa.field(TRUTH, pa.string()))


def read_days(log: Path, model: str | None = None, version: int | None = None) -> dict[str, Tally]:
    """Counts the answers of each day, of all models or of one.

    Raises:
        AnswerError: there is no log, or it has no answer of that model.
    """
    found = days(batches(log, COLUMNS, _chosen(model, version)))
    if not found:
        raise AnswerError(f"{log}: holds no answer of {model or 'any model'}. Log some with --log-answers.")
    return found


def read_tally(file: Path, slices: Container[str] = ()) -> Tally:
    """Counts all answers of a log, or of a baseline with what is known of their truth, and of some slices."""
    columns = (*COLUMNS, TRUTH) if file.is_file() else COLUMNS
    tally, random = Tally(), np.random.default_rng(0)
    for batch in batches(file, columns):
        tally.add(pa.table(batch), random, slices)
    return tally


def batches(log: Path, columns: Sequence[str], chosen: pads.Expression | None = None) -> Iterator[pa.RecordBatch]:
    """Reads columns of a log's rows, 32,768 at a time.

    Raises:
        AnswerError: it is no log.
    """
    try:
        data = pads.dataset(log, _FULL, format="parquet")
        for file in data.get_fragments():  # one after the other: a scan of all reads far ahead
            yield from file.to_batches(_FULL, columns=list(columns), filter=chosen, batch_size=_BATCH)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise AnswerError(f"{log}: cannot be read as a log of answers: {reason}") from None


def newest(log: Path) -> tuple[str, int | None]:
    """The model that answered last, and its version.

    Raises:
        AnswerError: it is no log, or holds nothing.
    """
    files = sorted(log.rglob("answers-*.parquet"), key=lambda file: (file.parent.name, file.name))
    for file in reversed(files):
        for row in parquet.read_table(file, columns=["model", "version"]).to_pylist()[::-1]:
            if row["model"]:
                return row["model"], row["version"]
    raise AnswerError(f"{log}: holds no answers. Log some with --log-answers of fashion serve or fashion batch.")


def pictures(log: Path, count: int, day: str | None = None) -> list[dict[str, Any]]:
    """Some rows whose pictures were kept, the first that are found; of one day, UTC, or of all."""
    rows: list[dict[str, Any]] = []
    chosen = pads.field("picture").is_valid()
    if day is not None:
        first = datetime.fromisoformat(f"{day}T00:00:00+00:00")
        chosen &= (pads.field("time") >= first) & (pads.field("time") < first + timedelta(days=1))
    for batch in batches(log, ("picture", "label", "confidence", "product"), chosen):
        rows += batch.slice(0, count - len(rows)).to_pylist()
        if len(rows) >= count:
            break
    return rows


def pictures_of(log: Path, digests: Collection[str]) -> dict[str, bytes]:
    """The pictures that were kept of some digests."""
    chosen = pads.field("picture").is_valid() & pads.field("digest").isin(pa.array(list(digests), pa.string()))
    rows = (row for batch in batches(log, ("digest", "picture"), chosen) for row in batch.to_pylist())
    return {row["digest"]: row["picture"] for row in rows}


def _chosen(model: str | None, version: int | None) -> pads.Expression | None:
    if model is None:
        return None
    of_model = pads.field("model") == model
    return of_model if version is None else of_model & (pads.field("version") == version)
