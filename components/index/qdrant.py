"""Publishes an index to a Qdrant database: a collection for each version, and an alias that leads to one of them."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from qdrant_client import QdrantClient, models

from components.errors import PublishError
from components.progress import report
from serving.search.index import SELF, Index, IndexRefused
from serving.search.qdrant import NUMBER, TEXT, Place, key_of

_BATCH = 256  # points of a request; some hundred kB
_TRIED = 16  # products that are looked for before a collection answers
_FACTS = ("model", "products", "duplicate", "family", "goes_with", "data")


def publish_index(place: Place, index: Index, keep: int) -> str:
    """Copies an index, and then has the alias lead to the copy, in one step for all who ask.

    A copy that was stopped goes on. Collections of older versions are removed but for the newest `keep`, and at least
    one: who asked before the step may still read it.

    Returns:
        The collection's name.

    Raises:
        PublishError: the database cannot be reached, or does not find what was copied. The alias stays as it was.
    """
    content = hashlib.sha256(json.dumps(index.facts["files"], sort_keys=True).encode()).hexdigest()
    name = f"{place.collection}-{index.folder.name}-{content[:8]}"  # what has this name is this very index
    columns = {each: _kind(index.table.schema.field(each).type) for each in index.attributes}
    facts = {"version": index.folder.name, "columns": columns, **{each: index.facts[each] for each in _FACTS}}
    try:
        with place.connect() as client:
            there = [each.name for each in client.get_collections().collections]
            if place.collection in there:
                raise PublishError(f"{place.url}: is a collection itself, and no alias. Give another name.")
            if name not in there:
                _create(client, name, facts, index.vectors([0]).shape[1], indexed=place.server is not None)
            _copy(client, name, index)
            _try(client, name, index)
            _switch(client, place, name)
            for old in _older(place, there, name)[: -max(keep - 1, 1)]:
                client.delete_collection(old)
    except IndexRefused as refused:
        raise PublishError(f"{refused} The collection before goes on.") from refused
    return name


def _create(client: QdrantClient, name: str, facts: Mapping[str, Any], width: int, indexed: bool) -> None:
    size = models.VectorParams(size=width, distance=models.Distance.DOT)
    client.create_collection(name, vectors_config=size, metadata=dict(facts))
    kinds = {TEXT: models.PayloadSchemaType.KEYWORD, NUMBER: models.PayloadSchemaType.FLOAT}
    # Before the points: the graph of neighbours is made for the filters that are known.
    for column, kind in facts["columns"].items() if indexed else ():
        client.create_payload_index(name, key_of(column), kinds[kind])


def _copy(client: QdrantClient, name: str, index: Index) -> None:
    count = len(index)
    # The last request of a copy that was stopped may be there in part; a point that is written again is the same.
    begin = max(client.count(name, exact=True).count // _BATCH - 1, 0) * _BATCH
    for start in range(begin, count, _BATCH):
        rows = range(start, min(start + _BATCH, count))
        payloads = [{key: value for key, value in each.items() if value == value} for each in index.products(rows)]
        points = models.Batch(ids=list(rows), vectors=index.vectors(rows).tolist(), payloads=payloads)
        client.upsert(name, points, wait=True)
        report("copied", rows.stop, count)


def _try(client: QdrantClient, name: str, index: Index) -> None:
    """Looks for products by their own vectors."""
    if (copied := client.count(name, exact=True).count) != len(index):
        raise PublishError(f"{name}: has {copied:,} of {len(index):,} products. Nothing was published; try again.")
    for row in np.linspace(0, len(index) - 1, _TRIED, dtype=int):
        points = client.query_points(name, index.vectors([row])[0].tolist(), limit=1).points
        if not points or points[0].score < SELF:
            raise PublishError(f"{name}: does not find product {index.table['id'][int(row)]}. Nothing was published.")


def _switch(client: QdrantClient, place: Place, name: str) -> None:
    steps: list[models.AliasOperations] = []
    if place.current(client):
        steps.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=place.collection)))
    alias = models.CreateAlias(collection_name=name, alias_name=place.collection)
    client.update_collection_aliases([*steps, models.CreateAliasOperation(create_alias=alias)])


def _older(place: Place, there: list[str], name: str) -> list[str]:
    """The other versions' collections, the oldest first."""
    versions = [each for each in there if re.fullmatch(rf"{place.collection}-\d+-[0-9a-f]{{8}}", each) and each != name]
    return sorted(versions, key=lambda each: int(each.split("-")[-2]))


def _kind(column: pa.DataType) -> str:
    return TEXT if pa.types.is_string(column) else NUMBER
