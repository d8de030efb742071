"""What TensorFlow Model Analysis wrote down, as plain values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from components.evaluate.figures import CONFUSION

Slice = tuple[tuple[str, str], ...]  # pairs of feature and value; () is all examples


class Metric(NamedTuple):
    """Which number: the figure's name, the class it is of (None: overall), and whether it is the baseline's."""

    figure: str
    label: int | None = None
    baseline: bool = False


class Breach(NamedTuple):
    """A threshold that was not met: the figure's name, and the class it is of (None: overall)."""

    figure: str
    label: int | None


@dataclass(frozen=True)
class Record:
    """One evaluation."""

    ok: bool  # whether every threshold was met
    breaches: tuple[Breach, ...]  # the thresholds that were not, those on overall figures first, then by class
    # The numbers of each slice; a figure that is not a number is left out.
    slices: Mapping[Slice, Mapping[Metric, float]]
    # Examples by true and predicted class; pairs that do not occur are left out.
    confusion: Mapping[tuple[int, int], int]


def read_record(folder: str) -> Record:
    """Reads a ModelEvaluation artifact; imports TFMA, which takes seconds."""
    import tensorflow_model_analysis as tfma

    validation = tfma.load_validation_result(folder)
    failures = [failure for part in validation.metric_validations_per_slice for failure in part.failures]
    slices, confusion = {}, {}
    for written in tfma.load_metrics(folder):
        part = _slice(written.slice_key)
        slices[part] = dict(_numbers(written))
        if not part:
            confusion = _confusion(written)
    breaches = [Breach(failure.metric_key.name, _label(failure.metric_key)) for failure in failures]
    breaches.sort(key=lambda breach: -1 if breach.label is None else breach.label)  # those of no class first
    return Record(validation.validation_ok, tuple(breaches), slices, confusion)


def _slice(key: Any) -> Slice:
    pairs = []
    for part in key.single_slice_keys:
        value = getattr(part, part.WhichOneof("kind"))
        pairs.append((part.column, value.decode(errors="replace") if isinstance(value, bytes) else str(value)))
    return tuple(pairs)


def _numbers(written: Any) -> list[tuple[Metric, float]]:
    return [
        (Metric(metric.key.name, _label(metric.key), _of_baseline(metric.key)), metric.value.double_value.value)
        for metric in written.metric_keys_and_values
        if metric.value.WhichOneof("type") == "double_value"
        and not metric.key.is_diff
        and not math.isnan(metric.value.double_value.value)
    ]


def _confusion(written: Any) -> dict[tuple[int, int], int]:
    for metric in written.metric_keys_and_values:
        if metric.key.name == CONFUSION and not metric.key.is_diff and not _of_baseline(metric.key):
            entries = metric.value.multi_class_confusion_matrix_at_thresholds.matrices[0].entries
            return {(e.actual_class_id, e.predicted_class_id): round(e.num_weighted_examples) for e in entries}
    return {}


def _label(key: Any) -> int | None:
    return key.sub_key.class_id.value if key.HasField("sub_key") else None


def _of_baseline(key: Any) -> bool:
    return key.model_name == "baseline"
