"""The signatures of the published model: what a client of TensorFlow Serving can ask, and what TFMA needs."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from fashion_client.decisions import ACCEPT, OUTSIDE, UNSURE, Thresholds

from serving.decode import decode_pictures
from serving.grams import logits_of
from serving.interface import OBSERVE
from serving.limits import DECODE_BYTES

if TYPE_CHECKING:
    import keras

Tensors = dict[str, tf.Tensor]

LABELS_FILE, TAGS_FILE = "assets.extra/labels.txt", "assets.extra/tags.json"
NAMES = ("serving_default", "examples", "embed", "explain", OBSERVE, "evaluate", "transform_features", "pixels")
TOP = 5
HEAT = "heat"
_PROJECTION = 64  # numbers of an embedding that a log keeps
_LEAST = 1e-7  # a probability


class Tag(NamedTuple):
    """A further column that a model answers."""

    column: str  # its name
    labels: Sequence[str]  # its class names, in the order of their probabilities
    finer: int = 0  # which earlier column decides what goes with it: 0 is the main one, 1 the first tag
    # bool [classes there, classes here]: what goes with what; None if that rules nothing out.
    allowed: np.ndarray | None = None


class Words(NamedTuple):
    """How names are read."""

    kernel: np.ndarray  # float32 [buckets, k], see `serving.grams`, for the classes of all columns
    # Of each column, the main one first: what the log probabilities of picture and name count.
    weights: Sequence[tuple[float, float]]


class Rules(Protocol):
    """By what a model decides.

    Attributes:
        thresholds: where decisions change.
        sets: the least probability, of each class, with which it is in a label set.
        tags: of each further column, how sure an answer has to be to be accepted.
    """

    @property
    def thresholds(self) -> Thresholds: ...

    @property
    def sets(self) -> Sequence[float]: ...

    @property
    def tags(self) -> Mapping[str, float]: ...


class Classifier(tf.Module):
    """A network from pictures to classes, with everything a signature needs around it."""

    def __init__(
        self,
        network: "keras.Model | tf.Module",
        labels: Sequence[str],
        size: int,
        max_pixels: int,
        transform: Callable[[Tensors], Tensors],
        transform_spec: Mapping[str, object],
        max_bytes: int = DECODE_BYTES,
        tags: Sequence[Tag] = (),
        rules: Rules | None = None,
        words: Words | None = None,
    ) -> None:
        """Holds the parts; nothing is traced before `save`.

        Args:
            network: pictures float32 [n, size, size, 3] in 0..255 to (probabilities float32 [n, k], followed by those
                of the tags in their order, features float32 [n, d], heat float32 [n, h, w]: what each place adds to
                the logit of the most probable of the k) and, where there are rules, how foreign the pictures are,
                float32 [n, 1].
            labels: the k class names, in the order of the probabilities.
            size: side of the network's input, pixels.
            max_pixels: a picture of more pixels than this gets an error instead of an answer.
            transform: the transform graph as a layer; gives `label` int64 [n] from raw features.
            transform_spec: parsing spec of the raw features `transform` reads, without the picture.
            max_bytes: a picture gets an error likewise that takes more memory to decode.
            tags: what is answered beside the k classes.
            rules: by which it decides; None for a model that does not.
            words: how names are read; None for a model that looks at pictures alone.
        """
        import keras  # not for those who only read a constant of this module: it takes seconds

        super().__init__()
        # Tracked itself, a Keras network would be saved with each variable twice, and TensorFlow Serving, unlike
        # tf.saved_model.load, would restore the one that no signature reads. So only what holds the values is tracked.
        self._variables = [v.value if isinstance(v, keras.Variable) else v for v in network.variables]
        self._network = lambda pictures: network(pictures)
        self._labels = tf.constant(list(labels), name="labels")
        self._width, self._limits = len(labels), (size, max_pixels, max_bytes)
        self._transform, self._transform_spec = transform, dict(transform_spec)
        self._tags, self._rules = list(tags), rules
        self._parts = ["probabilities", *(f"{tag.column}_probabilities" for tag in tags)]
        self._sizes = [len(labels), *(len(tag.labels) for tag in tags)]
        self._weights = list(words.weights) if words else []
        self._kernel = tf.Variable(words.kernel, trainable=False, name="words") if words else None
        # One trace, shared by all signatures: tracing an EfficientNet costs seconds.
        specification = [tf.TensorSpec([None, size, size, 3], tf.uint8, name="pixels")]
        self._look = tf.function(self._looks, specification)
        self.pixels = tf.function(self._pixels, specification)

    def _looks(self, pixels: tf.Tensor) -> Tensors:
        """At least one decoded picture to all that the network makes of it."""
        probabilities, features, heat, *outside = self._network(tf.cast(pixels, tf.float32))
        return {
            **dict(zip(self._parts, tf.split(tf.cast(probabilities, tf.float32), self._sizes, axis=1), strict=True)),
            "embedding": tf.math.l2_normalize(tf.cast(features, tf.float32), axis=1),
            HEAT: tf.cast(heat, tf.float32),
            **dict(zip(["outside"], outside, strict=False)),
        }

    def _pixels(self, pixels: tf.Tensor) -> Tensors:
        """The same without the heat: what other formats are made from."""
        return {name: rows for name, rows in self._look(pixels).items() if name != HEAT}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def _infer(self, image_bytes: tf.Tensor) -> Tensors:
        pictures, error = decode_pictures(image_bytes, *self._limits)
        # Convolutions refuse an empty batch, so it is run with one blank picture that is cut off again.
        count = tf.shape(pictures)[0]
        blank = tf.cast(tf.equal(count, 0), tf.int32)
        padded = tf.pad(tf.cast(pictures, tf.uint8), [[0, blank], [0, 0], [0, 0], [0, 0]])
        fine = tf.cast(tf.equal(error, ""), tf.float32)
        answers = {
            name: rows[:count] * tf.reshape(fine, [-1] + [1] * (rows.shape.rank - 1))
            for name, rows in self._look(padded).items()
        }
        return {**answers, "error": error}

    def _with_names(self, inferred: Tensors, names: tf.Tensor) -> Tensors:
        """What pictures and names say together; of a product without a name, what its picture says."""
        logits, known = logits_of(self._kernel, names)
        known = (known & tf.equal(inferred["error"], ""))[:, tf.newaxis]
        fused = dict(inferred)
        for part, read, (seen, told) in zip(self._parts, tf.split(logits, self._sizes, 1), self._weights, strict=True):
            both = seen * tf.math.log(tf.maximum(inferred[part], _LEAST)) + told * tf.nn.log_softmax(read)
            fused[part] = tf.where(known, tf.nn.softmax(both), inferred[part])
        return fused

    def _answer(self, inferred: Tensors) -> Tensors:
        scores, indices = tf.math.top_k(inferred["probabilities"], k=min(TOP, self._width))
        fine = tf.equal(inferred["error"], "")
        names = tf.where(fine[:, tf.newaxis], tf.gather(self._labels, indices), "")
        tagged = self._tagged(inferred)
        return {
            "label": names[:, 0],
            "confidence": scores[:, 0],
            "probabilities": inferred["probabilities"],
            "top_labels": names,
            "top_scores": scores,
            "error": inferred["error"],
            **tagged,
            **(self._decided(self._rules, inferred, scores[:, 0], tagged) if self._rules else {}),
        }

    def _decided(self, rules: Rules, inferred: Tensors, confidence: tf.Tensor, tagged: Tensors) -> Tensors:
        """As `Thresholds.decide` does, of many answers; and the labels that cannot be ruled out, each in a line."""
        thresholds, outside = rules.thresholds, inferred["outside"][:, 0]
        limit = math.inf if thresholds.outside is None else thresholds.outside
        clear = limit if thresholds.clear is None else thresholds.clear

        def decide(confidence: tf.Tensor, least: float) -> tf.Tensor:
            unsure = (outside > clear) | (confidence < least)
            return tf.where(outside > limit, OUTSIDE, tf.where(unsure, UNSURE, ACCEPT))

        scores, order = tf.math.top_k(inferred["probabilities"], k=self._width)
        further = (scores >= tf.gather(tf.constant(rules.sets), order))[:, 1:]
        names = tf.gather(self._labels, order)
        answers = {
            "decision": decide(confidence, thresholds.confidence),
            **{f"{name}_decision": decide(tagged[f"{name}_confidence"], least) for name, least in rules.tags.items()},
            "label_set": names[:, 0] + tf.strings.reduce_join(tf.where(further, "\n" + names[:, 1:], ""), axis=1),
        }
        fine = tf.equal(inferred["error"], "")
        return {"outside": outside, **{name: tf.where(fine, texts, "") for name, texts in answers.items()}}

    def _tagged(self, inferred: Tensors) -> Tensors:
        """Label and confidence of each tag: the most probable class that goes with the answers before it."""
        chosen, answers = [tf.argmax(inferred["probabilities"], axis=1)], {}
        for tag in self._tags:
            probabilities = inferred[f"{tag.column}_probabilities"]
            if tag.allowed is not None:
                probabilities *= tf.gather(tf.constant(tag.allowed, tf.float32), chosen[tag.finer])
            chosen.append(tf.argmax(probabilities, axis=1))
            names = tf.gather(tf.constant(list(tag.labels)), chosen[-1])
            answers[f"{tag.column}_label"] = tf.where(tf.equal(inferred["error"], ""), names, "")
            answers[f"{tag.column}_confidence"] = tf.reduce_max(probabilities, axis=1)
        return answers

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_default(self, image_bytes: tf.Tensor) -> Tensors:
        """Encoded pictures, string [n], to their classes."""
        return self._answer(self._infer(image_bytes))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def examples(self, examples: tf.Tensor) -> Tensors:
        """Serialized tf.train.Examples with a feature `image_bytes`, string [n], to their classes.

        A model that reads names takes `productDisplayName` into account, where an example has it.
        """
        inferred = self._infer(_text(examples, "image_bytes"))
        if self._kernel is not None:
            inferred = self._with_names(inferred, _text(examples, "productDisplayName"))
        return self._answer(inferred)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def embed(self, image_bytes: tf.Tensor) -> Tensors:
        """Encoded pictures, string [n], to L2-normalised embeddings float32 [n, d]."""
        inferred = self._infer(image_bytes)
        return {"embedding": inferred["embedding"], "error": inferred["error"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def explain(self, image_bytes: tf.Tensor) -> Tensors:
        """Encoded pictures, string [n], to their classes and `heat`, float32 [n, h, w], see `Classifier`."""
        inferred = self._infer(image_bytes)
        return {**self._answer(inferred), HEAT: inferred[HEAT]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def observe(self, image_bytes: tf.Tensor) -> Tensors:
        """Encoded pictures, string [n], to their classes and a random projection of the embedding, float32 [n, 64].

        A log of answers keeps the projection: distances between pictures stay nearly what they are (Johnson &
        Lindenstrauss 1984), in a twentieth of the numbers.
        """
        inferred = self._infer(image_bytes)
        shape = inferred["embedding"].shape[1], _PROJECTION
        axes = np.random.default_rng(0).standard_normal(shape).astype(np.float32) / math.sqrt(_PROJECTION)
        return {**self._answer(inferred), "projection": inferred["embedding"] @ axes}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluate(self, examples: tf.Tensor) -> Tensors:
        """Examples to probabilities, float32 [n, k], and nothing else: what TFMA judges."""
        return {"probabilities": self._infer(_text(examples, "image_bytes"))["probabilities"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def transform_features(self, examples: tf.Tensor) -> Tensors:
        """Examples to their true `label`, int64 [n], and those of tags; no picture travels through TFMA so."""
        transformed = self._transform(tf.io.parse_example(examples, self._transform_spec))
        return {name: transformed[name] for name in ("label", *(f"{tag.column}_label" for tag in self._tags))}

    def save(self, path: str | Path) -> None:
        """Writes the SavedModel with its signatures and the class list."""
        tf.saved_model.save(self, str(path), signatures={name: getattr(self, name) for name in NAMES})
        labels_file = Path(path) / LABELS_FILE
        labels_file.parent.mkdir(exist_ok=True)
        labels_file.write_text("".join(f"{name.decode()}\n" for name in self._labels.numpy()), encoding="utf-8")
        if self._tags:
            pairs = ((tag, None if tag.allowed is None else tag.allowed.tolist()) for tag in self._tags)
            tags = [{**tag._asdict(), "labels": list(tag.labels), "allowed": allowed} for tag, allowed in pairs]
            (Path(path) / TAGS_FILE).write_text(json.dumps(tags), encoding="utf-8")


def _text(examples: tf.Tensor, feature: str) -> tf.Tensor:
    spec = {feature: tf.io.FixedLenFeature([], tf.string, default_value="")}
    return tf.io.parse_example(examples, spec)[feature]
