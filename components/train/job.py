"""One training, as it is given to those who carry it out."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.networks.settings import Model
from components.outside.settings import Decide
from components.train.data import Pictures
from components.train.losses import make_loss, summed
from components.train.settings import Column, Finetune, Train


@dataclass(frozen=True)
class Job:
    """One training: what to fit, on what, and where its unfinished work is kept."""

    model: Model
    train: Train
    shift: np.ndarray  # float [k], what `PriorShift` adds to the logits of the k classes, those of all columns
    train_pictures: Pictures
    eval_pictures: Pictures
    work: Path  # folder that survives a kill; started again, training goes on from what is there
    strategy: tf.distribute.Strategy  # from `make_strategy`
    outside_train: Pictures | None = None  # pictures of no class to train on; None where there are none
    outside_eval: Pictures | None = None  # likewise, to choose by
    decide: Decide | None = None  # what the network's decisions must reach; None where it makes none
    # Folder of what the trunk, frozen as a whole or below what is trained, makes of the pictures, where several
    # trainings share it; None is `work`.
    features: Path | None = None
    title: str = ""  # what progress says before the name of a phase
    columns: tuple[Column, ...] = ()  # what is answered beside the main column

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of classes by column, the main one first."""
        further = [len(column.classes) for column in self.columns]
        return (len(self.shift) - sum(further), *further)

    @property
    def classes(self) -> int:
        """Number of classes of the main column."""
        return self.sizes[0]

    def loss(self) -> keras.losses.Loss:
        """What is minimised."""
        targets = self.train_pictures.targets.T
        losses = [make_loss(self.train, each[each >= 0], size) for each, size in zip(targets, self.sizes, strict=True)]
        return summed(losses, self.sizes, [1.0, *(column.weight for column in self.columns)])

    def trains_batch_norm(self, phase: Finetune) -> bool:
        """Whether batch norms learn with the trunk, or are kept in inference mode as pretrained ones should be."""
        if phase.batch_norm == "auto":
            return self.model.weights == "none" and self.train.head is None
        return phase.batch_norm == "train"
