"""What products' names say of their classes: naive Bayes over words and pairs of words, of any language."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from components.transform.words import folded, in_words

_RAREST = 3  # names that a word stands in, at least
_SMOOTHING = 0.05  # of a word in a class that has none
_TELLING = 1.5  # nats by which a word speaks for one class rather than another
_MOST = 2  # words that are named


class Words:
    """What n names say.

    Attributes:
        scores: float32 [n, k], log-likelihood of each class, with how frequent it is. A product's own words are
            subtracted from what its class is known to be called.
    """

    def __init__(self, names: Sequence[str], labels: NDArray[np.int64], classes: int) -> None:
        """Counts the words of names, "" where there is none; labels are int64 [n], each below `classes`."""
        from scipy import sparse  # type: ignore[import-untyped]
        from sklearn.feature_extraction.text import CountVectorizer

        counting = CountVectorizer(analyzer=_cut, min_df=_RAREST, binary=True)
        try:
            words = counting.fit_transform(names).tocsr()
            self._rows = counting.vocabulary_
        except ValueError:  # no word stands in so many names
            words, self._rows = sparse.csr_matrix((len(names), 0)), {}
        rows, lengths, sizes = np.arange(len(labels)), np.diff(words.indptr), np.bincount(labels, minlength=classes)
        members = sparse.csr_matrix((np.ones(len(labels)), (labels, rows)), (classes, len(labels)))
        counts = np.asarray((members @ words).todense())
        totals = counts.sum(axis=1) + _SMOOTHING * max(1, words.shape[1])
        self._logs = np.log(counts.T + _SMOOTHING) - np.log(totals)
        scores = words @ self._logs + np.log(sizes + _SMOOTHING)
        owners = np.repeat(rows, lengths)
        others = np.log(counts[labels[owners], words.indices] - 1 + _SMOOTHING)
        own = np.bincount(owners, others, len(labels)) - lengths * np.log(totals[labels] - lengths)
        scores[rows, labels] = own + np.log(sizes[labels] - 1 + _SMOOTHING)
        self.scores: NDArray[np.float32] = scores.astype(np.float32)

    def telling(self, name: str, one: int, other: int) -> list[str]:
        """The words of a name that speak for one class rather than another, the strongest first, at most two."""
        known = {word: self._logs[self._rows[word]] for word in _cut(name) if word in self._rows}
        gains = {word: logs[one] - logs[other] for word, logs in known.items()}
        # A rare word may speak strongly by chance: it counts by how often the class is called so.
        weight = {word: gain * np.exp(known[word][one]) for word, gain in gains.items() if gain > _TELLING}
        strong = sorted(weight, key=lambda word: -weight[word])
        # A pair of words says nothing beside one of its own that speaks too.
        return [word for word in strong if not any(part in strong for part in word.split() if part != word)][:_MOST]


def _cut(name: str) -> list[str]:
    words = in_words(folded(name)).split()
    return [*words, *map(" ".join, pairwise(words))]
