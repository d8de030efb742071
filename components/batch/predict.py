"""From rows of a catalogue to answers, with a SavedModel in this process."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import tensorflow as tf

from components.batch.answers import REFUSED, Answer, unanswered
from components.errors import AnswerError
from components.ingest.faults import Fault
from components.ingest.judge import read_checked
from components.ingest.settings import Picture
from components.ingest.source import Catalogue
from components.ingest.table import Row

ROWS_PER_RUN = 32  # of the network; more gain nothing on CPUs, and are held in memory

_READ_AHEAD = 2  # runs whose pictures are read while the network is busy
_OUTPUTS = ("label", "confidence", "top_labels", "top_scores", "error")
_KNOWN_TO_MODELS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")

In = TypeVar("In")
Out = TypeVar("Out")


class Predictor:
    """A published model, asked through its signature `serving_default` as clients of a server do."""

    def __init__(self, model_dir: Path) -> None:
        """Loads the model, which takes seconds.

        Raises:
            AnswerError: it cannot be loaded, or lacks the signature.
        """
        try:
            self._model = tf.saved_model.load(str(model_dir))
            self._ask = self._model.signatures["serving_default"]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise AnswerError(f"{model_dir}: cannot be used ({reason}). Give a version that was published.") from error

    def predict(self, rows: Sequence[Row], pictures: Sequence[bytes]) -> list[Answer]:
        """Answers about pictures.

        Args:
            rows: the row of each picture.
            pictures: encoded, JPEG or PNG.

        Returns:
            One answer each, in their order.
        """
        outputs = self._ask(image_bytes=tf.constant(list(pictures), tf.string, shape=[len(pictures)]))
        values = {name: outputs[name].numpy() for name in _OUTPUTS}
        return [_answer(row, *each) for row, *each in zip(rows, *values.values(), strict=True)]


def answers(
    rows: Sequence[Row | Fault], catalogue: Catalogue, settings: Picture, predictor: Predictor, pool: Executor
) -> Iterator[list[Answer]]:
    """Answers rows, `ROWS_PER_RUN` at a time and in their order; pictures are read while the network is busy.

    Pictures are checked as ingest does. The model then gets the bytes as they are, so that it answers as it would to
    any client; pictures in a format that training data may have and servers do not take are converted.

    Args:
        rows: of the table; faults are answered with their reason.
        catalogue: where their pictures are.
        settings: limits for pictures.
        predictor: the model.
        pool: threads to read with.
    """
    starts = range(0, len(rows), ROWS_PER_RUN)

    def read(start: int) -> list[tuple[Row, bytes] | Answer]:
        return [_picture(row, catalogue, settings) for row in rows[start : start + ROWS_PER_RUN]]

    for part in _ahead(pool, read, starts):
        fine = [each for each in part if not isinstance(each, Answer)]
        predicted = iter(predictor.predict(*zip(*fine, strict=True)) if fine else ())
        yield [each if isinstance(each, Answer) else next(predicted) for each in part]


def _picture(row: Row | Fault, catalogue: Catalogue, settings: Picture) -> tuple[Row, bytes] | Answer:
    if isinstance(row, Fault):
        return unanswered(row)
    found = read_checked(row, catalogue, settings)
    if isinstance(found, Fault):
        return unanswered(found)
    data, checked = found
    return row, data if data.startswith(_KNOWN_TO_MODELS) else checked.data


def _answer(row: Row, label: bytes, confidence: Any, names: Any, scores: Any, error: bytes) -> Answer:
    if error:
        said = f"{row.place}, id {row.id}: {error.decode('utf-8', 'replace')}."
        return Answer(row.number, row.id, reason=REFUSED, error=said)
    top = tuple(name.decode() for name in names)
    return Answer(row.number, row.id, label.decode(), _shortest(confidence), top, tuple(map(_shortest, scores)))


def _shortest(value: Any) -> float:
    """A float32 as the float of fewest digits that is the same float32: 0.98, not 0.9800000190734863."""
    return float(str(value))


def _ahead(pool: Executor, function: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """Maps in threads, in order, and no further ahead than `_READ_AHEAD`: what is mapped to fills the memory."""
    source, under_way = iter(items), deque[Future[Out]]()
    under_way.extend(pool.submit(function, item) for item in islice(source, _READ_AHEAD))
    while under_way:
        done = under_way.popleft().result()
        under_way.extend(pool.submit(function, item) for item in islice(source, 1))
        yield done
