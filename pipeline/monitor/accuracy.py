"""How many answers are right: expected from their confidences, and counted once the truth is known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm  # type: ignore[import-untyped]

from components.evaluate import evidence
from pipeline.monitor.tally import CONFIDENCE, EDGES, Tally

_LEVEL = 0.95
_GROUPS = 5  # of confidences, in which right answers are counted


@dataclass(frozen=True)
class Share:
    """A share of `count` answers with its 95 % interval (Wilson's)."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}] of {self.count:,}"


def wilson(right: float, count: int) -> Share:
    """The share of right answers; NaN of none."""
    if not count:
        return Share(float("nan"), 0.0, 1.0, 0)
    low, high = map(float, evidence.wilson(right, count, 1 - _LEVEL))
    return Share(right / count, low, high, count)


def expected(now: Tally, before: Tally) -> Share | None:
    """Expects how many answers are right, from their confidences and how often such confidences were wrong before.

    A confidence of 0.9 promises that one answer in ten is wrong; the baseline tells, for each of a few groups of
    confidences, how many times as many were. The interval has the chance of both samples. It holds where pictures have
    become harder or easier of the classes that the model knows; of something new, a model can be sure and wrong. None
    where no truth is known of the baseline, or nothing was answered.
    """
    counts, judged, right = now.hist(CONFIDENCE), before.judged, before.right
    if not judged.sum() or not counts.sum():
        return None
    doubt = 1 - _middles()
    wrong = variance = 0.0
    for group in _groups(judged):
        missed, promised = judged[group].sum() - right[group].sum(), float(judged[group] @ doubt[group])
        # One answer more, wrong as promised, keeps a group without a mistake from promising none.
        factor = (missed + 1) / (promised + 1)
        shares = np.minimum(doubt[group] * factor, 1.0)
        wrong += float(counts[group] @ shares)
        variance += float(counts[group] @ (shares * (1 - shares)))
        variance += float(counts[group] @ shares) ** 2 / (missed + 1)
    count = int(counts.sum())
    value = 1 - wrong / count
    reach = float(norm.ppf((1 + _LEVEL) / 2)) * float(np.sqrt(variance)) / count
    return Share(value, max(value - reach, 0.0), min(value + reach, 1.0), count)


def known(before: Tally) -> Share:
    """The accuracy of a baseline."""
    return wilson(float(before.right.sum()), int(before.judged.sum()))


def _groups(counts: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Neighbouring bins, put together until each group has its part of the answers."""
    share = np.minimum(np.cumsum(counts) * _GROUPS // max(int(counts.sum()), 1), _GROUPS - 1)
    return [np.flatnonzero(share == number) for number in np.unique(share)]


def _middles() -> NDArray[np.float64]:
    edges = EDGES[CONFIDENCE]
    return np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])
