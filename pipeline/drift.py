"""How far a catalogue has moved from the one that a model was trained on, and whether to train again.

Two measures. Class labels: the largest change of a class's share (L-infinity), from ingest's counts, since examples
carry no labels before Transform. Columns: TFDV's comparators, as the reviewed schema sets them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import RecipeError
from components.reading import choices
from components.report.facts import Drift as Change
from components.report.statistics import drift_between, moved
from components.settings import Drift

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

LABELS = "labels"

_SPLIT = "Split-train"  # sketches of distributions cannot be added up, and most of the data are here


@dataclass(frozen=True)
class Span:
    """The data of one run.

    Attributes:
        statistics: folder of StatisticsGen's.
        counts: products by class, as ingest counted them in all splits.
    """

    statistics: Path
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Move:
    """How far one thing has moved.

    Attributes:
        what: "labels" or a column.
        distance: 0 is not at all, 1 is nothing in common.
        limit: from where on it counts.
        change: the value whose share changed most, and its shares; None of numbers.
    """

    what: str
    distance: float
    limit: float
    change: Change | None = None

    @property
    def far(self) -> bool:
        """Whether it is beyond the limit."""
        return self.distance > self.limit

    def __str__(self) -> str:
        text = f"{self.what} moved by {self.distance:.3f} (limit {self.limit:g})"
        if self.far and (of := self.change):
            text += f": {of.value or 'missing'} {100 * of.before:.1f} % → {100 * of.now:.1f} %"
        return text


@dataclass(frozen=True)
class Decision:
    """Whether to train again.

    Attributes:
        train: the answer.
        reason: why, in words.
        moves: what it rests on, the farthest from its limit first.
    """

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
    labels = label_move(before.counts, now.counts, limits.labels)
    return judge([labels, *_column_moves(before.statistics, now.statistics, limits.columns, schema)])


def label_move(before: Mapping[str, int], now: Mapping[str, int], limit: float) -> Move:
    """How far the mix of classes has moved, from the counts of each."""
    change = moved(LABELS, Counter(before), Counter(now))
    return Move(LABELS, change.distance, limit, change)


def judge(moves: Iterable[Move]) -> Decision:
    """Trains again where anything has moved beyond its limit."""
    ordered = tuple(sorted(moves, key=lambda move: move.limit - move.distance))
    if far := [move for move in ordered if move.far]:
        return Decision(True, "; ".join(map(str, far)), ordered)
    return Decision(False, f"no drift: {'; '.join(map(str, ordered))}", ordered)


def _difference(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    told = (("new", sorted(set(now) - set(before))), ("gone", sorted(set(before) - set(now))))
    return "; ".join(f"{word} {', '.join(names)}" for word, names in told if names)


def _column_moves(before: Path, now: Path, limits: Mapping[str, float], file: Path) -> Iterator[Move]:
    """What TFDV measures of the columns that have a comparator."""
    import tensorflow_data_validation as tfdv

    schema = tfdv.load_schema_text(str(file))
    _set_limits(schema, limits)
    statistics = [tfdv.load_stats_binary(str(folder / _SPLIT / "FeatureStats.pb")) for folder in (now, before)]
    found = tfdv.validate_statistics(statistics[0], schema, previous_statistics=statistics[1])
    changes = {change.column: change for change in drift_between(before, now, "").columns}
    for info in found.drift_skew_info:
        [name] = info.path.step
        for measured in info.drift_measurements:
            yield Move(name, measured.value, measured.threshold, changes.get(name))


def _set_limits(schema: "schema_pb2.Schema", limits: Mapping[str, float]) -> None:
    features = {feature.name: feature for feature in schema.feature}
    for name, limit in limits.items():
        if name not in features:
            raise RecipeError(f"drift.columns.{name}: the schema has no such column; {choices(name, features)}")
        features[name].ClearField("drift_comparator")
        features[name].drift_comparator.jensen_shannon_divergence.threshold = limit
