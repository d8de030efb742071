"""What is said of each row of a catalogue, and the files that hold it."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from components.ingest.faults import Fault
from components.spreadsheet import write_rows

REFUSED = "refused by the model"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of one row, or why it says nothing.

    Attributes:
        row: number of the row as a spreadsheet shows it; the header is row 1.
        id: the id as it stands in the table.
        label: the most probable class; "" where there is a reason.
        confidence: its probability; 0.0 where there is a reason.
        top_labels: the most probable classes, the first one first.
        top_scores: their probabilities.
        reason: why there is no answer: one of `components.ingest.faults.Reason` or `REFUSED`; "" where there is one.
        error: the same as a sentence that names the remedy.
    """

    row: int
    id: str
    label: str = ""
    confidence: float = 0.0
    top_labels: tuple[str, ...] = ()
    top_scores: tuple[float, ...] = ()
    reason: str = ""
    error: str = ""


COLUMNS = tuple(field.name for field in fields(Answer))


def unanswered(fault: Fault) -> Answer:
    """The answer for a row that cannot be used."""
    return Answer(fault.row, fault.id, reason=str(fault.reason), error=fault.detail)


def count(answers: Sequence[Answer]) -> dict[str, Counter[str]]:
    """How many have each label, and each reason for having none."""
    return {
        "labels": Counter(answer.label for answer in answers if not answer.reason),
        "reasons": Counter(answer.reason for answer in answers if answer.reason),
    }


def write_csv(path: Path, answers: Sequence[Answer]) -> None:
    """Writes answers with a header; several labels or scores in a field are separated by `|`."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        write_rows(file, [COLUMNS])
        write_rows(
            file,
            (
                ["|".join(map(str, value)) if isinstance(value, tuple) else value for value in _plain(answer).values()]
                for answer in answers
            ),
        )


def write_jsonl(path: Path, answers: Sequence[Answer]) -> None:
    """Writes answers as one JSON object a line."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(_plain(answer), ensure_ascii=False) + "\n" for answer in answers)


def write_parquet(path: Path, answers: Sequence[Answer]) -> None:
    """Writes answers as Parquet: numbers as int64 and float32, labels and scores as lists."""
    import pyarrow as pa
    from pyarrow import parquet

    special = {
        "row": pa.int64(),
        "confidence": pa.float32(),
        "top_labels": pa.list_(pa.string()),
        "top_scores": pa.list_(pa.float32()),
    }
    schema = pa.schema([(name, special.get(name, pa.string())) for name in COLUMNS])
    parquet.write_table(pa.Table.from_pylist([_plain(answer) for answer in answers], schema), path)


WRITERS: Mapping[str, Callable[[Path, Sequence[Answer]], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


def _plain(answer: Answer) -> dict[str, object]:
    return {name: getattr(answer, name) for name in COLUMNS}
