"""Asking an index about picture files and products, with the model that it was made with."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fashion_client import Client

from components.answers.inputs import Pictures
from components.errors import AnswerError
from components.ingest.faults import Fault
from serving.search.index import Index, IndexRefused, Vectors
from serving.search.indexes import choose, store_of
from serving.search.query import Match, Query, QueryError, Searchable, search
from serving.versions import recorded_digest


def find_index(model: Path) -> Index | None:
    """Opens the index that answers for a published version; None where there is none."""
    digest = recorded_digest(model)
    return choose(store_of(model.absolute().parent), digest) if digest else None


@contextmanager
def open_index(model: Path, url: str | None = None) -> Iterator[Searchable]:
    """Opens the index that answers for a published version: among its files, or at an address, see `open_place`.

    Raises:
        AnswerError: there is none, or it fails within the block.
    """
    store = store_of(model.absolute().parent)
    if url:
        with open_place(url) as place, place.connect() as client:
            from serving.search.qdrant import Collection

            yield Collection(client, place, store, str(recorded_digest(model)))
        return
    index = find_index(model)
    if index is None:
        raise AnswerError(
            f"{store}: there is no whole index of {model.parent.name}/{model.name}. Make one: fashion index "
            f"{model.parent.name} --data CATALOGUE."
        )
    yield index


@contextmanager
def open_place(url: str) -> Iterator[Any]:
    """Reads the address of a collection, see `serving.search.qdrant.Place`.

    Raises:
        AnswerError: it is none, Qdrant's client is not installed, or an index is refused within the block.
    """
    try:
        from serving.search.qdrant import Place
    except ModuleNotFoundError as error:
        raise AnswerError(
            f"{url}: qdrant-client is needed. Install it (pip install qdrant-client, or the project with its extra "
            "`qdrant`)."
        ) from error
    try:
        yield Place.read(url)
    except IndexRefused as refused:
        raise AnswerError(str(refused)) from refused


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
    index: Searchable,
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


def each_similar(index: Searchable, pictures: dict[str, bytes], client: Client, count: int) -> list[list[Match]]:
    """Finds the `count` products most like each of some pictures, name to content.

    Raises:
        AnswerError: as of `similar_to`.
    """
    vectors = _vectors(index, pictures, lambda: nullcontext(client))
    return [search(index, Query(k=count), vectors[at : at + 1]) for at in range(len(vectors))]


def _vectors(
    index: Searchable, pictures: dict[str, bytes], connect: Callable[[], AbstractContextManager[Client]]
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


def describe(index: Searchable, matches: Sequence[Match]) -> dict[str, Any]:
    """What was found, as JSON has it; the same as a server answers."""
    model = index.facts["model"]
    return {
        "model_version": str(model["version"]),
        "index_version": index.folder.name,
        "matches": [asdict(match) for match in matches],
    }
