"""What clients are promised of a model's answers, and whether a model keeps it: it is asked, and held to its word."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from fashion_client.decisions import ACCEPT, OUTSIDE, UNSURE

from serving.interface import DECISION, FURTHER, SIGNATURES, TAG
from serving.server.errors import ServingError
from serving.signatures import TOP

Row = dict[str, Any]  # output name to the value for one picture: bytes, a float or a vector

_SAME = 1e-5  # within one answer
_TIE = 0.01  # between two answers to one picture: on accelerators they differ by so much with the size of the batch
_ONE = 1e-3  # sums and norms of float32, taken over many classes or dimensions


class ContractBroken(Exception):
    """A model does not answer as clients are promised. The message is one line and says where."""


class Model(Protocol):
    """A model that is loaded somewhere: in this process, see `Servable`, or in a server."""

    @property
    def signatures(self) -> Mapping[str, Any]:
        """TensorFlow's SignatureDefs by name."""

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Asks a signature; texts are object arrays of bytes.

        Raises:
            ServingError: the model fails, or refuses.
        """


def check_contract(model: Model, labels: Sequence[str], pictures: Sequence[bytes]) -> None:
    """Holds a model's signatures against the contract and asks it about good and bad pictures.

    Args:
        model: loaded.
        labels: the class names, in the order of the probabilities.
        pictures: encoded pictures that it has to accept; at least one.

    Raises:
        ContractBroken: the first breach found.
    """
    wanted = [name for name in SIGNATURES if name not in FURTHER or name in model.signatures]
    signatures = {name: _Signature(name, model, labels) for name in wanted}

    def answered(row: Row) -> None:
        _check_answer(row, labels)

    by_bytes = _check_signature(signatures["serving_default"], pictures, answered, _check_no_answer)
    others = {"examples": _check_signature(signatures["examples"], pictures, answered, _check_no_answer)}
    others |= {name: signatures[name](pictures) for name in FURTHER if name in signatures}
    for name, rows in others.items():
        for number, (left, right) in enumerate(zip(by_bytes, rows, strict=True)):
            if not _same(left, right):
                raise ContractBroken(f"{name}: picture {number} is answered otherwise than by serving_default")
    _check_signature(signatures["embed"], pictures, _check_embedding, lambda row: None)


class _Signature:
    """One signature, asked with encoded pictures whatever its input, and answering row by row."""

    def __init__(self, name: str, model: Model, labels: Sequence[str]) -> None:
        if name not in model.signatures:
            raise ContractBroken(f"{name}: there is no such signature")
        self.name = name
        self._model = model
        self._input, self._outputs = SIGNATURES[name]
        if "label" in self._outputs and DECISION.keys() & model.signatures[name].outputs.keys():
            self._outputs = self._outputs | DECISION
        for column in (
            each.removesuffix("_label") for each in model.signatures[name].outputs if each.endswith("_label")
        ):
            self._outputs = self._outputs | {f"{column}{end}": expected for end, expected in TAG.items()}
        top = min(TOP, len(labels))
        self._widths = {"probabilities": len(labels), "top_labels": top, "top_scores": top}
        self._check_declared(model.signatures[name])

    def _check_declared(self, signature: Any) -> None:
        inputs, outputs = _specs(signature.inputs), _specs(signature.outputs)
        if list(inputs) != [self._input]:
            raise ContractBroken(f"{self.name}: takes {', '.join(inputs)}; it has to take {self._input} alone")
        spec = inputs[self._input]
        if spec.dtype != tf.string or spec.shape.rank != 1 or spec.shape[0] is not None:
            raise ContractBroken(f"{self.name}: {self._input} is {_shown(spec)}; it has to be string [None]")
        for name, (kind, shape, _) in self._outputs.items():
            spec, dtype, rank = outputs.get(name), tf.as_dtype(kind), len(shape)
            if spec is None:
                raise ContractBroken(f"{self.name}: gives no {name}")
            if spec.dtype != dtype or spec.shape.rank not in (None, rank):
                raise ContractBroken(f"{self.name}: {name} is {_shown(spec)}; it has to be {dtype.name} of rank {rank}")

    def __call__(self, pictures: Sequence[bytes]) -> list[Row]:
        fed = [_example(picture) for picture in pictures] if self._input == "examples" else list(pictures)
        rows = np.array([*fed, None], object)[:-1]  # a vector of bytes, however few
        try:
            answers = self._model.run(self.name, {self._input: rows})
        except ServingError as error:
            raise ContractBroken(f"{self.name}: fails on a batch of {len(fed)}: {error.message}") from error
        for name, (kind, promised, _) in self._outputs.items():
            shape, rank = answers[name].shape, len(promised)
            width = self._widths.get(name)
            if len(shape) != rank or shape[0] != len(fed) or (width and shape[1] != width):
                wanted = (len(fed), width or "d", "w")[:rank]
                raise ContractBroken(f"{self.name}: {name} has shape {list(shape)}; it has to be {list(wanted)}")
            if kind == "float32" and not np.isfinite(answers[name]).all():
                raise ContractBroken(f"{self.name}: {name} is not finite throughout")
        return [{name: answers[name][number] for name in self._outputs} for number in range(len(fed))]


def _specs(tensors: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))
        for name, info in tensors.items()
    }


def _check_signature(
    ask: _Signature, pictures: Sequence[bytes], good: Callable[[Row], None], bad: Callable[[Row], None]
) -> list[Row]:
    """Asks about good pictures alone, about bad ones among them, about bad ones only and about none."""
    alone = [row for picture in pictures for row in ask([picture])]
    refused = _bad_pictures()
    mixed = ask([pictures[0], *refused.values(), *pictures[1:]])
    kept = [mixed[0], *mixed[1 + len(refused) :]]
    failed = [*mixed[1 : 1 + len(refused)], *ask(list(refused.values()))]
    ask([])
    for number, (row, lone) in enumerate(zip(kept, alone, strict=True)):
        where = f"{ask.name}: picture {number}"
        for each in (lone, row):
            if each["error"]:
                raise ContractBroken(f"{where} is refused: {each['error'].decode(errors='replace')}")
            _at(where, good, each)
        if not _same(row, lone):
            raise ContractBroken(f"{where} is answered otherwise beside bad pictures than alone")
    for name, row in zip([*refused, *refused], failed, strict=True):
        if not row["error"]:
            raise ContractBroken(f"{ask.name}: {name} is taken for a picture")
        _at(f"{ask.name}: {name}", bad, row)
    return alone


def _at(where: str, check: Callable[[Row], None], row: Row) -> None:
    try:
        check(row)
    except ContractBroken as broken:
        raise ContractBroken(f"{where}: {broken}") from None


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ContractBroken(otherwise)


def _check_answer(row: Row, labels: Sequence[str]) -> None:
    probabilities = row["probabilities"]
    _require(bool((probabilities >= 0).all()), "a probability is negative")
    _require(abs(float(probabilities.sum()) - 1) <= _ONE, f"probabilities sum to {probabilities.sum():.4f}")
    # By value, not by position: classes of equal probability may come in any order.
    best = np.sort(probabilities)[::-1][: len(row["top_scores"])]
    _require(np.allclose(row["top_scores"], best, rtol=0, atol=_SAME), "top_scores are not the highest probabilities")
    _require(abs(float(row["confidence"] - best[0])) <= _SAME, "confidence is not the highest probability")
    scored = dict(zip(labels, probabilities, strict=True))
    names = [name.decode(errors="replace") for name in (row["label"], *row["top_labels"])]
    unknown = next((name for name in names if name not in scored), None)
    _require(unknown is None, f"'{unknown}' is none of the classes")
    _require(len(set(names[1:])) == len(best), "top_labels repeat a class")
    given = [scored[name] for name in names]
    _require(abs(float(given[0] - best[0])) <= _SAME, f"label is {names[0]}, which is not the most probable class")
    _require(np.allclose(given[1:], best, rtol=0, atol=_SAME), "top_labels do not belong to top_scores")
    if "decision" in row:
        decision, members = row["decision"].decode(errors="replace"), row["label_set"].decode().split("\n")
        _require(decision in (ACCEPT, UNSURE, OUTSIDE), f"decision is '{decision}'")
        _require(members[0] == names[1], "label_set does not begin with the most probable class")
        _require(len(set(members)) == len(members), "label_set repeats a class")
        _require(set(members) <= scored.keys(), "label_set names what is none of the classes")

    for name in (each for each in row if each.endswith("_label")):
        sure = float(row[f"{name.removesuffix('label')}confidence"])
        _require(row[name] != b"" and 0 <= sure <= 1 + _ONE, f"{name} is '{row[name].decode()}' at {sure:.4f}")


def _check_no_answer(row: Row) -> None:
    tags = [name for name in row if name.endswith(tuple(TAG))]
    for name in ("label", "decision", "label_set", *tags[::2]):
        value = row.get(name, b"").decode(errors="replace")
        _require(value == "", f"has the {name.replace('_', ' ')} '{value}' beside its error")
    for name in ("confidence", "probabilities", "top_scores", "outside", *tags[1::2]):
        _require(not np.any(row.get(name)), f"has {name} beside its error")


def _check_embedding(row: Row) -> None:
    norm = float(np.linalg.norm(row["embedding"]))
    _require(abs(norm - 1) <= _ONE, f"the embedding has norm {norm:.4f}")


def _same(left: Row, right: Row) -> bool:
    # Names follow from the numbers and are checked against them in each row, so the numbers are enough.
    numbers = [name for name in left if name in ("confidence", "probabilities", "top_scores", "embedding")]
    return all(float(np.linalg.norm(left[name] - right[name])) <= _TIE for name in numbers)


def _example(picture: bytes) -> bytes:
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))
    return tf.train.Example(features=tf.train.Features(feature={"image_bytes": feature})).SerializeToString()


def _shown(spec: tf.TensorSpec) -> str:
    return f"{spec.dtype.name} {spec.shape}"


def drawn_pictures() -> list[bytes]:
    """Encoded pictures that any model accepts: a colour JPEG, a grey JPEG and a PNG."""
    ramp = np.add.outer(np.arange(120), np.arange(90))
    colour = np.stack([ramp, 255 - ramp, ramp // 2], axis=-1).astype(np.uint8)
    encoded = tf.io.encode_jpeg(colour), tf.io.encode_jpeg(colour[::2, :, :1]), tf.io.encode_png(colour[:, ::3])
    return [picture.numpy() for picture in encoded]


def _bad_pictures() -> dict[str, bytes]:
    jpeg, _, png = drawn_pictures()
    return {
        "an empty string": b"",
        "text": b"not a picture",
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "half a PNG": png[: len(png) // 2],
    }
