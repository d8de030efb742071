"""Shares of test pictures with their intervals, and how right the answers in further columns are by them."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from components.evaluate.evidence import wilson
from components.settings import Settings

ACCEPT, OUTSIDE = "accept", "outside"
_CONFUSED = 12  # pairs of classes that are shown


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


class Group(Settings):
    """Some of a column's test pictures, by what they have in common: `right` of `tested` are answered rightly."""

    name: str
    tested: int
    right: int


class Confusion(Settings):
    """How many pictures whose class is `truth` are taken for another class."""

    truth: str
    answer: str
    count: int


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
    by_class: tuple[Group, ...] = Field(default=(), repr=False)  # the worst first
    confusions: tuple[Confusion, ...] = Field(default=(), repr=False)  # the most frequent
    slices: dict[str, tuple[Group, ...]] = Field(default={}, repr=False)  # by the values of other columns


def tag_figures(
    name: str, column: Column, slices: Mapping[str, NDArray[np.str_]] = MappingProxyType({})
) -> TagFigures | None:
    """Computes the figures of a column; None where no product has a value.

    `slices` are what the products are in columns by which figures are told apart, str [n], "" where that is missing.
    """
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
        by_class=_groups(truth, truth == answers),
        confusions=_confusions(truth, answers),
        slices={other: _groups(values[known], truth == answers) for other, values in slices.items() if other != name},
    )


def _groups(values: NDArray[np.str_], right: NDArray[np.bool_]) -> tuple[Group, ...]:
    found = ((value, values == value) for value in np.unique(values[values != ""]).tolist())
    groups = [Group(name=value, tested=int(chosen.sum()), right=int(right[chosen].sum())) for value, chosen in found]
    return tuple(sorted(groups, key=lambda group: group.right / group.tested))


def _confusions(truth: NDArray[np.str_], answers: NDArray[np.str_]) -> tuple[Confusion, ...]:
    wrong = truth != answers
    counts = Counter(zip(truth[wrong].tolist(), answers[wrong].tolist(), strict=True))
    return tuple(Confusion(truth=was, answer=said, count=count) for (was, said), count in counts.most_common(_CONFUSED))
