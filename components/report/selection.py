"""Which products of the test split are shown, and which are like which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SHOWN = 12  # of each kind
_PAIRS, _EXAMPLES_OF_PAIR = 12, 4
_QUERIES, _NEIGHBOURS = 6, 5


@dataclass(frozen=True)
class Selection:
    """Rows of the test split."""

    sure: tuple[int, ...]  # right, with the highest confidence; classes take turns
    edge: tuple[int, ...]  # where the first two answers are closest
    worst: tuple[int, ...]  # wrong, with the highest confidence
    # (true, predicted, count, rows) of the most frequent mistakes, the surest rows first.
    pairs: tuple[tuple[int, int, int, tuple[int, ...]], ...]
    # (query, rows, cosines) of products of different classes.
    similar: tuple[tuple[int, tuple[int, ...], tuple[float, ...]], ...]

    def explained(self) -> list[int]:
        """Returns every row that is shown with a heat map, once."""
        return sorted({*self.sure, *self.edge, *self.worst, *(row for *_, rows in self.pairs for row in rows)})

    def rows(self) -> list[int]:
        """Returns every row that is shown, once."""
        similar = [row for query, rows, _ in self.similar for row in (query, *rows)]
        return sorted({*self.explained(), *similar})


def select(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], embeddings: NDArray[np.float32],
    hashes: NDArray[np.str_], confusion: Sequence[Sequence[int]],
) -> Selection:  # fmt: skip
    """Chooses what to show; equals in equals out.

    Args:
        labels: int64 [n].
        probabilities: float32 [n, k], k ≥ 2.
        embeddings: float32 [n, d], of length 1.
        hashes: str [n], of the pictures: the same picture is not shown as similar to itself.
        confusion: examples by true and predicted class.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = predicted == labels
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    margin = two[:, 1] - two[:, 0]
    by_confidence = np.argsort(-confidence, kind="stable")
    pairs = []
    for true, taken, count in frequent_mistakes(confusion, _PAIRS):
        rows = by_confidence[((labels == true) & (predicted == taken))[by_confidence]]
        pairs.append((true, taken, count, _rows(rows[:_EXAMPLES_OF_PAIR])))
    # Of different classes, picked by the hash of their picture: neither the best nor the worst.
    queries = _in_turns(np.argsort(hashes, kind="stable"), labels, _QUERIES)
    sure = _in_turns(by_confidence[right[by_confidence]], labels, _SHOWN)
    return Selection(
        sure=sure,
        edge=_rows(np.argsort(margin, kind="stable")[:_SHOWN]),
        worst=_rows(by_confidence[~right[by_confidence]][:_SHOWN]),
        pairs=tuple(pairs),
        similar=tuple(_neighbours(row, embeddings, hashes) for row in queries),
    )


def frequent_mistakes(confusion: Sequence[Sequence[int]], most: int) -> list[tuple[int, int, int]]:
    """Returns the most frequent mistakes as (true class, predicted class, count), the most frequent first."""
    mistakes = [
        (true, predicted, count)
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    return sorted(mistakes, key=lambda mistake: -mistake[2])[:most]


def _rows(rows: NDArray[np.intp]) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)


def _in_turns(rows: NDArray[np.intp], labels: NDArray[np.int64], most: int) -> tuple[int, ...]:
    """The first of each class, then the second of each, and so on."""
    counts: dict[int, int] = {}
    turns = []
    for place, row in enumerate(rows.tolist()):
        label = int(labels[row])
        counts[label] = counts.get(label, 0) + 1
        turns.append((counts[label], place, row))
    return tuple(row for *_, row in sorted(turns)[:most])


def _neighbours(
    row: int, embeddings: NDArray[np.float32], hashes: NDArray[np.str_]
) -> tuple[int, tuple[int, ...], tuple[float, ...]]:
    cosines = embeddings @ embeddings[row]
    rows: list[int] = []
    known = {hashes[row]}
    for other in np.argsort(-cosines, kind="stable").tolist():
        if hashes[other] not in known:
            known.add(hashes[other])
            rows.append(other)
        if len(rows) == _NEIGHBOURS:
            break
    return row, tuple(rows), tuple(float(cosines[other]) for other in rows)
