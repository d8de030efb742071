"""What is looked for, and which of the nearest products are named: several pictures, filters, families, variety."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.search.filters import FilterError, parse_filter, select
from serving.search.index import Index, Vectors

MOST = 1000  # products of one answer
_AHEAD = 4  # candidates for each product wanted, at first
_POOL = 64  # at least so many, where they are chosen among


class QueryError(ValueError):
    """A question makes no sense to this index. The message says why and what to write."""


@dataclass(frozen=True)
class Query:
    """What is looked for."""

    k: int = 12  # how many products
    where: str = ""  # a filter over their attributes, see `filters`; "" for none
    per_family: int = 0  # most products of one family, the variants of one product; 0 for any number
    fold: bool = True  # whether a product that looks the same as one before it is named with that one, not by itself
    # 0 for the nearest ones; towards 1 they differ more from each other. It is 1 - λ of maximal marginal relevance
    # (Carbonell and Goldstein 1998).
    diversity: float = 0.0
    # Look not for more of the kind, but for what goes with the products asked about: of another category, for the same
    # person and occasion, and at most one or `per_family` of each category.
    goes_with: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MOST:
            raise QueryError(f"k is {self.k}; give 1 to {MOST:,}")
        if not 0 <= self.diversity < 1:
            raise QueryError(f"diversity is {self.diversity}; give 0 to less than 1")
        if self.per_family < 0:
            raise QueryError(f"per_family is {self.per_family}; give 0 for any number, or more")


@dataclass(frozen=True)
class Match:
    """A product that was found, with its similarity to what was asked about, at most 1, and the values that it has.

    `same` are ids of products that look the same.
    """

    id: str
    score: float
    attributes: dict[str, Any]
    same: tuple[str, ...] = field(default=())


def search(index: Index, query: Query, vectors: Vectors | None = None, ids: Sequence[str] = ()) -> list[Match]:
    """Finds the products most like pictures, or like products of the index, the best first.

    Several are asked about by their mean direction: float32 [m, d], as `Index.project` gives them. Products asked about
    are left out, and with `fold` also those that look the same as one.

    Raises:
        QueryError: there is no such product, or the filter does not fit.
    """
    try:
        rows = index.rows(ids)
    except KeyError as error:
        raise QueryError(f"there is no product with the id {error} in the index {index.folder.name}") from None
    asked = index.vectors(rows) if rows else np.empty((0, 0), np.float32)
    parts = [part for part in (asked, vectors) if part is not None and len(part)]
    if not parts:
        raise QueryError("nothing was asked about: give pictures, or ids of products")
    mean = np.concatenate(parts).mean(axis=0)
    target = mean / max(float(np.linalg.norm(mean)), 1e-12)
    allowed, families = _allowed(index, query, rows), _families(index, query)
    total = len(index) if allowed is None else int(allowed.sum())
    count = min(max(query.k * _AHEAD, _POOL), total)
    while count:
        scores, found = index.nearest(target, count, allowed)
        choice = _choose(index, query, scores, found, asked, families)
        if len(choice) >= query.k or count >= total or len(found) < count:
            return [_match(index, scores, found, place, same) for place, same in choice]
        count = min(count * 4, total)
    return []


def _allowed(index: Index, query: Query, rows: Sequence[int]) -> NDArray[np.bool_] | None:
    """The rows that may be found; None for all."""
    allowed = None
    if query.where:
        try:
            allowed = select(index.table.select(index.attributes), parse_filter(query.where)).copy()
        except FilterError as error:
            raise QueryError(f"where: {error}") from None
    if query.goes_with:
        fitting = _fitting(index, rows)
        allowed = fitting if allowed is None else allowed & fitting
    if rows:
        allowed = np.ones(len(index), np.bool_) if allowed is None else allowed
        allowed[rows] = False
    return allowed


def _fitting(index: Index, rows: Sequence[int]) -> NDArray[np.bool_]:
    """Of another category than the products asked about, for the same person and occasion."""
    rule, chosen = index.facts["goes_with"], index.table.take(list(rows))
    columns = [column for column in (rule["other"], *rule["same"]) if column in index.attributes]
    if not rows or rule["other"] not in columns:
        raise QueryError(f"goes_with: give ids of products; the catalogue needs the column {rule['other']}")
    fitting = np.ones(len(index), np.bool_)
    for column in columns:
        values = [value for value in chosen[column].to_pylist() if value is not None]
        if values:
            same = np.isin(index.column(column), values)
            fitting &= ~same if column == rule["other"] else same
    known: NDArray[np.bool_] = index.table[rule["other"]].is_valid().to_numpy()
    return fitting & known


def _families(index: Index, query: Query) -> tuple[NDArray[Any], int] | None:
    """The family of each row, and the most of one; None where their number is not limited."""
    column = index.facts["goes_with"]["other"] if query.goes_with else index.facts["family"]
    most = query.per_family or int(query.goes_with)
    if not most:
        return None
    if not column:
        raise QueryError("per_family: this index has no families; set index.family to a column of the catalogue")
    return index.column(column), most


def _choose(
    index: Index,
    query: Query,
    scores: NDArray[np.float32],
    found: NDArray[np.int64],
    asked: Vectors,
    families: tuple[NDArray[Any], int] | None,
) -> list[tuple[int, list[int]]]:
    """Picks among candidates, best first; each with the places of those that look the same."""
    vectors, limit = index.vectors(found), index.facts["duplicate"]
    open_ = np.ones(len(found), np.bool_)
    if query.fold and len(asked):
        open_ &= (vectors @ asked.T).max(axis=1) < limit
    nearest_chosen, choice, seen = np.zeros(len(found), np.float32), list[tuple[int, list[int]]](), dict[Any, int]()
    while len(choice) < query.k and open_.any():
        gain = (1 - query.diversity) * scores - query.diversity * nearest_chosen
        best = int(np.argmax(np.where(open_, gain, -np.inf)))
        open_[best] = False
        likeness = vectors @ vectors[best]
        same = np.flatnonzero(open_ & (likeness >= limit)) if query.fold else np.empty(0, int)
        open_[same] = False
        choice.append((best, same.tolist()))
        nearest_chosen = np.maximum(nearest_chosen, likeness)
        if families:
            family = families[0][found[best]]
            seen[family] = seen.get(family, 0) + 1
            if family is not None and seen[family] >= families[1]:
                open_ &= families[0][found] != family
    return choice


def _match(
    index: Index, scores: NDArray[np.float32], found: NDArray[np.int64], place: int, same: Sequence[int]
) -> Match:
    row = int(found[place])
    attributes = {name: value for name in index.attributes if (value := index.table[name][row].as_py()) is not None}
    identity = attributes.pop("id")
    others = tuple(index.table["id"][int(found[each])].as_py() for each in same)
    return Match(identity, float(min(scores[place], 1.0)), attributes, others)
