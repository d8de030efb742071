"""The Beam steps of batch inference: shards of inputs, from their list to files of answers.

Beam's RunInference carries the model. It loads it once for all threads of a worker, on any runner, and counts and times
what it does. TFX's BulkInferrer runs the same transform below, but reads Examples, so that every picture would first be
copied into TFRecords; it writes PredictionLogs, with the pictures in them again; and it gives a batch up for one row.

An element is a shard of inputs, not a picture: pictures never travel between steps, which local runners hold in memory,
and each shard is written when it is done, so a job that was killed goes on where it was.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from fashion_client import Batches, Client

from components.answers.ask import ask
from components.answers.inputs import Input, Inputs
from components.answers.rows import Format, Row
from components.progress import report
from serving.disk import replacing

PER_SHARD = 1024

_PER_RUN = 32  # of the network; more gain nothing on CPUs, and are held in memory

Shard = tuple[int, list[Input]]
Answered = tuple[int, list[Row]]


@dataclass(frozen=True)
class Batch:
    """What every step knows: how many inputs there are, whom to ask, and the folder, seen by all workers.

    `log` holds the arguments of an `AnswerLog`, in a folder that all workers see; None logs nothing.
    """

    inputs: Inputs
    count: int
    model_dir: Path
    model: str
    format: Format
    folder: Path
    log: Mapping[str, Any] | None = None

    @property
    def files(self) -> list[Path]:
        """The file of each shard. It appears whole."""
        shards = -(-self.count // PER_SHARD)
        return [self.folder / f"predictions-{n:05d}-of-{shards:05d}.{self.format.form}" for n in range(shards)]

    @property
    def answered(self) -> int:
        """Inputs of the shards written so far."""
        there = (number for number, file in enumerate(self.files) if file.exists())
        return sum(min(PER_SHARD, self.count - number * PER_SHARD) for number in there)

    def shards(self) -> Iterator[Shard]:
        """Divides the inputs into numbered shards, and leaves out those that were answered before."""
        inputs = iter(self.inputs)
        for number, file in enumerate(self.files):
            shard = list(islice(inputs, PER_SHARD))
            if not file.exists():
                yield number, shard

    def write(self, answered: Answered) -> None:
        """Writes a shard; one that is tried again is written as before, so retries and backup workers do no harm."""
        number, rows = answered
        with replacing(self.files[number]) as file:
            self.format.write(file, rows)


def infer(pipeline: beam.Pipeline, batch: Batch) -> None:
    """Adds the steps that write the shards which are not there yet to a Beam pipeline."""
    (
        pipeline
        | "Start" >> beam.Create([batch.count])
        | "List" >> beam.FlatMap(lambda _: batch.shards())
        # Without it runners fuse listing and asking, and one worker gets all the shards.
        | "Spread" >> beam.Reshuffle()
        | "Ask" >> RunInference(SavedModelHandler(batch))
        | "Write" >> beam.Map(batch.write)
    )


class SavedModelHandler(ModelHandler[Shard, Answered, Client]):
    """Answers shards with a published SavedModel; Beam's own handler for TensorFlow takes arrays, not pictures."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self._batch, self._done = batch, batch.answered

    def load_model(self) -> Client:
        from serving.local_model import LocalModel

        model = LocalModel(self._batch.model_dir, Batches(rows=_PER_RUN, parallel=1))
        if self._batch.log is not None:
            from fashion_client.answer_log import AnswerLog

            model.log = AnswerLog(**self._batch.log)
        return model

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"max_batch_size": 1}  # a shard is a batch

    def run_inference(
        self, batch: Sequence[Shard], model: Client, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Answered]:
        for number, inputs in batch:
            rows = []
            for row in ask(self._batch.inputs, inputs, model.predict_each, self._batch.model):
                rows.append(row)
                self._done += 1
                report("rows", self._done, self._batch.count)
            if model.log is not None:
                model.log.flush()  # a worker is not told when it ends
            yield number, rows
