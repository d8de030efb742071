"""A tiny SavedModel of the real contract, for tests of what serves it."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
from fashion_client import Thresholds

LABELS = ("topwear", "underwear", "jewelry", "fragrances", "shoes", "eyewear")
SIZE = 8
MAX_PIXELS = 1_000_000
EARLIER = ("serving_default", "examples", "embed", "evaluate", "transform_features")
THRESHOLDS = Thresholds(outside=140.0, clear=130.0, confidence=0.3)


def weights(labels: Sequence[str], seed: int = 0) -> np.ndarray:
    """What the logits of a model are of the mean colour: float32 [3, k]."""
    return np.random.default_rng(seed).normal(size=(3, len(labels))).astype(np.float32) / 64


def write_model(
    path: Path,
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    bias: float = 0.0,
    decides: bool = False,
    explains: bool = True,
) -> Path:
    """Writes a SavedModel that answers every signature, in about a second.

    Args:
        path: folder to write, e.g. `<base>/<version>`. It appears complete.
        labels: class names, at least two.
        seed: of its random weights; another seed answers otherwise.
        bias: added to the first class' logit; a large one makes every answer that class.
        decides: whether it says how foreign a picture is, by its brightness, as models of earlier releases do not.
        explains: whether it has the signature `explain`, likewise.

    Returns:
        `path`.
    """
    import tensorflow as tf

    from serving import signatures

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(weights(labels, seed))
            self.bias = tf.Variable(np.array([bias] + [0.0] * (len(labels) - 1), np.float32))

        def __call__(self, pictures):
            features = tf.reduce_mean(pictures, axis=[1, 2])
            probabilities = tf.nn.softmax(features @ self.kernel + self.bias)
            columns = tf.gather(self.kernel, tf.argmax(probabilities, axis=1), axis=1)
            answers = probabilities, features, tf.einsum("nhwd,dn->nhw", pictures, columns)
            return (*answers, tf.reduce_mean(features, axis=1, keepdims=True)) if decides else answers

    def transform(features):
        return {"label": features["label"][:, 0]}

    spec = {"label": tf.io.FixedLenFeature([1], tf.int64, default_value=[-1])}
    staging = path.with_name(f".staging-{path.name}")
    staging.parent.mkdir(parents=True, exist_ok=True)
    rules = SimpleNamespace(thresholds=THRESHOLDS, sets=[0.2] * len(labels), tags={}) if decides else None
    with mock.patch.object(signatures, "NAMES", signatures.NAMES if explains else EARLIER):
        signatures.Classifier(Network(), labels, SIZE, MAX_PIXELS, transform, spec, rules=rules).save(staging)
    os.rename(staging, path)
    return path
