"""Shares of test pictures with their intervals, and how right the answers in further columns are by them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.evaluate.evidence import wilson
from components.settings import Settings

ACCEPT, OUTSIDE = "accept", "outside"


class Proportion(Settings):
    """A share of `total`, with its Wilson 95 % interval."""

    count: int
    total: int
    share: float
    low: float
    high: float


def proportion(chosen: NDArray[np.bool_]) -> Proportion | None:
    """Sums up bool [n]; None where there is nothing."""
    count, total = int(chosen.sum()), len(chosen)
    if not total:
        return None
    low, high = map(float, wilson(count, total))
    return Proportion(count=count, total=total, share=count / total, low=low, high=high)


class Column(NamedTuple):
    """What a model answers in a further column of n test pictures: str [n], the truth "" where a product has none.

    `alone` is what it answers to the pictures without names; None of a model that reads none.
    """

    truth: NDArray[np.str_]
    answers: NDArray[np.str_]
    decisions: NDArray[np.str_]
    alone: NDArray[np.str_] | None = None


class TagFigures(Settings):
    """How right the answers in a further column are, about products that have a value."""

    column: str
    classes: int  # how many of its classes occur; `macro_f1` is the mean over these
    right: Proportion  # accuracy; `frequent` is that of always answering the most frequent one
    macro_f1: float
    frequent: float
    accepted: Proportion  # share of accepted answers; `accuracy` is that among those
    accuracy: Proportion | None
    alone: Proportion | None = None  # accuracy by pictures without names; None of a model that reads none


def tag_figures(name: str, column: Column) -> TagFigures | None:
    """Computes the figures of a column; None where no product has a value."""
    from sklearn.metrics import f1_score  # which takes a second to import

    known = column.truth != ""
    truth, answers, accepted = column.truth[known], column.answers[known], column.decisions[known] == ACCEPT
    right, share = proportion(truth == answers), proportion(accepted)
    if right is None or share is None:
        return None
    classes, counts = np.unique(truth, return_counts=True)
    return TagFigures(
        column=name,
        classes=len(classes),
        right=right,
        macro_f1=float(f1_score(truth, answers, labels=classes, average="macro", zero_division=0)),
        frequent=float(counts.max() / len(truth)),
        accepted=share,
        accuracy=proportion((truth == answers)[accepted]),
        alone=None if column.alone is None else proportion(truth == column.alone[known]),
    )
