"""The last Beam steps of ingest: all products are divided at once, then written to the files of their splits.

They come in the order of their keys, which is that of no table: each file is a fair mix, and the same catalogue in
another order gives the same bytes.
"""

import json
import posixpath
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tfx.dsl.io import fileio

from components.ingest.chunks import Ingest, Judged
from components.ingest.corrections import CORRECTIONS_FILE
from components.ingest.faults import TOTAL_ROWS, VARIANT_ROWS
from components.ingest.members import MEMBERS_FILE, Members
from components.ingest.outsiders import divide_outsiders
from components.ingest.split import divide
from components.ingest.tally import counted, merged
from components.settings import OUTSIDE_SPLITS, SPLITS

QUARANTINE_FILE = "quarantine.csv"
UNMAPPED_FILE = "unmapped.csv"
SUMMARY_FILE = "summary.json"

# Of one file; a step holds one in memory.
PRODUCTS_PER_SHARD = 2048
_BYTES_PER_SHARD = 64 << 20


@dataclass(frozen=True)
class Shard:
    """A file of a split: which of how many, and the products in it with the places of their examples."""

    split: str
    number: int
    total: int
    products: NDArray[np.void]


class Divide(beam.DoFn):
    """Divides the products of all chunks, writes the lists of rows left out, the members of the splits and the counts.

    Yields the files to be written.
    """

    def __init__(self, job: Ingest) -> None:
        self._job = job

    def process(self, gathered: tuple[int, Iterable[Judged]]) -> Iterator[Shard]:
        tallies, parts = zip(*gathered[1], strict=True)
        products = np.concatenate(parts)
        products = products[np.argsort(products["key"], kind="stable")]
        outsiders, products = products[products["kind"] > 0], products[products["kind"] == 0]
        division, tally = divide(products, self._job.settings.split), merged(tallies)
        classes = self._job.taxonomy.classes
        pairs, counts = np.unique(np.stack([products["label"], division.splits]), axis=1, return_counts=True)
        divided = {(classes[label], SPLITS[split]): int(n) for label, split, n in zip(*pairs, counts, strict=True)}
        summary = tally.summary(classes, SPLITS, Counter(divided))
        passed = {name: self._job.passed.get(name, 0) for name in (VARIANT_ROWS, TOTAL_ROWS)}
        summary |= {"shared": division.shared, "alike": division.alike, **passed}
        summary["corrections"] = self._job.corrections.counts()
        if drawn := self._job.drawn:
            unseen, rules = drawn.unseen_numbers, self._job.settings.split
            splits = divide_outsiders(outsiders, products, division.splits, unseen, rules)
            reasons = counted(fault.reason for fault in tally.unreadable)
            summary["outside"] = drawn.summary(outsiders["kind"], splits, reasons)
        members = Members(products["key"], division.splits, products["signature"], division.seen)
        for name, content in (
            (QUARANTINE_FILE, tally.quarantine_csv().encode()),
            (UNMAPPED_FILE, tally.unmapped_csv().encode()),
            (CORRECTIONS_FILE, self._job.corrections.as_csv().encode()),
            (MEMBERS_FILE, members.as_parquet()),
            (SUMMARY_FILE, (json.dumps(summary, indent=2, ensure_ascii=False) + "\n").encode()),
        ):
            with fileio.open(posixpath.join(self._job.quarantine, name), "wb") as file:
                file.write(content)
        yield from _shards(products, division.splits, SPLITS)
        if drawn:
            yield from _shards(outsiders, splits, OUTSIDE_SPLITS)


def _shards(products: NDArray[np.void], splits: NDArray[np.uint8], names: Sequence[str]) -> Iterator[Shard]:
    for index, split in enumerate(names):
        chosen = products[["chunk", "start", "length"]][splits == index]
        size = int(chosen["length"].sum())
        total = max(1, -(-len(chosen) // PRODUCTS_PER_SHARD), -(-size // _BYTES_PER_SHARD))
        for number, part in enumerate(np.array_split(chosen, total)):
            yield Shard(split, number, total, np.array(part.tolist(), chosen.dtype))


class WriteShard(beam.DoFn):
    """Writes a file of examples, which appears under its name when it is complete; tried again, with the same bytes."""

    def __init__(self, job: Ingest) -> None:
        self._job = job

    def process(self, shard: Shard) -> None:
        name = f"data_tfrecord-{shard.number:05d}-of-{shard.total:05d}.gz"
        # Readers take every file in a split's folder, so unfinished ones lie elsewhere.
        unfinished = posixpath.join(self._job.scratch, uuid.uuid4().hex)
        with tf.io.TFRecordWriter(unfinished, tf.io.TFRecordOptions(compression_type="GZIP")) as file:
            for example in self._examples(shard.products):
                file.write(example)
        fileio.rename(unfinished, posixpath.join(self._job.split_folders[shard.split], name), overwrite=True)

    def _examples(self, places: NDArray[np.void]) -> list[bytes]:
        examples = [b""] * len(places)
        for chunk in np.unique(places["chunk"]):
            with fileio.open(self._job.scratch_file(int(chunk)), "rb") as file:
                inside = np.flatnonzero(places["chunk"] == chunk)
                for index in inside[np.argsort(places["start"][inside])]:
                    file.seek(int(places["start"][index]))
                    examples[index] = file.read(int(places["length"][index]))
        return examples
