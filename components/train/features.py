"""What the frozen part of a network makes of the pictures of a training, computed once and kept on disk.

A hundred epochs of the head then cost about one pass through the trunk, and fine-tuning no pass through what is frozen.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.errors import FashionError
from components.networks.folding import fold_batch_norms
from components.progress import report
from components.train.augment import changes
from components.train.data import Pictures
from components.train.job import Job
from components.train.workers import is_chief, wait_for_all

FEATURES, ACTIVATIONS = "features", "activations"  # of the whole trunk; of its frozen part, where a part is trained
BATCH = 64  # pictures
_EVALUATED = {FEATURES: 512, ACTIVATIONS: BATCH}  # at a time


@dataclass(frozen=True)
class Features:
    """What a frozen network makes of a split."""

    values: np.ndarray  # [views, n, ...], on disk; the first view is of the plain pictures, the others are augmented
    targets: np.ndarray  # int64 [n, columns], -1 where a value is missing


class CachedBatches(keras.utils.PyDataset):
    """Batches of cached features.

    With a seed each epoch is shuffled and takes one random view of every picture; without, it is the plain pictures
    in order.
    """

    def __init__(self, features: Features, sizes: Sequence[int], batch_size: int, seed: int | None = None) -> None:
        super().__init__()
        self._features, self._batch_size = features, batch_size
        self._rows = [np.eye(size + 1, size, dtype=np.float32) for size in sizes]  # the last, of -1, has no one
        self._random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        views, count = self._features.values.shape[:2]
        self._order: np.ndarray = np.arange(count)
        self._view: np.ndarray = np.zeros_like(self._order)
        if self._random is not None:
            self._random.shuffle(self._order)
            self._view = self._random.integers(views, size=(count,))

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        values = self._features.values[self._view[chosen], chosen]
        targets = self._features.targets[chosen].T
        one_hot = [rows[labels] for rows, labels in zip(self._rows, targets, strict=True)]
        return values.astype(np.float32, copy=False), np.concatenate(one_hot, axis=1)


def compute(
    job: Job, kind: str, frozen: keras.Model, views: int, dtype: type[np.floating] = np.float32, place: str = ""
) -> None:
    """Leaves on disk what a frozen network makes of the train and the eval split; `place` as for `file_of`."""
    if is_chief(job.strategy):
        changing = changes(job.train.augment, job.train.seed)
        folded = fold_batch_norms(frozen)  # not in the scope of the strategy: the chief is alone here
        for split, pictures, count in (("train", job.train_pictures, views), ("eval", job.eval_pictures, 1)):
            compute_features(file_of(job, kind, split, place), folded, pictures, changing, count, BATCH, dtype)
    wait_for_all(job.strategy)


def open_split(job: Job, kind: str, split: str, place: str = "") -> Features:
    """What `compute` left of a split."""
    pictures = job.train_pictures if split == "train" else job.eval_pictures
    return Features(np.load(file_of(job, kind, split, place), mmap_mode="r"), pictures.targets)


def cached_batches(job: Job, kind: str, seed: int, place: str = "") -> tuple[CachedBatches, CachedBatches]:
    """What `compute` left of both splits: to train on, in an order and in views by the seed, and to evaluate on."""
    train, held_out = (open_split(job, kind, split, place) for split in ("train", "eval"))
    return (
        CachedBatches(train, job.sizes, job.train.batch_size, seed),
        CachedBatches(held_out, job.sizes, _EVALUATED[kind]),
    )


def file_of(job: Job, kind: str, split: str, place: str = "") -> Path:
    """Where that of a split is kept; `place` names the layer at which the trunk was divided, and how many views."""
    return (job.features or job.work) / place / f"{kind}-{split}.npy"


def compute_features(
    file: Path, frozen: keras.Model, pictures: Pictures, augmentation: keras.Sequential, views: int,
    batch_size: int, dtype: type[np.floating] = np.float32,
) -> None:  # fmt: skip
    """Runs every picture through a frozen network, once per view; a finished file from an earlier try is left as it is.

    Args:
        file: ends in `.npy`; its stem is what progress says: `features-train` as `features train`.
        frozen: pictures float32 [b, size, size, 3] to float32 [b, ...].
        pictures: what to run.
        augmentation: makes the views after the first.
        views: how many.
        batch_size: pictures at a time.
        dtype: of what is kept.

    Raises:
        FashionError: the disk has no room for it.
    """
    if file.exists():
        return
    shape = (views, len(pictures), *frozen.output_shape[1:])
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    _check_room(file, shape, int(np.prod(shape)) * np.dtype(dtype).itemsize)
    values = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
    _fill(values, file.stem.replace("-", " "), frozen, pictures, augmentation, batch_size)
    values.flush()
    partial.rename(file)


def _check_room(file: Path, shape: tuple[int, ...], needed: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise FashionError(
            f"{file}: {shape[0]} views of {shape[1]:,} pictures take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB "
            "are free there; make room, take fewer views, or unfreeze from a later part"
        )


def _fill(
    values: np.ndarray, title: str, frozen: keras.Model, pictures: Pictures,
    augmentation: keras.Sequential, batch_size: int,
) -> None:  # fmt: skip
    @tf.function(reduce_retracing=True)
    def plain(batch: tf.Tensor) -> tf.Tensor:
        return frozen(batch, training=False)

    @tf.function(reduce_retracing=True)
    def augmented(batch: tf.Tensor) -> tf.Tensor:
        return frozen(augmentation(batch, training=True), training=False)

    views, count = values.shape[:2]
    start = 0
    for batch, _ in pictures.batches(batch_size):
        stop = start + len(batch)
        values[0, start:stop] = plain(batch)
        for view in range(1, views):
            values[view, start:stop] = augmented(batch)
        start = stop
        report(title, start * views, count * views)
