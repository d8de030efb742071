"""Decides whether a shortfall is more than chance: what the gate refuses a model for."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, norm, skellam  # type: ignore[import-untyped]

from components.evaluate.settings import Gate

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
# A loss of exactly the tolerance is allowed, and 0.973 - 0.968 is a little more than 0.005.
ROUNDING = 1e-9


def wilson(right: ArrayLike, examples: ArrayLike, significance: float = 0.05) -> tuple[Floats, Floats]:
    """Computes the interval of shares: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.

    Args:
        right: counts [n].
        examples: that they are of, [n].
        significance: 0.05 for the 95 % interval.

    Returns:
        Lower and upper ends, float64 [n]; NaN where there are no examples.
    """
    count = np.asarray(examples, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share, square = np.asarray(right) / count, norm.isf(significance / 2) ** 2
        centre = share + square / (2 * count)
        spread = np.sqrt(square * (share * (1 - share) / count + square / (4 * count**2)))
        scale = 1 + square / count
        # In floating point the share itself could fall just outside.
        return np.clip((centre - spread) / scale, 0, share), np.clip((centre + spread) / scale, share, 1)


def proven_losses(lost: Counts, gained: Counts, support: Counts, gate: Gate) -> Floats:
    """Finds the classes that are worse than the baseline's by more than chance explains.

    Both models are asked about the same pictures, so only those count that one of them alone has right. A class is
    found where three things hold:

    - it lost more than `gate.class_regression`;
    - McNemar's exact one-sided test (1947, https://doi.org/10.1007/BF02295996), which looks at the class alone, is
      below `gate.significance`;
    - its loss is larger than two equal models differ by, in any class, in half of `gate.false_refusals` of all
      comparisons. Losses and gains of a class are then Poisson of one rate, their difference follows Skellam (1946,
      https://doi.org/10.2307/2981372), and the rate is that of the other classes. To divide McNemar's level by the
      number of classes would find 9 in 100 where this finds 99 (`python -m benchmarks.gates`, row 99 %, 10 of 200).

    Args:
        lost: int64 [..., k], examples of each class that the baseline alone has right.
        gained: int64 [..., k], those that the candidate alone has right.
        support: int64 [k], examples of each class.
        gate: the tolerance and both levels.

    Returns:
        float64 [..., k], the share of its examples that a class lost, net; 0 where that is not proven.
    """
    net, others = lost - gained, support.sum() - support
    # Of a model that is worse in many classes or much better all over, the smaller sum says how much both only differ.
    both = np.minimum(*(counts.sum(-1, keepdims=True) - counts for counts in (lost, gained))) + 1
    chance = support * both / np.maximum(others, 1)
    unusual = skellam.sf(net - 1, chance, chance) <= gate.false_refusals / 2 / max(len(support), 1)
    loss = np.where(support > 0, net / np.maximum(support, 1), 0.0)
    proven = (loss > gate.class_regression + ROUNDING) & (mcnemar(lost, gained) <= gate.significance)
    return np.where(proven & (unusual | (others == 0)), loss, 0.0)


def proven_loss(lost: ArrayLike, gained: ArrayLike, examples: int, gate: Gate) -> Floats:
    """Finds likewise whether all classes together are worse, by McNemar's test at the other half of false refusals."""
    loss = (np.asarray(lost) - np.asarray(gained)) / max(examples, 1)
    proven = (loss > gate.regression + ROUNDING) & (mcnemar(lost, gained) <= gate.false_refusals / 2)
    return np.where(proven, loss, 0.0)


def mcnemar(lost: ArrayLike, gained: ArrayLike) -> Floats:
    """Computes how often an equal model loses at least so many of the examples that only one model has right."""
    return binom.sf(np.asarray(lost) - 1, np.asarray(lost) + np.asarray(gained), 0.5)


def spread(lost: int, gained: int, examples: int) -> float:
    """Computes half the width of the 95 % interval of a paired difference of two shares, as a share.

    Agresti & Min 2005, https://doi.org/10.1002/sim.1781, equation 1: the usual Wald interval.
    """
    return float(norm.isf(0.025) * np.sqrt(max(lost + gained - (lost - gained) ** 2 / examples, 0)) / examples)
