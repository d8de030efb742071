"""Finds the products of a published index that look like pictures, or like others of them.

`POST /v1/models/<model>:search` asks over REST. Over gRPC it is Predict with the signature name `search`, which no
model has: its inputs are named as the keys of the document, and a match is a row of its outputs.

An index answers together with the version of the model that it was made with, and with no other. A new version of the
model answers as soon as it has an index; until then the pair before goes on, and is kept in memory for that.
"""

import asyncio
import difflib
import json
import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2

from serving.search.index import Index, IndexRefused
from serving.search.indexes import fitting, store_of
from serving.search.query import Match, Query, QueryError, search
from serving.server.errors import ServingError, invalid
from serving.server.lifecycle import ServedModel, Version
from serving.server.limits import Limits
from serving.server.rest_request import read_inputs
from serving.server.retries import Stamp, stamp_files
from serving.versions import recorded_digest

_log = logging.getLogger(__name__)

INPUT, SIGNATURE, SEARCH = "image_bytes", "embed", "search"


@dataclass(frozen=True)
class Pair:
    """A version of a model, held in memory, and the index that was made with it."""

    version: Version
    index: Index


@dataclass(frozen=True)
class Question:
    """What a request asks: about pictures, bytes [m] or None, and products of the index, together."""

    pictures: np.ndarray | None
    ids: tuple[str, ...]
    query: Query


class Searches:
    """The pairs that answer. Its methods are called from the event loop, and look at the disk off it."""

    def __init__(self, loader: Executor) -> None:
        """Opens nothing yet."""
        self._loader = loader
        self._pairs: dict[ServedModel, list[Pair]] = {}
        self._refused: dict[Path, Stamp] = {}

    async def look(self, served: ServedModel) -> None:
        """Opens what is new and fits a version that serves, and only then lets go of what answers no more."""
        known = {pair.version: pair.index for pair in self._pairs.get(served, [])}
        pairs = []
        for version in served.available:
            before, loop = known.get(version), asyncio.get_running_loop()
            index = await loop.run_in_executor(self._loader, self._open, served.model.base_path, version.path, before)
            if index:
                pairs.append(Pair(version, index))
        self._keep(served, pairs or self._pairs.get(served, [])[:1])

    def drop(self, served: ServedModel) -> None:
        """Lets go of a model that is no longer served."""
        self._keep(served, [])
        self._pairs.pop(served, None)

    def newest(self, served: ServedModel | None, number: int | None = None) -> Pair | None:
        """The pair of a version, or the newest; None if there is none."""
        pairs = self._pairs.get(served, []) if served else []
        return next((pair for pair in pairs if number in (None, pair.version.number)), None)

    def find(self, served: ServedModel | None, number: int | None) -> Pair:
        """The pair of a version, or the newest.

        Raises:
            ServingError: FAILED_PRECONDITION, there is no index.
        """
        pair = self.newest(served, number)
        if pair is None:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "The model has no index that was made with it: `fashion index` makes one",
            )
        return pair

    def _keep(self, served: ServedModel, pairs: list[Pair]) -> None:
        before, self._pairs[served] = self._pairs.get(served, []), pairs
        for pair in pairs:
            pair.version.hold()
            if pair not in before:
                _log.info(
                    "model %s: version %d is searched by index %s, %s products",
                    *(pair.version.model, pair.version.number, pair.index.folder.name, f"{len(pair.index):,}"),
                )
        for pair in before:
            pair.version.release()

    def _open(self, base: Path, version: Path, before: Index | None) -> Index | None:
        digest = recorded_digest(version)
        for folder in fitting(store_of(base), digest) if digest else []:
            if before and folder == before.folder:
                return before
            stamp = stamp_files(folder)
            if self._refused.get(folder) == stamp:  # nothing was copied there since
                continue
            try:
                return Index(folder, digest)
            except IndexRefused as refused:
                self._refused[folder] = stamp
                _log.error("%s", refused)
        return before


def read_question(document: Mapping[str, Any], limits: Limits, pictures: np.ndarray | None = None) -> Question:
    """Reads what a search asks: `image_bytes`, unless `pictures` are given, `ids`, and attributes of a `Query`.

    Raises:
        ServingError: INVALID_ARGUMENT, it is not of that form, or above a limit.
    """
    kinds = {field.name: type(field.default) for field in fields(Query)}
    for name, value in document.items():
        if name not in (*kinds, INPUT, "ids"):
            near = difflib.get_close_matches(name, [*kinds, INPUT, "ids"], 1)
            raise invalid(f"{name}: a search has no such key" + (f"; did you mean '{near[0]}'?" if near else ""))
        kind = kinds.get(name, list)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise invalid(f"{name}: give {'a list' if kind is list else f'a value of type {kind.__name__}'}")
    ids = document.get("ids", [])
    if not all(isinstance(each, str) for each in ids):
        raise invalid("ids: give a list of strings")
    limits.check_rows("ids", len(ids))
    if document.get(INPUT):
        inputs = {"inputs": {INPUT: document[INPUT]}}
        pictures = read_inputs(inputs, {INPUT: types_pb2.DT_STRING}, limits)[0][INPUT]
    try:
        query = Query(**{name: value for name, value in document.items() if name in kinds})
    except QueryError as error:
        raise invalid(str(error)) from None
    return Question(pictures if pictures is not None and pictures.size else None, tuple(ids), query)


def read_tensors(inputs: Mapping[str, np.ndarray], limits: Limits) -> Question:
    """Reads what a search asks over gRPC: `ids` and `image_bytes` have a row each, all else is one value.

    Raises:
        ServingError: as `read_question`.
    """
    given, document = dict(inputs), {}
    pictures = given.pop(INPUT, None)
    for name, array in given.items():
        values = [each.decode(errors="replace") if isinstance(each, bytes) else each for each in array.ravel().tolist()]
        document[name] = values if array.ndim and (name == "ids" or len(values) != 1) else values[0]
    return read_question(document, limits, pictures)


def matches_as_outputs(found: Mapping[str, Any], output_filter: Collection[str]) -> dict[str, np.ndarray]:
    """Writes what `answer` returns as outputs: a row for each match; `attributes` and `same` are JSON, string [n].

    Raises:
        ServingError: INVALID_ARGUMENT, the filter names another output.
    """
    matches = found["matches"]
    texts = {
        "id": [match["id"] for match in matches],
        "attributes": [json.dumps(match["attributes"]) for match in matches],
        "same": [json.dumps(match["same"]) for match in matches],
        "index_version": [found["index_version"]],
    }
    outputs = {name: np.array([each.encode() for each in rows], object) for name, rows in texts.items()}
    outputs["score"] = np.array([match["score"] for match in matches], np.float32)
    if unknown := sorted(set(output_filter) - set(outputs)):
        raise invalid(f"{unknown[0]}: a search has no such output; it has {', '.join(sorted(outputs))}")
    return {name: outputs[name] for name in output_filter or outputs}


async def answer(pair: Pair, question: Question, embed: Callable[[Version, np.ndarray], Any]) -> dict[str, Any]:
    """Answers a question by one pair, whatever is published meanwhile.

    Args:
        pair: see `Searches.find`.
        question: see `read_question`.
        embed: asks the model's signature `embed`, given the version and pictures: a coroutine of its outputs.

    Raises:
        ServingError: INVALID_ARGUMENT, a picture is none, or the question makes no sense to this index.
    """
    with pair.version.held():
        outputs = None if question.pictures is None else await embed(pair.version, question.pictures)
        loop = asyncio.get_running_loop()
        matches = await loop.run_in_executor(None, _search, pair.index, question, outputs)
    return {
        "model_version": str(pair.version.number),
        "index_version": pair.index.folder.name,
        "matches": [asdict(match) for match in matches],
    }


def _search(index: Index, question: Question, outputs: Mapping[str, np.ndarray] | None) -> list[Match]:
    vectors = None
    if question.pictures is not None and outputs is not None:
        for number, error in enumerate(outputs["error"]):
            if error:
                raise invalid(f"{INPUT}[{number}]: {error.decode(errors='replace')}")
    try:
        if question.pictures is not None and outputs is not None:
            vectors = index.of_pictures(outputs["embedding"], question.pictures.tolist())
        return search(index, question.query, vectors, question.ids)
    except ValueError as error:  # a QueryError too
        raise invalid(str(error)) from None
