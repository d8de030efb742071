"""What is said of the data: counts of columns, sizes, duplicates, and what was left out."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.report.examples import Table
from components.report.facts import (
    ClassCounts,
    Column,
    Count,
    DataFacts,
    DuplicateGroup,
    Duplicates,
    Histogram,
    Listing,
    QuarantineReason,
    QuarantineSample,
)
from components.spreadsheet import unmarked

COLUMNS = ("masterCategory", "subCategory", "articleType", "gender", "season", "year", "usage", "baseColour")

# As ingest names them; its own module takes Beam and TensorFlow along.
_QUARANTINE_FILE, _SUMMARY_FILE = "quarantine.csv", "summary.json"

_MOST_VALUES = 30
_MOST_SIZES = 12
_BINS = 40
_SAMPLES_OF_REASON = 6
_DUPLICATES_SHOWN = 12
_LISTED_OF_GROUP = 6

Pictures = Callable[[str], bytes | None]


def from_quarantine(folder: Path, classes: Sequence[str], picture_of: Pictures) -> DataFacts:
    """What ingest counted, with a few rows of each reason.

    Args:
        folder: the Quarantine artifact.
        classes: in the order of their labels.
        picture_of: id to a thumbnail of its picture in the catalogue, None where there is none to show.
    """
    summary = json.loads((folder / _SUMMARY_FILE).read_text(encoding="utf-8"))
    return DataFacts(
        rows=summary["rows"],
        examples=summary["examples"],
        classes=tuple(ClassCounts(name, summary["classes"].get(name, {}), None) for name in classes),
        quarantined=tuple(_reasons(folder / _QUARANTINE_FILE, summary["quarantined"], picture_of)),
        unmapped=_counts(summary["unmapped"]),
        repaired=_counts(summary["repaired"]),
    )


def columns_of(table: Table) -> tuple[Column, ...]:
    """How often each value of a column occurs, all splits together."""
    return tuple(_column(name, table.texts[name]) for name in COLUMNS)


def histograms_of(table: Table) -> tuple[Histogram, ...]:
    """How large and how bright the pictures are."""
    return (
        histogram("width", "px", table.widths),
        histogram("height", "px", table.heights),
        histogram("size", "kB", table.sizes / 1000),
        histogram("brightness", "", table.brightness, sampled=len(table.brightness) < len(table)),
    )


def histogram(name: str, unit: str, values: NDArray[Any], *, sampled: bool = False) -> Histogram:
    """Counts in bins of equal width; one bin where all values are the same."""
    bins = min(_BINS, len(np.unique(values))) or 1
    counts, edges = np.histogram(values, bins)
    return Histogram(name, unit, tuple(map(float, edges)), tuple(map(int, counts)), sampled)


def sizes_of(table: Table) -> tuple[Count, ...]:
    """The most frequent sizes of the catalogue's pictures."""
    counted = Counter(zip(table.widths.tolist(), table.heights.tolist(), strict=True))
    return tuple(Count(f"{width} × {height}", n) for (width, height), n in counted.most_common(_MOST_SIZES))


def duplicate_rows(table: Table, pictures: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Finds the rows that share a picture, one array for each such picture: contradictory ones first, then the largest.

    Args:
        table: n examples.
        pictures: [n], the same number for near-identical pictures.
    """
    order = np.argsort(pictures, kind="stable")
    borders = np.flatnonzero(np.diff(pictures[order])) + 1
    groups = [rows for rows in np.split(order, borders) if len(rows) > 1]
    return sorted(groups, key=lambda rows: (not _contradictory(table, rows), -len(rows), str(table.ids[rows[0]])))


def duplicates_of(
    table: Table, groups: Sequence[NDArray[np.intp]], classes: Sequence[str], picture_of: Pictures
) -> Duplicates:
    """Sums up groups from `duplicate_rows`, and shows the first of them."""
    across = [rows for rows in groups if len(np.unique(table.splits[rows])) > 1]
    return Duplicates(
        groups=len(groups),
        products=sum(map(len, groups)),
        contradictory=sum(_contradictory(table, rows) for rows in groups),
        across=len(across),
        tested=sum(int((table.splits[rows] == "test").sum()) for rows in across),
        samples=tuple(
            DuplicateGroup(
                picture_of(str(table.ids[rows[0]])),
                tuple(_listing(table, row, classes) for row in _telling(table, rows)),
                _contradictory(table, rows),
            )
            for rows in shown_duplicates(groups)
        ),
    )


def shown_duplicates(groups: Sequence[NDArray[np.intp]]) -> Sequence[NDArray[np.intp]]:
    """The groups that a report shows."""
    return groups[:_DUPLICATES_SHOWN]


def _contradictory(table: Table, rows: NDArray[np.intp]) -> bool:
    return len(np.unique(table.labels[rows])) > 1


def _telling(table: Table, rows: NDArray[np.intp]) -> list[int]:
    """The first rows of a group, with every class among them before any class comes again."""
    _, first = np.unique(table.labels[rows], return_index=True)
    rest = np.setdiff1d(np.arange(len(rows)), first)
    return [int(row) for row in rows[np.concatenate([np.sort(first), rest])][:_LISTED_OF_GROUP]]


def _listing(table: Table, row: int, classes: Sequence[str]) -> Listing:
    return Listing(
        id=str(table.ids[row]),
        name=str(table.texts["productDisplayName"][row]),
        class_name=classes[table.labels[row]] if table.labels[row] >= 0 else "",
        split=str(table.splits[row]),
    )


def _column(name: str, values: NDArray[np.object_]) -> Column:
    counted = Counter(values.tolist())
    missing = counted.pop("", 0)
    top = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_MOST_VALUES]
    if name == "year":
        top.sort(key=lambda item: int(item[0]))
    return Column(
        name=name,
        values=tuple(Count(value, count) for value, count in top),
        others=counted.total() - sum(count for _, count in top),
        missing=missing,
        distinct=len(counted),
    )


def _counts(counts: dict[str, int]) -> tuple[Count, ...]:
    return tuple(Count(value, count) for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _reasons(file: Path, counts: dict[str, int], picture_of: Pictures) -> Iterator[QuarantineReason]:
    samples: dict[str, list[QuarantineSample]] = {reason: [] for reason in counts}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            chosen = samples[row["reason"]]
            if len(chosen) < _SAMPLES_OF_REASON:
                product = unmarked(row["id"])
                chosen.append(QuarantineSample(int(row["row"]), product, row["detail"], picture_of(product)))
    for count in _counts(counts):
        yield QuarantineReason(count.value, count.count, tuple(samples[count.value]))
