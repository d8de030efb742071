"""From inputs to rows of answers, by whatever client asks the model."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from fashion_client import Embedding, Prediction
from fashion_client.pictures import Source

from components.answers.inputs import Input, Inputs, plain
from components.answers.rows import Row
from components.ingest.faults import Fault
from components.publish.store import model_digest

REFUSED = "refused by the model"

T = TypeVar("T")

_MOST_THREADS = 8
_READ_AHEAD = 64  # pictures; more would fill the memory

Answers = Callable[[Iterable[Source]], Iterator[Prediction] | Iterator[Embedding]]


def ask(inputs: Inputs, chosen: Iterable[Input], answers: Answers, model: str) -> Iterator[Row]:
    """Asks a model by `predict_each` or `embed_each` of a client, and reads further pictures meanwhile.

    Yields:
        For each chosen input, in their order, a row with the columns that name it, `model`, those of the answer,
        `reason` and `error`.

    Raises:
        ClientError: a question failed as a whole.
    """
    under_way = deque[tuple[Input, Fault | None]]()

    def sources(pool: Executor) -> Iterator[Source]:
        for each, content in read_ahead(pool, inputs.read, chosen):
            under_way.append((each, content if isinstance(content, Fault) else None))
            yield Source(str(each.name[-1]), partial(_bytes, content), inputs.slices_of(each.item))

    with readers() as pool:
        for answer in answers(sources(pool)):
            each, fault = under_way.popleft()
            reason, error = (None, None) if answer.error is None else (REFUSED, plain(answer.error))
            if fault is not None:
                reason, error = str(fault.reason), plain(fault.detail)
            names = dict(zip(inputs.columns, each.name, strict=True))
            yield {**names, "model": model, **_columns(answer), "reason": reason, "error": error}


def model_name(folder: Path) -> str:
    """The name of a SavedModel, which no other has: `six_class/1795228152@` and a digest of its files."""
    return f"{'/'.join(folder.resolve().parts[-2:])}@{model_digest(folder)[:12]}"


def _bytes(content: bytes | Fault) -> bytes:
    if isinstance(content, Fault):
        raise OSError(content.detail)
    return content


def _columns(answer: Prediction | Embedding) -> dict[str, Any]:
    if isinstance(answer, Embedding):
        return {"embedding": answer.vector}
    classes = [{"label": label, "confidence": round(score, 6)} for label, score in answer.top]
    outside = None if answer.outside is None else round(answer.outside, 6)
    return {
        "label": answer.label, "confidence": round(answer.confidence, 6), "decision": answer.decision,
        "outside": outside, "label_set": list(answer.label_set), "top": classes,
        **{f"{name}_{part}": value for name, tag in answer.tags.items() for part, value in asdict(tag).items()},
    }  # fmt: skip


def read_ahead(pool: Executor, read: Callable[[Any], T], chosen: Iterable[Input]) -> Iterator[tuple[Input, T]]:
    """Yields inputs with what is read of each, while further ones are being read."""
    source, under_way = iter(chosen), deque[tuple[Input, Future[T]]]()
    under_way.extend((each, pool.submit(read, each.item)) for each in islice(source, _READ_AHEAD))
    while under_way:
        each, content = under_way.popleft()
        yield each, content.result()
        under_way.extend((each, pool.submit(read, each.item)) for each in islice(source, 1))


def readers() -> ThreadPoolExecutor:
    """Returns the threads that pictures are read by."""
    return ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS))
