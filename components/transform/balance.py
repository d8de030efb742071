"""How often each training example is used, so that classes come out balanced: exact, and the same on every run.

An example's standing within its class is the hash of its id. Hashes do not depend on the order or number of shards, so
neither does the choice of examples.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.int64]

# Below every hash: no example is used once more than the base says.
NOBODY = -1


def quota_of(count: int, smallest: Sequence[int], cap: int | None, oversample: int | None) -> tuple[int, int]:
    """Says how often the examples of one class are used: `base + (hash <= threshold)` times.

    Over the class this adds up to exactly `cap` where it has more, to exactly `oversample` where it has fewer, and else
    to `count`. A class without any example keeps base 1.

    Args:
        count: how many examples the class has.
        smallest: hashes of its examples in ascending order; all of them, or at least the max(cap, oversample) smallest.
        cap: at most this many examples of a class; None for no limit.
        oversample: at least this many, by repetition; None for no repetition. Not above `cap`.

    Returns:
        base, threshold.
    """
    if cap is not None and count > cap:
        return 0, int(smallest[cap - 1])
    if oversample is not None and 0 < count < oversample:
        base, rest = divmod(oversample, count)
        return base, int(smallest[rest - 1]) if rest else NOBODY
    return 1, NOBODY


class Tally:
    """Counts the examples of each class and keeps the smallest hashes of each, at most `keep` of them."""

    def __init__(self, classes: int, keep: int) -> None:
        self._keep = keep
        self.counts = np.zeros(classes, np.int64)
        self.smallest: list[Hashes] = [np.empty(0, np.int64)] * classes

    def add(self, labels: Hashes, hashes: Hashes) -> None:
        """Adds examples, given label and hash of each; those with a negative label belong to no class."""
        for label in np.unique(labels[labels >= 0]):
            chosen = hashes[labels == label]
            self.counts[label] += len(chosen)
            self._take(label, chosen)

    def merge(self, other: "Tally") -> None:
        """Adds what another tally has seen."""
        self.counts += other.counts
        for label, hashes in enumerate(other.smallest):
            self._take(label, hashes)

    def _take(self, label: int, hashes: Hashes) -> None:
        together = np.concatenate([self.smallest[label], hashes])
        self.smallest[label] = (
            np.partition(together, self._keep)[: self._keep] if len(together) > self._keep else together
        )

    def quotas(self, cap: int | None, oversample: int | None) -> tuple[Hashes, Hashes]:
        """Base and threshold of every class, int64 [classes] each."""
        quotas = [
            quota_of(int(count), np.sort(hashes).tolist(), cap, oversample)
            for count, hashes in zip(self.counts, self.smallest, strict=True)
        ]
        base, threshold = np.array(quotas, np.int64).T
        return base, threshold
