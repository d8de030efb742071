"""The figures a classifier is judged by, from its labels and probabilities.

A figure whose denominator is absent is NaN, never 0 or 1: no threshold accepts a NaN, so a class that does not occur
or is never predicted cannot pass.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASS_FIGURES = ("precision", "recall", "f1", "auprc", "support", "predicted")
OVERALL_FIGURES = ("accuracy", "loss", "macro_precision", "macro_recall", "macro_f1", "macro_auprc")
CONFUSION = "confusion"  # examples by true and predicted class; TFMA's own metric
SLICES = ("gender", "season")  # the features by which figures are also told apart

_AVERAGED = ("precision", "recall", "f1", "auprc")
_SMALLEST_PROBABILITY = 1e-7  # keeps the cross-entropy of a confident mistake finite


@dataclass(frozen=True)
class Figures:
    """What one set of predictions comes to.

    Attributes:
        classes: name of `CLASS_FIGURES` to float64 [k].
        overall: name of `OVERALL_FIGURES` to a number. The macro figures are means over the classes that occur, and
            NaN where one of those has none.
    """

    classes: dict[str, NDArray[np.float64]]
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
    predictions = np.where(probabilities.max(axis=1) > 0, probabilities.argmax(axis=1), classes)
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
        "loss": _cross_entropy(labels, probabilities),
        **{f"macro_{name}": _mean(by_class[name][occurs]) for name in _AVERAGED},
    }
    return Figures(by_class, overall)


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Area under the precision-recall curve, as the mean precision at the rank of each positive.

    Examples of equal score enter together, so the order in which they come does not matter.

    Args:
        positive: bool [n], which examples are of the class.
        scores: float32 [n], higher for those more likely to be.

    Returns:
        A number in 0 … 1; NaN where nothing is positive.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(positive[order])
    last_of_score = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    gained = np.diff(found[last_of_score], prepend=0)
    return float(np.sum(gained * found[last_of_score] / (last_of_score + 1)) / found[-1])


def _cross_entropy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return _mean(-np.log(np.maximum(of_label, _SMALLEST_PROBABILITY)))


def _ratio(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    # In float64, so that 19 of 20 is 0.95 and not, as in float32, a little less: it must pass a gate of 0.95.
    with np.errstate(invalid="ignore"):
        return np.divide(numerator, denominator, dtype=np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
