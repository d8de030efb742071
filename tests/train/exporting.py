"""Networks as SavedModels, without the pipeline around them."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from serving.signatures import Classifier, Tag


def export(network: keras.Model, folder: Path, tags: Sequence[Tag] = ()) -> None:
    """Writes a network of three classes, and of tags, from `serving_network` as the Trainer does."""
    size = network.input_shape[1]
    spec = {"id": tf.io.FixedLenFeature([], tf.string)}
    answered = ("label", *(f"{tag.column}_label" for tag in tags))
    no_labels = lambda raw: {name: tf.zeros(tf.shape(raw["id"]), tf.int64) for name in answered}  # noqa: E731
    Classifier(network, ("a", "b", "c"), size, size * size, no_labels, spec, tags=tags).save(folder)


def assert_answers_alike(folder: Path, network: keras.Model, pictures: np.ndarray) -> None:
    """Asks the exported network and the one at hand about pictures, float32 [n, size, size, 3] of whole numbers."""
    encoded = [tf.io.encode_png(picture.astype(np.uint8)).numpy() for picture in pictures]
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](image_bytes=tf.constant(encoded))
    np.testing.assert_allclose(answer["probabilities"], network(pictures)[0], atol=1e-4)
