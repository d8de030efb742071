"""The network: a trunk, global average pooling, dropout and a softmax head."""

from collections.abc import Sequence

import keras
import numpy as np

from components.networks.backbones import build_trunk
from components.networks.edgenet import with_edgenet
from components.networks.profiles import LOGITS, POOL, PROFILES, part_of
from components.networks.settings import Model
from components.outside.score import Score


class LogOdds(keras.layers.Layer):
    """Turns logits [n, m] into the log odds, [n, 1], of some of the m classes, `chosen`, against the others."""

    def __init__(self, chosen: np.ndarray, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._places = [np.flatnonzero(chosen), np.flatnonzero(~chosen)]

    def call(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Logits to log odds."""
        sides = [keras.ops.take(logits, places, axis=1) for places in self._places]
        chosen, others = (keras.ops.logsumexp(side, axis=1, keepdims=True) for side in sides)
        return chosen - others


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


class ColumnsSoftmax(keras.layers.Layer):
    """Logits [n, k] to probabilities, which sum to 1 in each column; their `sizes` sum to k."""

    def __init__(self, sizes: Sequence[int], **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.sizes = tuple(sizes)

    def call(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        """Probabilities, column by column."""
        ends = np.cumsum(self.sizes).tolist()
        columns = [logits[:, start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return keras.ops.concatenate([keras.ops.softmax(column) for column in columns], axis=1)


def prior_shift(trained: np.ndarray, natural: np.ndarray, classes: int, strength: float) -> np.ndarray:
    """Returns what `PriorShift` adds: float64 [classes], strength × log(share in training / natural share).

    Args:
        trained: int64 [n], labels that are trained on; -1 counts nowhere.
        natural: int64 [m], labels as they occur in the catalogue, likewise.
        classes: number of classes.
        strength: 0 for no shift, 1 for all of it.
    """
    # One is added to each count, so that a class without examples stays finite.
    trained, natural = trained[trained >= 0], natural[natural >= 0]
    shares = [(np.bincount(labels, minlength=classes) + 1) / (len(labels) + classes) for labels in (trained, natural)]
    return strength * np.log(shares[0] / shares[1])


def pooled_trunk(settings: Model, size: int) -> keras.Model:
    """Pictures float32 [n, size, size, 3] in 0..255 to features float32 [n, d]."""
    trunk = build_trunk(settings.backbone, settings.weights, size)
    if settings.front == "edgenet":
        trunk = with_edgenet(trunk)
    features = keras.layers.GlobalAveragePooling2D(name=POOL, dtype="float32")(trunk.output)
    return keras.Model(trunk.input, features, name=settings.backbone)


def softmax_head(settings: Model, width: int, shift: np.ndarray, sizes: Sequence[int] = ()) -> keras.Model:
    """Features float32 [n, width] to probabilities float32 [n, k].

    Args:
        settings: the recipe's.
        width: number of features.
        shift: float [k], for `PriorShift`.
        sizes: how many of the k classes each column has; none for a single column.
    """
    features = keras.Input((width,), name="features")
    dropped = keras.layers.Dropout(settings.dropout)(features)
    logits = keras.layers.Dense(len(shift), dtype="float32", name=LOGITS)(dropped)
    softmax = ColumnsSoftmax(sizes or (len(shift),), dtype="float32")
    probabilities = softmax(PriorShift(shift, dtype="float32")(logits))
    return keras.Model(features, probabilities, name="head")


def widened(head: keras.Model, settings: Model, shift: np.ndarray, sizes: Sequence[int]) -> keras.Model:
    """Returns a head from `softmax_head` with further columns behind its own, which start from random numbers.

    `shift` and `sizes` are those of all columns. Without further ones it is the head itself.
    """
    if tuple(sizes) == sizes_of(head):
        return head
    wide = softmax_head(settings, head.input_shape[-1], shift, sizes)
    numbers = zip(head.get_layer(LOGITS).get_weights(), wide.get_layer(LOGITS).get_weights(), strict=True)
    wide.get_layer(LOGITS).set_weights(
        [np.concatenate([own, new[..., own.shape[-1] :]], axis=-1) for own, new in numbers]
    )
    return wide


def training_network(trunk: keras.Model, head: keras.Model, augmentation: keras.Sequential) -> keras.Model:
    """Pictures to probabilities, changing them at random while training."""
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    return keras.Model(pictures, head(trunk(augmentation(pictures))), name="training")


def tapped(trunk: keras.Model, backbone: str) -> keras.Model:
    """Pictures to features, [n, d], followed by the maxima of a middle layer's channels: float32 [n, d + e].

    What a trunk learns of its classes makes the last layer blind to what none of them has; the middle still sees it.

    Args:
        trunk: from `pooled_trunk`; it shares its layers.
        backbone: its name.
    """
    parts = PROFILES[backbone].parts
    middle = [layer for layer in trunk.layers if part_of(layer.name, parts) == parts[(len(parts) + 1) // 2]]
    if not middle:
        return trunk
    maxima = keras.ops.max(middle[-1].output, axis=tuple(range(1, len(middle[-1].output.shape) - 1)))
    joined = keras.layers.Concatenate(dtype="float32", name="tap")([trunk.output, maxima])
    return keras.Model(trunk.input, joined, name=trunk.name)


def kinds_head(score: Score, head: keras.Model) -> keras.Model:
    """What `tapped` sees and the head's answer to how foreign that is, [n, 1]: the log odds of kinds of no class.

    A label that is not sure counts twice as its logarithm: among kinds that were never shown it tells some more.
    """
    features = keras.Input((len(score.kernel),), name="features")
    answers = keras.Input((sum(sizes_of(head)),), name="answers")
    kinds = keras.layers.Dense(len(score.bias), dtype="float32", name="kinds")
    odds = LogOdds(score.outer, dtype="float32")(kinds(features))
    sure = keras.ops.max(answers[:, : sizes_of(head)[0]], axis=1, keepdims=True)
    outside = keras.Model([features, answers], odds - 2 * keras.ops.log(sure), name="outside")
    kinds.set_weights([score.kernel, score.bias])
    return outside


def energy_head(head: keras.Model) -> keras.Model:
    """Features to the energy, [n, 1], of a head from `softmax_head`: Liu et al. 2020, https://arxiv.org/abs/2010.03759.

    It needs no foreign pictures to learn from, and tells them less well.
    """
    features = keras.Input(head.input_shape[1:], name="features")
    logits = head.get_layer(LOGITS)(features)[:, : sizes_of(head)[0]]
    return keras.Model(features, -keras.ops.logsumexp(logits, axis=1, keepdims=True), name="outside")


def serving_network(
    trunk: keras.Model,
    head: keras.Model,
    outside: keras.Model | None = None,
    *,
    flip: bool = False,
    doubt: float | Sequence[float] = 0.0,
) -> keras.Model:
    """Pictures to (probabilities, features, heat) and, where it is given, what `outside` makes of the features.

    The heat, float32 [n, h, w], is the class activation map of the most probable class of the main column: what each
    place of the last feature map adds to its logit (Zhou et al. 2016, https://arxiv.org/abs/1512.04150). Behind global
    average pooling and one dense layer it is exact: its mean over all places, plus the class's bias, is the logit.
    It shares its layers with the training network, and none is random: random state breaks tf.saved_model.save.

    Args:
        trunk: from `pooled_trunk`, or `tapped` where `outside` reads that.
        head: from `softmax_head`.
        outside: from `kinds_head`, which is given the answers too, or `energy_head`.
        flip: whether all are the mean over a picture and its mirror image.
        doubt: share of each answer that is spread over all classes alike; of each column, if they differ.
    """
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    views = keras.ops.concatenate([pictures, keras.ops.flip(pictures, axis=2)]) if flip else pictures
    # Features come from where they are pooled, not out of what `tapped` joins: quantized, that has one scale for both.
    pool = trunk.get_layer(POOL)
    seen, features, places = keras.Model(trunk.input, [trunk.output, pool.output, pool.input])(views)
    answers = [head(features), features]
    if outside:
        answers.append(outside([seen, answers[0]] if len(outside.inputs) > 1 else features))
    if flip:
        answers = [keras.ops.mean(keras.ops.reshape(each, (2, -1, each.shape[-1])), axis=0) for each in answers]
        straight = keras.ops.reshape(places, (2, -1, *places.shape[1:]))
        places = (straight[0] + keras.ops.flip(straight[1], axis=2)) / 2
    if np.any(doubt):
        kept, spread = 1 - np.asarray(doubt), np.asarray(doubt) / sizes_of(head)
        answers[0] = answers[0] * _by_class(head, kept) + _by_class(head, spread)
    best = keras.ops.argmax(answers[0][:, : sizes_of(head)[0]], axis=1)
    weights = keras.ops.take(head.get_layer(LOGITS).kernel, best, axis=1)
    answers.insert(2, keras.ops.einsum("nhwd,dn->nhw", places, weights))
    return keras.Model(pictures, answers, name="serving")


def soften(head: keras.Model, temperature: float | Sequence[float]) -> None:
    """Divides the logits of a head from `softmax_head` by a number, or by one for each column."""
    logits = head.get_layer(LOGITS)
    logits.set_weights([weight / _by_class(head, temperature) for weight in logits.get_weights()])


def sizes_of(head: keras.Model) -> tuple[int, ...]:
    """Returns how many classes each column of a head from `softmax_head` has."""
    sizes: tuple[int, ...] = head.layers[-1].sizes
    return sizes


def _by_class(head: keras.Model, values: "np.typing.ArrayLike") -> np.ndarray:
    """Numbers of columns as numbers of classes, float32 [k]."""
    sizes = sizes_of(head)
    return np.repeat(np.broadcast_to(values, len(sizes)), sizes).astype(np.float32)
