"""From a catalogue to vectors: every product's picture is embedded by the published model, on Beam, unless it was."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fashion_client import Client

from components.answers.ask import REFUSED, read_ahead, readers
from components.answers.inputs import Input, Products
from components.answers.rows import Row
from components.batch.shards import PER_RUN, Shards, load_client
from components.features import ID, YEAR
from components.ingest.faults import Fault
from serving.search.colour import colours
from serving.search.index import PICTURE, PRODUCTS

EARLIER, EMBEDDING, COLOUR, REASON, DETAIL = "_earlier", "_embedding", "_colour", "_reason", "_detail"


@dataclass(frozen=True)
class Embedder:
    """What a worker knows: the model, loaded when a picture first needs it, and the rows of pictures that do not."""

    model_dir: Path
    rows: Mapping[str, int]

    @cached_property
    def client(self) -> Client:
        return load_client(self.model_dir)


@dataclass(frozen=True)
class Vectors(Shards):
    """The vectors of a catalogue's products, as shards."""

    inputs: Products  # the catalogue
    model_dir: Path  # the published model
    # An index of the same model, whose vectors serve for pictures that did not change; None for none.
    earlier: Path | None
    coloured: bool  # whether the pictures' colours are wanted too

    @property
    def name(self) -> tuple[str, str]:
        return "vectors", "parquet"

    def load(self) -> Embedder:
        pictures = pq.read_table(self.earlier / PRODUCTS, columns=[PICTURE])[PICTURE] if self.earlier else pa.array([])
        return Embedder(self.model_dir, {picture: row for row, picture in enumerate(pictures.to_pylist())})

    def answer(self, inputs: Iterable[Input], model: Embedder) -> Iterator[Row]:
        """Yields a row for each product, with its attributes and its picture's digest.

        It has `_earlier`, the row in the earlier index; or else `_embedding` and `_colour`; or a reason why none.
        """

        def look(item: Any) -> tuple[bytes, str, Any] | Fault:
            content = self.inputs.read(item)
            if isinstance(content, Fault):
                return content
            digest = hashlib.sha256(content).hexdigest()
            if digest in model.rows:
                return b"", digest, None
            try:
                return content, digest, colours(content) if self.coloured else None
            except ValueError:  # then the model refuses it too, and says why
                return content, digest, None

        with readers() as pool:
            looked_at = read_ahead(pool, look, inputs)
            for chunk in iter(lambda: list(islice(looked_at, PER_RUN)), []):
                seen = [content for _, content in chunk]
                new = [each[0] for each in seen if not isinstance(each, Fault) and each[0]]
                embeddings = iter(model.client.embed(new) if new else ())
                for each, content in chunk:
                    row = {ID: each.name[1], **_attributes(each.item)}
                    if isinstance(content, Fault):
                        yield {**row, REASON: str(content.reason), DETAIL: content.detail}
                    elif not content[0]:
                        yield {**row, PICTURE: content[1], EARLIER: model.rows[content[1]]}
                    elif error := (embedding := next(embeddings)).error:
                        yield {**row, REASON: REFUSED, DETAIL: error}
                    else:
                        yield {**row, PICTURE: content[1], EMBEDDING: embedding.vector, COLOUR: content[2]}

    def store(self, file: BinaryIO, rows: Sequence[Row]) -> None:
        texts = sorted({name for row in rows for name in row if not name.startswith("_") and name != YEAR} | {ID})
        numbers = pa.list_(pa.float32())
        kinds = {PICTURE: pa.string(), EARLIER: pa.int64(), EMBEDDING: numbers, COLOUR: numbers}
        kinds |= {name: pa.string() for name in (*texts, REASON, DETAIL)} | {YEAR: pa.int64()}
        columns = {name: pa.array([_plain(row.get(name)) for row in rows], kind) for name, kind in kinds.items()}
        pq.write_table(pa.table(columns), file)


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """The lists of numbers of a column that has no missing ones: float32 [n, d]."""
    flat = column.combine_chunks()
    return flat.flatten().to_numpy().reshape(len(flat), -1) if len(flat) else np.empty((0, 0), np.float32)


def _attributes(item: Any) -> dict[str, Any]:
    if isinstance(item, Fault):
        return {}
    return {**item.fields, **({YEAR: item.year} if item.year is not None else {})}


def _plain(value: Any) -> Any:
    return np.asarray(value, np.float32) if value is not None and not isinstance(value, str | int) else value
