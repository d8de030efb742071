"""What goes on beside the epochs: keeping the best weights, backing up for a resume, stopping, reporting.

Every file is put in place by a rename: whenever the process is killed, what lies there is whole.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from components.progress import report
from components.train.history import MONITOR, best_epoch

Logs = dict[str, float] | None


def save_weights(network: keras.Model, loss: float, file: Path) -> None:
    """Writes a network's weights, with the loss they reach."""
    # Weights only: a fine-tuned EfficientNet saved whole reloads with other results (keras#20147).
    weights = {str(number): weight for number, weight in enumerate(network.get_weights())}
    partial = file.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez(stream, loss=loss, **weights)
    partial.replace(file)


def load_weights(network: keras.Model, file: Path) -> float:
    """Gives a network the weights of `save_weights`; returns their loss."""
    with np.load(file) as saved:
        network.set_weights([saved[str(number)] for number in range(len(network.weights))])
        return float(saved["loss"])


def saved_loss(file: Path) -> float:
    """The loss that saved weights reach; infinite if there are none."""
    if not file.exists():
        return float("inf")
    with np.load(file) as saved:
        return float(saved["loss"])


class RecordEpoch(keras.callbacks.Callback):
    """Adds the learning rate and the seconds of each epoch to its figures; goes before what writes them."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            logs["seconds"] = time.monotonic() - self._began


class KeepBest(keras.callbacks.Callback):
    """Saves the weights of each epoch that is better than those saved so far."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file, self._loss = file, saved_loss(file)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        loss = (logs or {})[MONITOR]
        if loss < self._loss:
            save_weights(self.model, loss, self._file)
            self._loss = loss


class Patience(keras.callbacks.EarlyStopping):
    """Early stopping that counts the epochs before a resume."""

    def __init__(self, patience: int, baseline: float | None, past: Sequence[dict[str, float]]) -> None:
        super().__init__(monitor=MONITOR, mode="min", patience=patience, baseline=baseline)
        self._past = past

    def on_train_begin(self, logs: Logs = None) -> None:
        super().on_train_begin(logs)
        for epoch, figures in enumerate(self._past):
            self.on_epoch_end(epoch, figures)


class Backup(keras.callbacks.Callback):
    """Writes weights and optimizer after each epoch; `restore` goes on from there."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def restore(self, network: keras.Model) -> int:
        """Brings a compiled network to the last backup, if there is one; returns the number of finished epochs."""
        epoch, file = max(((int(file.name.split(".")[0]), file) for file in self._files()), default=(0, None))
        if file is not None:
            network.optimizer.build(network.trainable_variables)
            network.load_weights(file)
        return epoch

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._folder.mkdir(exist_ok=True)
        older = self._files()
        # Keras takes no name that ends otherwise.
        partial = self._folder / "partial.weights.h5"
        self.model.save_weights(partial)
        # The number of epochs is in the name, so that it cannot disagree with the contents.
        partial.replace(self._folder / f"{epoch + 1}.weights.h5")
        for file in older:
            file.unlink()

    def _files(self) -> list[Path]:
        return [file for file in self._folder.glob("*.weights.h5") if file.name[0].isdigit()]


class ShowProgress(keras.callbacks.Callback):
    """Reports epochs, pictures per second, the validation accuracy of the epoch that is kept so far and the time left.

    Args:
        name: of the phase.
        epochs: how many there will be at most.
        pictures: in an epoch.
        steps: batches in an epoch.
        past: figures of the epochs before a resume.
    """

    def __init__(
        self, name: str, epochs: int, pictures: int, steps: int, past: Sequence[dict[str, float]] = ()
    ) -> None:
        super().__init__()
        self._name, self._epochs, self._pictures, self._steps = name, epochs, pictures, steps
        self._past = [(figures[MONITOR], figures["val_accuracy"]) for figures in past]
        self._epoch = 0
        self._before: int | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch
        if self._before is None:  # steps before a resume took none of this process's time
            self._before = epoch * self._steps

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        # Keras counts on where the last of several steps at once would end.
        reached, total = self._epoch * self._steps + min(batch + 1, self._steps), self._epochs * self._steps
        done = reached - (self._before or 0)
        rate = done / max(time.monotonic() - self._began, 1e-6)  # steps a second, validation included
        left = int((total - reached) / rate)
        kept = best_epoch([loss for loss, _ in self._past])
        best = "" if kept is None else f" · best {self._past[kept][1]:.1%}"
        images = rate * self._pictures / self._steps
        report(self._name, reached, total,
               f"epoch {self._epoch + 1}/{self._epochs} · {images:,.0f} img/s{best} · {left // 60}:{left % 60:02d} left"
               )  # fmt: skip

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs:
            self._past.append((logs[MONITOR], logs.get("val_accuracy", 0.0)))
