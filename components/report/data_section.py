"""The section on the data: counts of columns, sizes, and what was left out."""

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
from components.ingest.corrections import CORRECTIONS_FILE, IGNORED, read_outcomes
from components.ingest.faults import PASSED
from components.report.duplicates_section import duplicates
from components.report.examples import Table
from components.report.facts.data import ClassCounts, Column, Count, DataFacts, DriftFacts, Histogram
from components.report.facts.data import QuarantineReason as Reason
from components.report.facts.data import QuarantineSample as Sample
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
_MOST_IGNORED = 12
_BINS = 40
_SAMPLES_OF_REASON = 6

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
        columns = tuple(_column(name, table.texts[name]) for name in COLUMNS)
        sizes = Counter(zip(table.widths.tolist(), table.heights.tolist(), strict=True)).most_common(_MOST_SIZES)
        facts = replace(
            facts, columns=columns, histograms=_histograms(table), duplicates=duplicates(reading, table),
            sizes=tuple(Count(f"{width} × {height}", count) for (width, height), count in sizes),
        )  # fmt: skip
    return replace(
        facts,
        anomalies=None if anomalies is None else anomaly_facts(anomalies),
        drift=_drift(reading),
        notes=reading.judgement.notes if reading.judgement else (),
    )


def from_quarantine(folder: Path, classes: Sequence[str], picture_of: Pictures) -> DataFacts:
    """What ingest counted, with a few rows of each reason.

    `picture_of` gives a thumbnail of a product's picture in the catalogue by its id, None where there is none to show.
    """
    summary = json.loads((folder / _SUMMARY_FILE).read_text(encoding="utf-8"))
    return DataFacts(
        rows=summary["rows"],
        examples=summary["examples"],
        classes=tuple(ClassCounts(name, summary["classes"].get(name, {}), None) for name in classes),
        quarantined=tuple(_reasons(folder / _QUARANTINE_FILE, summary["quarantined"], picture_of)),
        unmapped=_counts(summary["unmapped"]),
        repaired=_counts(summary["repaired"]),
        corrections=_counts(summary.get("corrections", {})),
        ignored=tuple(
            f"{given.id}, {given.old} to {given.new}, {outcome}"
            for given, outcome in read_outcomes(folder / CORRECTIONS_FILE)
            if outcome.startswith(IGNORED)
        )[:_MOST_IGNORED],
        passed=_counts({name.replace("_", " "): count for name in PASSED if (count := summary.get(name))}),
    )


def histogram(name: str, unit: str, values: NDArray[Any], *, sampled: bool = False) -> Histogram:
    """Counts in bins of equal width; one bin where all values are the same."""
    bins = min(_BINS, len(np.unique(values))) or 1
    counts, edges = np.histogram(values, bins)
    return Histogram(name, unit, tuple(map(float, edges)), tuple(map(int, counts)), sampled)


def _histograms(table: Table) -> tuple[Histogram, ...]:
    return (
        histogram("width", "px", table.widths),
        histogram("height", "px", table.heights),
        histogram("size", "kB", table.sizes / 1000),
        histogram("brightness", "", table.brightness, sampled=len(table.brightness) < len(table)),
    )


def _column(name: str, values: NDArray[np.object_]) -> Column:
    counts = Counter(values.tolist())
    missing = counts.pop("", 0)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_VALUES]
    if name == "year":
        top.sort(key=lambda item: int(item[0]))
    others = counts.total() - sum(count for _, count in top)
    return Column(name, tuple(Count(value, count) for value, count in top), others, missing, distinct=len(counts))


def _counts(counts: dict[str, int]) -> tuple[Count, ...]:
    return tuple(Count(value, count) for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _reasons(file: Path, counts: dict[str, int], picture_of: Pictures) -> Iterator[Reason]:
    samples: dict[str, list[Sample]] = {reason: [] for reason in counts}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            shown = samples[row["reason"]]
            if len(shown) < _SAMPLES_OF_REASON:
                product = unmarked(row["id"])
                shown.append(Sample(int(row["row"]), product, row["detail"], picture_of(product)))
    for count in _counts(counts):
        yield Reason(count.value, count.count, tuple(samples[count.value]))


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


def _drift(reading: Reading) -> DriftFacts | None:
    before, now = reading.folders.earlier, reading.folders.statistics
    if before is None or now is None:
        reading.miss("data", "drift", "There are no earlier data of this recipe to compare with.")
        return None
    return reading.attempt("data", "drift", lambda: drift_between(before, now, reading.sources.earlier_run))
