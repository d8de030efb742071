"""How good an index is: of the products found for one that no model has seen, how many agree with it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.features import ID
from components.ingest.duplicates import same_picture
from components.ingest.members import MEMBERS_FILE, read_members
from components.ingest.split import TEST, key_of
from components.settings import SPLITS
from serving.versions import EXTRAS

NEAREST = 10
_MOST_QUERIES = 1000
_BLOCK = 100  # queries at a time, against all products


class Judges:
    """The products that a published model was tested on, and which products show the same picture."""

    def __init__(self, model: Path) -> None:
        """Reads the model's record of its splits; a model without one was tested on none."""
        file = model / EXTRAS / MEMBERS_FILE
        self._rows: dict[int, int] = {}
        if file.is_file():
            members = read_members(file.read_bytes())
            self._rows = {key: row for row, key in enumerate(members.keys.tolist())}
            self._pictures, self._tested = same_picture(members.signatures), members.splits == SPLITS.index(TEST)

    def tested(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Whether the model was tested on products: bool [n]."""
        return np.array([row is not None and bool(self._tested[row]) for row in map(self._row, ids)], np.bool_)

    def pictures(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """A number for each product, the same for those that show the same picture: int64 [n]."""
        rows = map(self._row, ids)
        return np.array([-1 - at if row is None else self._pictures[row] for at, row in enumerate(rows)], np.int64)

    def _row(self, identity: str) -> int | None:
        return self._rows.get(int(key_of(identity)))


def measure(
    vectors: np.ndarray, table: pa.Table, judges: Judges, relevances: Collection[str]
) -> dict[str, dict[str, float]]:
    """Measures an exact search, the tested products one by one against all others that do not show the same picture.

    Args:
        vectors: float32 [n, d], each of length 1.
        table: the products, n rows.
        judges: of the model.
        relevances: columns that have to agree, joined by `+`; without one that is not in the table.

    Returns:
        Relevance to `precision`, the share of the ten nearest that agree; `map_at_r`, the mean average precision over
        as many as there are that agree (Musgrave, Belongie and Lim 2020); and the number of `queries`. Products without
        a value, or alone with it, are not asked about.
    """
    ids = table[ID].to_pylist()
    queries, pictures = np.flatnonzero(judges.tested(ids)), judges.pictures(ids)
    queries = queries[:: max(len(queries) // _MOST_QUERIES, 1)]
    codes = {name: code for name in relevances if (code := _codes(table, name)) is not None}
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in codes}
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        for query, likeness in zip(block, vectors[block] @ vectors.T, strict=True):
            likeness[pictures == pictures[query]] = -np.inf
            order = np.argsort(-likeness)[: int(np.isfinite(likeness).sum())]
            for name, code in codes.items():
                if code[query] >= 0 and (agrees := code[order] == code[query]).any():
                    scores[name].append(_score(agrees))
    means = {name: np.mean(pairs, axis=0) for name, pairs in scores.items() if pairs}
    return {
        name: {"precision": float(mean[0]), "map_at_r": float(mean[1]), "queries": len(scores[name])}
        for name, mean in means.items()
    }


def shortfalls(figures: Mapping[str, Mapping[str, float]], least: Mapping[str, float]) -> list[str]:
    """What is below the least precision that the recipe asks for, in words."""
    said = []
    for name, wanted in least.items():
        if name not in figures:
            said.append(f"{name} cannot be measured: no tested product of the model is in the catalogue with a value")
        elif figures[name]["precision"] < wanted:
            found = figures[name]
            said.append(
                f"precision@{NEAREST} of the same {name} is {found['precision']:.3f}, below {wanted:g} "
                f"({found['queries']:,} products)"
            )
    return said


def _score(agrees: np.ndarray) -> tuple[float, float]:
    count = int(agrees.sum())
    first = agrees[:count]
    mean_average = float((first * np.cumsum(first) / np.arange(1, count + 1)).sum() / count)
    return float(agrees[:NEAREST].mean()), mean_average


def _codes(table: pa.Table, relevance: str) -> np.ndarray | None:
    """A number for each product, the same where all columns agree, -1 where one is missing: int [n]."""
    columns = relevance.split("+")
    if not set(columns) <= set(table.column_names) - {ID}:
        return None
    values = list(zip(*(table[column].to_pylist() for column in columns), strict=True))
    known: dict[Any, int] = {}
    return np.array([-1 if None in value else known.setdefault(value, len(known)) for value in values], int)
