"""The Beam steps of ingest: a few thousand rows at a time, from the table to files.

Beam hands over chunks of rows and tallies, never pictures: its local runner holds everything between two steps in
memory, and a full-resolution catalogue would not fit. So a step writes the pictures where it has judged them.
"""

import json
import os
import posixpath
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, islice

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.io import fileio

from components.ingest.example import serialized
from components.ingest.faults import Fault
from components.ingest.judge import IngestSettings, Product, judge
from components.ingest.source import Catalogue
from components.ingest.table import Row, read_rows
from components.ingest.tally import Tally, merged
from components.progress import report
from components.settings import SPLITS
from components.transform.taxonomy import Taxonomy

QUARANTINE_FILE = "quarantine.csv"
UNMAPPED_FILE = "unmapped.csv"
SUMMARY_FILE = "summary.json"

ROWS_PER_SHARD = 2048

# Small pictures take less time than handing them to a thread, so threads get several at once.
_ROWS_PER_TASK = 32
_MOST_THREADS = 8

Chunk = tuple[int, list[Row | Fault]]


@dataclass(frozen=True)
class Ingest:
    """What every step knows: where to read, how to judge, where to write, and how many rows there are."""

    catalogue: Catalogue
    taxonomy: Taxonomy
    settings: IngestSettings
    split_folders: Mapping[str, str]
    scratch: str
    quarantine: str
    rows: int

    @property
    def shards(self) -> int:
        """Files of each split: one for each chunk of rows."""
        return -(-self.rows // ROWS_PER_SHARD)


def ingest(pipeline: beam.Pipeline, job: Ingest) -> None:
    """Adds the steps that write the examples and the quarantine to a Beam pipeline."""
    (
        pipeline
        | "Start" >> beam.Create([job.rows])
        | "ReadRows" >> beam.ParDo(ReadRows(job))
        # Without it runners fuse reading and judging, and one worker gets all the chunks.
        | "Spread" >> beam.Reshuffle()
        | "JudgeAndWrite" >> beam.ParDo(JudgeAndWrite(job))
        | "Gather" >> beam.GroupBy(lambda _: 0)
        | "WriteQuarantine" >> beam.ParDo(WriteQuarantine(job))
    )


class ReadRows(beam.DoFn):
    """Reads the table into numbered chunks of rows."""

    def __init__(self, job: Ingest) -> None:
        self._job = job

    def process(self, _: int) -> Iterator[Chunk]:
        rows = read_rows(self._job.catalogue.read_table(), self._job.taxonomy.fields)
        for number in count():
            chunk = list(islice(rows, ROWS_PER_SHARD))
            if not chunk:
                return
            yield number, chunk


class JudgeAndWrite(beam.DoFn):
    """Decides about the rows of a chunk, writes one file of examples for each split, and yields the chunk's tally.

    A chunk that is tried again writes the same bytes to the same names, so retries and backup workers do no harm.
    """

    def __init__(self, job: Ingest) -> None:
        self._job = job
        self._done = 0

    def setup(self) -> None:
        # Decoding releases the interpreter lock.
        self._threads = ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS))

    def teardown(self) -> None:
        self._threads.shutdown()

    def process(self, chunk: Chunk) -> Iterator[Tally]:
        number, rows = chunk
        tasks = [rows[start : start + _ROWS_PER_TASK] for start in range(0, len(rows), _ROWS_PER_TASK)]
        tallies = []
        with _Shards(self._job, number) as shards:
            for tally, examples in self._threads.map(self._judged, tasks):
                for split, example in examples:
                    shards.write(split, example)
                tallies.append(tally)
                self._done += tally.rows
                report("pictures", self._done, self._job.rows)
        yield merged(tallies)

    def _judged(self, rows: list[Row | Fault]) -> tuple[Tally, list[tuple[str, bytes]]]:
        """The tally of some rows, and their examples, each with its split."""
        job, tally, examples = self._job, Tally(), []
        for row in rows:
            outcome = row if isinstance(row, Fault) else judge(row, job.catalogue, job.taxonomy, job.settings)
            tally.add(outcome)
            if isinstance(row, Row):
                tally.repaired.update(row.repaired)
            if isinstance(outcome, Product):
                if job.settings.split.by != "picture":
                    tally.add_picture(outcome)
                examples.append((outcome.split, serialized(outcome)))
        return tally, examples


class _Shards:
    """One file of each split, for the examples of one chunk; they appear under their names when all are complete."""

    def __init__(self, job: Ingest, number: int) -> None:
        name = f"data_tfrecord-{number:05d}-of-{job.shards:05d}.gz"
        self._names = {split: posixpath.join(folder, name) for split, folder in job.split_folders.items()}
        # Readers take every file in a split's folder, so unfinished ones lie elsewhere.
        unfinished = posixpath.join(job.scratch, uuid.uuid4().hex)
        self._unfinished = {split: f"{unfinished}-{split}" for split in self._names}
        self._writers = ExitStack()

    def __enter__(self) -> "_Shards":
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        self._open = {
            split: self._writers.enter_context(tf.io.TFRecordWriter(path, options))
            for split, path in self._unfinished.items()
        }
        return self

    def write(self, split: str, example: bytes) -> None:
        self._open[split].write(example)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writers.close()
        for split, path in self._unfinished.items():
            if kind is None:
                fileio.rename(path, self._names[split], overwrite=True)
            else:
                fileio.remove(path)


class WriteQuarantine(beam.DoFn):
    """Writes the lists of rows left out, and the counts, from the tallies of all chunks."""

    def __init__(self, job: Ingest) -> None:
        self._job = job

    def process(self, gathered: tuple[int, Iterable[Tally]]) -> None:
        tally = merged(gathered[1])
        summary = tally.summary(self._job.taxonomy.classes, SPLITS)
        for name, content in (
            (QUARANTINE_FILE, tally.quarantine_csv()),
            (UNMAPPED_FILE, tally.unmapped_csv()),
            (SUMMARY_FILE, json.dumps(summary, indent=2, ensure_ascii=False) + "\n"),
        ):
            with fileio.open(posixpath.join(self._job.quarantine, name), "w") as file:
                file.write(content)
