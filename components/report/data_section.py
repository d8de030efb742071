"""The section on the data: counts of columns, sizes, duplicates, and what was left out."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.errors import CatalogueError
from components.ingest.duplicates import same_picture
from components.report.examples import Table, pictures_of
from components.report.facts.data import (
    ClassCounts,
    Column,
    Count,
    DataFacts,
    DriftFacts,
    DuplicateGroup,
    Duplicates,
    Histogram,
    Listing,
    QuarantineReason,
    QuarantineSample,
)
from components.report.reading import Reading
from components.report.sources import Plan
from components.report.statistics import anomaly_facts, drift_between
from components.report.thumbnail import thumbnail
from components.spreadsheet import unmarked

if TYPE_CHECKING:
    from components.ingest.source import Catalogue

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


def data_facts(reading: Reading) -> DataFacts | None:
    """Makes the section on the data; None where the run did not come so far."""
    folder = reading.folders.quarantine
    if folder is None:
        reading.miss("data", "everything", "The run ended before ingest did.")
        return None
    picture_of = _catalogue_pictures(reading)
    facts = reading.attempt("data", "counts", lambda: from_quarantine(folder, reading.classes, picture_of))
    if facts is None:
        return None
    uses, anomalies, table = reading.uses, reading.anomalies, reading.table
    if uses is not None:
        balanced = zip(facts.classes, uses.tolist(), strict=True)
        facts = replace(facts, classes=tuple(replace(counts, balanced=count) for counts, count in balanced))
    if table is not None:
        facts = replace(
            facts,
            columns=tuple(_column(name, table.texts[name]) for name in COLUMNS),
            histograms=_histograms(table),
            sizes=_sizes(table),
            duplicates=_duplicates(reading, table),
        )
    return replace(
        facts,
        anomalies=None if anomalies is None else anomaly_facts(anomalies),
        drift=_drift(reading),
        notes=reading.judgement.notes if reading.judgement else (),
    )


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


def histogram(name: str, unit: str, values: NDArray[Any], *, sampled: bool = False) -> Histogram:
    """Counts in bins of equal width; one bin where all values are the same."""
    bins = min(_BINS, len(np.unique(values))) or 1
    counts, edges = np.histogram(values, bins)
    return Histogram(name, unit, tuple(map(float, edges)), tuple(map(int, counts)), sampled)


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
                tuple(_listing(table, row, classes) for row in _representatives(table, rows)),
                _contradictory(table, rows),
            )
            for rows in groups[:_DUPLICATES_SHOWN]
        ),
    )


def _histograms(table: Table) -> tuple[Histogram, ...]:
    return (
        histogram("width", "px", table.widths),
        histogram("height", "px", table.heights),
        histogram("size", "kB", table.sizes / 1000),
        histogram("brightness", "", table.brightness, sampled=len(table.brightness) < len(table)),
    )


def _sizes(table: Table) -> tuple[Count, ...]:
    sizes = Counter(zip(table.widths.tolist(), table.heights.tolist(), strict=True))
    return tuple(Count(f"{width} × {height}", n) for (width, height), n in sizes.most_common(_MOST_SIZES))


def _contradictory(table: Table, rows: NDArray[np.intp]) -> bool:
    return len(np.unique(table.labels[rows])) > 1


def _representatives(table: Table, rows: NDArray[np.intp]) -> list[int]:
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


def _catalogue_pictures(reading: Reading) -> Pictures:
    """Looks up thumbnails in the catalogue, which may be gone by now, or another one."""
    from components.ingest.table import Row, read_rows

    catalogue = reading.attempt("data", "pictures in quarantine", lambda: _same_catalogue(reading.plan))

    @cache
    def named() -> dict[str, Row]:
        """The rows of which a column names the picture."""
        rows = read_rows(catalogue, ()) if catalogue else ()
        return {row.id: row for row in rows if isinstance(row, Row) and row.picture}

    def picture_of(product: str) -> bytes | None:
        if catalogue is None:
            return None
        try:
            picture = catalogue.read_picture(Row(0, product, {}, None, ()))
            if picture is None and product in named():
                picture = catalogue.read_picture(named()[product])
        except OSError:  # it may lie in quarantine for that very reason
            return None
        return thumbnail(picture) if picture else None

    return picture_of


def _same_catalogue(plan: Plan) -> "Catalogue | None":
    from components.ingest.catalogue import open_catalogue

    if plan.data is None:
        return None
    catalogue = open_catalogue(plan.data, plan.catalogue)
    if catalogue.digest() != plan.data_digest:
        raise CatalogueError("The catalogue has changed since the run.")
    return catalogue


def _duplicates(reading: Reading, table: Table) -> Duplicates | None:
    members, folder = reading.members, reading.folders.examples
    if members is None or folder is None:
        return None
    groups = duplicate_rows(table, same_picture(members.signatures))
    pictures = pictures_of(folder, {str(table.ids[rows[0]]) for rows in groups[:_DUPLICATES_SHOWN]})
    return duplicates_of(table, groups, reading.classes, lambda product: thumbnail(pictures[product]))


def _drift(reading: Reading) -> DriftFacts | None:
    before, now = reading.folders.earlier, reading.folders.statistics
    if before is None or now is None:
        reading.miss("data", "drift", "There are no earlier data of this recipe to compare with.")
        return None
    return reading.attempt("data", "drift", lambda: drift_between(before, now, reading.sources.earlier_run))
