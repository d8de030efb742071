"""What is said about each input: one row, the same in CSV, JSON lines and Parquet."""

import csv
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from components.spreadsheet import csv_lines, unmarked

Row = Mapping[str, Any]
Key = tuple[str, ...]

TOP = 5  # classes that a model names
PREDICTION = ("label", "confidence", "decision", "outside", "label_set", "top")
EMBEDDING = ("embedding",)


class Format:
    """How rows stand in a file.

    JSON lines and Parquet hold `top` as a list of {label, confidence}; in CSV it is `label_2`, `confidence_2`, …. They
    hold `label_set` as a list too; in CSV bars divide its labels.

    Attributes:
        form: "csv", "jsonl" or "parquet".
        columns: keys of a row, in their order.
        header: the first line, b"" where there is none.
    """

    def __init__(self, form: str, names: Sequence[str], answer: Sequence[str] = PREDICTION, top: int = TOP) -> None:
        """Settles the columns: those that name an input, those of its answer, and at most `top` classes."""
        self.form, self._names, self._top = form, tuple(names), top
        if form == "csv" and "top" in answer:
            further = (f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "confidence"))
            answer = (*(name for name in answer if name != "top"), *further)
        self.columns = (*names, "model", *answer, "reason", "error")
        self.header = _csv_line(self.columns) if form == "csv" else b""

    def key(self, row: Row) -> Key:
        """What a row is about."""
        return tuple(str(row[name]) for name in self._names)

    def encode(self, row: Row) -> bytes:
        """One row as a line."""
        if self.form == "jsonl":
            return (json.dumps(self._nested(row), ensure_ascii=False, default=_as_list) + "\n").encode()
        flat = dict(row)
        for place, candidate in enumerate(row.get("top", ()), start=1):
            flat |= {f"{name}_{place}": value for name, value in candidate.items()}
        flat["label_set"] = " | ".join(row.get("label_set", ()))
        if row["error"]:
            flat["confidence"] = ""
        cells = (flat.get(name) for name in self.columns)
        return _csv_line(f"{cell:.6f}" if isinstance(cell, float) else cell for cell in cells)

    def decode(self, line: bytes) -> Row:
        """Reads what `encode` wrote; values of CSV are text.

        Raises:
            ValueError, TypeError, csv.Error: it is something else.
        """
        if self.form == "csv":
            [cells] = csv.reader([line.decode()], strict=True)
            return dict(zip(self.columns, map(unmarked, cells), strict=True))
        row: Row = json.loads(line)
        if tuple(row) != self.columns:
            raise ValueError("other keys")
        return row

    def write(self, file: BinaryIO, rows: Iterable[Row]) -> None:
        """Writes rows as a whole file."""
        if self.form != "parquet":
            file.writelines((self.header, *map(self.encode, rows)))
            return
        import pyarrow as pa
        from pyarrow import parquet

        candidate = pa.struct({"label": pa.string(), "confidence": pa.float32()})
        types = {"row": pa.int64(), "confidence": pa.float32(), "outside": pa.float32(), "top": pa.list_(candidate)}
        types["label_set"] = pa.list_(pa.string())
        types |= {name: pa.float32() for name in self.columns if name.endswith("_confidence")}
        schema = pa.schema([(name, types.get(name, pa.string())) for name in self.columns])
        parquet.write_table(pa.Table.from_pylist([self._nested(row) for row in rows], schema), file)

    def read(self, path: Path) -> Iterator[Row]:
        """Reads the rows of a file that is whole."""
        if self.form == "parquet":
            from pyarrow import parquet

            yield from parquet.read_table(path).to_pylist()
            return
        with open(path, "rb") as file:
            file.seek(len(self.header))
            yield from map(self.decode, file)

    def _nested(self, row: Row) -> dict[str, Any]:
        # Of what could not be answered further columns are not there.
        return {name: row[name][: self._top] if name == "top" else row.get(name) for name in self.columns}


def _csv_line(values: Iterable[object]) -> bytes:
    return "".join(csv_lines([values])).encode()


def _as_list(vector: "array[float]") -> list[float]:
    return [float(f"{value:.9g}") for value in vector]  # as many digits as float32 has
