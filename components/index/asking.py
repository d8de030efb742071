"""Asking an index about picture files and products, with the model that it was made with."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fashion_client import Client

from components.answers.inputs import Pictures
from components.errors import AnswerError
from components.ingest.faults import Fault
from serving.search.index import Index, Vectors
from serving.search.indexes import choose, store_of
from serving.search.query import Match, Query, QueryError, search
from serving.versions import recorded_digest


def find_index(model: Path) -> Index | None:
    """Opens the index that answers for a published version; None where there is none."""
    digest = recorded_digest(model)
    return choose(store_of(model.absolute().parent), digest) if digest else None


def open_index(model: Path) -> Index:
    """Opens the index that answers for a published version.

    Raises:
        AnswerError: there is none.
    """
    index = find_index(model)
    if index is None:
        raise AnswerError(
            f"{store_of(model.absolute().parent)}: there is no whole index of {model.parent.name}/{model.name}. Make "
            f"one: fashion index {model.parent.name} --data CATALOGUE."
        )
    return index


def read_pictures(images: Sequence[str]) -> dict[str, bytes]:
    """Reads picture files: name to content.

    Raises:
        AnswerError: one cannot be read.
    """
    inputs = Pictures(images) if images else ()
    contents = {}
    for each in inputs:
        content = inputs.read(each.item)  # type: ignore[union-attr]
        if isinstance(content, Fault):
            raise AnswerError(f"{each.item}: {content.detail}")
        contents[str(each.item)] = content
    return contents


def similar_to(
    index: Index,
    images: Sequence[str],
    ids: Sequence[str],
    connect: Callable[[], AbstractContextManager[Client]],
    **query: Any,
) -> list[Match]:
    """Finds products like pictures and products together, see `serving.search.query`.

    Args:
        index: where to look.
        images: files, folders and zips of pictures.
        ids: products of the index.
        connect: opens the model; not called where there are no pictures.
        query: attributes of a `Query`.

    Raises:
        AnswerError: a picture is none, the model cannot be asked, or the question makes no sense.
    """
    try:
        asked = Query(**query)
        pictures = read_pictures(images)
        return search(index, asked, _vectors(index, pictures, connect) if pictures else None, ids)
    except QueryError as error:
        raise AnswerError(str(error)) from error


def _vectors(
    index: Index, pictures: dict[str, bytes], connect: Callable[[], AbstractContextManager[Client]]
) -> Vectors:
    with connect() as client:
        embeddings = client.embed(list(pictures.values()))
    for name, embedding in zip(pictures, embeddings, strict=True):
        if embedding.error:
            raise AnswerError(f"{name}: {embedding.error}.")
    try:
        return index.of_pictures(
            np.array([embedding.vector for embedding in embeddings], np.float32), list(pictures.values())
        )
    except ValueError as error:
        raise AnswerError(f"{', '.join(pictures)}: {error}.") from error


def describe(index: Index, matches: Sequence[Match]) -> dict[str, Any]:
    """What was found, as JSON has it; the same as a server answers."""
    model = index.facts["model"]
    return {
        "model_version": str(model["version"]),
        "index_version": index.folder.name,
        "matches": [asdict(match) for match in matches],
    }
