"""The Beam steps of batch inference: shards of inputs, from their list to files of answers.

Beam's RunInference carries the model. It loads it once for all threads of a worker, on any runner, and counts and times
what it does. TFX's BulkInferrer runs the same transform below, but reads Examples, so that every picture would first be
copied into TFRecords; it writes PredictionLogs, with the pictures in them again; and it gives a batch up for one row.

An element is a shard of inputs, not a picture: pictures never travel between steps, which local runners hold in memory,
and each shard is written when it is done, so a job that was killed goes on where it was.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from fashion_client import Batches, Client, Thresholds

from components.answers.ask import ask
from components.answers.inputs import Input, Inputs
from components.answers.rows import Format, Row
from components.progress import report
from serving.disk import replacing

PER_SHARD = 1024

PER_RUN = 32  # of the network; more gain nothing on CPUs, and are held in memory

Shard = tuple[int, list[Input]]
Answered = tuple[int, list[Row]]


@dataclass(frozen=True)
class Shards(ABC):
    """What every step knows: the inputs and how many there are, and the folder of shards, seen by all workers."""

    inputs: Inputs
    count: int
    folder: Path

    @property
    @abstractmethod
    def name(self) -> tuple[str, str]:
        """How files of shards begin and end."""

    @abstractmethod
    def load(self) -> Any:
        """Loads what answers, once for all threads of a worker."""

    @abstractmethod
    def answer(self, inputs: Iterable[Input], model: Any) -> Iterator[Row]:
        """Yields a row for each input, in their order."""

    @abstractmethod
    def store(self, file: BinaryIO, rows: Sequence[Row]) -> None:
        """Writes a shard."""

    @property
    def files(self) -> list[Path]:
        """The file of each shard. It appears whole."""
        shards, (begin, end) = -(-self.count // PER_SHARD), self.name
        return [self.folder / f"{begin}-{number:05d}-of-{shards:05d}.{end}" for number in range(shards)]

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
            self.store(file, rows)


@dataclass(frozen=True)
class Batch(Shards):
    """Answers of a model, as `format` writes them.

    `thresholds` decide in place of the model's own. `log` holds the arguments of an `AnswerLog`, in a folder that all
    workers see; None logs nothing.
    """

    model_dir: Path
    model: str
    format: Format
    thresholds: Thresholds | None = None
    log: Mapping[str, Any] | None = None

    @property
    def name(self) -> tuple[str, str]:
        return "predictions", self.format.form

    def load(self) -> Client:
        client = load_client(self.model_dir, examples=self.inputs.named)
        if self.log is not None:
            from fashion_client.answer_log import AnswerLog

            client.log = AnswerLog(**self.log)
        return client

    def answer(self, inputs: Iterable[Input], model: Client) -> Iterator[Row]:
        yield from ask(self.inputs, inputs, partial(model.predict_each, thresholds=self.thresholds), self.model)
        if model.log is not None:
            model.log.flush()  # a worker is not told when it ends

    def store(self, file: BinaryIO, rows: Sequence[Row]) -> None:
        self.format.write(file, rows)


def load_client(model_dir: Path, examples: bool = False) -> Client:
    """Loads a SavedModel, to be asked by one thread; see `LocalModel`."""
    from serving.local_model import LocalModel

    return LocalModel(model_dir, Batches(rows=PER_RUN, parallel=1), examples)


def infer(pipeline: beam.Pipeline, shards: Shards) -> None:
    """Adds the steps that write the shards which are not there yet to a Beam pipeline."""
    (
        pipeline
        | "Start" >> beam.Create([shards.count])
        | "List" >> beam.FlatMap(lambda _: shards.shards())
        # Without it runners fuse listing and asking, and one worker gets all the shards.
        | "Spread" >> beam.Reshuffle()
        | "Ask" >> RunInference(ShardHandler(shards))
        | "Write" >> beam.Map(shards.write)
    )


class ShardHandler(ModelHandler[Shard, Answered, Any]):
    """Answers shards with a published SavedModel; Beam's own handler for TensorFlow takes arrays, not pictures."""

    def __init__(self, shards: Shards) -> None:
        super().__init__()
        self._shards, self._done = shards, shards.answered

    def load_model(self) -> Any:
        return self._shards.load()

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"max_batch_size": 1}  # a shard is a batch

    def run_inference(
        self, batch: Sequence[Shard], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Answered]:
        for number, inputs in batch:
            rows = []
            for row in self._shards.answer(inputs, model):
                rows.append(row)
                self._done += 1
                report("rows", self._done, self._shards.count)
            yield number, rows
