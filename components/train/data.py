"""Transformed examples as streams of pictures; nothing here holds more than a few batches of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.features import IMAGE_BYTES, KIND, LABEL, REPEAT, label_of_column
from serving.decode import decode_jpeg, decode_trusted
from serving.limits import RATIOS

_RECORDS = 256  # parsed at a time
_NAMED = 10  # broken pictures, in a log line


@dataclass(frozen=True)
class Pictures:
    """One split, ready to be streamed."""

    files: tuple[str, ...]  # gzipped TFRecords of transformed examples, in a fixed order
    # Numbers of the examples in these files that are left out, because their pictures cannot be decoded.
    broken: tuple[int, ...]
    labels: np.ndarray  # int64 [n], the label of each picture in stream order
    natural: np.ndarray  # int64 [m], the label of each example in stream order, none left out or repeated
    kinds: np.ndarray  # bytes [m], what each of these is, in words; b"" where its example does not say
    tags: np.ndarray  # int64 [m, t], their labels in further columns, -1 where missing
    rows: np.ndarray  # int64 [n], the example that each picture is of
    columns: tuple[str, ...]  # the names of these columns
    balanced: bool  # whether examples are left out and repeated as Transform decided
    size: int  # side of the network's input, pixels
    foreign: "Pictures | None" = None  # pictures of no class that are streamed with these, behind them or among them

    def __len__(self) -> int:
        return len(self.labels) + (len(self.foreign) if self.foreign else 0)

    @property
    def targets(self) -> np.ndarray:
        """Labels in all columns, the main one first: int64 [n, 1 + t]."""
        return np.concatenate([self._own, self.foreign.targets]) if self.foreign else self._own

    @property
    def _own(self) -> np.ndarray:
        return np.column_stack([self.labels, self.tags[self.rows]])

    def batches(self, batch_size: int, shuffle_buffer: int = 0, seed: int = 0) -> tf.data.Dataset:
        """Streams (pictures float32 [b, size, size, 3] in 0..255, targets int64 [b, 1 + t]), shuffled by a buffer.

        Files are a fair mix already, in the order of the hashes of ids: the buffer makes epochs differ.
        """
        examples = self._examples()
        if self.foreign:
            both = examples, self.foreign._examples()
            counts = [float(len(self.labels)), float(len(self.foreign))]
            examples = (
                tf.data.Dataset.sample_from_datasets(both, counts, seed=seed) if shuffle_buffer
                else both[0].concatenate(both[1])
            )  # fmt: skip
        if shuffle_buffer:
            examples = examples.shuffle(min(len(self), shuffle_buffer), seed=seed)
        return (
            examples.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(batch_size)
            .map(lambda pictures, targets: (tf.cast(pictures, tf.float32), targets))
            .apply(tf.data.experimental.assert_cardinality(-(-len(self) // batch_size)))
            .prefetch(2)
            .with_options(_options())
        )

    def _examples(self) -> tf.data.Dataset:
        encoded = _encoded(self.files, self.broken, self.balanced)
        return tf.data.Dataset.zip((encoded, tf.data.Dataset.from_tensor_slices(self._own)))

    def _decode(self, encoded: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return decode_trusted(encoded, self.size), targets


def open_pictures(patterns: Sequence[str], *, balanced: bool, size: int, columns: Sequence[str] = ()) -> Pictures:
    """Finds the files of a split, reads its labels, and looks for pictures that cannot be decoded, which it logs.

    Ingest has decoded each of them, so there should be none. They are looked for before anything is trained, so that
    labels, counts and the stream agree from then on; left out of the stream alone they would not.
    """
    files = tuple(sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern)))
    numbers = (LABEL, REPEAT, *map(label_of_column, columns))
    spec = dict.fromkeys(numbers, tf.io.FixedLenFeature([], tf.int64)) | {
        KIND: tf.io.FixedLenFeature([], tf.string, b"")
    }
    records = tf.data.TFRecordDataset(list(files), compression_type="GZIP").batch(_RECORDS)
    none = {KIND: np.zeros(0, object)} | {name: np.zeros(0, np.int64) for name in numbers}
    read = [none, *records.map(lambda batch: tf.io.parse_example(batch, spec)).as_numpy_iterator()]
    kinds, natural, repeats, *further = (np.concatenate([batch[name] for batch in read]) for name in none)
    tags = np.column_stack([natural, *further])[:, 1:]
    if broken := _broken(files, len(natural)):
        told = ", ".join(map(str, broken[:_NAMED])) + (", …" if len(broken) > _NAMED else "")
        logging.warning("%s: left out %d of %d examples, whose pictures cannot be decoded: number %s, counted from 0",
                        Path(files[0]).parent, len(broken), len(natural), told)  # fmt: skip
        columns_read = natural, repeats, kinds, tags
        natural, repeats, kinds, tags = (np.delete(column, broken, axis=0) for column in columns_read)
    rows = np.repeat(np.arange(len(natural)), repeats if balanced else 1)
    return Pictures(files, broken, natural[rows], natural, kinds, tags, rows, tuple(columns), balanced, size)


@lru_cache(maxsize=8)  # the trials of a search open the same files, which never change
def _broken(files: Sequence[str], count: int) -> tuple[int, ...]:
    def decode(number: tf.Tensor, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # At an eighth of its size a picture is read to its end as well. What is not asked for would not be decoded.
        return number, tf.size(decode_jpeg(encoded, RATIOS[-1]))

    examples = _encoded(files, (), balanced=False).enumerate()
    sound = examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False).ignore_errors()
    numbers = [number for numbers, _ in sound.batch(_RECORDS).as_numpy_iterator() for number in numbers.tolist()]
    return tuple(sorted(set(range(count)).difference(numbers)))


def _options() -> tf.data.Options:
    # Workers share out pictures: a small split has fewer files than there may be workers.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options


def _encoded(files: Sequence[str], broken: Sequence[int], balanced: bool) -> tf.data.Dataset:
    """Streams encoded pictures; parsed and repeated many at a time: one by one costs far more."""
    spec = {IMAGE_BYTES: tf.io.FixedLenFeature([], tf.string), REPEAT: tf.io.FixedLenFeature([], tf.int64)}

    def parse(records: tf.Tensor) -> tf.Tensor:
        batch = tf.io.parse_example(records, spec)
        return tf.repeat(batch[IMAGE_BYTES], batch[REPEAT]) if balanced else batch[IMAGE_BYTES]

    records = tf.data.TFRecordDataset(list(files), compression_type="GZIP")
    if broken:
        is_sound = lambda number, _: tf.reduce_all(number != tf.constant(broken, tf.int64))  # noqa: E731
        records = records.enumerate().filter(is_sound).map(lambda _, record: record)
    return records.batch(_RECORDS).map(parse, num_parallel_calls=2, deterministic=True).unbatch()
