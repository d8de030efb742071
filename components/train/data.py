"""Transformed examples as streams of pictures; nothing here holds more than a few batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from components.features import IMAGE_BYTES, LABEL, REPEAT
from serving.decode import decode_trusted

_SHUFFLE_BUFFER = 8192  # encoded pictures, a few KB each
_RECORDS = 256  # parsed at a time
_SPEC = {
    IMAGE_BYTES: tf.io.FixedLenFeature([], tf.string),
    LABEL: tf.io.FixedLenFeature([], tf.int64),
    REPEAT: tf.io.FixedLenFeature([], tf.int64),
}


@dataclass(frozen=True)
class Pictures:
    """One split, ready to be streamed.

    Attributes:
        files: gzipped TFRecords of transformed examples, in a fixed order.
        labels: int64 [n], the label of each picture in stream order.
        natural: int64 [m], the label of each example in stream order, none left out or repeated.
        balanced: whether examples are left out and repeated as Transform decided.
        size: side of the network's input, pixels.
    """

    files: tuple[str, ...]
    labels: np.ndarray
    natural: np.ndarray
    balanced: bool
    size: int

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, batch_size: int, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Streams (pictures float32 [b, size, size, 3] in 0..255, labels int64 [b])."""
        examples = _examples(self.files, self.balanced)
        if shuffle_seed is not None:
            examples = examples.shuffle(min(len(self), _SHUFFLE_BUFFER), seed=shuffle_seed)
        return (
            examples.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(batch_size)
            .map(lambda pictures, labels: (tf.cast(pictures, tf.float32), labels))
            .apply(tf.data.experimental.assert_cardinality(-(-len(self) // batch_size)))
            .prefetch(2)
            .with_options(_options())
        )

    def _decode(self, encoded: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return decode_trusted(encoded, self.size), label


def open_pictures(patterns: Sequence[str], *, balanced: bool, size: int) -> Pictures:
    """Finds the files of a split and reads its labels, not its pictures."""
    files = tuple(sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern)))
    spec = {name: _SPEC[name] for name in (LABEL, REPEAT)}
    records = tf.data.TFRecordDataset(list(files), compression_type="GZIP").batch(_RECORDS)
    read = [(batch[LABEL], batch[REPEAT]) for batch in records.map(lambda batch: tf.io.parse_example(batch, spec))]
    natural, repeats = (np.concatenate(column) for column in zip(2 * (np.zeros(0, np.int64),), *read, strict=True))
    return Pictures(files, np.repeat(natural, repeats) if balanced else natural, natural, balanced, size)


def _options() -> tf.data.Options:
    # Workers share out pictures: a small split has fewer files than there may be workers.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options


def _examples(files: Sequence[str], balanced: bool) -> tf.data.Dataset:
    """Streams (encoded picture, label); parsed and repeated many at a time: one by one costs far more."""

    def parse(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.io.parse_example(records, _SPEC)
        repeats = batch[REPEAT] if balanced else tf.ones_like(batch[REPEAT])
        return tf.repeat(batch[IMAGE_BYTES], repeats), tf.repeat(batch[LABEL], repeats)

    records = tf.data.TFRecordDataset(list(files), compression_type="GZIP").batch(_RECORDS)
    return records.map(parse, num_parallel_calls=2, deterministic=True).unbatch()
