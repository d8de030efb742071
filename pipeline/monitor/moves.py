"""How far answers have moved, and how far chance alone would move them.

Labels move when a shop gets other goods; what its pictures look like moves with them, for shoes are not photographed as
shirts are. So everything else is compared given the label: the answers of before are weighed until their labels are
those of now (Lipton et al. 2018, Detecting and Correcting for Label Shift with Black Box Predictors).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom, norm  # type: ignore[import-untyped]

from pipeline.monitor.tally import BINS, CONFIDENCE, EDGES, LATENCY, MEASURES, OUTSIDE, Tally, mean

LABELS, DECISIONS, ERRORS, PICTURES = "labels", "decisions", "errors", "pictures"
TAILS = {CONFIDENCE: "doubtful", OUTSIDE: "foreign"}  # the least sure, and the most foreign, of the answers before

_FEWEST = 30  # answers of a label, or of a day, that are compared
_TESTS = 12  # at once, between which the chance of a false alarm is divided
_LEAST_AREA = 0.6
_TAIL = 0.05  # of the answers before


@dataclass(frozen=True)
class Limits:
    """How far is far."""

    share: float = 0.03  # change of a share of the answers
    distance: float = 0.1  # largest difference of two distributions' cumulative shares (Kolmogorov-Smirnov)
    chance: float = 0.001  # how often a day may count as moved though only chance moved it, over all that is measured
    latency: float = 1.5  # how many times as long an answer may take as before
    parts: int = 1  # of the answers, the whole and its slices, between which the chance is divided as well

    @property
    def each(self) -> float:
        """The chance that each of the measures has."""
        return self.chance / (_TESTS * self.parts)


@dataclass(frozen=True)
class Move:
    """How far one thing has moved: labels, decisions, errors, doubtful, foreign, pictures, latency_ms or a measure."""

    what: str
    distance: float  # 0 is not at all; it counts from the limit on
    limit: float
    noise: float  # how far chance alone would move it
    before: float  # share of the value that moved most, a label or decision, or mean; likewise `now`
    now: float
    value: str = ""
    # Of warmth, how far it is from the mirror image of what it was; nearer than `noise` if red and blue are exchanged.
    mirrored: float = 1.0

    @property
    def far(self) -> bool:
        """Whether it is beyond the limit, and beyond chance."""
        return self.distance > max(self.limit, self.noise)

    def __str__(self) -> str:
        shown = "{:.1%}" if self.what in (LABELS, DECISIONS, ERRORS, *TAILS.values()) else "{:.3g}"
        name = " ".join(filter(None, (self.what, self.value)))
        numbers = f"{shown.format(self.before)} → {shown.format(self.now)}"
        return f"{name} {numbers} (distance {self.distance:.3f}, limit {self.limit:g}, chance {self.noise:.3f})"


def moves(before: Tally, now: Tally, limits: Limits) -> Iterator[Move]:
    """Compares two tallies in everything that both have at least 30 answers of."""
    if min(before.rows, now.rows) < _FEWEST:
        return
    sizes = before.rows, now.rows
    yield _share_move(ERRORS, {"": before.errors}, {"": now.errors}, sizes, limits)
    for what in (LABELS, DECISIONS):
        then, today = getattr(before, what), getattr(now, what)
        sizes = sum(then.values()), sum(today.values())
        if min(sizes) >= _FEWEST:
            yield _share_move(what, then, today, sizes, limits)
    for name in MEASURES:
        yield from _measure_moves(name, before, now, limits)
    if (move := _picture_move(before, now, limits)) is not None:
        yield move


def latency_move(before: Tally, now: Tally, limits: Limits) -> Move | None:
    """Compares how long answers took: the median, by its ratio less one; None where too few were timed."""
    sizes = int(before.latency.sum()), int(now.latency.sum())
    if min(sizes) < _FEWEST:
        return None
    then, today = (_median(each.latency) for each in (before, now))
    # Half of the answers lie above the old median, but for chance.
    distance = _distance(before.latency / sizes[0], now.latency / sizes[1])
    noise = _noise(*sizes, limits.each)
    ratio = today / then - 1 if distance > noise else 0.0
    return Move(LATENCY, ratio, limits.latency - 1, 0.0, then, today)


def _share_move(what: str, before: dict[str, int], now: dict[str, int], sizes: tuple[int, int], limits: Limits) -> Move:
    """The share that moved farthest beyond chance, which is exact: all answers dealt anew into two of these sizes."""
    n, m = sizes
    values = sorted({*before, *now})
    moved = {value: abs(now.get(value, 0) / m - before.get(value, 0) / n) for value in values}
    found = []
    # What chance brings takes long to reckon: where no share has moved by the limit, of the one that moved most.
    for value in [each for each in values if moved[each] > limits.share] or [max(values, key=lambda each: moved[each])]:
        then, today = before.get(value, 0), now.get(value, 0)
        dealt = hypergeom(n + m, then + today, m)
        tails = dealt.ppf([limits.each / (2 * len(values)), 1 - limits.each / (2 * len(values))])
        noise = max(abs(tail / m - (then + today - tail) / n) for tail in tails)
        found.append(Move(what, moved[value], limits.share, float(noise), then / n, today / m, value))
    return max(found, key=lambda move: (move.far, move.distance - max(move.noise, move.limit)))


def _measure_moves(name: str, before: Tally, now: Tally, limits: Limits) -> Iterator[Move]:
    """The Kolmogorov-Smirnov distance, given the labels; and how many answers lie where few lay before."""
    then, today, size, count = _given_labels(name, before, now)
    if min(size, count) < _FEWEST:
        return
    noise = _noise(size, count, limits.each)
    mirrored = _distance(then[::-1], today) if name == "warmth" else 1.0
    scale = 1_000_000
    means = [mean(np.round(scale * each).astype(np.int64), name) for each in (then, today)]
    yield Move(name, _distance(then, today), limits.distance, noise, means[0], means[1], mirrored=mirrored)
    if name in TAILS:
        ends = [each if name == CONFIDENCE else each[::-1] for each in (then, today)]
        place = int(np.searchsorted(np.cumsum(ends[0]), _TAIL))
        rare, rarely = (float(each[: place + 1].sum()) for each in ends)
        spread = math.sqrt(rare * (1 - rare) * (1 / size + 1 / count))
        yield Move(TAILS[name], max(rarely - rare, 0.0), limits.share, norm.isf(limits.each) * spread, rare, rarely)


def _given_labels(name: str, before: Tally, now: Tally) -> tuple[NDArray[np.float64], NDArray[np.float64], float, int]:
    """Both distributions with the labels of now, [257] each, the answers that the first is worth, those of the second.

    A label that had too few answers before is left out of both.
    """
    pairs = [
        (there, counts)
        for label, counts in now.measures[name].items()
        if counts.any() and (there := before.measures[name].get(label)) is not None and there.sum() >= _FEWEST
    ]
    if not pairs:
        return np.zeros(BINS), np.zeros(BINS), 0.0, 0
    count = int(sum(counts.sum() for _, counts in pairs))
    shares = [counts.sum() / count for _, counts in pairs]
    then = sum(share * there / there.sum() for share, (there, _) in zip(shares, pairs, strict=True))
    today = sum(counts for _, counts in pairs) / count
    worth = 1 / sum(share**2 / there.sum() for share, (there, _) in zip(shares, pairs, strict=True))
    return np.asarray(then), np.asarray(today), float(worth), count


def _picture_move(before: Tally, now: Tally, limits: Limits) -> Move | None:
    """How well a classifier tells answers of now from those of before, given the labels, by what the log holds.

    It learns from one half and is judged on the other: the area under its curve, less a half, twice. Chance is that of
    ranks dealt anew (Mann-Whitney).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    rows, which = _matched(before, now)
    if len(rows) < 4 * _FEWEST:
        return None
    half = np.arange(len(rows)) % 4 < 2  # both kinds alternate
    scaler = StandardScaler().fit(rows[half])
    model = LogisticRegression(C=0.1, max_iter=200).fit(scaler.transform(rows[half]), which[half])
    area = float(roc_auc_score(which[~half], model.decision_function(scaler.transform(rows[~half]))))
    each = np.count_nonzero(~half) / 2
    spread = math.sqrt((2 * each + 1) / (12 * each * each))
    noise = math.sqrt(-2 * math.log(limits.each)) * spread
    return Move(PICTURES, 2 * max(area - 0.5, 0.0), 2 * (_LEAST_AREA - 0.5), 2 * noise, 0.5, area)


def _matched(before: Tally, now: Tally) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As many kept rows of each label from both, in turn, with the columns that all of them have.

    Those with a projection where there are enough, for not whoever logs has one; else all without.
    """
    pairs: list[tuple[NDArray[np.float32], ...]] = []
    for width in (max((len(vector) for _, _, vector in now.kept), default=0), len(MEASURES)):
        pairs = []
        for label in now.labels:
            both = (
                [vector[:width] for _, name, vector in each.kept if name == label and len(vector) >= width]
                for each in (before, now)
            )
            pairs += zip(*both, strict=False)
        if len(pairs) >= 2 * _FEWEST:
            break
    else:
        return np.zeros((0, 0), np.float32), np.zeros(0, np.int64)
    rows = np.stack([vector for pair in pairs for vector in pair])
    rows = rows[:, np.isfinite(rows).all(axis=0)]
    return rows, np.arange(len(rows)) % 2


def _noise(n: float, m: float, chance: float) -> float:
    """What the distance of two samples of one distribution exceeds by chance, from above (Kolmogorov)."""
    return math.sqrt(-math.log(chance / 2) / 2 * (1 / n + 1 / m))


def _distance(before: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    return float(np.abs(np.cumsum(before) - np.cumsum(now)).max())


def _median(counts: NDArray[np.int64]) -> float:
    place = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    return float(EDGES[LATENCY][min(place, BINS - 2)])
