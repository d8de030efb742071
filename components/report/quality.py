"""How good a model is, from its answers: curves, calibration, coverage, slices, and the mistakes made most often."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.evaluate.evidence import wilson
from components.evaluate.figures import CALIBRATION_BINS, calibration_error
from components.report.facts import Bin, Calibration, Coverage, Curve, SliceQuality

SLICED = ("gender", "season", "year", "usage", "baseColour")

_MOST_POINTS = 200
_MOST_VALUES = 15  # of a column; rarer ones say little about a model

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


def curves_of(labels: Labels, probabilities: Probabilities, classes: Sequence[str]) -> tuple[Curve, ...]:
    """The precision-recall curve of each class that occurs.

    Args:
        labels: int64 [n].
        probabilities: float32 [n, k].
        classes: the k names.
    """
    occurs = [i for i in range(len(classes)) if (labels == i).any()]
    return tuple(_curve(classes[i], labels == i, probabilities[:, i]) for i in occurs)


def calibration_of(labels: Labels, probabilities: Probabilities) -> Calibration:
    """Confidence against accuracy in bins of equal width, and the expected calibration error."""
    confidence, correct = _confidence(labels, probabilities)
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    # A bin is open below and closed above; what rounding puts at or below 0 belongs to the first.
    of_bin = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    bins = []
    for number, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        inside = of_bin == number
        if not inside.any():
            bins.append(Bin(low, high, 0, None, None))
            continue
        sure, right = float(confidence[inside].mean()), float(correct[inside].mean())
        bins.append(Bin(low, high, int(inside.sum()), sure, right))
    return Calibration(tuple(bins), calibration_error(labels, probabilities))


def coverage_of(labels: Labels, probabilities: Probabilities) -> tuple[Coverage, ...]:
    """How much is answered, and how rightly, where answers below a confidence are withheld."""
    confidence, correct = _confidence(labels, probabilities)
    thresholds = [*np.arange(0, 0.9, 0.05), *np.arange(0.9, 0.99, 0.01), 0.99, 0.995, 0.999]
    return tuple(_covered(round(float(least), 3), confidence, correct) for least in thresholds)


def slices_of(correct: NDArray[np.bool_], texts: Mapping[str, NDArray[np.object_]]) -> tuple[SliceQuality, ...]:
    """Accuracy among the examples with one value of a column, for its most frequent values; empty columns are left out.

    Args:
        correct: bool [n].
        texts: column to object [n]; "" for a missing value.
    """
    return tuple(
        part for column in SLICED if (texts[column] != "").any() for part in _slices(column, correct, texts[column])
    )


def slice_of(column: str, value: str, correct: NDArray[np.bool_]) -> SliceQuality | None:
    """Sums up the examples of one slice, bool [n]; None where there are none."""
    return _slice(column, value, len(correct), int(correct.sum())) if len(correct) else None


def frequent_mistakes(confusion: Sequence[Sequence[int]], most: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes as (true class, predicted class, count), the most frequent first."""
    mistakes = [
        (true, predicted, count)
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    return sorted(mistakes, key=lambda mistake: -mistake[2])[:most]


def _confidence(labels: Labels, probabilities: Probabilities) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels


def _curve(name: str, positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> Curve:
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(positive[order])
    # Examples of equal score enter together.
    last_of_score = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    recall = found[last_of_score] / found[-1]
    precision = found[last_of_score] / (last_of_score + 1)
    chosen = _thinned(recall, precision)
    return Curve(
        name,
        tuple(recall[chosen].tolist()),
        tuple(precision[chosen].tolist()),
        tuple(scores[order][last_of_score][chosen].astype(np.float64).tolist()),
    )


def _thinned(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.intp]:
    """At most 200 points: evenly along the curve's length, with both ends."""
    if len(recall) <= _MOST_POINTS:
        return np.arange(len(recall))
    length = np.cumsum(np.hypot(np.diff(recall, prepend=recall[0]), np.diff(precision, prepend=precision[0])))
    wanted = np.linspace(0, length[-1], _MOST_POINTS)
    chosen = np.searchsorted(length, wanted)
    chosen[-1] = len(recall) - 1
    return np.unique(np.minimum(chosen, len(recall) - 1))


def _covered(threshold: float, confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> Coverage:
    answered = confidence >= threshold
    count, right = int(answered.sum()), int(correct[answered].sum())
    low, high = map(float, wilson(right, count)) if count else (None, None)
    return Coverage(threshold, count / len(confidence), count, right / count if count else None, low, high)


def _slices(column: str, correct: NDArray[np.bool_], values: NDArray[np.object_]) -> Iterator[SliceQuality]:
    names, of_value = np.unique(values.astype(str), return_inverse=True)
    examples = np.bincount(of_value, minlength=len(names))
    right = np.bincount(of_value[correct], minlength=len(names))
    for i in sorted(range(len(names)), key=lambda i: (-examples[i], names[i]))[:_MOST_VALUES]:
        yield _slice(column, str(names[i]), int(examples[i]), int(right[i]))


def _slice(column: str, value: str, count: int, hits: int) -> SliceQuality:
    return SliceQuality(column, value, count, hits, hits / count, *map(float, wilson(hits, count)))
