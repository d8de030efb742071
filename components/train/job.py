"""One training, as it is given to those who carry it out."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.networks.settings import Model
from components.train.data import Pictures
from components.train.losses import make_loss
from components.train.settings import Finetune, Train


@dataclass(frozen=True)
class Job:
    """One training: what to fit, on what, and where its unfinished work is kept.

    Attributes:
        shift: float [k], what `PriorShift` adds to the logits of the k classes.
        outside_train: pictures of no class to train on; None where there are none.
        outside_eval: likewise, to choose by.
        work: folder that survives a kill; started again, training goes on from what is there.
        strategy: from `make_strategy`.
        features: folder of what the trunk, frozen as a whole or below what is trained, makes of the pictures, where
            several trainings share it; None is `work`.
        title: what progress says before the name of a phase.
    """

    model: Model
    train: Train
    shift: np.ndarray
    train_pictures: Pictures
    eval_pictures: Pictures
    work: Path
    strategy: tf.distribute.Strategy
    outside_train: Pictures | None = None
    outside_eval: Pictures | None = None
    features: Path | None = None
    title: str = ""

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.shift)

    def loss(self) -> keras.losses.Loss:
        """What is minimised."""
        return make_loss(self.train, self.train_pictures.labels, self.classes)

    def trains_batch_norm(self, phase: Finetune) -> bool:
        """Whether batch norms learn with the trunk, or are kept in inference mode as pretrained ones should be."""
        if phase.batch_norm == "auto":
            return self.model.weights == "none" and self.train.head is None
        return phase.batch_norm == "train"
