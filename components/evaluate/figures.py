"""The figures a classifier is judged by, from its labels and probabilities.

A figure whose denominator is absent is NaN, never 0 or 1: no threshold accepts a NaN, so a class that does not occur
or is never predicted cannot pass.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.evidence import proven_loss, proven_losses, wilson
from components.evaluate.settings import Gate

CLASS_FIGURES = {
    "precision": "of the pictures that were taken for the class, how many are of it",
    "recall": "of the class's pictures, how many were found",
    "f1": "harmonic mean of precision and recall",
    "auprc": "area under the curve of precision over recall (average precision)",
    "support": "pictures of the class",
    "predicted": "pictures that were taken for the class",
}
# Of each class, and of all.
PAIRED_FIGURES = {
    "lost": "pictures that the baseline alone has right",
    "gained": "pictures that the candidate alone has right",
}
OVERALL_FIGURES = {
    "accuracy": "share of pictures whose most probable class is theirs",
    "top5_accuracy": "share whose class is among the five most probable; not of five classes or fewer",
    "loss": "cross-entropy, natural logarithm; also called log loss",
    "ece": "expected calibration error, 15 bins: how far confidence and accuracy lie apart",
    "macro_precision": "mean precision of the classes that occur",
    "macro_recall": "mean recall of the classes that occur; also called balanced accuracy",
    "macro_f1": "mean F1 of the classes that occur",
    "macro_auprc": "mean AUPRC of the classes that occur",
}
# What the thresholds of a class are set on: upper ends of intervals, and the loss that is proven.
REGRESSION = "judged_regression"  # also of all classes together
JUDGED_FIGURES = ("judged_precision", "judged_recall", REGRESSION)
CONFUSION = "confusion"  # examples by true and predicted class; TFMA's own metric
SLICES = ("gender", "season")  # the features by which figures are also told apart

_AVERAGED = ("precision", "recall", "f1", "auprc")
_SMALLEST_PROBABILITY = 1e-7  # keeps the cross-entropy of a confident mistake finite
_TOP = 5
CALIBRATION_BINS = 15  # as Guo et al. use


@dataclass(frozen=True)
class Figures:
    """What one set of predictions comes to."""

    classes: dict[str, NDArray[np.float64]]  # name of a figure to float64 [k]
    # Name of a figure to a number. The macro figures are means over the classes that occur, and NaN where one of those
    # has none. Of five classes or fewer the top five say nothing: NaN.
    overall: dict[str, float]


def figures(labels: NDArray[np.int64], probabilities: NDArray[np.float32], classes: int) -> Figures:
    """Computes all figures of one set of predictions.

    Args:
        labels: int64 [n], each in 0 … classes - 1.
        probabilities: float32 [n, classes]; the highest is the prediction. A row without a positive number predicts
            no class.
        classes: number of classes k.

    Raises:
        ValueError: a label or the number of columns does not fit `classes`.
    """
    if probabilities.shape != (len(labels), classes):
        raise ValueError(f"probabilities have shape {probabilities.shape}, not {(len(labels), classes)}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels go from {labels.min()} to {labels.max()}, which {classes} classes do not have")
    predictions = predictions_of(probabilities)
    right = np.bincount(labels[labels == predictions], minlength=classes)
    support = np.bincount(labels, minlength=classes)
    predicted = np.bincount(predictions, minlength=classes + 1)[:classes]
    by_class = {
        "precision": _ratio(right, predicted),
        "recall": _ratio(right, support),
        "f1": _ratio(2 * right, support + predicted),
        "auprc": np.array([average_precision(labels == i, probabilities[:, i]) for i in range(classes)]),
        "support": support.astype(np.float64),
        "predicted": predicted.astype(np.float64),
    }
    occurs = support > 0
    overall = {
        "accuracy": float(_ratio(right.sum(), support.sum())),
        "top5_accuracy": top_accuracy(labels, probabilities, _TOP) if classes > _TOP else float("nan"),
        "loss": _cross_entropy(labels, probabilities),
        "ece": calibration_error(labels, probabilities),
        **{f"macro_{name}": _mean(by_class[name][occurs]) for name in _AVERAGED},
    }
    return Figures(by_class, overall)


def predictions_of(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns the class of each row, int64 [n]; k for a row of [n, k] without a positive number."""
    return np.where(probabilities.max(axis=1) > 0, probabilities.argmax(axis=1), probabilities.shape[1])


def judgement(
    labels: NDArray[np.int64], answers: NDArray[np.int64], others: NDArray[np.int64] | None, classes: int, gate: Gate
) -> Figures:
    """Computes what the gate's thresholds are set on, beside the baseline's answers to the same examples.

    A class with `gate.support` examples is judged by itself. The others are rare: they are judged together, by the
    recall of all their examples and its loss, if these are enough in all; if not, not at all. What is not judged
    passes any gate: 1, or a loss of 0.

    Recall and precision are judged by the upper end of their interval, so that a class is refused where its figure is
    too low by more than chance; NaN, which no threshold accepts, is that of a class that does not occur or is never
    predicted.

    Args:
        labels: int64 [n].
        answers: int64 [n], the candidate's.
        others: int64 [n], the baseline's; None without one.
        classes: number of classes k.
        gate: the levels, and how many examples are enough.

    Returns:
        `JUDGED_FIGURES` and `PAIRED_FIGURES` of each class, and `REGRESSION` and `PAIRED_FIGURES` of all; lost and
        gained are NaN without a baseline.
    """
    count = lambda chosen: np.bincount(labels[chosen], minlength=classes)  # noqa: E731
    right, other = answers == labels, answers == labels if others is None else others == labels
    support, predicted = count(...), np.bincount(answers, minlength=classes + 1)[:classes]
    paired = {"lost": count(other & ~right), "gained": count(right & ~other)}
    enough = gate.support or 0
    rare = support < enough
    unit = np.where(rare, classes, np.arange(classes))  # what each class is judged in; the rare ones in the last
    together = lambda counts: np.bincount(unit, counts, classes + 1).astype(np.int64)  # noqa: E731
    examples = together(support)
    _, recall = wilson(together(count(right)), examples, gate.significance)
    losses = proven_losses(together(paired["lost"]), together(paired["gained"]), examples, gate)
    if not rare.any() or examples[-1] < enough:
        recall[-1], losses[-1] = 1.0, 0.0
    by_class: dict[str, NDArray[np.float64]] = {
        "judged_precision": np.where(rare, 1.0, wilson(count(right), predicted, gate.significance)[1]),
        "judged_recall": recall[unit],
        REGRESSION: losses[unit],
        **{name: np.where(others is None, np.nan, counts) for name, counts in paired.items()},
    }
    lost, gained = (int(counts.sum()) for counts in paired.values())
    sums = {name: float(by_class[name].sum()) for name in PAIRED_FIGURES}
    return Figures(by_class, {REGRESSION: float(proven_loss(lost, gained, len(labels), gate)), **sums})


def top_accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float32], top: int) -> float:
    """Share of the examples whose class is among the `top` most probable; of equal ones the first count as more so.

    Labels are int64 [n], probabilities float32 [n, k]. A class of probability 0 never counts.
    """
    of_label = probabilities[np.arange(len(labels)), labels]
    before = np.arange(probabilities.shape[1]) < labels[:, np.newaxis]
    ahead = (probabilities > of_label[:, np.newaxis]) | (before & (probabilities == of_label[:, np.newaxis]))
    return _mean(((ahead.sum(axis=1) < top) & (of_label > 0)).astype(np.float64))


def calibration_error(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Computes the expected calibration error (ECE): how far answers are from being right as often as they are sure.

    Guo et al. 2017, On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599, equation 3: the mean
    over the examples of |accuracy − mean confidence| of their bin, of 15 bins of equal width.

    Labels are int64 [n], probabilities float32 [n, k]. The error is in 0 … 1; NaN where there is no example.
    """
    if not len(labels):
        return float("nan")
    _, confidence, right = calibration_bins(labels, probabilities)
    return float(np.abs(right - confidence).sum() / len(labels))


def calibration_bins(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sorts answers by their confidence into bins of equal width.

    Returns:
        float64 [3, CALIBRATION_BINS]: of each bin the answers, the sum of their confidences, and those that are right.
    """
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    # A bin is open below and closed above; what rounding puts outside of 0 … 1 belongs to the first or last.
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    return np.stack([np.bincount(bins, each, CALIBRATION_BINS) for each in (np.ones(len(labels)), confidence, right)])


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Computes the area under the precision-recall curve as the mean precision at the rank of each positive.

    Trapezoids between the points would be too kind: Davis & Goadrich 2006, https://doi.org/10.1145/1143844.1143874.

    `positive` is bool [n], scores float32 [n], higher for those more likely to be; NaN counts as 0. The area is in 0 …
    1, NaN where nothing is positive.
    """
    from sklearn.metrics import average_precision_score  # takes a second to import

    return float(average_precision_score(positive, np.nan_to_num(scores))) if positive.any() else float("nan")


def _cross_entropy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return _mean(-np.log(np.maximum(of_label, _SMALLEST_PROBABILITY)))


def _ratio(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    # In float64, so that 19 of 20 is 0.95 and not, as in float32, a little less: it must pass a gate of 0.95.
    with np.errstate(invalid="ignore"):
        return np.divide(numerator, denominator, dtype=np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
