"""Products in a Qdrant database, searched as an index in memory is: the same filters, the same choice of the nearest.

`qdrant://HOST:PORT/COLLECTION`, or `qdrants://` for TLS; `qdrant:///FOLDER/COLLECTION` is a store of the client itself,
for trials. A key is taken from QDRANT_API_KEY. The name is an alias; behind it is a collection for each version
of the index, `COLLECTION-VERSION-DIGEST`, whose metadata say what `index.json` does.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from serving.search.filters import Comparison, Condition, FilterError, Junction, Negation, column_name, typed
from serving.search.index import ID, Index, IndexRefused, Vectors, check_model

TEXT, NUMBER = "text", "number"  # kinds of columns
_OPPOSITE = {"=": "!=", "==": "!=", "!=": "=", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_BOUND = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_SECONDS = 60


@dataclass(frozen=True)
class Place:
    """Where a collection is: a server's address or a folder, and its name."""

    url: str
    server: str | None
    folder: str | None
    collection: str

    @staticmethod
    def read(url: str) -> "Place":
        """Reads an address.

        Raises:
            IndexRefused: it is none, or holds a password.
        """
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise IndexRefused(f"qdrant://{parts.hostname}…: an address holds no key. Set QDRANT_API_KEY.")
        folder, _, collection = parts.path.rpartition("/")
        if parts.scheme not in ("qdrant", "qdrants") or not re.fullmatch(r"[\w-]+", collection, re.ASCII):
            raise IndexRefused(
                f"{url}: write qdrant://HOST:6333/COLLECTION, with letters, digits, - and _ in its name."
            )
        if bool(parts.netloc) == bool(folder):
            raise IndexRefused(f"{url}: give one name behind the host, or a folder and a name without a host.")
        scheme = "https" if parts.scheme == "qdrants" else "http"
        server = f"{scheme}://{parts.netloc}" if parts.netloc else None
        return Place(url, server, folder or None, collection)

    @contextmanager
    def connect(self) -> Iterator[QdrantClient]:
        """Opens the database.

        Raises:
            IndexRefused: it cannot be reached, or refuses what is done within the block.
        """
        try:
            key = os.environ.get("QDRANT_API_KEY") if self.server else None
            client = QdrantClient(
                url=self.server, path=self.folder, api_key=key, timeout=_SECONDS, check_compatibility=False
            )
            try:
                yield client
            finally:
                client.close()
        except (ApiException, RuntimeError, OSError) as error:
            raise IndexRefused(f"{self.url}: {' '.join(str(error).split())[:300]}. Look into the database.") from error

    def current(self, client: QdrantClient) -> str | None:
        """The collection that the alias leads to."""
        aliases = {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}
        return aliases.get(self.collection)


class Collection:
    """One version of an index in a Qdrant database; see `serving.search.query.Searchable`.

    Attributes:
        folder: where the same version lies as files, with what makes vectors of pictures.
        facts: metadata of the collection.
    """

    def __init__(self, client: QdrantClient, place: Place, store: Path, digest: str) -> None:
        """Looks at the metadata of the version that answers now, and stays with it whatever is published.

        Args:
            client: connected.
            place: of the alias.
            store: of the model's indexes.
            digest: of the model that is to ask.

        Raises:
            IndexRefused: there is no collection, or another model's.
        """
        name = place.current(client)
        if name is None:
            raise IndexRefused(
                f"{place.url}: there is no such collection. Make one: `fashion index … --to {place.url}`."
            )
        self._client, self._name, self._digest = client, name, digest
        self.facts = {"family": None, **(client.get_collection(name).config.metadata or {})}
        self.folder = store / str(self.facts.get("version"))
        check_model(place.url, self.facts, digest)
        self._points: dict[int, Any] = {}

    @property
    def attributes(self) -> list[str]:
        return list(self.facts["columns"])

    def rows(self, ids: Sequence[str]) -> list[int]:
        if not ids:
            return []
        named = models.FieldCondition(key=ID, match=models.MatchAny(any=list(ids)))
        points, _ = self._client.scroll(self._name, models.Filter(must=[named]), limit=len(ids))
        known = {point.payload[ID]: int(point.id) for point in points if point.payload}
        return [known[identity] for identity in ids]

    def vectors(self, rows: Sequence[int] | NDArray[np.int64]) -> Vectors:
        return np.array([point.vector for point in self._fetched(rows)], np.float32)

    def values(self, name: str, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        return np.array([point.payload.get(name) for point in self._fetched(rows)], object)

    def products(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        return [dict(point.payload) for point in self._fetched(rows)]

    def of_pictures(self, embeddings: Vectors, pictures: Sequence[bytes]) -> Vectors:
        """See `Index.of_pictures`."""
        return Index(self.folder, self._digest).of_pictures(embeddings, pictures)

    def allow(self, condition: Condition | None, without: Sequence[int]) -> tuple[models.Filter, int]:
        chosen = models.Filter(
            must=[translate(condition, self.facts["columns"])] if condition else None,
            must_not=[models.HasIdCondition(has_id=list(without))] if without else None,
        )
        return chosen, self._client.count(self._name, chosen, exact=True).count

    def nearest(
        self, vector: Vectors, count: int, allowed: models.Filter
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        points = self._client.query_points(
            self._name, vector.tolist(), query_filter=allowed, limit=count, with_payload=True, with_vectors=True
        ).points
        self._points |= {int(point.id): point for point in points}
        scores, found = np.array([p.score for p in points], np.float32), np.array([p.id for p in points], np.int64)
        order = np.lexsort((found, -scores))  # as an index in memory orders equals
        return scores[order], found[order]

    def _fetched(self, rows: Sequence[int] | NDArray[np.int64]) -> list[Any]:
        wanted = [int(row) for row in rows]
        if missing := [row for row in wanted if row not in self._points]:
            points = self._client.retrieve(self._name, missing, with_vectors=True)
            self._points |= {int(point.id): point for point in points}
        return [self._points[row] for row in wanted]


def translate(condition: Condition, columns: dict[str, str], holds: bool = True) -> models.Filter:
    """Says in Qdrant's filters what a condition does, three-valued as SQL is: a missing value is never unequal.

    Args:
        condition: see `serving.search.filters`.
        columns: name to kind.
        holds: whether what is true is looked for, or what is false.

    Raises:
        FilterError: there is no such column, or Qdrant cannot express the condition.
    """
    if isinstance(condition, Negation):
        return translate(condition.part, columns, not holds)
    if isinstance(condition, Junction):
        parts: list[Any] = [translate(part, columns, holds) for part in condition.parts]
        return models.Filter(must=parts) if (condition.join == "and") == holds else models.Filter(should=parts)
    name = column_name(condition, list(columns))
    empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=key_of(name)))
    if condition.operator == "is null":
        return models.Filter(must=[empty]) if holds else models.Filter(must_not=[empty])
    operator = condition.operator if holds else _OPPOSITE.get(condition.operator, "like")
    if operator == "like" or (operator in _BOUND and columns[name] == TEXT):
        raise FilterError(
            f"Qdrant cannot tell {name} {condition.operator} …; ask for equal values: {name} in ('A', 'B')"
        )
    matches = _matches(condition, key_of(name), operator, columns[name] == TEXT)
    return models.Filter(must_not=[matches, empty]) if operator in ("!=", "<>") else models.Filter(must=[matches])


def key_of(column: str) -> str:
    """A column's name as the path to a value; one with dots would lead into it."""
    return column if re.fullmatch(r"[\w-]+", column, re.ASCII) else f'"{column}"'


def _matches(condition: Comparison, key: str, operator: str, text: bool) -> models.FieldCondition:
    value = typed(condition, text)
    if isinstance(value, str):
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))
    bounds = [_BOUND[operator]] if operator in _BOUND else ["gte", "lte"]
    return models.FieldCondition(key=key, range=models.Range(**dict.fromkeys(bounds, float(value))))
