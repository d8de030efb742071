"""What is looked for, and which of the nearest products are named: several pictures, filters, families, variety."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.search.filters import Comparison, Condition, FilterError, Negation, among, joined, parse_filter
from serving.search.index import Vectors

MOST = 1000  # products of one answer
_AHEAD = 4  # candidates for each product wanted, at first
_POOL = 64  # at least so many, where they are chosen among


class QueryError(ValueError):
    """A question makes no sense to this index. The message says why and what to write."""


class Searchable(Protocol):
    """Where products are searched: an `Index` in memory, or a `Collection` in a database. Rows number the products."""

    folder: Path
    facts: dict[str, Any]

    @property
    def attributes(self) -> list[str]: ...
    def of_pictures(self, embeddings: Vectors, pictures: Sequence[bytes]) -> Vectors: ...
    def rows(self, ids: Sequence[str]) -> list[int]: ...
    def vectors(self, rows: Sequence[int] | NDArray[np.int64]) -> Vectors: ...
    def values(self, name: str, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]: ...
    def products(self, rows: Sequence[int]) -> list[dict[str, Any]]: ...
    def allow(self, condition: Condition | None, without: Sequence[int]) -> tuple[Any, int]: ...
    def nearest(self, vector: Vectors, count: int, allowed: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...


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


def search(index: Searchable, query: Query, vectors: Vectors | None = None, ids: Sequence[str] = ()) -> list[Match]:
    """Finds the products most like pictures, or like products of the index, the best first.

    Several are asked about by their mean direction: float32 [m, d], as `Index.project` gives them. Products asked about
    are left out, and with `fold` also those that look the same as one.

    Raises:
        QueryError: there is no such product, or the filter does not fit.
    """
    try:
        rows = index.rows(ids)
    except KeyError as error:
        raise QueryError(f"there is no product with the id {error} in the index") from None
    asked = index.vectors(rows) if rows else np.empty((0, 0), np.float32)
    parts = [part for part in (asked, vectors) if part is not None and len(part)]
    if not parts:
        raise QueryError("nothing was asked about: give pictures, or ids of products")
    mean = np.concatenate(parts).mean(axis=0)
    target = mean / max(float(np.linalg.norm(mean)), 1e-12)
    (allowed, total), families = _allowed(index, query, rows), _families(index, query)
    count = min(max(query.k * _AHEAD, _POOL), total)
    while count:
        scores, found = index.nearest(target, count, allowed)
        choice = _choose(index, query, scores, found, asked, families)
        if len(choice) >= query.k or count >= total or len(found) < count:
            return _matches(index, scores, found, choice)
        count = min(count * 4, total)
    return []


def _allowed(index: Searchable, query: Query, rows: Sequence[int]) -> tuple[Any, int]:
    """What may be found, and how many products that are."""
    try:
        conditions = [parse_filter(query.where)] if query.where else []
        conditions += _fitting(index, rows) if query.goes_with else []
        return index.allow(joined("and", conditions) if conditions else None, rows)
    except FilterError as error:
        raise QueryError(f"where: {error}") from None


def _fitting(index: Searchable, rows: Sequence[int]) -> list[Condition]:
    """Of another category than the products asked about, for the same person and occasion."""
    rule = index.facts["goes_with"]
    columns = [column for column in (rule["other"], *rule["same"]) if column in index.attributes]
    if not rows or rule["other"] not in columns:
        raise QueryError(f"goes_with: give ids of products; the catalogue needs the column {rule['other']}")
    conditions: list[Condition] = [Negation(Comparison(rule["other"], "is null"))]
    for column in columns:
        values = sorted({value for value in index.values(column, rows) if value is not None})
        if values:
            same = among(column, values)
            conditions.append(Negation(same) if column == rule["other"] else same)
    return conditions


def _families(index: Searchable, query: Query) -> tuple[str, int] | None:
    """The column that tells families, and the most products of one; None where their number is not limited."""
    column = index.facts["goes_with"]["other"] if query.goes_with else index.facts["family"]
    most = query.per_family or int(query.goes_with)
    if not most:
        return None
    if not column:
        raise QueryError("per_family: this index has no families; set index.family to a column of the catalogue")
    return column, most


def _choose(
    index: Searchable,
    query: Query,
    scores: NDArray[np.float32],
    found: NDArray[np.int64],
    asked: Vectors,
    families: tuple[str, int] | None,
) -> list[tuple[int, list[int]]]:
    """Picks among candidates, best first; each with the places of those that look the same."""
    vectors, limit = index.vectors(found), index.facts["duplicate"]
    family_of = index.values(families[0], found) if families else None
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
        if families and family_of is not None:
            family = family_of[best]
            seen[family] = seen.get(family, 0) + 1
            if family is not None and seen[family] >= families[1]:
                open_ &= family_of != family
    return choice


def _matches(
    index: Searchable, scores: NDArray[np.float32], found: NDArray[np.int64], choice: Sequence[tuple[int, list[int]]]
) -> list[Match]:
    products = iter(index.products([int(found[each]) for place, same in choice for each in (place, *same)]))
    matches = []
    for place, same in choice:
        attributes, others = next(products), [next(products)["id"] for _ in same]
        matches.append(Match(attributes.pop("id"), float(min(scores[place], 1.0)), attributes, tuple(others)))
    return matches
