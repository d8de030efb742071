"""What a day of answers comes to: counts and histograms of a size that does not grow with the day."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from fashion_client.answer_log import LOOKS, OTHER
from numpy.typing import NDArray

CONFIDENCE, OUTSIDE, LATENCY = "confidence", "outside", "latency_ms"
MEASURES = (CONFIDENCE, OUTSIDE, *LOOKS)  # judged given the label: of shirts and of rings they differ
COLUMNS = ("time", "sample", "label", "decision", "error", LATENCY, "projection", "slices", *MEASURES)
TRUTH = "truth"  # a further column of a baseline

_KEPT = 1000  # rows of a day that are kept whole, drawn at random
_COUNTED = 1 << 15  # rows at once, at least, but for the last
_SLICES = 20  # of a day, and of each column those that are too many
_RANGES = {"brightness": (0, 1), "contrast": (0, 0.5), "sharpness": (0, 2), "warmth": (-1, 1), "tint": (-0.5, 0.5)}
# Ends of the bins, which are what two days share. Confidences crowd just below 1, and outsiders' scores have no end.
EDGES: dict[str, NDArray[np.float64]] = {
    CONFIDENCE: 1 - np.logspace(0, -6, 256),
    OUTSIDE: np.tan(np.linspace(-1.57, 1.57, 257)[1:]),
    LATENCY: np.logspace(-1, 5, 256),
    **{name: np.linspace(*ends, 256) for name, ends in _RANGES.items()},
}
BINS = 257

Counts = NDArray[np.int64]


@dataclass
class Tally:
    """Counts of some answers; two can be added up."""

    rows: int = 0  # answers in the log
    volume: float = 0.0  # answers there were, of which those are a sample
    errors: int = 0  # answers that are none
    labels: Counter[str] = field(default_factory=Counter)  # answers by label; likewise `decisions`
    decisions: Counter[str] = field(default_factory=Counter)
    # By measure and label, int64 [257] for the bins of `EDGES`.
    measures: dict[str, dict[str, Counts]] = field(default_factory=lambda: {name: {} for name in MEASURES})
    latency: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))  # int64 [257]
    # Right answers by bin of their confidence, where the truth is known.
    right: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))
    judged: Counts = field(default_factory=lambda: np.zeros(BINS, np.int64))  # answers whose truth is known, likewise
    # Up to 1,000 rows drawn at random: label, and the measures as a vector, float32 [d].
    kept: list[tuple[float, str, NDArray[np.float32]]] = field(default_factory=list)
    # Counts of a part of the answers by its name, e.g. "gender=Women"; they keep no rows.
    slices: dict[str, "Tally"] = field(default_factory=dict)

    def add(self, table: pa.Table, random: np.random.Generator, slices: Container[str] | None = None) -> None:
        """Counts the rows of a table with `COLUMNS`, and perhaps `TRUTH`; of slices all, or those that are named."""
        self._count(table, random)
        lists = table["slices"].combine_chunks()
        rows, names = pa.compute.list_parent_indices(lists), lists.flatten().dictionary_encode()
        for code, name in enumerate(names.dictionary.to_pylist()):
            if slices is None and name not in self.slices and len(self.slices) >= _SLICES:
                name = f"{name.partition('=')[0]}={OTHER}"
            if slices is None or name in slices:
                part = self.slices.setdefault(name, Tally())
                part._count(table.take(rows.filter(pa.compute.equal(names.indices, code))), None)

    def _count(self, table: pa.Table, random: np.random.Generator | None) -> None:
        self.rows += len(table)
        self.volume += float((1 / np.maximum(_numbers(table, "sample", 1.0), 1e-6)).sum())
        self.latency += binned(_numbers(table, LATENCY), LATENCY)
        asked, table = len(table), table.filter(table["error"].is_null())
        self.errors += asked - len(table)
        encoded = table["label"].fill_null("").combine_chunks().dictionary_encode()
        names, codes = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
        for name, count in zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True):
            self.labels[name] += count
        self.decisions.update(each for each in table["decision"].to_pylist() if each)
        values = {name: _numbers(table, name) for name in MEASURES}
        for name, column in values.items():
            fine = np.isfinite(column)
            places = codes[fine] * BINS + np.searchsorted(EDGES[name], column[fine])
            counted = np.bincount(places, minlength=len(names) * BINS).reshape(-1, BINS)
            for label, counts in zip(names, counted, strict=True):
                self.measures[name][label] = self.measures[name].get(label, 0) + counts
        if TRUTH in table.column_names:
            right = pa.compute.equal(table["label"], table[TRUTH]).to_numpy(zero_copy_only=False)
            self.right += binned(values[CONFIDENCE][right == True], CONFIDENCE)  # noqa: E712 - None where not known
            self.judged += binned(values[CONFIDENCE][np.asarray(table[TRUTH].is_valid())], CONFIDENCE)
        if random is not None:
            self._keep(table, codes, names, values, random)

    def _keep(
        self, table: pa.Table, codes: NDArray[Any], names: list[str], values: Mapping[str, NDArray[Any]],
        random: np.random.Generator,
    ) -> None:  # fmt: skip
        """Keeps the rows with the lowest of random numbers, so that every row is as likely to stay."""
        numbers = random.random(len(codes))
        worst = self.kept[-1][0] if len(self.kept) >= _KEPT else 1.0
        rows = np.argsort(numbers)[:_KEPT]
        rows = rows[numbers[rows] < worst]
        projections = table["projection"].take(pa.array(rows)).to_pylist()
        for row, projection in zip(rows, projections, strict=True):
            vector = [values[name][row] for name in MEASURES] + list(projection or ())
            self.kept.append((float(numbers[row]), names[codes[row]], np.array(vector, np.float32)))
        self.kept = sorted(self.kept, key=lambda each: each[0])[:_KEPT]

    def hist(self, name: str) -> Counts:
        """Counts of a measure over all labels, int64 [257]."""
        return sum(self.measures[name].values(), np.zeros(BINS, np.int64))


def total(tallies: Iterable[Tally]) -> Tally:
    """Adds tallies up, without their slices."""
    whole = Tally()
    for each in tallies:
        whole.rows, whole.volume, whole.errors = (
            whole.rows + each.rows, whole.volume + each.volume, whole.errors + each.errors
        )  # fmt: skip
        whole.labels, whole.decisions = whole.labels + each.labels, whole.decisions + each.decisions
        for name, by_label in each.measures.items():
            for label, counts in by_label.items():
                there = whole.measures[name].get(label, 0)
                whole.measures[name][label] = there + counts
        whole.latency, whole.right, whole.judged = (
            whole.latency + each.latency, whole.right + each.right, whole.judged + each.judged
        )  # fmt: skip
        whole.kept = sorted([*whole.kept, *each.kept], key=lambda row: row[0])[:_KEPT]
    return whole


def binned(values: NDArray[np.float64], name: str) -> Counts:
    """How many values fall into each bin of a measure, int64 [257]; what is no number is left out."""
    return np.bincount(np.searchsorted(EDGES[name], values[np.isfinite(values)]), minlength=BINS)


def mean(counts: Counts, name: str) -> float:
    """The mean of a histogram, to the width of its bins; NaN of an empty one."""
    edges = EDGES[name]
    middles = np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
    return float(counts @ middles / counts.sum()) if counts.sum() else float("nan")


def days(batches: Iterable[pa.RecordBatch]) -> dict[str, Tally]:
    """Counts the answers of each day (UTC), the days in order; some batches are in memory at a time."""
    random = np.random.default_rng(0)
    found: dict[str, Tally] = defaultdict(Tally)
    for table in together(batches):
        dates = pa.compute.floor_temporal(table["time"], unit="day").cast(pa.date32())
        for date in dates.unique().to_pylist():
            found[str(date)].add(table.filter(pa.compute.equal(dates, date)), random)
    return dict(sorted(found.items()))


def together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Puts batches together, for files are small, and each count of each slice has its price."""
    some: list[pa.RecordBatch] = []
    for batch in batches:
        some.append(batch)
        if sum(map(len, some)) >= _COUNTED:
            yield pa.Table.from_batches(some)
            some = []
    if some:
        yield pa.Table.from_batches(some)


def _numbers(table: pa.Table, name: str, missing: float = float("nan")) -> NDArray[np.float64]:
    column = table[name].cast(pa.float64()).fill_null(missing)
    return np.asarray(column.combine_chunks(), np.float64)
