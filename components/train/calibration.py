"""Confidences that mean what they say: temperature scaling, Guo et al. 2017, https://arxiv.org/abs/1706.04599."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.special import log_softmax  # type: ignore[import-untyped]

_MOST = 20.0  # times sharper or softer: beyond it only a split without an error leads
_LEAST = 1e-12  # a probability that float32 rounds to nothing


def best_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Finds what logits have to be divided by for the least cross entropy.

    One number changes no answer, only how sure it is. It is above 1 where a network is too sure of itself, and below
    where label smoothing has taught it to be modest.

    Args:
        probabilities: float32 [n, k] of examples that were not trained on.
        labels: int64 [n].
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _LEAST))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    bound = np.log(_MOST)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))
