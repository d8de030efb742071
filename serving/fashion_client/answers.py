"""What a model answers, and how its raw outputs are held against the contract before anybody sees them."""

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from fashion_client.errors import ProtocolError


@dataclass(frozen=True)
class Tag:
    """What a picture shows in a further column: the most probable class, its probability 0..1, and a decision."""

    label: str
    confidence: float
    decision: str = ""


@dataclass(frozen=True)
class Prediction:
    """What one picture shows."""

    source: str  # the path or name the picture came with, "" if it had none
    label: str = ""  # the most probable class, "" beside an error
    confidence: float = 0.0  # its probability, 0..1
    # The most probable classes, at most five, with their probabilities, best first.
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None  # why there is no answer, None if there is one
    # `accept`, `unsure` or `outside`, which is of none of the classes; "" beside an error, and of a model that does not
    # decide, as those of earlier releases.
    decision: str = ""
    outside: float | None = None  # how foreign the picture is, higher for more; None of such a model
    # The classes that the model cannot rule out, the most probable first; empty of such a model.
    label_set: tuple[str, ...] = ()
    # Answers in further columns by their names, e.g. `tags["baseColour"].label`; empty of a model without.
    tags: Mapping[str, Tag] = field(default_factory=dict)
    # Where the picture speaks for the label, if it was asked for: what each place adds to the class's logit, float32
    # [h, w] over the whole picture; `numpy.asarray` takes it as it is.
    explanation: "Sequence[array[float]] | None" = None
    projection: tuple[float, ...] = ()  # 64 numbers of the embedding, where a log of answers keeps them


@dataclass(frozen=True)
class Embedding:
    """Where one picture lies among others."""

    source: str  # the path or name the picture came with, "" if it had none
    # float32 [d] of length 1, empty beside an error; `numpy.asarray` takes it as it is.
    vector: "array[float]" = field(default_factory=lambda: array("f"))
    error: str | None = None  # why there is no answer, None if there is one


@dataclass(frozen=True)
class Match:
    """A product that looks like what was asked about."""

    id: str  # of the product
    score: float  # its similarity, at most 1
    attributes: Mapping[str, Any]  # column of the catalogue to value, without missing ones
    same: tuple[str, ...] = ()  # ids of products that look the same


@dataclass(frozen=True)
class VersionStatus:
    """One version of the model on the server."""

    version: int  # its number
    state: str  # START, LOADING, AVAILABLE, UNLOADING or END
    error: str = ""  # why it could not be loaded, "" if it could


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
    """What can be asked about pictures."""

    signature: str  # of the model; it takes `image_bytes`
    outputs: Mapping[str, Callable[[Any], bool]]  # those of its outputs that are wanted
    answer: Callable[..., Answer]  # makes the answer to one picture from its source and its row of each output
    failed: Callable[[str, str], Answer]  # makes it from the source and an error
    further: Mapping[str, Callable[[Any], bool]] = field(default_factory=dict)  # those that not every model has
    tagged: bool = False  # whether a model may answer further columns
    plain: "Question[Answer] | None" = None  # is asked in its place of a model that lacks the signature

    def wants(self, output: str) -> bool:
        """Whether an output of the signature is of use."""
        known = (*self.outputs, *self.further, "error")
        return output in known or (self.tagged and output.endswith(tuple(_TAG)))

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
        tags = self._tags(where, outputs, len(sources)) if self.tagged else [{}] * len(sources)
        return [
            self.failed(source, error) if error else self.answer(source, *row, **further)
            for source, error, further, *row in zip(sources, errors, tags, *columns, strict=True)
        ]

    def _tags(self, where: str, outputs: Mapping[str, Any], count: int) -> list[dict[str, dict[str, Tag]]]:
        rows: list[dict[str, Tag]] = [{} for _ in range(count)]
        for column in (name.removesuffix("_label") for name in outputs if name.endswith("_label")):
            parts = {end: fits for end, fits in _TAG.items() if end != "_decision" or column + end in outputs}
            answers = [self._column(where, column + end, outputs, count, fits) for end, fits in parts.items()]
            for row, answer in zip(rows, zip(*answers, strict=True), strict=True):
                row[column] = Tag(*answer)
        return [{"tags": row} for row in rows]

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


def _is_map(value: Any) -> bool:
    return isinstance(value, list) and all(map(_are_numbers, value)) and len(set(map(len, value))) == 1


_TAG = {"_label": _is_text, "_confidence": _is_number, "_decision": _is_text}  # what outputs of a tag end with

_NO_NUMBER = "the model's answer is not a number"


def _prediction(
    source: str, label: str, confidence: float, labels: Sequence[str], scores: Sequence[float],
    outside: float | None = None, decision: str = "", label_set: str = "",
    tags: Mapping[str, Tag] = MappingProxyType({}),
) -> Prediction:  # fmt: skip
    if not all(map(math.isfinite, (confidence, outside or 0.0, *(tag.confidence for tag in tags.values())))):
        return Prediction(source, error=_NO_NUMBER)
    top = tuple(zip(labels, map(float, scores), strict=False))
    members = tuple(label_set.split("\n")) if label_set else ()
    return Prediction(source, label, float(confidence), top, None, decision, outside, members, tags)


def _explained(
    source: str, label: str, confidence: float, labels: Sequence[str], scores: Sequence[float],
    heat: Sequence[Sequence[float]], *decided: Any, **tagged: Any,
) -> Prediction:  # fmt: skip
    if not all(map(math.isfinite, chain.from_iterable(heat))):
        return Prediction(source, error=_NO_NUMBER)
    prediction = _prediction(source, label, confidence, labels, scores, *decided, **tagged)
    return replace(prediction, explanation=[array("f", row) for row in heat])


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
    tagged=True,
)
EXPLAIN = replace(PREDICT, signature="explain", outputs={**PREDICT.outputs, "heat": _is_map}, answer=_explained)
OBSERVE = replace(
    PREDICT,
    signature="observe",
    outputs={"projection": _are_numbers, **PREDICT.outputs},
    answer=lambda source, projection, *row, **tags: replace(
        _prediction(source, *row, **tags), projection=tuple(projection)
    ),
    plain=PREDICT,
)
EMBED = Question("embed", {"embedding": _are_numbers}, _embedding, lambda source, error: Embedding(source, error=error))
