"""What to label next: the pictures of a log that would teach a model most."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.transform.taxonomy import NO_CLASS
from pipeline.monitor.log import batches
from pipeline.monitor.tally import together

UNSURE, OUTSIDE, NAMED, UNCOVERED = "unsure", "outside", "its name says otherwise", "many alike, none in training"

_COLUMNS = ("digest", "product", "label", "confidence", "top", "decision", "projection")
_POOL = 20  # candidates for each place, among which those are taken that are unlike each other
_SAMPLE = 2000  # pictures of the log, and of the baseline, that are held against each other
_NEAR = 20  # pictures of the log around one of them
_FEWEST = 5  # pictures of the baseline that have to be expected among these, for none of them to be no chance


class Doubts(NamedTuple):
    """Further doubts: by which column of the log, for which of its values, how great, 0..1, why, and what it may be."""

    column: str
    values: pa.Array
    doubt: NDArray[np.float32]
    why: str
    suggestions: list[str]


def choose(
    log: Path, budget: int, baseline: Path | None = None, names: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Chooses pictures to label, those that teach most, and among them those that differ most.

    An answer teaches much that is unsure, by the margin between its first two classes, that calls a picture foreign, or
    that the product's name contradicts; so does a picture of a kind that is frequent in the log and not to be found in
    the baseline. A farthest-first walk over the embeddings keeps one kind from taking all places (Sener & Savarese
    2018, a core-set).

    Args:
        log: of answers.
        budget: rows at most.
        baseline: what the model was judged by.
        names: product to its name.

    Returns:
        Rows of the log, one for each picture, with `doubt`, 0..1, `why`, and `suggestion`, another class.
    """
    further = [_uncovered(log, baseline)] if baseline else []
    further += [_contradicted(log, names)] if names else []
    found: dict[str, dict[str, Any]] = {}
    least, most = 0.0, budget * _POOL
    for some in together(batches(log, ("error", *_COLUMNS))):
        table = some.filter(pc.and_(pc.is_null(some["error"]), pc.is_valid(some["digest"]))).combine_chunks()
        doubts, reasons = _doubts(table, further)
        worth = np.argsort(-doubts, kind="stable")[:most]
        worth = worth[doubts[worth] >= least]
        for row, doubt, reason in zip(table.take(worth).to_pylist(), doubts[worth], reasons[worth], strict=True):
            found[row["digest"]] = row | {"doubt": float(doubt), **_told(row, int(reason), further)}
        if len(found) > 2 * most:
            found = {row["digest"]: row for row in _first(found, most)}
            least = min(row["doubt"] for row in found.values())
    return _spread(_first(found, most), budget)


def _doubts(table: pa.Table, further: list[Doubts]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The greatest doubt about each row, and its place among unsure, outside and the further ones."""
    tops = table["top"].combine_chunks()
    scores = np.append(tops.flatten().field("confidence").to_numpy(zero_copy_only=False), [0.0, 0.0])
    starts = tops.offsets.to_numpy()[:-1] - tops.offsets[0].as_py() if len(tops) else np.zeros(0, int)
    lengths = np.asarray(pc.list_value_length(tops).fill_null(0))
    first, second = (np.where(lengths > place, scores[starts + place], 0.0) for place in (0, 1))
    sure = np.where(lengths > 0, first - second, table["confidence"].fill_null(0.0).to_numpy())
    outside = pc.equal(table["decision"], OUTSIDE).fill_null(False).to_numpy(zero_copy_only=False)
    columns = [1 - sure, outside.astype(float)]
    for each in further:
        places = pc.index_in(table[each.column], each.values).fill_null(len(each.values)).to_numpy()
        columns.append(np.append(each.doubt, 0.0)[places])
    return np.max(columns, axis=0), np.argmax(columns, axis=0)


def _told(row: dict[str, Any], reason: int, further: list[Doubts]) -> dict[str, str]:
    runner_up = next((each["label"] for each in (row["top"] or ())[1:]), NO_CLASS)
    if reason < 2:
        return {"why": (UNSURE, OUTSIDE)[reason], "suggestion": (runner_up, NO_CLASS)[reason]}
    doubts = further[reason - 2]
    place = doubts.values.index(row[doubts.column]).as_py()
    return {"why": doubts.why, "suggestion": doubts.suggestions[place] if doubts.suggestions else runner_up}


def _contradicted(log: Path, names: Mapping[str, str]) -> Doubts:
    """How little the names of products say what was answered, by what products of each answer are called."""
    from scipy.special import softmax  # type: ignore[import-untyped]

    from components.audit.words import Words

    known, answers = pa.array(list(names), pa.string()), dict[str, str]()
    for batch in batches(log, ("product", "label")):
        table = pa.table(batch).filter(pc.and_(pc.is_in(batch["product"], known), pc.is_valid(batch["label"])))
        answers.update(zip(table["product"].to_pylist(), table["label"].to_pylist(), strict=True))
    classes, labels = np.unique([*answers.values()], return_inverse=True)
    words = Words([names[product] for product in answers], labels, len(classes))
    says = softmax(words.scores, axis=1) if len(classes) else words.scores
    doubt = 1 - says[np.arange(len(labels)), labels]
    return Doubts("product", pa.array(list(answers), pa.string()), doubt, NAMED, classes[says.argmax(axis=1)].tolist())


def _uncovered(log: Path, baseline: Path) -> Doubts:
    """How much emptier the baseline is than the log around a picture, by the embeddings.

    The nearest pictures of the log reach to some distance; within it, of as many of the baseline as many are expected.
    """
    from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

    (digests, now), (_, before) = _sample(log), _sample(baseline)
    expected = _NEAR * len(before) / max(len(now), 1)
    doubt = np.zeros(len(now), np.float32)
    if len(now) > _NEAR and now.shape[1] == before.shape[1] and expected >= _FEWEST:
        reach = np.partition(cdist(now, now), _NEAR, axis=1)[:, _NEAR]
        there = (cdist(now, before) <= reach[:, np.newaxis]).sum(axis=1)
        doubt = 1 - np.minimum(there / expected, 1)
    return Doubts("digest", pa.array(digests, pa.string()), doubt, UNCOVERED, [])


def _sample(log: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Some pictures, those of the lowest digests, with their projections, float32 [n, d]."""
    found: dict[str, list[float]] = {}
    for some in together(batches(log, ("digest", "projection"))):
        table = some.filter(pc.and_(pc.is_valid(some["digest"]), pc.is_valid(some["projection"])))
        if len(found) >= _SAMPLE:
            table = table.filter(pc.less(table["digest"], max(found)))
        found |= {row["digest"]: row["projection"] for row in table.sort_by("digest").slice(0, _SAMPLE).to_pylist()}
        found = {digest: found[digest] for digest in sorted(found)[:_SAMPLE]}
    width = max(map(len, found.values()), default=0)
    found = {digest: vector for digest, vector in found.items() if len(vector) == width}
    return list(found), np.array([*found.values()], np.float32).reshape(len(found), width)


def _first(found: dict[str, dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return sorted(found.values(), key=lambda row: (-row["doubt"], row["digest"]))[:count]


def _spread(rows: list[dict[str, Any]], budget: int) -> list[dict[str, Any]]:
    """The most doubtful row, and then always the one for which doubt and distance from those chosen are greatest."""
    if len(rows) <= budget:
        return rows
    width = max(len(row["projection"] or ()) for row in rows)
    vectors = np.zeros((len(rows), width), np.float32)
    for number, row in enumerate(rows):
        vectors[number, : len(row["projection"] or ())] = row["projection"] or ()
    doubt, nearest, chosen = np.array([row["doubt"] for row in rows]), np.full(len(rows), np.inf), [0]
    while len(chosen) < budget:
        nearest = np.minimum(nearest, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1))
        score = doubt * nearest if nearest.max() > 0 else doubt.copy()
        score[chosen] = -1.0
        chosen.append(int(score.argmax()))
    return [rows[number] for number in chosen]
