"""What is in an index: the products of a catalogue and those that stay, their vectors, and how these are searched."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import CatalogueError
from components.features import ID
from components.index.projection import fit
from components.index.settings import Index as Settings
from components.index.vectors import COLOUR, DETAIL, EARLIER, EMBEDDING, REASON, Vectors, numbers_of
from serving.search.colour import WIDTH, join
from serving.search.index import Index, transformed

_SAMPLE = 50_000  # vectors that a projection, and the cells of an approximate index, are fitted to
_ROOTS = 4  # cells of an approximate index: the root of the number of products, times this
_ROUNDS = 10  # of k-means; cells need not be the best ones
_QUERIES, _NEAREST = 200, 10  # that its recall is measured by

Floats = np.ndarray


@dataclass(frozen=True)
class Change:
    """How a catalogue changes an index: whether products that it lacks stay, and ids of those that go even then."""

    update: bool = False
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Content:
    """The products and their vectors, row by row."""

    table: pa.Table  # id, picture's digest and attributes
    vectors: Floats  # float32 [n, d], each of length 1
    transforms: Sequence[faiss.VectorTransform]  # what makes a vector of an embedding, one after another
    fitted: int  # products that it was fitted to
    embedded: int  # products that the model was asked about
    left_out: pa.Table  # id, reason and detail of products that could not be indexed

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(self.left_out[REASON].to_pylist()).most_common())


def gather(
    shards: Vectors, earlier: Index | None, settings: Settings, change: Change, unseen: Collection[str] = ()
) -> Content:
    """Puts the shards together, and the earlier index's products that stay behind them.

    Args:
        shards: of the catalogue, all written.
        earlier: the index whose projection and vectors serve on; None fits a new projection.
        settings: of the recipe.
        change: what stays and goes.
        unseen: ids of products that a projection is not fitted to, so that it can be judged by them.

    Raises:
        CatalogueError: no product is left.
    """
    transforms, fitted = (earlier.transforms, earlier.facts["fitted"]) if earlier else _fit(shards, settings, unseen)
    tables, vectors, failed, embedded = list[pa.Table](), list[Floats](), list[pa.Table](), 0
    for file in shards.files:
        shard = pq.read_table(file)
        failed.append(shard.filter(pc.is_valid(shard[REASON])).select([ID, REASON, DETAIL]))
        shard = shard.filter(pc.is_null(shard[REASON]))
        shard = shard.filter(pc.invert(_among(shard[ID], change.removed)))
        new = pc.is_valid(shard[EMBEDDING]).to_numpy()
        if new.any():
            made = transformed(transforms, _raw(shard.filter(pa.array(new)), settings))
            part = np.empty((len(shard), made.shape[1]), np.float32)
            part[new] = made
        elif earlier:
            part = np.empty((len(shard), earlier.vectors([0]).shape[1]), np.float32)
        else:
            continue
        if earlier and not new.all():
            part[~new] = earlier.vectors(shard.filter(pa.array(~new))[EARLIER].to_numpy())
        embedded += int(new.sum())
        vectors.append(part)
        tables.append(shard.drop_columns([EMBEDDING, COLOUR, EARLIER, REASON, DETAIL]))
    left_out = pa.concat_tables(failed)
    if earlier and change.update:
        known = {*(name for table in tables for name in table[ID].to_pylist()), *left_out[ID].to_pylist()}
        stay = pc.invert(_among(earlier.table[ID], known | change.removed)).to_numpy()
        tables.append(earlier.table.filter(pa.array(stay)))
        vectors.append(earlier.vectors(np.flatnonzero(stay)))
    if not any(map(len, tables)):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in Counter(left_out[REASON].to_pylist()).items())
        raise CatalogueError(f"{shards.inputs}: no product is left to be indexed ({reasons or 'all are removed'}).")
    table = with_numbers(pa.concat_tables(tables, promote_options="permissive"), settings.columns)
    return Content(table, np.concatenate(vectors), transforms, fitted, embedded, left_out)


def make_searchable(content: Content, settings: Settings) -> tuple[faiss.Index, int, float]:
    """Puts the vectors into an index, exact below `settings.approximate_from` products.

    Returns:
        The index; the cells of an approximate one that a question looks into, 0 of an exact one; and the share of the
        ten nearest that it finds, by 200 of the products.
    """
    vectors, width = content.vectors, content.vectors.shape[1]
    exact, probes, recall = faiss.IndexFlatIP(width), 0, 1.0
    inner: faiss.Index = exact
    exact.add(vectors)
    if len(vectors) >= settings.approximate_from:
        inner = _cells(vectors)
        probes, recall = _probes(inner, exact, vectors, settings.recall)
    if not content.transforms:
        return inner, probes, recall
    whole = faiss.IndexPreTransform(inner)
    for transform in reversed(content.transforms):
        whole.prepend_transform(transform)
    return whole, probes, recall


def _fit(shards: Vectors, settings: Settings, unseen: Collection[str]) -> tuple[list[faiss.VectorTransform], int]:
    """Fits the projection to all products but the unseen, or to some of many."""
    step, sample, count = max(shards.count // _SAMPLE, 1), list[Floats](), 0
    values: dict[str, list[str | None]] = {column: [] for column in settings.alike}
    for file in shards.files:
        shard = pq.read_table(file)
        shard = shard.filter(pc.and_(pc.is_valid(shard[EMBEDDING]), pc.invert(_among(shard[ID], unseen))))
        count += len(shard)
        if len(shard):
            shard = shard.take(np.arange(0, len(shard), step))
            sample.append(_raw(shard, settings))
            for column, gathered in values.items():
                there = column in shard.column_names
                gathered += shard[column].to_pylist() if there else [None] * len(shard)
    return (fit(np.concatenate(sample), values, settings.alike, settings.dimensions) if sample else []), count


def _raw(shard: pa.Table, settings: Settings) -> Floats:
    """Embeddings and colours side by side: float32 [n, f]."""
    embeddings = numbers_of(shard[EMBEDDING])
    if not settings.colour:
        return embeddings
    seen, histograms = pc.is_valid(shard[COLOUR]).to_numpy(), np.zeros((len(shard), WIDTH), np.float32)
    if seen.any():
        histograms[seen] = numbers_of(shard[COLOUR].filter(pa.array(seen)))
    return join(embeddings, histograms, settings.colour)


def _cells(vectors: Floats) -> faiss.IndexIVFFlat:
    width, cells = vectors.shape[1], max(_ROOTS * math.isqrt(len(vectors)), 1)
    inner = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
    inner.cp.spherical, inner.cp.min_points_per_centroid, inner.cp.niter = True, 1, _ROUNDS
    inner.train(vectors[:: max(len(vectors) // max(_SAMPLE, 40 * cells), 1)])
    inner.add(vectors)
    return inner


def _probes(inner: faiss.IndexIVFFlat, exact: faiss.IndexFlatIP, vectors: Floats, wanted: float) -> tuple[int, float]:
    """The fewest cells, by doubling, with which the wanted share of the nearest is found, and the share."""
    queries = vectors[:: max(len(vectors) // _QUERIES, 1)]
    truth = exact.search(queries, _NEAREST)[1]
    probes = 4
    while True:
        inner.nprobe = min(probes, inner.nlist)
        found = inner.search(queries, _NEAREST)[1]
        recall = sum(len(np.intersect1d(*pair)) for pair in zip(truth, found, strict=True)) / truth.size
        if recall >= wanted or probes >= inner.nlist:
            return inner.nprobe, float(recall)
        probes *= 2


def _among(column: pa.ChunkedArray, values: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(sorted(values), pa.string()))


def with_numbers(table: pa.Table, columns: Collection[str]) -> pa.Table:
    """Makes numbers of the columns that hold nothing else, such as prices; JSON has no `nan` and `inf`: nulls."""
    for place, name in enumerate(table.column_names):
        try:
            numbers = table[name].cast(pa.float64()) if name in columns else None
        except pa.ArrowInvalid:
            continue
        if numbers is not None:
            table = table.set_column(place, name, pc.if_else(pc.is_finite(numbers), numbers, None))
    return table
