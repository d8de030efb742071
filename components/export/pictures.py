"""The pictures of a split as the network sees them, with their true labels, by the model that is asked about them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.errors import ExportError
from components.examples import read_batches
from components.features import IMAGE_BYTES
from components.settings import OUTSIDE_SPLITS
from serving.decode import decode_trusted

_BATCH = 32
_SPEC = {IMAGE_BYTES: tf.io.FixedLenFeature([], tf.string)}


def labelled_batches(
    model: Any, examples: Path, split: str, size: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Streams a split of ingest's examples: those that have a class, or of a split of outsiders those that have none.

    Args:
        model: a loaded SavedModel, whose `transform_features` tells the labels.
        examples: folder with `Split-train` and others.
        split: name of one.
        size: side of the pictures, pixels.

    Yields:
        Decoded pictures uint8 [b, size, size, 3] and their labels int64 [b], b at least 1.

    Raises:
        ExportError: there are no such examples.
    """
    folder = examples / f"Split-{split}"
    if not folder.is_dir():
        raise ExportError(f"{examples}: there are no examples of the {split} split. Give a run's folder of examples.")
    label = model.signatures["transform_features"]
    decode = tf.function(
        lambda encoded: tf.map_fn(lambda each: decode_trusted(each, size), encoded, fn_output_signature=tf.uint8),
        [tf.TensorSpec([None], tf.string)],
    )
    for batch in read_batches(folder, _BATCH):
        labels = label(examples=tf.constant(batch))["label"].numpy()
        known = labels < 0 if split in OUTSIDE_SPLITS else labels >= 0
        if np.any(known):
            encoded = tf.io.parse_example(batch[known], _SPEC)[IMAGE_BYTES]
            yield decode(encoded).numpy(), labels[known]


def some_of_each(model: Any, examples: Path, size: int, most: int, classes: int) -> NDArray[np.uint8]:
    """Returns the first `most` training pictures of each class, uint8 [n, size, size, 3]."""
    counts, kept = Counter[int](), []
    for pictures, labels in labelled_batches(model, examples, "train", size):
        for picture, label in zip(pictures, labels.tolist(), strict=True):
            if counts[label] < most:
                counts[label] += 1
                kept.append(picture)
        if len(kept) == most * classes:
            break
    return np.stack(kept)
