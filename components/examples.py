"""The examples that ingest and Transform write: gzipped TFRecords of tf.train.Examples, in a folder for each split."""

import os
from collections.abc import Iterator, Mapping
from itertools import chain

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.features import IMAGE_BYTES

Folder = str | os.PathLike[str]


def read_batches(folder: Folder, size: int) -> Iterator[NDArray[np.object_]]:
    """Yields a split's serialized examples, `size` at a time, in the order on disk; none where there is no folder."""
    files = sorted(tf.io.gfile.glob(os.path.join(folder, "*")))
    yield from tf.data.TFRecordDataset(files, "GZIP").batch(size).as_numpy_iterator()


def read_examples(folder: Folder, at_once: int = 128) -> Iterator[bytes]:
    """Yields them one by one."""
    return chain.from_iterable(read_batches(folder, at_once))


def picture_of(example: bytes) -> bytes:
    """Returns the encoded picture of an example."""
    return tf.train.Example.FromString(example).features.feature[IMAGE_BYTES].bytes_list.value[0]


def texts_of(example: bytes) -> dict[str, str]:
    """Returns the texts of an example, by feature; a missing one is absent."""
    features = tf.train.Example.FromString(example).features.feature
    return {
        name: values[0].decode("utf-8", "surrogateescape")
        for name, feature in features.items()
        if (values := feature.bytes_list.value) and name != IMAGE_BYTES
    }


def example_of(values: Mapping[str, bytes]) -> bytes:
    """Returns a serialized example with a value for each feature."""
    lists = {name: tf.train.BytesList(value=[value]) for name, value in values.items()}
    features = {name: tf.train.Feature(bytes_list=each) for name, each in lists.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
