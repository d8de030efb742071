"""Where a model's decisions change, and which labels it cannot rule out: fitted on examples that it did not learn from.

Label sets are split-conformal (Vovk et al. 2005; Angelopoulos & Bates 2023, https://arxiv.org/abs/2107.07511): where
examples are exchangeable, the true class is in its set with the probability that was asked for, whatever the model.
"""

import math
from pathlib import Path

import numpy as np
from fashion_client.decisions import Thresholds
from numpy.typing import NDArray
from pydantic import Field

from components.outside.settings import Decide
from components.settings import Settings

DECIDE_FILE = "decide.json"

NEVER = 1.01  # a confidence that no answer has
_SUPPORT = 2  # examples, at least, that a threshold of its own leaves out of a class

Floats = NDArray[np.floating]


class Decisions(Settings):
    """The thresholds of a model, and what they rest on."""

    outside: float | None  # see `fashion_client.decisions.Thresholds`, as for `clear` and `confidence`
    clear: float | None
    confidence: float
    # Of each class, the least probability with which it is in the label set.
    sets: tuple[float, ...] = Field(strict=False)
    classwise: int  # how many classes have a threshold of their own there
    asked: Decide  # what the recipe wants
    examples: int  # of the eval split
    outsiders: int  # pictures of no class beside them; with none, `outside` and `clear` are None
    accepted: float  # share of the examples
    accuracy: float | None  # among those that are accepted; None where there are none
    outsiders_accepted: float | None  # share of the pictures of no class; None where there are none
    tags: dict[str, float] = Field(default={})  # `confidence` of each further column

    @property
    def thresholds(self) -> Thresholds:
        """The part that decides."""
        return Thresholds(self.outside, self.clear, self.confidence)


def read_decisions(folder: Path) -> Decisions | None:
    """Reads what lies in a ModelRun or in a model's `assets.extra`; None where a model does not decide."""
    file = folder / DECIDE_FILE
    return Decisions.model_validate_json(file.read_bytes()) if file.exists() else None


def fit_decisions(
    probabilities: Floats, labels: NDArray[np.int64], scores: Floats, foreign: tuple[Floats, Floats] | None,
    asked: Decide,
) -> Decisions:  # fmt: skip
    """Chooses the thresholds, one for each promise of `Decide`.

    Kinds that training has never seen are harder to tell than those it has, so as many pictures are taken for foreign
    as `keep_insiders` allows. What is beyond `keep_outsiders` then, and labels that would miss `accuracy`, is unsure.

    Args:
        probabilities: float [n, k] of the eval split.
        labels: int64 [n], its true classes.
        scores: float [n], how foreign each of its pictures is.
        foreign: scores and confidences, float [m] each, of pictures of no class; None where there are none.
        asked: what is wanted.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    outside = clear = math.inf
    if foreign is not None:
        outside = upper_quantile(scores, asked.keep_insiders)
        kept = int(asked.keep_outsiders * len(foreign[0]) + 1e-9)
        # The next one is the first of those that are too many.
        beyond = np.append(np.sort(foreign[0]), np.float32(math.inf))[kept]
        clear = min(outside, float(np.nextafter(beyond, np.float32(-math.inf), dtype=np.float32)))
    near = scores <= clear
    sure = sure_enough(confidence[near], right[near], asked.accuracy)
    accepted = near & (confidence >= sure)
    sets, classwise = set_thresholds(probabilities, labels, asked.coverage)
    return Decisions(
        outside=outside if math.isfinite(outside) else None,
        clear=clear if math.isfinite(clear) else None,
        confidence=sure,
        sets=tuple(sets.tolist()),
        classwise=classwise,
        asked=asked,
        examples=len(labels),
        outsiders=len(foreign[0]) if foreign else 0,
        accepted=float(accepted.mean()),
        accuracy=float(right[accepted].mean()) if accepted.any() else None,
        outsiders_accepted=float(((foreign[0] <= clear) & (foreign[1] >= sure)).mean()) if foreign else None,
    )


def upper_quantile(values: Floats, share: float) -> float:
    """Returns what the next value is no higher than with a probability of `share`: the ⌈(n + 1) · share⌉-th lowest.

    It is infinite where n values are too few to say so.
    """
    rank = math.ceil((len(values) + 1) * share - 1e-9)  # 20 · 0.95 is 19
    return float(np.sort(values)[rank - 1]) if rank <= len(values) else math.inf


def set_thresholds(probabilities: Floats, labels: NDArray[np.int64], coverage: float) -> tuple[Floats, int]:
    """Finds how probable each class must be to be in a label set that holds the true class as often as `coverage` says.

    A class of many examples has a threshold of its own, so that each of these is covered and not only their mean. The
    others share one: that of them together or, where they are too few for that as well, of all.

    Of probabilities float [n, k] of examples that were not trained on, with their labels int64 [n], these are
    probabilities, float [k], and the number of classes that have their own.
    """
    left = 1 - coverage + 1e-9
    true = probabilities[np.arange(len(labels)), labels]
    own = np.bincount(labels, minlength=probabilities.shape[1]) * left >= _SUPPORT
    rest = true[~own[labels]]
    shared = rest if len(rest) * left >= _SUPPORT else true
    groups = [true[labels == label] if own[label] else shared for label in range(len(own))]
    return np.array([max(-upper_quantile(-group, coverage), 0) for group in groups]), int(own.sum())


def label_sets(probabilities: Floats, sets: Floats) -> NDArray[np.bool_]:
    """Finds the classes, bool [n, k], in the label set of each answer; the most probable one always is.

    Probabilities are float [n, k], `sets` float [k], from `set_thresholds`.
    """
    return (probabilities >= sets) | (probabilities == probabilities.max(axis=1, keepdims=True))


def sure_enough(confidence: Floats, right: NDArray[np.bool_], accuracy: float) -> float:
    """Returns the lowest confidence from which on answers are right as often as wanted; `NEVER` where none is."""
    order = np.argsort(-confidence, kind="stable")
    confidence, share = confidence[order], np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last = np.append(np.diff(confidence) != 0, len(order) > 0)[: len(order)]  # equal ones are accepted together
    fine = confidence[last & (share >= accuracy)]
    return float(fine[-1]) if len(fine) else NEVER
