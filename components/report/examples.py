"""The examples of a run as a table: every column but the pictures, which stay on disk until one is shown."""

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components import features
from components.settings import SPLITS
from components.transform.taxonomy import NO_LABEL, Taxonomy

if TYPE_CHECKING:
    import tensorflow as tf

# Decoding all pictures of a large catalogue would take longer than the rest of the report.
_MOST_DECODED = 4000
# Of a table, each with its type.
_COLUMNS: dict[str, Any] = {
    "splits": str, "ids": str, "labels": np.int64, "hashes": str, "widths": np.int64, "heights": np.int64,
    "sizes": np.int64,
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Examples of all splits, n of them, in the order in which they lie on disk."""

    splits: NDArray[np.str_]  # str [n]
    ids: NDArray[np.str_]  # str [n]
    labels: NDArray[np.int64]  # int64 [n], index of the class; -1 for none
    hashes: NDArray[np.str_]  # str [n], digest of the picture as it lay in the catalogue
    widths: NDArray[np.int64]  # int64 [n], pixels of that picture; likewise heights
    heights: NDArray[np.int64]
    sizes: NDArray[np.int64]  # int64 [n], bytes of the picture as it is kept
    brightness: NDArray[np.float64]  # float64 [m], mean grey level 0 … 255 of every so many pictures
    texts: dict[str, NDArray[np.object_]]  # column to object [n], str, "" for a missing value; years are texts too

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, split: str) -> NDArray[np.intp]:
        """Row numbers of a split, in order."""
        return np.flatnonzero(self.splits == split)

    def take(self, rows: NDArray[np.intp]) -> "Table":
        """Some of the examples; brightness, which is not of all of them, stays as it is."""
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(self, **columns, texts={name: values[rows] for name, values in self.texts.items()})


def read_table(folder: Path, taxonomy: Taxonomy, count: int) -> Table:
    """Reads an Examples artifact of ingest's.

    Labels are those of the taxonomy, by the rules that Transform applies too. There are `count` examples, so that those
    looked at for brightness are spread over all.
    """
    step = -(-count // _MOST_DECODED) or 1
    rows: list[tuple[object, ...]] = []
    texts: dict[str, list[str]] = {name: [] for name in (*features.TEXT_COLUMNS, features.YEAR)}
    brightness: list[float] = []
    for split in SPLITS:
        for example in _examples(folder, split):
            picture = _bytes(example, features.IMAGE_BYTES)
            if len(rows) % step == 0:
                brightness.append(_mean_grey(picture))
            row = {name: _bytes(example, name).decode("utf-8", "replace") for name in features.TEXT_COLUMNS}
            label = taxonomy.index_of(taxonomy.class_of({name: text for name, text in row.items() if text}))
            row[features.YEAR] = _year(example)
            for name, text in row.items():
                texts[name].append(text)
            product, digest = (_bytes(example, name).decode() for name in (features.ID, features.PICTURE_HASH))
            width, height = (_whole(example, name) for name in (features.WIDTH, features.HEIGHT))
            rows.append((split, product, label, digest, width, height, len(picture)))
    columns = zip(*rows, strict=True) if rows else [()] * len(_COLUMNS)
    return Table(
        **{name: np.array(values, kind) for (name, kind), values in zip(_COLUMNS.items(), columns, strict=True)},
        brightness=np.array(brightness, np.float64),
        texts={name: np.array(values, object) for name, values in texts.items()},
    )


def pictures_of(folder: Path, ids: Collection[str], splits: Collection[str] = SPLITS) -> dict[str, bytes]:
    """The encoded pictures of some examples by id; those that are not in the splits are left out."""
    pictures: dict[str, bytes] = {}
    for split in splits:
        for example in _examples(folder, split) if len(pictures) < len(ids) else ():
            product = _bytes(example, features.ID).decode()
            if product in ids:
                pictures[product] = _bytes(example, features.IMAGE_BYTES)
    return pictures


def picture_batches(folder: Path, split: str, size: int) -> Iterator[tuple[list[str], list[bytes]]]:
    """Ids and encoded pictures of a split, `size` at a time."""
    ids: list[str] = []
    pictures: list[bytes] = []
    for example in _examples(folder, split):
        ids.append(_bytes(example, features.ID).decode())
        pictures.append(_bytes(example, features.IMAGE_BYTES))
        if len(ids) == size:
            yield ids, pictures
            ids, pictures = [], []
    if ids:
        yield ids, pictures


def uses_by_label(folder: Path, classes: int) -> NDArray[np.int64]:
    """How often training uses examples of each class in an epoch: int64 [classes], from Transform's train split."""
    uses = np.zeros(classes, np.int64)
    for example in _examples(folder, "train"):
        label = _whole(example, features.LABEL)
        if label != NO_LABEL:
            uses[label] += _whole(example, features.REPEAT)
    return uses


def _examples(folder: Path, split: str) -> Iterator["tf.train.Example"]:
    import tensorflow as tf

    from components.examples import read_examples

    return map(tf.train.Example.FromString, read_examples(folder / f"Split-{split}"))


def _bytes(example: "tf.train.Example", name: str) -> bytes:
    values = example.features.feature[name].bytes_list.value
    return values[0] if values else b""


def _whole(example: "tf.train.Example", name: str) -> int:
    return example.features.feature[name].int64_list.value[0]


def _year(example: "tf.train.Example") -> str:
    values = example.features.feature[features.YEAR].int64_list.value
    return str(values[0]) if values else ""


def _mean_grey(picture: bytes) -> float:
    with Image.open(io.BytesIO(picture)) as opened:
        return float(np.asarray(opened.convert("L")).mean())
