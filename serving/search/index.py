"""A published index of products: one immutable folder, made with one model, searched without TensorFlow.

vectors.faiss     the products' vectors, and how a model's embedding becomes one
products.parquet  their attributes, row by row
index.json        the model's digest, counts, settings and what was measured
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from serving.search.colour import colours, join
from serving.search.filters import Condition, select

VECTORS, PRODUCTS, FACTS = "vectors.faiss", "products.parquet", "index.json"
FORMAT = 1
ID, PICTURE = "id", "_picture"  # columns of the table; what begins with _ is no attribute

_FEW = 20_000  # products that a filter leaves, which are all compared
_TOGETHER = 1024  # of them, which fit a processor's cache
SELF = 0.999  # similarity of a product to itself, in float32

Vectors = NDArray[np.float32]


class IndexRefused(Exception):
    """An index is not there, not whole, or belongs to another model. The message names it, the rule and the remedy."""


class Index:
    """An index that was read and is whole. Its methods may be called from any thread.

    Attributes:
        folder: where it lies.
        facts: what `index.json` says.
        table: the products, pa.Table with n rows.
        transforms: what makes a vector of an embedding, one after another.
    """

    def __init__(self, folder: Path, digest: str | None = None) -> None:
        """Reads an index.

        Args:
            folder: of the index.
            digest: of the model that is to ask it; None leaves that to the caller.

        Raises:
            IndexRefused: it is damaged, or was made with another model.
        """
        self.folder, self.facts = folder, read_facts(folder)
        if digest is not None:
            check_model(folder, self.facts, digest)
        for name, known in self.facts["files"].items():
            if _digest(folder / name) != known:
                raise IndexRefused(f"{folder}: {name} is missing, cut off or changed. Make the index again.")
        try:
            self.table = pq.read_table(folder / PRODUCTS)
            self._whole = faiss.read_index(str(folder / VECTORS))
        except (pa.ArrowException, RuntimeError, OSError) as error:
            raise IndexRefused(f"{folder}: cannot be read ({error}). Make the index again.") from error
        if not len(self.table) == self._whole.ntotal == self.facts["products"]:
            raise IndexRefused(f"{folder}: its files have different numbers of products. Make the index again.")
        whole: Any = self._whole
        chained = isinstance(whole, faiss.IndexPreTransform)
        self._vectors: Any = faiss.downcast_index(whole.index) if chained else whole
        chain = [whole.chain.at(place) for place in range(whole.chain.size())] if chained else []
        self.transforms = [faiss.downcast_VectorTransform(each) for each in chain]
        if isinstance(self._vectors, faiss.IndexIVF):
            self._vectors.make_direct_map()
            self._vectors.nprobe = self.facts["probes"]
        self._columns: dict[str, NDArray[Any]] = {}
        self._rows = {identity: row for row, identity in enumerate(self.table[ID].to_pylist())}

    def __len__(self) -> int:
        return len(self.table)

    @property
    def attributes(self) -> list[str]:
        """The columns that products can be filtered by."""
        return [name for name in self.table.column_names if not name.startswith("_")]

    def values(self, name: str, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """The values of rows in a column, object [m]; None for missing ones. All are kept: they are asked for often."""
        if name not in self._columns:
            self._columns[name] = np.array(self.table[name].to_pylist(), object)
        return self._columns[name][rows]

    def products(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The values that products have, their ids among them."""
        chosen = self.table.select(self.attributes).take(list(rows)).to_pylist()
        return [{name: value for name, value in product.items() if value is not None} for product in chosen]

    def allow(self, condition: Condition | None, without: Sequence[int]) -> tuple[NDArray[np.bool_] | None, int]:
        """Finds the products for which a condition is true, without some rows: as `nearest` takes them, and how many.

        Raises:
            FilterError: the condition does not fit the products.
        """
        if condition is None and not without:
            return None, len(self)
        every = np.ones(len(self), np.bool_)
        allowed = every if condition is None else select(self.table.select(self.attributes), condition).copy()
        allowed[list(without)] = False
        return allowed, int(np.count_nonzero(allowed))

    def rows(self, ids: Sequence[str]) -> list[int]:
        """The rows of products; KeyError names the first that is not there."""
        return [self._rows[identity] for identity in ids]

    def vectors(self, rows: Sequence[int] | NDArray[np.int64]) -> Vectors:
        """The vectors of rows: float32 [m, d], each of length 1."""
        return np.ascontiguousarray(self._vectors.reconstruct_batch(np.asarray(rows, np.int64)), np.float32)

    def project(self, embeddings: Vectors) -> Vectors:
        """Makes vectors of what `colour.join` gives: float32 [m, f] to float32 [m, d]."""
        if embeddings.shape[1] != self._whole.d:
            raise ValueError(f"{embeddings.shape[1]} numbers were given, and the index takes {self._whole.d}")
        return transformed(self.transforms, embeddings)

    def of_pictures(self, embeddings: Vectors, pictures: Sequence[bytes]) -> Vectors:
        """Makes vectors of a model's embeddings float32 [m, e] of m encoded pictures: float32 [m, d].

        Raises:
            ValueError: a picture's colours cannot be read, or the embeddings are not of the index's model.
        """
        weight = self.facts["colour"]
        return self.project(
            join(embeddings, np.stack([colours(each) for each in pictures]) if weight else None, weight)
        )

    def nearest(
        self, vector: Vectors, count: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Finds the rows most like a vector, best first, with their similarities: both of at most `count`.

        The vector is float32 [d], of length 1. `allowed` is bool [n], the rows that may be found; None is all.
        """
        approximate = isinstance(self._vectors, faiss.IndexIVF)
        parameters: Any = faiss.SearchParametersIVF() if approximate else faiss.SearchParameters()
        if approximate:
            left = len(self) if allowed is None else max(int(np.count_nonzero(allowed)), 1)
            if allowed is not None and left <= _FEW:
                return self._nearest_of(np.flatnonzero(allowed), vector, count)
            # As many products are looked at as without a filter: they lie in more cells.
            parameters.nprobe = int(min(self._vectors.nlist, np.ceil(self.facts["probes"] * len(self) / left)))
        if allowed is not None:
            # The bits have to live as long as the selector, which does not keep them.
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            parameters.sel = selector
        # Of this thread: two share one question no faster, and wait for each other for ten times as long on busy cores.
        faiss.omp_set_num_threads(1)
        scores, found = self._vectors.search(vector[np.newaxis], count, params=parameters)
        there = found[0] >= 0
        return _ordered(scores[0][there], found[0][there])

    def _nearest_of(
        self, rows: NDArray[np.int64], vector: Vectors, count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Compares a vector with each of some rows, which is quicker than to look for these in all cells, and exact."""
        parts = np.array_split(rows, len(rows) // _TOGETHER + 1)
        scores = np.concatenate([self.vectors(part) @ vector for part in parts])
        best = np.argpartition(-scores, count - 1)[:count] if count < len(rows) else np.arange(len(rows))
        return _ordered(scores[best], rows[best])


def _ordered(scores: Vectors, rows: NDArray[np.int64]) -> tuple[Vectors, NDArray[np.int64]]:
    """The most alike first; of those that are equally like it, the first in the catalogue."""
    order = np.lexsort((rows, -scores))
    return scores[order], rows[order]


def transformed(transforms: Sequence[faiss.VectorTransform], vectors: Vectors) -> Vectors:
    """Applies transforms to vectors, one after another: float32 [m, f] to float32 [m, d]."""
    for transform in transforms:
        vectors = transform.apply(np.ascontiguousarray(vectors, np.float32))
    return vectors


def read_facts(folder: Path) -> dict[str, Any]:
    """Returns what an index's `index.json` says.

    Raises:
        IndexRefused: it is not there, or of another format.
    """
    try:
        facts = json.loads((folder / FACTS).read_bytes())
        if facts["format"] != FORMAT:
            raise IndexRefused(f"{folder}: is of format {facts['format']}; {FORMAT} is read. Make the index again.")
        if not {"model", "files", "products", "family", "duplicate"} <= set(facts):
            raise ValueError("keys are missing")
    except FileNotFoundError:
        raise IndexRefused(
            f"{folder}: there is no whole index, it has no {FACTS}. Make one: `fashion index`."
        ) from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise IndexRefused(f"{folder / FACTS}: cannot be read ({error}). Make the index again.") from error
    return dict(facts)


def check_model(place: object, facts: dict[str, Any], digest: str) -> None:
    """Raises IndexRefused unless an index was made with a model."""
    model = facts.get("model") or {"name": "unknown", "version": 0, "digest": "unknown"}
    if model["digest"] != digest:
        raise IndexRefused(
            f"{place}: was made with {model['name']}/{model['version']}@{model['digest'][:12]}, not with the model "
            f"@{digest[:12]} that asks. Vectors of two models cannot be compared: make one with `fashion index`."
        )


def file_digests(folder: Path) -> dict[str, str]:
    """The digests by which a reader knows that an index is whole: file name to hex digits."""
    return {name: _digest(folder / name) for name in (VECTORS, PRODUCTS)}


def _digest(file: Path) -> str:
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return ""


def check(folder: Path, digest: str) -> None:
    """Opens an index as a server does, and asks it: a product is what is most like itself.

    Raises:
        IndexRefused: it cannot be opened, or does not find a product.
    """
    index = Index(folder, digest)
    for row in np.linspace(0, len(index) - 1, 32, dtype=int):
        scores, _ = index.nearest(index.vectors([row])[0], 1)
        if not len(scores) or scores[0] < SELF:
            identity = index.table[ID][int(row)]
            raise IndexRefused(f"{folder}: does not find product {identity} by its own vector. Make the index again.")


if __name__ == "__main__":
    try:
        check(Path(sys.argv[1]), sys.argv[2])
    except IndexRefused as refused:
        sys.exit(str(refused))
