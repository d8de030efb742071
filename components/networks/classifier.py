"""The network: a trunk, global average pooling, dropout and a softmax head."""

import keras
import numpy as np

from components.networks.backbones import build_trunk
from components.networks.edgenet import with_edgenet
from components.networks.profiles import LOGITS
from components.networks.settings import Model


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
    if settings.front == "edgenet":
        trunk = with_edgenet(trunk)
    features = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(trunk.output)
    return keras.Model(trunk.input, features, name=settings.backbone)


def softmax_head(settings: Model, width: int, shift: np.ndarray) -> keras.Model:
    """Features float32 [n, width] to probabilities float32 [n, k]; `shift` [k] is for `PriorShift`."""
    features = keras.Input((width,), name="features")
    dropped = keras.layers.Dropout(settings.dropout)(features)
    logits = keras.layers.Dense(len(shift), dtype="float32", name=LOGITS)(dropped)
    probabilities = keras.layers.Softmax(dtype="float32")(PriorShift(shift, dtype="float32")(logits))
    return keras.Model(features, probabilities, name="head")


def training_network(trunk: keras.Model, head: keras.Model, augmentation: keras.Sequential) -> keras.Model:
    """Pictures to probabilities, changing them at random while training."""
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    return keras.Model(pictures, head(trunk(augmentation(pictures))), name="training")


def serving_network(trunk: keras.Model, head: keras.Model, *, flip: bool = False, doubt: float = 0.0) -> keras.Model:
    """Pictures to (probabilities, features).

    It shares its layers with the training network, and none is random: random state breaks tf.saved_model.save.

    Args:
        trunk: from `pooled_trunk`.
        head: from `softmax_head`.
        flip: whether both are the mean over a picture and its mirror image.
        doubt: share of each answer that is spread over all classes alike.
    """
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    views = keras.ops.concatenate([pictures, keras.ops.flip(pictures, axis=2)]) if flip else pictures
    features = trunk(views)
    answers = [head(features), features]
    if flip:
        answers = [keras.ops.mean(keras.ops.reshape(each, (2, -1, each.shape[-1])), axis=0) for each in answers]
    if doubt:
        answers[0] = (1 - doubt) * answers[0] + doubt / answers[0].shape[-1]
    return keras.Model(pictures, answers, name="serving")


def soften(head: keras.Model, temperature: float) -> None:
    """Divides the logits of a head from `softmax_head` by a number."""
    logits = head.get_layer(LOGITS)
    logits.set_weights([weight / temperature for weight in logits.get_weights()])
