"""Labels that arrive later, beside what was answered: how many answers were right, class by class."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import CatalogueError
from components.ingest.corrections import COLUMNS
from components.spreadsheet import csv_lines, unmarked
from pipeline.monitor.accuracy import Share, expected, wilson
from pipeline.monitor.log import batches
from pipeline.monitor.tally import COLUMNS as JUDGED
from pipeline.monitor.tally import Tally

_KEYS = ("product", "id", "digest")
_LABELS = ("label", "class", "truth")


@dataclass(frozen=True)
class Feedback:
    """What late labels say of a log."""

    labels: int  # in the file
    accuracy: Share  # of the answers that it has a label for; `expected` is that of the same before it was known
    expected: Share | None
    classes: Mapping[str, Share]  # label to the share of its products that were answered rightly
    wrong: tuple[tuple[str, str, str, float], ...]  # product, answer, label and confidence of each wrong answer

    def as_corrections(self, when: str) -> str:
        """The wrong answers as decisions about labels, which `labels.corrections` of a recipe takes."""
        lines = (
            (product, said, label, "feedback", when, f"answered with confidence {confidence:.3f}")
            for product, said, label, confidence in self.wrong
        )
        return "".join(csv_lines([COLUMNS, *lines]))


def read_labels(file: Path) -> dict[str, str]:
    """Reads labels by product or digest: CSV with a column `product`, `id` or `digest`, and one `label` or `class`.

    Raises:
        CatalogueError: it cannot be read, or lacks a column.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            names = table.fieldnames or ()
            key, label = (next((each for each in some if each in names), None) for some in (_KEYS, _LABELS))
            if key is None or label is None:
                raise CatalogueError(
                    f"{file}: has the columns {', '.join(names)}. It needs a column {' or '.join(_KEYS)}, and one "
                    f"{' or '.join(_LABELS)}."
                )
            return {unmarked(row[key]): unmarked(row[label]) for row in table if row[key] and row[label]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CatalogueError(f"{file}: cannot be read as CSV in UTF-8: {error}") from None


def compare(log: Path, labels: Mapping[str, str], baseline: Tally | None) -> Feedback:
    """Joins labels with the answers of a log by product, or by digest; of several answers each counts.

    Raises:
        CatalogueError: no answer is about any of the products.
    """
    tally, right, count = Tally(), Counter[str](), Counter[str]()
    random, wrong = np.random.default_rng(0), []
    for table, rows in _joined(log, labels):
        tally.add(table, random)
        for row, label in rows:
            count[label] += 1
            right[label] += row["label"] == label
            if row["label"] != label:
                wrong.append((row["product"] or row["digest"], row["label"], label, row["confidence"]))
    if not count:
        raise CatalogueError(
            f"{log}: none of its answers is about one of the {len(labels):,} products with a label. They are joined by "
            "what was sent as X-Product-Id, or by the first half of a picture's SHA-256."
        )
    classes = {label: wilson(right[label], number) for label, number in count.most_common()}
    overall = wilson(sum(right.values()), sum(count.values()))
    return Feedback(len(labels), overall, expected(tally, baseline) if baseline else None, classes, tuple(wrong))


def _joined(log: Path, labels: Mapping[str, str]) -> Iterator[tuple[Any, list[tuple[dict[str, Any], str]]]]:
    """The answered rows that have a label, as a table and with it."""
    import pyarrow as pa

    for batch in batches(log, (*JUDGED, "product", "digest")):
        keys = zip(batch["product"].to_pylist(), batch["digest"].to_pylist(), batch["error"].to_pylist(), strict=True)
        late = [None if error else labels.get(product, labels.get(digest)) for product, digest, error in keys]
        chosen = pa.table(batch).filter(pa.array([label is not None for label in late]))
        rows = chosen.select(["product", "digest", "label", "confidence"]).to_pylist()
        yield chosen, list(zip(rows, (label for label in late if label is not None), strict=True))
