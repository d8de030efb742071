"""Judges a model's decisions: how right and how many accepted answers are, and how many foreign pictures slip in."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import mannwhitneyu, norm  # type: ignore[import-untyped]

from components.outside.shares import ACCEPT, OUTSIDE, Column, Proportion, TagFigures, proportion, tag_figures
from components.settings import Settings

ASSESSMENT_FILE = "outside.json"
_POINTS, _SHOWN = 60, 12


@dataclass(frozen=True)
class Answers:
    """What a model answers for n test pictures."""

    ids: NDArray[np.str_]  # str [n]
    names: NDArray[np.str_]  # str [n], as the catalogue describes them
    truth: NDArray[np.str_]  # str [n], the class of each product; of one that has none, its kind
    probabilities: NDArray[np.float32]  # float32 [n, k]
    scores: NDArray[np.float32]  # float32 [n], how foreign each is
    decisions: NDArray[np.str_]  # str [n]
    sets: NDArray[np.str_]  # str [n], the labels that cannot be ruled out, each in a line
    tags: Mapping[str, Column] = field(default_factory=dict)  # what is answered in further columns, by their names
    # What the products are in columns by which figures are told apart, str [n], "" where that is missing.
    slices: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)


class Outsiders(Settings):
    """How pictures of no class fare: how many are accepted, and the area under the ROC curve, with 95 % intervals."""

    accepted: Proportion
    auroc: float
    auroc_low: float
    auroc_high: float


class Kind(Settings):
    """The tested products of one kind; `unseen`, where training never saw that kind."""

    name: str
    unseen: bool
    tested: int
    accepted: int


class Example(Settings):
    """A picture that was decided wrongly; `truth` is its class or, where it has none, its kind."""

    id: str
    name: str
    truth: str
    label: str
    confidence: float


class Point(Settings):
    """The effect of a least confidence: share of test pictures that are accepted, accuracy, share of outsiders."""

    confidence: float
    accepted: float
    accuracy: float
    outsiders: float | None


class Assessment(Settings):
    """A model's decisions on the test split; None where there was nothing to ask."""

    accepted: Proportion | None = None  # share of the classes' pictures
    accuracy: Proportion | None = None  # among those
    kept: Proportion | None = None  # share of the classes' pictures that are not taken for foreign
    shown: Outsiders | None = None  # pictures of no class, of kinds that training has seen
    unseen: Outsiders | None = None  # likewise, of kinds that it has not
    coverage: Proportion | None = None  # how often the true class is in the label set
    set_size: float | None = None  # mean number of labels in it
    asked: float | None = None  # what the recipe wants of `coverage`
    kinds: tuple[Kind, ...] = ()  # those with the largest share accepted first
    curve: tuple[Point, ...] = Field(default=(), repr=False)  # from all that may be accepted to none
    # Pictures of no class that were accepted with most confidence; unseen kinds among them.
    slipped: tuple[Example, ...] = Field(default=(), repr=False)
    # Pictures of the classes that were taken for foreign, the most foreign first.
    refused: tuple[Example, ...] = Field(default=(), repr=False)
    tags: tuple[TagFigures, ...] = ()  # how right its answers in further columns are
    failures: tuple[str, ...] = ()  # why the gate refuses the model


def read_assessment(folder: str | os.PathLike[str]) -> Assessment:
    """Reads what lies in the artifact, or beside a published model."""
    return Assessment.model_validate_json(Path(folder, ASSESSMENT_FILE).read_bytes())


def assess(
    classes: Sequence[str], inside: Answers, foreign: Answers, unseen: Sequence[str], asked: float
) -> Assessment:
    """Computes the figures of a model that decides.

    Answers are about products of the classes and about `foreign` ones, of which there may be none; `unseen` are the
    kinds of these that training never saw. `asked` is how often a label set shall hold the true class.
    """
    names, accepted = np.array(classes), inside.decisions == ACCEPT
    right = names[inside.probabilities.argmax(axis=1)] == inside.truth
    sets = [labels.split("\n") for labels in inside.sets.tolist()]
    covered = [truth in labels for truth, labels in zip(inside.truth.tolist(), sets, strict=True)]
    is_unseen, slipped = np.isin(foreign.truth, unseen), foreign.decisions == ACCEPT
    refused = inside.decisions == OUTSIDE
    return Assessment(
        accepted=proportion(accepted),
        accuracy=proportion(right[accepted]),
        kept=proportion(~refused),
        shown=_outsiders(inside.scores, foreign.scores[~is_unseen], slipped[~is_unseen]),
        unseen=_outsiders(inside.scores, foreign.scores[is_unseen], slipped[is_unseen]),
        coverage=proportion(np.array(covered, bool)),
        set_size=float(np.mean([len(labels) for labels in sets])) if sets else None,
        asked=asked,
        kinds=_kinds(foreign.truth, slipped, unseen),
        curve=_curve(inside, right, foreign, max([-np.inf, *inside.scores[accepted], *foreign.scores[slipped]])),
        slipped=_examples(foreign, slipped, foreign.probabilities.max(axis=1, initial=0), names),
        refused=_examples(inside, refused, inside.scores, names),
        tags=tuple(filter(None, (tag_figures(*column, inside.slices) for column in inside.tags.items()))),
    )


def _outsiders(
    inside: NDArray[np.float32], foreign: NDArray[np.float32], accepted: NDArray[np.bool_]
) -> Outsiders | None:
    share, n, m = proportion(accepted), len(inside), len(foreign)
    if share is None or not n:
        return None
    area = float(mannwhitneyu(foreign, inside).statistic / (n * m))
    # Hanley & McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747.
    one, other = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (one - area**2) + (n - 1) * (other - area**2)) / (n * m)
    half = float(norm.isf(0.025)) * max(variance, 0) ** 0.5
    return Outsiders(accepted=share, auroc=area, auroc_low=max(area - half, 0), auroc_high=min(area + half, 1))


def _kinds(truth: NDArray[np.str_], slipped: NDArray[np.bool_], unseen: Sequence[str]) -> tuple[Kind, ...]:
    tested, accepted = Counter(truth.tolist()), Counter(truth[slipped].tolist())
    rows = [Kind(name=name, unseen=name in unseen, tested=n, accepted=accepted[name]) for name, n in tested.items()]
    return tuple(sorted(rows, key=lambda kind: (-kind.accepted / kind.tested, -kind.tested, kind.name)))


def _curve(inside: Answers, right: NDArray[np.bool_], foreign: Answers, clear: float) -> tuple[Point, ...]:
    """Moves the least confidence alone; a picture above `clear` is never accepted."""
    confidence = np.where(inside.scores <= clear, inside.probabilities.max(axis=1), -1)
    other = np.where(foreign.scores <= clear, foreign.probabilities.max(axis=1, initial=0), -1)
    known = np.sort(confidence[confidence >= 0])
    places = np.linspace(0, len(known) - 1, min(_POINTS, len(known))).round().astype(int)
    points = []
    for least in np.unique(known[places]).tolist():
        taken = confidence >= least
        outsiders = float((other >= least).mean()) if len(other) else None
        accuracy = float(right[taken].mean())
        points.append(Point(confidence=least, accepted=float(taken.mean()), accuracy=accuracy, outsiders=outsiders))
    return tuple(points)


def _examples(
    answers: Answers, chosen: NDArray[np.bool_], by: NDArray[np.float32], names: NDArray[np.str_]
) -> tuple[Example, ...]:
    order = np.argsort(-by, kind="stable")
    rows = order[chosen[order]][:_SHOWN]
    labels = names[answers.probabilities[rows].argmax(axis=1)] if len(rows) else []
    return tuple(
        Example(id=str(answers.ids[row]), name=str(answers.names[row]), truth=str(answers.truth[row]),
                label=str(label), confidence=float(answers.probabilities[row].max()))
        for row, label in zip(rows, labels, strict=True)
    )  # fmt: skip
