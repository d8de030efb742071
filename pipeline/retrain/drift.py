"""How far a catalogue has moved from the one that a model was trained on, and whether to train again.

Two measures. Class labels: the largest change of a class's share (L-infinity), from ingest's counts, since examples
carry no labels before Transform. Columns: TFDV's comparators, as the reviewed schema sets them.

Small samples differ by chance: of 50 products, some class's share is off by 0.05 on most nights. So a move counts if it
is beyond its limit and beyond what chance brings. That is found by a permutation test: all products of both catalogues
are dealt anew into two of the same sizes, thousands of times (Good 2005, Permutation, Parametric and Bootstrap Tests).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr  # type: ignore[import-untyped]

from components.errors import RecipeError
from components.reading import choices
from components.report.facts.data import Drift as Change
from components.report.statistics import drift_between, moved
from pipeline.retrain.settings import Drift

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

LABELS = "labels"

Shares = NDArray[np.float64]  # [..., values]
Distance = Callable[[Shares, Shares], Shares]

_SPLIT = "Split-train"  # sketches of distributions cannot be added up, and most of the data are here
_DEALS = 5_000
_MOST_DEALT = 10**9  # which numpy deals; among so many, chance moves nothing


@dataclass(frozen=True)
class Span:
    """The data of one run: StatisticsGen's folder, and products by class, as ingest counted them in all splits."""

    statistics: Path
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Move:
    """How far one thing has moved."""

    what: str  # "labels" or a column
    distance: float  # 0 is not at all, 1 is nothing in common
    limit: float  # from where on it counts
    noise: float = 0.0  # how far chance alone would move it
    change: Change | None = None  # the value whose share changed most, and its shares; None of numbers

    @property
    def far(self) -> bool:
        """Whether it is beyond the limit, and beyond chance."""
        return self.distance > max(self.limit, self.noise)

    def __str__(self) -> str:
        text = f"{self.what} moved by {self.distance:.3f} ± {self.noise:.3f} (limit {self.limit:g})"
        if self.far and (change := self.change):
            text += f": {change.value or 'missing'} {100 * change.before:.1f} % → {100 * change.now:.1f} %"
        return text


@dataclass(frozen=True)
class Decision:
    """Whether to train again, why, in words, and what it rests on, the farthest from its limit first."""

    train: bool
    reason: str
    moves: tuple[Move, ...] = ()


def read_span(statistics: Path, quarantine: Path) -> Span:
    """Reads the data of a run from its artifacts."""
    summary = json.loads((quarantine / "summary.json").read_bytes())
    return Span(statistics, {name: sum(splits.values()) for name, splits in summary["classes"].items()})


def decide(before: Span, now: Span, limits: Drift, schema: Path) -> Decision:
    """Compares the data that a model was trained on with new data.

    Args:
        before: what it was trained on.
        now: what is there.
        limits: the recipe's.
        schema: a text proto; its drift comparators say how far columns may move, where the recipe does not.

    Raises:
        RecipeError: the recipe limits a column that the schema does not have.
    """
    if set(before.counts) != set(now.counts):
        return Decision(True, f"the classes are others: {_difference(before.counts, now.counts)}")
    columns = _column_moves(before.statistics, now.statistics, limits, schema)
    return judge([label_move(before.counts, now.counts, limits), *columns])


def label_move(before: Mapping[str, int], now: Mapping[str, int], limits: Drift) -> Move:
    """How far the mix of classes has moved, from the counts of each."""
    change = moved(LABELS, Counter(before), Counter(now))
    noise = noise_between(before, now, largest_change, limits.chance)
    return Move(LABELS, change.distance, limits.labels, noise, change)


def largest_change(before: Shares, now: Shares) -> Shares:
    """The L-infinity distance."""
    return np.abs(before - now).max(axis=-1)


def divergence(before: Shares, now: Shares) -> Shares:
    """The Jensen-Shannon divergence in bits, as TFDV measures it."""
    middle = (before + now) / 2
    return (rel_entr(before, middle) + rel_entr(now, middle)).sum(axis=-1) / (2 * np.log(2))


def noise_between(before: Mapping[str, int], now: Mapping[str, int], distance: Distance, chance: float) -> float:
    """The distance that two samples of the same size exceed by chance, if both are of one and the same catalogue.

    Each is value to count. `chance` is how often the distance between their distributions may be exceeded.
    """
    values = sorted({*before, *now})
    together = np.array([before.get(value, 0) + now.get(value, 0) for value in values])
    size, total = sum(now.values()), int(together.sum())
    if not 0 < size < total < _MOST_DEALT:
        return 0.0
    dealt = np.random.default_rng(0).multivariate_hypergeometric(together, size, _DEALS)
    distances = distance((together - dealt) / (total - size), dealt / size)
    return float(np.quantile(distances, 1 - chance))


def judge(moves: Iterable[Move]) -> Decision:
    """Trains again where anything has moved beyond its limit."""
    ordered = tuple(sorted(moves, key=lambda move: move.limit - move.distance))
    if far := [move for move in ordered if move.far]:
        return Decision(True, "; ".join(map(str, far)), ordered)
    return Decision(False, f"no drift: {'; '.join(map(str, ordered))}", ordered)


def _difference(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    parts = (("new", sorted(set(now) - set(before))), ("gone", sorted(set(before) - set(now))))
    return "; ".join(f"{word} {', '.join(names)}" for word, names in parts if names)


def _column_moves(before: Path, now: Path, limits: Drift, file: Path) -> Iterator[Move]:
    """What TFDV measures of the columns that have a comparator."""
    import tensorflow_data_validation as tfdv

    schema = tfdv.load_schema_text(str(file))
    _set_limits(schema, limits.columns)
    statistics = [tfdv.load_stats_binary(str(folder / _SPLIT / "FeatureStats.pb")) for folder in (now, before)]
    comparison = tfdv.validate_statistics(statistics[0], schema, previous_statistics=statistics[1])
    changes = {change.column: change for change in drift_between(before, now, "").columns}
    for info in comparison.drift_skew_info:
        [name] = info.path.step
        for measured in info.drift_measurements:
            then, today = _counts(statistics[1], name), _counts(statistics[0], name)
            noise = noise_between(then, today, divergence, limits.chance)
            yield Move(name, measured.value, measured.threshold, noise, changes.get(name))


def _counts(statistics: "DatasetFeatureStatisticsList", name: str) -> dict[str, int]:
    """How often each value of a column occurs; of a column of numbers, each of the ranges that TFDV has chosen."""
    [feature] = [each for each in statistics.datasets[0].features if name in (each.name, *each.path.step)]
    if feature.HasField("num_stats"):
        # Ranges of two samples differ, but not in number: the n-th of one stands for the n-th of the other.
        buckets = feature.num_stats.histograms[0].buckets
        return {str(number): round(bucket.sample_count) for number, bucket in enumerate(buckets)}
    return {bucket.label: round(bucket.sample_count) for bucket in feature.string_stats.rank_histogram.buckets}


def _set_limits(schema: "schema_pb2.Schema", limits: Mapping[str, float]) -> None:
    features = {feature.name: feature for feature in schema.feature}
    for name, limit in limits.items():
        if name not in features:
            raise RecipeError(f"drift.columns.{name}: the schema has no such column; {choices(name, features)}")
        features[name].ClearField("drift_comparator")
        features[name].drift_comparator.jensen_shannon_divergence.threshold = limit
