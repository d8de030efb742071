"""The two stages of training: the head on cached features, then the trunk from one block upwards."""

import csv
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.progress import report
from components.settings import Finetune, Head, Model, Train
from components.train.backbones import set_trainable_from
from components.train.data import Pictures, augmentation
from components.train.features import HeadBatches, compute_features
from components.train.network import (
    compile_network,
    pooled_trunk,
    serving_network,
    softmax_head,
    training_network,
)
from components.train.strategy import make_strategy, precision

MONITOR = "val_loss"
PLATEAU_FACTOR = 0.5
_FEATURE_BATCH = 64


@dataclass(frozen=True)
class Job:
    """One training: what to fit, on what, and where its unfinished work is kept.

    Attributes:
        shift: float [k], what `PriorShift` adds to the logits of the k classes.
        work: folder that survives a kill; started again, training goes on from what is there.
    """

    model: Model
    train: Train
    shift: np.ndarray
    train_pictures: Pictures
    eval_pictures: Pictures
    work: Path

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.shift)


def fit(job: Job) -> keras.Model:
    """Trains and returns the best network: pictures [n, size, size, 3] to (probabilities, features)."""
    job.work.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(job.train.seed)
    with precision(job.train.mixed_precision):
        strategy = make_strategy(job.train.strategy)
        with strategy.scope():
            trunk = pooled_trunk(job.model, job.train_pictures.size)
            head = softmax_head(job.model, trunk.output_shape[-1], job.shift)
        best = _fit_head(job, trunk, head, strategy)
        if job.train.finetune is not None:
            _finetune(job, job.train.finetune, trunk, head, strategy, best)
    return _for_serving(job, trunk, head)


def _fit_head(job: Job, trunk: keras.Model, head: keras.Model, strategy: tf.distribute.Strategy) -> float:
    """Fits the head on the frozen trunk's features; returns the monitored loss it reached."""
    stage, train = job.train.head, job.train
    changes = augmentation(train.augment, train.seed)
    features = {
        name: compute_features(name, trunk, pictures, changes, views, _FEATURE_BATCH, job.work)
        for name, pictures, views in (("train", job.train_pictures, stage.views), ("eval", job.eval_pictures, 1))
    }
    batches = HeadBatches(features["train"], job.classes, train.batch_size, train.seed)
    with strategy.scope():
        compile_network(head, train, stage, stage.epochs * len(batches))
    # Minutes at most, so a killed try starts this stage afresh; its costly part, the features, is kept.
    (job.work / "head.csv").unlink(missing_ok=True)
    head.fit(
        batches,
        validation_data=HeadBatches(features["eval"], job.classes, 512),
        epochs=stage.epochs,
        callbacks=_callbacks("head", job, stage, None),
        verbose=0,
    )
    head.load_weights(_weights(job.work, "head"))
    return _best(job.work / "head.csv")


def _finetune(
    job: Job, stage: Finetune, trunk: keras.Model, head: keras.Model, strategy: tf.distribute.Strategy, best: float
) -> None:
    """Trains the trunk from `stage.unfreeze_from` upwards, together with the head; keeps what beats `best`."""
    train = job.train
    steps = -(-len(job.train_pictures) // train.batch_size)
    with strategy.scope():
        set_trainable_from(trunk, stage.unfreeze_from)
        network = training_network(trunk, head, augmentation(train.augment, train.seed))
        compile_network(network, train, stage, stage.epochs * steps)
    history = job.work / "finetune.csv"
    if history.exists():
        best = min(best, _best(history))
    else:
        network.save_weights(_weights(job.work, "finetune"))  # what stays if no epoch does better
    one_hot = lambda pictures, labels: (pictures, tf.one_hot(labels, job.classes))  # noqa: E731
    network.fit(
        job.train_pictures.batches(train.batch_size, shuffle_seed=train.seed).map(one_hot),
        validation_data=job.eval_pictures.batches(_FEATURE_BATCH).map(one_hot),
        epochs=stage.epochs,
        callbacks=[
            # Before the moving average takes the weights' place, or that would be backed up in their stead.
            keras.callbacks.BackupAndRestore(job.work / "backup", delete_checkpoint=False),
            *_callbacks("finetune", job, stage, best),
        ],
        verbose=0,
    )
    network.load_weights(_weights(job.work, "finetune"))


def _callbacks(name: str, job: Job, stage: Head | Finetune, best: float | None) -> list[keras.callbacks.Callback]:
    chosen: list[keras.callbacks.Callback] = [
        # Weights only: a fine-tuned EfficientNet saved whole reloads with other results (keras#20147).
        keras.callbacks.ModelCheckpoint(
            _weights(job.work, name),
            monitor=MONITOR,
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=best,
        ),
        keras.callbacks.EarlyStopping(monitor=MONITOR, patience=stage.patience, baseline=best),
        keras.callbacks.CSVLogger(job.work / f"{name}.csv", append=True),
        ShowProgress(name, stage.epochs, len(job.train_pictures)),
    ]
    if job.train.ema:
        chosen.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if stage.schedule == "plateau":
        patience = max(1, stage.patience // 2)
        chosen.append(keras.callbacks.ReduceLROnPlateau(monitor=MONITOR, factor=PLATEAU_FACTOR, patience=patience))
    return chosen


def _for_serving(job: Job, trunk: keras.Model, head: keras.Model) -> keras.Model:
    """The trained network in float32 on the default device, whatever it was trained in and on."""
    settings = job.model.model_copy(update={"weights": "none"})
    plain_trunk = pooled_trunk(settings, job.train_pictures.size)
    plain_trunk.set_weights(trunk.get_weights())
    plain_head = softmax_head(settings, trunk.output_shape[-1], job.shift)
    plain_head.set_weights(head.get_weights())
    return serving_network(plain_trunk, plain_head)


def _weights(work: Path, name: str) -> str:
    return str(work / f"{name}.weights.h5")


def _best(history: Path) -> float:
    with history.open() as lines:
        return min((float(row[MONITOR]) for row in csv.DictReader(lines)), default=float("inf"))


class ShowProgress(keras.callbacks.Callback):
    """Reports epochs, pictures per second, the best validation accuracy and the time left."""

    def __init__(self, name: str, epochs: int, pictures: int) -> None:
        super().__init__()
        self._name, self._epochs, self._pictures = name, epochs, pictures
        self._epoch, self._best, self._done = 0, 0.0, 0

    def on_train_begin(self, logs: object = None) -> None:
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self._done += 1
        steps = self.params["steps"] or batch + 1
        seconds = time.monotonic() - self._began
        rate = self._done / seconds * self._pictures / steps
        left = seconds / self._done * (steps * self._epochs - self._epoch * steps - batch - 1)
        note = f"epoch {self._epoch + 1}/{self._epochs} · {rate:,.0f} img/s"
        if self._best:
            note += f" · best {self._best:.1%}"
        report(self._name, self._epoch * steps + batch + 1, self._epochs * steps,
               f"{note} · {int(left) // 60}:{int(left) % 60:02d} left")  # fmt: skip

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._best = max(self._best, (logs or {}).get("val_accuracy", 0.0))
