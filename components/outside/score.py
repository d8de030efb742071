"""How foreign a picture is: by a classifier of what products are, inside the classes and outside, on features at hand.

It learns kinds (article types, as a rule) and not two sides, so that what it has never seen is unlike every kind inside
rather than on one side of a plane. That is outlier exposure, Hendrycks et al. 2019, https://arxiv.org/abs/1812.04606,
with the trunk left as it is: no label changes, and a picture costs one more product with a matrix.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST = 5  # pictures of a kind that is learnt by itself; rarer ones are learnt together
_DIRECTIONS = 256  # in which features vary most; the others hold noise, and take time
_SMALLEST = 0.1  # of the largest variance, added to each, so that small ones are not blown up
_PENALTY = 1e-4  # on half the squared weights, beside the mean cross entropy
_STEPS = 60  # by then what has never been seen is told as well as later

Floats = NDArray[np.float32]
Kinds = NDArray[np.object_]


@dataclass(frozen=True)
class Score:
    """A linear layer from d features to logits of m kinds; those that are `outer`, bool [m], are of no class."""

    kernel: Floats
    bias: Floats
    outer: NDArray[np.bool_]


def fit_score(inside: tuple[Floats, Kinds], outside: tuple[Floats, Kinds], width: int | None = None) -> Score:
    """Learns the kinds of pictures, from features float32 [n, d] and what each of them is, bytes [n].

    There is at least one `outside` picture, which is of no class. `width` of the features come from one layer, the rest
    from another: both count alike.
    """
    from sklearn.exceptions import ConvergenceWarning  # takes a second to import
    from sklearn.linear_model import LogisticRegression

    features = np.concatenate([inside[0], outside[0]])
    known, *sides = label_kinds(inside[1], outside[1])
    labels = np.concatenate(sides)
    mean, basis = _directions(features, width or features.shape[1])
    line = LogisticRegression(C=1 / (_PENALTY * len(labels)), max_iter=_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped on purpose
        line.fit((features - mean) @ basis, labels)
    weights, bias = line.coef_.T, line.intercept_
    if len(known) == 2:  # of which scikit-learn keeps the difference
        weights, bias = np.hstack([0 * weights, weights]), np.array([0.0, *bias])
    kernel = basis @ weights
    return Score(
        kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32), np.array([side == 1 for side, _ in known])
    )


def label_kinds(inside: Kinds, outside: Kinds) -> tuple[list[tuple[int, bytes]], NDArray[np.int64], NDArray[np.int64]]:
    """Numbers the kinds of both sides, bytes [n] and [m], as classes: those inside first.

    Returns:
        Side (0 or 1) and name of each class, labels int64 [n], labels int64 [m].
    """
    names = [_names(inside, 0), _names(outside, 1)]
    known = sorted({name for side in names for name in side})
    place = {name: number for number, name in enumerate(known)}
    labels = [np.array([place[name] for name in side], np.int64) for side in names]
    return known, labels[0], labels[1]


def _names(kinds: Kinds, side: int) -> list[tuple[int, bytes]]:
    values, counts = np.unique(kinds.astype(bytes), return_counts=True)
    rare = set(values[counts < _LEAST].tolist())
    return [(side, b"" if kind in rare else kind) for kind in kinds]


def _directions(features: Floats, width: int) -> tuple[Floats, Floats]:
    """The mean of features, [d], and what makes the variance of their `_DIRECTIONS` about one, [d, r]."""
    mean, variance = features.mean(axis=0), features.var(axis=0) + 1e-12
    scale = 1 / np.sqrt(np.repeat([variance[:width].sum(), variance[width:].sum()], [width, len(mean) - width]))
    centred = (features - mean) * scale
    variances, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    chosen = np.argsort(-variances)[:_DIRECTIONS]
    basis = vectors[:, chosen] / np.sqrt(variances[chosen] + _SMALLEST * variances[chosen[0]] + 1e-12)
    return mean, scale[:, np.newaxis] * basis
