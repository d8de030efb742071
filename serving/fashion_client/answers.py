"""What a model answers, and how its raw outputs are held against the contract before anybody sees them."""

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fashion_client.errors import ProtocolError


@dataclass(frozen=True)
class Prediction:
    """What one picture shows.

    Attributes:
        source: the path or name the picture came with, "" if it had none.
        label: the most probable class, "" beside an error.
        confidence: its probability, 0..1.
        top: the most probable classes, at most five, with their probabilities, best first.
        error: why there is no answer, None if there is one.
        decision: `accept`, `unsure` or `outside`, which is of none of the classes; "" beside an error, and of a model
            that does not decide, as those of earlier releases.
        outside: how foreign the picture is, higher for more; None of such a model.
        label_set: the classes that the model cannot rule out, the most probable first; empty of such a model.
    """

    source: str
    label: str = ""
    confidence: float = 0.0
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    decision: str = ""
    outside: float | None = None
    label_set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Embedding:
    """Where one picture lies among others.

    Attributes:
        source: the path or name the picture came with, "" if it had none.
        vector: float32 [d] of length 1, empty beside an error; `numpy.asarray` takes it as it is.
        error: why there is no answer, None if there is one.
    """

    source: str
    vector: "array[float]" = field(default_factory=lambda: array("f"))
    error: str | None = None


@dataclass(frozen=True)
class VersionStatus:
    """One version of the model on the server.

    Attributes:
        version: its number.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        error: why it could not be loaded, "" if it could.
    """

    version: int
    state: str
    error: str = ""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: `dtype` as in "string" or "float"; a `shape` of sizes, -1 where free, None if unknown."""

    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """What one signature takes and gives, by name."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


@dataclass(frozen=True)
class Metadata:
    """The model that answers: its name, version and signatures."""

    model: str
    version: int
    signatures: Mapping[str, Signature]


Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Question(Generic[Answer]):
    """What can be asked about pictures.

    Attributes:
        signature: of the model; it takes `image_bytes`.
        outputs: those of its outputs that are wanted.
        further: those that not every model has.
        answer: makes the answer to one picture from its source and its row of each output.
        failed: makes it from the source and an error.
    """

    signature: str
    outputs: Mapping[str, Callable[[Any], bool]]
    answer: Callable[..., Answer]
    failed: Callable[[str, str], Answer]
    further: Mapping[str, Callable[[Any], bool]] = field(default_factory=dict)

    def answers(self, where: str, sources: Sequence[str], outputs: Mapping[str, Any]) -> list[Answer]:
        """Turns a model's raw outputs into one answer for each picture asked about.

        Args:
            where: who answered, for errors.
            sources: of the n pictures.
            outputs: output name to n rows, each a str, a number or a sequence of either.

        Raises:
            ProtocolError: an output is missing, or is not of the type and shape that was promised.
        """
        wanted = {**self.outputs, **(self.further if self.further.keys() <= outputs.keys() else {})}
        columns = [self._column(where, name, outputs, len(sources), fits) for name, fits in wanted.items()]
        errors = self._column(where, "error", outputs, len(sources), _is_text)
        return [
            self.failed(source, error) if error else self.answer(source, *row)
            for source, error, *row in zip(sources, errors, *columns, strict=True)
        ]

    def _column(
        self,
        where: str,
        name: str,
        outputs: Mapping[str, Any],
        count: int,
        fits: Callable[[Any], bool],
    ) -> Sequence[Any]:
        column = outputs.get(name)
        if not isinstance(column, Sequence) or isinstance(column, str):
            raise ProtocolError(where, f"'{self.signature}' gave no '{name}'")
        if len(column) != count:
            raise ProtocolError(where, f"'{name}' has {len(column)} rows for {count} pictures")
        if not all(map(fits, column)):
            raise ProtocolError(where, f"'{name}' is not of the type and shape that was promised")
        return column


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _are_texts(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(_is_text, value))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, array) or (isinstance(value, list) and all(map(_is_number, value)))


_NO_NUMBER = "the model's answer is not a number"


def _prediction(
    source: str, label: str, confidence: float, labels: Sequence[str], scores: Sequence[float],
    outside: float | None = None, decision: str = "", label_set: str = "",
) -> Prediction:  # fmt: skip
    if not all(map(math.isfinite, (confidence, outside or 0.0))):
        return Prediction(source, error=_NO_NUMBER)
    top = tuple(zip(labels, map(float, scores), strict=False))
    members = tuple(label_set.split("\n")) if label_set else ()
    return Prediction(source, label, float(confidence), top, None, decision, outside, members)


def _embedding(source: str, vector: Sequence[float]) -> Embedding:
    if not all(map(math.isfinite, vector)):
        return Embedding(source, error=_NO_NUMBER)
    return Embedding(source, array("f", vector))


PREDICT = Question(
    "serving_default",
    {"label": _is_text, "confidence": _is_number, "top_labels": _are_texts, "top_scores": _are_numbers},
    _prediction,
    lambda source, error: Prediction(source, error=error),
    {"outside": _is_number, "decision": _is_text, "label_set": _is_text},
)
EMBED = Question("embed", {"embedding": _are_numbers}, _embedding, lambda source, error: Embedding(source, error=error))
