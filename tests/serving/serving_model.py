"""A tiny SavedModel of the real contract, for tests of what serves it."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

LABELS = ("topwear", "underwear", "jewelry", "fragrances", "shoes", "eyewear")
SIZE = 8
MAX_PIXELS = 1_000_000


def weights(labels: Sequence[str], seed: int = 0) -> np.ndarray:
    """What the logits of a model are of the mean colour: float32 [3, k]."""
    return np.random.default_rng(seed).normal(size=(3, len(labels))).astype(np.float32) / 64


def write_model(path: Path, labels: Sequence[str] = LABELS, seed: int = 0, bias: float = 0.0) -> Path:
    """Writes a SavedModel that answers every signature, in about a second.

    Args:
        path: folder to write, e.g. `<base>/<version>`. It appears complete.
        labels: class names, at least two.
        seed: of its random weights; another seed answers otherwise.
        bias: added to the first class' logit; a large one makes every answer that class.

    Returns:
        `path`.
    """
    import tensorflow as tf

    from serving.signatures import Classifier

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(weights(labels, seed))
            self.bias = tf.Variable(np.array([bias] + [0.0] * (len(labels) - 1), np.float32))

        def __call__(self, pictures):
            features = tf.reduce_mean(pictures, axis=[1, 2])
            return tf.nn.softmax(features @ self.kernel + self.bias), features

    def transform(features):
        return {"label": features["label"][:, 0]}

    spec = {"label": tf.io.FixedLenFeature([1], tf.int64, default_value=[-1])}
    staging = path.with_name(f".staging-{path.name}")
    staging.parent.mkdir(parents=True, exist_ok=True)
    Classifier(Network(), labels, SIZE, MAX_PIXELS, transform, spec).save(staging)
    os.rename(staging, path)
    return path
