"""The Beam steps of batch inference: shards of rows, from the table to files of answers.

Beam's RunInference carries the model. It loads it once for all threads of a worker, on any runner, and counts and times
what it does. TFX's BulkInferrer runs the same transform below, but reads Examples, so that every picture would first be
copied into TFRecords; it writes PredictionLogs, with the pictures in them again; and it gives a batch up for one row.

An element is a shard of rows, not a picture: pictures never travel between steps, which local runners hold in memory,
and each shard is written when it is done, so a job that was killed goes on where it was.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count as numbers
from itertools import islice
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from components.batch.answers import WRITERS, Answer, count
from components.batch.predict import Predictor, answers
from components.ingest.faults import Fault
from components.ingest.settings import Picture
from components.ingest.source import Catalogue
from components.ingest.table import Row, read_rows
from components.progress import report
from serving.disk import replacing

ROWS_PER_SHARD = 1024

_MOST_THREADS = 8

Shard = tuple[int, list[Row | Fault]]
Answered = tuple[int, list[Answer]]


@dataclass(frozen=True)
class Batch:
    """What every step knows.

    Attributes:
        catalogue: what is asked about.
        model_dir: whom to ask.
        picture: limits for pictures.
        form: of the files: csv, jsonl or parquet.
        folder: where the files go, seen by all workers.
        rows: how many the table has.
    """

    catalogue: Catalogue
    model_dir: Path
    picture: Picture
    form: str
    folder: Path
    rows: int

    @property
    def shards(self) -> int:
        return -(-self.rows // ROWS_PER_SHARD)

    def file(self, number: int) -> Path:
        """The file of one shard. It appears whole."""
        return self.folder / f"predictions-{number:05d}-of-{self.shards:05d}.{self.form}"

    def counts(self) -> dict[str, Counter[str]]:
        """How many rows of the shards written so far have each label, and each reason for having none."""
        total: dict[str, Counter[str]] = {"labels": Counter(), "reasons": Counter()}
        for number in range(self.shards):
            if self.file(number).exists():
                for kind, counted in json.loads(self.counts_file(number).read_text()).items():
                    total[kind].update(counted)
        return total

    @property
    def answered(self) -> int:
        """Rows of the shards written so far."""
        return sum(counted.total() for counted in self.counts().values())

    def counts_file(self, number: int) -> Path:
        return self.folder / f".counts-{number:05d}.json"


def infer(pipeline: beam.Pipeline, batch: Batch) -> None:
    """Adds the steps that write the shards which are not there yet to a Beam pipeline."""
    (
        pipeline
        | "Start" >> beam.Create([batch.rows])
        | "ReadRows" >> beam.ParDo(ReadRows(batch))
        # Without it runners fuse reading and asking, and one worker gets all the shards.
        | "Spread" >> beam.Reshuffle()
        | "Ask" >> RunInference(SavedModelHandler(batch))
        | "Write" >> beam.ParDo(WriteShard(batch))
    )


class ReadRows(beam.DoFn):
    """Reads the table into numbered shards, and leaves out those that were answered before."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def process(self, _: int) -> Iterator[Shard]:
        rows = read_rows(self._batch.catalogue, ())
        for number in numbers():
            shard = list(islice(rows, ROWS_PER_SHARD))
            if not shard:
                return
            if not self._batch.file(number).exists():
                yield number, shard


class SavedModelHandler(ModelHandler[Shard, Answered, Predictor]):
    """Answers shards with a published SavedModel; Beam's own handler for TensorFlow takes arrays, not pictures."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self._batch = batch
        self._done = batch.answered

    def load_model(self) -> Predictor:
        return Predictor(self._batch.model_dir)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"max_batch_size": 1}  # a shard is a batch

    def run_inference(
        self, batch: Sequence[Shard], model: Predictor, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Answered]:
        with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
            for number, rows in batch:
                answered: list[Answer] = []
                for part in answers(rows, self._batch.catalogue, self._batch.picture, model, pool):
                    answered += part
                    self._done += len(part)
                    report("rows", self._done, self._batch.rows)
                yield number, answered


class WriteShard(beam.DoFn):
    """Writes the answers of a shard, and their counts beside them.

    A shard that is tried again writes the same to the same names, so retries and backup workers do no harm.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def process(self, answered: Answered) -> None:
        number, rows = answered
        with replacing(self._batch.counts_file(number)) as file:
            file.write(json.dumps(count(rows)).encode())
        with replacing(self._batch.file(number)) as file:
            WRITERS[self._batch.form](Path(file.name), rows)
