"""What the frozen networks of a training make of its pictures: where it is kept, and who computes it."""

from pathlib import Path

import keras
import numpy as np

from components.networks.folding import fold_batch_norms
from components.train.augment import changes
from components.train.features import CachedBatches, Features, compute_features, open_features
from components.train.job import Job
from components.train.workers import is_chief, wait_for_all

FEATURES, ACTIVATIONS = "features", "activations"  # of the whole trunk; of its frozen part, where a part is trained
BATCH = 64  # pictures
_EVALUATED = {FEATURES: 512, ACTIVATIONS: BATCH}  # at a time


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
    return open_features(file_of(job, kind, split, place), pictures)


def cached_batches(job: Job, kind: str, seed: int, place: str = "") -> tuple[CachedBatches, CachedBatches]:
    """What `compute` left of both splits: to train on, in an order and in views by the seed, and to evaluate on."""
    train, held_out = (open_split(job, kind, split, place) for split in ("train", "eval"))
    return (
        CachedBatches(train, job.classes, job.train.batch_size, seed),
        CachedBatches(held_out, job.classes, _EVALUATED[kind]),
    )


def file_of(job: Job, kind: str, split: str, place: str = "") -> Path:
    """Where that of a split is kept; `place` names the layer at which the trunk was divided, and how many views."""
    return (job.features or job.work) / place / f"{kind}-{split}.npy"
