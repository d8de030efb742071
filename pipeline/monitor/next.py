"""What to label next: the pictures of a log that would teach a model most."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.monitor.log import batches

_COLUMNS = ("digest", "product", "label", "confidence", "top", "outside", "decision", "projection", "picture")
_POOL = 20  # candidates for each place, among which those are taken that are unlike each other


def choose(log: Path, budget: int) -> list[dict[str, Any]]:
    """Chooses pictures to label: the least sure and most foreign, and among them those that differ most.

    The margin between the first two classes says how much an answer teaches; a farthest-first walk over what the log
    holds of the pictures keeps one kind from taking all places (Sener & Savarese 2018, a core-set).

    Returns:
        Rows of the log, one for each picture, with `doubt`, 0..1; at most `budget`.
    """
    found: dict[str, dict[str, Any]] = {}
    for batch in batches(log, ("error", *_COLUMNS)):
        for row in batch.to_pylist():
            if not row["error"] and row["digest"]:
                found[row["digest"]] = row | {"doubt": _doubt(row)}
        if len(found) > 2 * budget * _POOL:
            found = {row["digest"]: row for row in _first(found, budget * _POOL)}
    return _spread(_first(found, budget * _POOL), budget)


def _doubt(row: dict[str, Any]) -> float:
    scores = [each["confidence"] for each in row["top"] or ()] or [row["confidence"]]
    margin = scores[0] - (scores[1] if len(scores) > 1 else 0.0)
    return 1.0 if row["decision"] == "outside" else 1 - margin


def _first(found: dict[str, dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return sorted(found.values(), key=lambda row: (-row["doubt"], row["digest"]))[:count]


def _spread(rows: list[dict[str, Any]], budget: int) -> list[dict[str, Any]]:
    """The most doubtful row, and then always the one for which doubt and distance from those chosen are greatest."""
    if len(rows) <= budget:
        return rows
    width = max(len(row["projection"] or ()) for row in rows)
    vectors = np.array([row["projection"] or [0.0] * width for row in rows], np.float32)
    doubt, nearest, chosen = np.array([row["doubt"] for row in rows]), np.full(len(rows), np.inf), [0]
    while len(chosen) < budget:
        nearest = np.minimum(nearest, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1))
        score = doubt * nearest if nearest.max() > 0 else doubt.copy()
        score[chosen] = -1.0
        chosen.append(int(score.argmax()))
    return [rows[number] for number in chosen]
