"""Who was trained and tested on: kept beside the examples and in each published model, so that leaks are counted."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.ingest.duplicates import SIGNATURE, same_picture
from components.ingest.split import key_of
from components.settings import SPLITS

MEMBERS_FILE = "members.parquet"

_TRAIN, _TEST = SPLITS.index("train"), SPLITS.index("test")


@dataclass(frozen=True)
class Members:
    """The n products of a catalogue that became examples."""

    keys: NDArray[np.uint64]  # uint64 [n], see `components.ingest.split.key_of`
    splits: NDArray[np.uint8]  # uint8 [n], indices into `SPLITS`
    signatures: NDArray[np.uint8]  # uint8 [n, SIGNATURE], what their pictures show
    seen: NDArray[np.bool_]  # bool [n], whether the train split has a picture like theirs

    def select(self, products: Sequence[str]) -> "Members":
        """Returns the records of these products, in their order.

        Raises:
            KeyError: one of them is not among the members.
        """
        rows = {key: row for row, key in enumerate(self.keys.tolist())}
        order = np.array([rows[key_of(product)] for product in products], np.intp)
        return Members(self.keys[order], self.splits[order], self.signatures[order], self.seen[order])

    def as_parquet(self) -> bytes:
        """The content of a `members.parquet`."""
        signatures = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(SIGNATURE), len(self.keys), [None, pa.py_buffer(np.ascontiguousarray(self.signatures))]
        )
        table = pa.table({"key": self.keys, "split": self.splits, "signature": signatures, "seen": self.seen})
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd")
        return content.getvalue()


def open_members(file: str) -> Members:
    """Reads a `members.parquet`, wherever TFX's files are."""
    from tfx.dsl.io import fileio

    with fileio.open(file, "rb") as content:
        return read_members(content.read())


def read_members(content: bytes) -> Members:
    """Reads what `Members.as_parquet` made."""
    table = pq.read_table(io.BytesIO(content), columns=["key", "split", "signature", "seen"])
    keys, splits, seen = (table[name].to_numpy() for name in ("key", "split", "seen"))
    signatures = np.frombuffer(b"".join(table["signature"].to_pylist()), np.uint8).reshape(-1, SIGNATURE)
    return Members(keys, splits, signatures, seen)


def tested_and_trained_on(tested: Members, trained: Members) -> tuple[int, int]:
    """Counts the products of one test split that another model has been trained on, or on a picture like theirs.

    Where a split by year or by a given part shows training what it tests on, that is not the other model's fault:
    such products are counted by their key alone.

    Returns:
        How many of how many.
    """
    test, train = tested.splits == _TEST, trained.splits == _TRAIN
    seen = np.isin(tested.keys[test], trained.keys[train])
    pictures = same_picture(np.concatenate([tested.signatures[test], trained.signatures[train]]))
    seen |= np.isin(pictures[: len(seen)], pictures[len(seen) :]) & ~tested.seen[test]
    return int(seen.sum()), len(seen)
