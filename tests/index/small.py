"""Indexes small enough to be made for every test, without a model: vectors are given."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from components.index.build import write_index
from components.index.content import Content
from components.index.settings import Index as Settings
from components.index.vectors import DETAIL, REASON
from serving.search.index import PICTURE

DIGEST = "d1" * 32
NOBODY = pa.table({name: pa.array([], pa.string()) for name in ("id", REASON, DETAIL)})


def make(
    folder: Path, vectors: np.ndarray, settings: Settings | None = None, digest: str = DIGEST, data=None, **columns
) -> Path:
    """Writes an index of products `p0`, `p1`, … with these attributes."""
    vectors = np.asarray(vectors, np.float32)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"p{number}" for number in range(len(vectors))]
    columns = {"id": ids, **columns}
    table = pa.table({PICTURE: [f"{number:064d}" for number in range(len(ids))], **columns})
    content = Content(table, vectors, [], len(ids), len(ids), NOBODY)
    about = {
        "model": {"name": "six", "version": 1, "digest": digest},
        "data": data,
        "figures": {},
        "job": {"settings": {}},
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_index(folder, content, settings or Settings(colour=0.0), about)
    return folder


def fan(count: int, step: float = 0.1) -> np.ndarray:
    """Vectors in a plane, each a little further from the first: float32 [count, 2]."""
    angles = np.arange(count) * step
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
