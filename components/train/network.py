"""The network: a pretrained trunk, global average pooling, dropout and a softmax head."""

import keras
import numpy as np

from components.settings import Finetune, Head, Model, Train
from components.train.backbones import build_trunk


class PriorShift(keras.layers.Layer):
    """Adds the logarithm of class frequencies to logits [n, k], in training only.

    Trained on balanced classes with their log ratio to the natural ones added, the bare logits answer for the
    natural frequencies: logit adjustment, Menon et al. 2021, https://arxiv.org/abs/2007.07314.
    """

    def __init__(self, shift: np.ndarray, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._shift = np.asarray(shift, np.float32)

    def call(self, logits: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Logits, shifted while training."""
        return logits + self._shift if training else logits


def prior_shift(trained: np.ndarray, natural: np.ndarray, classes: int, strength: float) -> np.ndarray:
    """Returns what `PriorShift` adds: float64 [classes], strength × log(share in training / natural share).

    Args:
        trained: int64 [n], labels that are trained on.
        natural: int64 [m], labels as they occur in the catalogue.
        classes: number of classes.
        strength: 0 for no shift, 1 for all of it.
    """
    # One is added to each count, so that a class without examples stays finite.
    shares = [(np.bincount(labels, minlength=classes) + 1) / (len(labels) + classes) for labels in (trained, natural)]
    return strength * np.log(shares[0] / shares[1])


def pooled_trunk(settings: Model, size: int) -> keras.Model:
    """Pictures float32 [n, size, size, 3] in 0..255 to features float32 [n, d]."""
    trunk = build_trunk(settings.backbone, settings.weights, size)
    features = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(trunk.output)
    return keras.Model(trunk.input, features, name=trunk.name)


def softmax_head(settings: Model, width: int, shift: np.ndarray) -> keras.Model:
    """Features float32 [n, width] to probabilities float32 [n, k]; `shift` [k] is for `PriorShift`."""
    features = keras.Input((width,), name="features")
    dropped = keras.layers.Dropout(settings.dropout)(features)
    logits = keras.layers.Dense(len(shift), dtype="float32", name="logits")(dropped)
    probabilities = keras.layers.Softmax(dtype="float32")(PriorShift(shift, dtype="float32")(logits))
    return keras.Model(features, probabilities, name="head")


def training_network(trunk: keras.Model, head: keras.Model, augmentation: keras.Sequential) -> keras.Model:
    """Pictures to probabilities, changing them at random while training."""
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    return keras.Model(pictures, head(trunk(augmentation(pictures))), name="training")


def serving_network(trunk: keras.Model, head: keras.Model) -> keras.Model:
    """Pictures to (probabilities, features).

    It shares its layers with the training network, and none is random: random state breaks tf.saved_model.save.
    """
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    features = trunk(pictures)
    return keras.Model(pictures, [head(features), features], name="serving")


def compile_network(network: keras.Model, train: Train, stage: Head | Finetune, steps: int) -> None:
    """Gives a network its optimizer, loss and metrics; `steps` is the number of batches in all epochs."""
    cosine = stage.schedule == "cosine"
    rate = keras.optimizers.schedules.CosineDecay(stage.learning_rate, steps) if cosine else stage.learning_rate
    # AdamW refuses a missing decay, Adam applies one of 0 at a cost.
    decayed = train.optimizer == "adamw" or train.weight_decay > 0
    optimizer = keras.optimizers.AdamW if train.optimizer == "adamw" else keras.optimizers.Adam
    network.compile(
        optimizer=optimizer(
            rate,
            weight_decay=train.weight_decay if decayed else None,
            use_ema=train.ema > 0,
            ema_momentum=train.ema,
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=train.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,  # XLA is ten times slower on CPUs
    )
