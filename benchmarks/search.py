"""How long is one search among many products, and what does the search add to the library below it?

    python -m benchmarks.search
    python -m benchmarks.search --rows 1000000

Vectors are drawn in clusters, as products are of kinds; each question is a vector near one of them, asked one at a
time. `search` is the whole of what a server does for a question about a vector: filter parsed and applied, twelve
products chosen, those that look the same folded, attributes read. faiss gets the rows of the filter as a ready bitmap,
numpy as a mask. With `--rows` from a million on, the index is an approximate one.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from benchmarks.measure import gigabytes, parser_of, peak_memory, reset_peak, scratch, show
from components.index.build import write_index
from components.index.content import Content
from components.index.settings import Index as Settings
from components.index.vectors import DETAIL, REASON
from serving.search.index import PICTURE, Index
from serving.search.query import Query, search

_WIDTH, _PER_KIND, _SPREAD = 256, 40, 0.6
_FILTERS = {"none": "", "10 %": "tenth = 'yes'", "1 %": "hundredth = 'yes'"}
_DIGEST = "0" * 64


def draw(rows: int, seed: int = 0) -> np.ndarray:
    """Draws vectors of products: float32 [rows, 256], each of length 1."""
    random = np.random.default_rng(seed)
    kinds = random.normal(size=(max(rows // _PER_KIND, 1), _WIDTH)).astype(np.float32)
    vectors = kinds[random.integers(len(kinds), size=rows)]
    for start in range(0, rows, 100_000):
        part = vectors[start : start + 100_000]
        part += _SPREAD * random.normal(size=part.shape).astype(np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def write(folder: Path, vectors: np.ndarray) -> None:
    """Writes them as an index, with columns that hold in one row of ten and of a hundred."""
    rows = np.arange(len(vectors))
    table = pa.table(
        {
            "id": rows.astype(str),
            PICTURE: rows.astype(str),
            "tenth": np.where(rows % 10 == 0, "yes", "no"),
            "hundredth": np.where(rows % 100 == 0, "yes", "no"),
        }
    )
    nobody = pa.table({name: pa.array([], pa.string()) for name in ("id", REASON, DETAIL)})
    about = {"model": {"name": "drawn", "version": 1, "digest": _DIGEST}, "data": {}, "figures": {}, "job": {}}
    write_index(folder, Content(table, vectors, [], len(rows), len(rows), nobody), Settings(colour=0.0), about)


def times(ask: Callable[[np.ndarray], object], questions: np.ndarray) -> tuple[float, float]:
    """The median and the 99th percentile of single questions, milliseconds."""
    for question in questions[:5]:
        ask(question)
    taken = []
    for question in questions:
        began = time.perf_counter()
        ask(question)
        taken.append((time.perf_counter() - began) * 1000)
    return float(np.median(taken)), float(np.percentile(taken, 99))


def by_faiss(index: Index, bits: np.ndarray) -> Callable[[np.ndarray], object]:
    """Asks the library itself."""
    inner = index._vectors
    approximate = isinstance(inner, faiss.IndexIVF)
    parameters: Any = faiss.SearchParametersIVF() if approximate else faiss.SearchParameters()
    if approximate:
        parameters.nprobe = index.facts["probes"]
    selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
    parameters.sel = selector

    def ask(question: np.ndarray, _kept: object = (bits, selector)) -> object:
        return inner.search(question[np.newaxis], 12, params=parameters)

    return ask


def by_numpy(vectors: np.ndarray, mask: np.ndarray) -> Callable[[np.ndarray], object]:
    """Asks by one product of matrices."""

    def ask(question: np.ndarray) -> object:
        scores = np.where(mask, vectors @ question, -np.inf)
        best = np.argpartition(-scores, 12)[:12]
        return best[np.argsort(-scores[best])]

    return ask


def _searched(index: Index, query: Query, question: np.ndarray) -> object:
    return search(index, query, question[np.newaxis])


def main() -> None:
    """Draws, builds, asks and prints."""
    parser = parser_of(__doc__, 1)
    parser.add_argument("--rows", type=int, default=44_000)
    options = parser.parse_args()
    count = 20 if options.quick else 300
    vectors = draw(2_000 if options.quick else options.rows)
    random = np.random.default_rng(1)
    near = vectors[random.integers(len(vectors), size=count)] + 0.05 * random.normal(size=(count, _WIDTH))
    questions = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    with scratch() as folder:
        reset_peak()
        began = time.monotonic()
        write(folder / "index", vectors)
        built, peak = time.monotonic() - began, peak_memory()
        index = Index(folder / "index", _DIGEST)
        rows = []
        for name, where in _FILTERS.items():
            step = {"none": 1, "10 %": 10, "1 %": 100}[name]
            mask = np.arange(len(vectors)) % step == 0
            cases: dict[str, Callable[[np.ndarray], object]] = {
                "search": partial(_searched, index, Query(where=where)),
                "faiss alone": by_faiss(index, np.packbits(mask, bitorder="little")),
                "numpy": by_numpy(vectors, mask),
            }
            for case, ask in cases.items():
                median, slow = times(ask, questions)
                rows.append([name, case, f"{median:.2f} ms", f"{slow:.2f} ms"])
    kind = (
        f"{index.facts['probes']} cells looked into, recall {index.facts['recall']:.3f}"
        if index.facts["probes"]
        else "exact"
    )
    show(
        f"One search among {len(vectors):,} products",
        ["filter", "by", "p50", "p99"],
        rows,
        f"{kind}; built in {built:.0f} s, {gigabytes(peak)} of memory at most",
    )


if __name__ == "__main__":
    main()
