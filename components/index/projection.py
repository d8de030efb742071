"""How embeddings become vectors: fewer numbers, in which products are close of which the catalogue says the same."""

from collections import Counter
from collections.abc import Mapping, Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

_FEWEST = 10  # products of a value, or it is left to the picture
_TIMES = 2  # as many products as an embedding has numbers are needed to learn from values
_RIDGE = 1e-2  # of the mean variance
_LOOKS = 0.3  # weight of the embedding itself, beside columns of weight 1

Floats = NDArray[np.float32]


def fit(
    raw: Floats, values: Mapping[str, Sequence[str | None]], weights: Mapping[str, float], dimensions: int
) -> list[faiss.VectorTransform]:
    """Fits a linear map to the embeddings of products, and to the values of some columns.

    Beside the embedding stand, for each column, its predictions by ridge regression on the column's values, each
    standardised, so that rare values count as common ones (penalized discriminant analysis, Hastie, Buja and Tibshirani
    1995). Of all that the principal components are kept, which is again one linear map; then lengths are made 1.

    Args:
        raw: float32 [n, f], embeddings and colours.
        values: column to n values, None where missing.
        weights: column to its weight. Those that are not among the values are left out, and all where products are few.
        dimensions: of a vector, at most.

    Returns:
        The transforms, one after another; none where an embedding is short enough and there are no columns.
    """
    count, width = raw.shape
    mean = raw.mean(axis=0)
    centred = raw - mean
    covariance = (centred.T @ centred / count).astype(np.float64)
    blocks = []
    if count >= _TIMES * width:
        ridge = covariance + _RIDGE * np.trace(covariance) / width * np.eye(width)
        for column, weight in weights.items():
            targets = _targets(values.get(column, ()))
            if weight and targets.shape[1] > 1:
                blocks.append(weight * _scaled(np.linalg.solve(ridge, centred.T @ targets / count), covariance))
    if not blocks and dimensions >= min(count, width):
        return []
    looks = _scaled(np.eye(width), covariance) * (_LOOKS if blocks else 1)
    joined = np.concatenate([looks, *blocks], axis=1)
    _, axes = np.linalg.eigh(joined.T @ covariance @ joined)
    matrix = (joined @ axes[:, ::-1][:, :dimensions]).T
    linear = faiss.LinearTransform(width, len(matrix), True)
    faiss.copy_array_to_vector(np.ascontiguousarray(matrix, np.float32).ravel(), linear.A)
    faiss.copy_array_to_vector((-matrix @ mean).astype(np.float32), linear.b)
    linear.is_trained = True
    return [linear, faiss.NormalizationTransform(len(matrix), 2.0)]


def _targets(values: Sequence[str | None]) -> Floats:
    """Whether each product has each value that is not rare, standardised: float32 [n, k]."""
    known = sorted(value for value, count in Counter(values).items() if value is not None and count >= _FEWEST)
    if not known:
        return np.empty((len(values), 0), np.float32)
    has = (np.array(values, object)[:, np.newaxis] == np.array(known, object)).astype(np.float32)
    share = has.mean(axis=0)
    return (has - share) / np.sqrt(np.maximum(share, 1e-9))


def _scaled(block: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A linear map whose outputs have length 1 in the mean square."""
    return block / np.sqrt(max(float(np.einsum("ij,ik,kj->", block, covariance, block, optimize=True)), 1e-12))
