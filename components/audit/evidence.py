"""What speaks for each class of a product, without its own label: the pictures most like its own, and its name's words.

Both leave the product itself out, so that every product of every split is judged as a stranger would be. A linear head,
trained on four fifths and asked about the rest, finds fewer wrong labels (benchmarks/label_audit.py): labels that are
all wrong in one direction pull it along, where the nearest pictures still outvote them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.audit.words import Words

_NEIGHBOURS = 20
_DIMENSIONS = 128
_SHARPNESS = 8.0  # a neighbour less similar by 0.1 has 0.45 of a vote
_SMOOTHING = 0.05  # votes that every class has
_NOISE = 0.05  # share of labels that may be wrong, where weights are fitted on them
_FITTED = 20_000  # products that weights are fitted on

Scores = NDArray[np.float32]  # [n, k]


@dataclass(frozen=True)
class Evidence:
    """What is known of n products without their labels."""

    neighbours: NDArray[np.intp]  # intp [n, m], rows of the pictures most like each, the most similar first
    pictures: Scores  # float32 [n, k], log of each class's share of the neighbours' votes
    words: Words  # what the names say
    probabilities: Scores  # float32 [n, k], of both together
    weights: tuple[float, float]  # of pictures and of words, as they explain the labels best


def gather(features: NDArray[np.float32], names: Sequence[str], labels: NDArray[np.int64], classes: int) -> Evidence:
    """Gathers it from a catalogue of at least three products.

    Features are float32 [n, d], of the pictures, names "" where there is none, and labels int64 [n], each below
    `classes`.
    """
    neighbours, similarity = nearest(features)
    pictures, words = votes(neighbours, similarity, labels, classes), Words(names, labels, classes)
    weights = fit(pictures, words.scores, labels)
    return Evidence(neighbours, pictures, words, joined(pictures, words.scores, weights), weights)


def nearest(features: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Finds the products whose pictures are most like each: their rows and cosines, [n, m], itself left out."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    directions = PCA(min(_DIMENSIONS, *features.shape), svd_solver="covariance_eigh")
    places = _normal(directions.fit_transform(_normal(features)))
    index = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(features) - 1), algorithm="brute").fit(places)
    distances, rows = index.kneighbors()
    return rows, (1 - distances**2 / 2).astype(np.float32)


def votes(
    neighbours: NDArray[np.intp], similarity: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> Scores:
    """The log of each class's share of the neighbours' votes, the nearest counting most: float32 [n, k]."""
    weights = np.exp(_SHARPNESS * (similarity - similarity[:, :1]))
    shares = np.full((len(neighbours), classes), _SMOOTHING, np.float32)
    for place in range(neighbours.shape[1]):
        np.add.at(shares, (np.arange(len(neighbours)), labels[neighbours[:, place]]), weights[:, place])
    return np.log(shares / shares.sum(axis=1, keepdims=True))


def fit(pictures: Scores, words: Scores, labels: NDArray[np.int64]) -> tuple[float, float]:
    """The weights of two kinds of evidence under which the labels, a few of them wrong, are most likely."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    some, classes = slice(None, None, -(-len(labels) // _FITTED)), pictures.shape[1]
    rows = np.arange(len(labels[some]))

    def loss(weights: NDArray[np.float64]) -> float:
        given = joined(pictures[some], words[some], weights)[rows, labels[some]]
        return -float(np.log((1 - _NOISE) * given + _NOISE / classes).mean())

    tolerance = {"xatol": 0.02, "fatol": 1e-4}
    best = minimize(loss, (0.7, 0.4), method="Nelder-Mead", bounds=[(0.0, 4.0)] * 2, options=tolerance)
    return float(best.x[0]), float(best.x[1])


def joined(pictures: Scores, words: Scores, weights: Sequence[float] | NDArray[np.float64]) -> Scores:
    """Probabilities by both, float32 [n, k]: their weighted sum under a softmax."""
    scores = weights[0] * pictures + weights[1] * words
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def margins(probabilities: Scores, labels: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """How much more probable another class is than the label's: log-odds [n], and which class that is, int64 [n]."""
    rows, others = np.arange(len(labels)), probabilities.copy()
    given = others[rows, labels]
    others[rows, labels] = -1
    best = others.argmax(axis=1)
    smallest = np.finfo(np.float32).tiny
    return np.log(np.maximum(others[rows, best], smallest)) - np.log(np.maximum(given, smallest)), best


def _normal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
