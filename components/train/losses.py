"""What training minimises: cross-entropy or focal loss, over all classes alike or with the rare ones weighing more."""

from collections.abc import Sequence

import keras
import numpy as np

from components.train.settings import Train

_HEAVIEST = 10.0  # times the weight of a class of average size: a class of few pictures shall not drown the others


def make_loss(train: Train, labels: np.ndarray, classes: int) -> keras.losses.Loss:
    """Returns the loss of probabilities [n, classes] against one-hot or mixed labels of the same shape.

    Cross-entropy is focal loss with gamma 0; Lin et al. 2017, https://arxiv.org/abs/1708.02002. Trained on is labels
    int64 [n].
    """
    if train.loss == "cross_entropy" and train.class_weights == "none":
        return keras.losses.CategoricalCrossentropy(label_smoothing=train.label_smoothing)
    weights = balanced_weights(labels, classes) if train.class_weights == "balanced" else np.ones(classes)
    return keras.losses.CategoricalFocalCrossentropy(
        alpha=weights.tolist(),
        gamma=train.focal_gamma if train.loss == "focal" else 0.0,
        label_smoothing=train.label_smoothing,
    )


class SummedLoss(keras.losses.Loss):
    """The weighted sum of the losses of several columns, whose classes stand side by side."""

    def __init__(self, losses: Sequence[keras.losses.Loss], sizes: Sequence[int], weights: Sequence[float]) -> None:
        super().__init__(name="columns")
        ends = np.cumsum(sizes).tolist()
        self._columns = list(zip(losses, weights, [0, *ends], ends, strict=False))

    def call(self, targets: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
        """Losses float32 [n] of targets [n, k], of which a column without a value has none and adds nothing."""
        total = 0.0
        for loss, weight, start, end in self._columns:
            target = targets[:, start:end]
            known = keras.ops.sum(target, axis=1, keepdims=True)  # between 0 and 1 where one of two mixed pictures is
            whole = target / keras.ops.maximum(known, keras.backend.epsilon())
            total += weight * known[:, 0] * loss.call(whole, probabilities[:, start:end])
        return total


def summed(losses: Sequence[keras.losses.Loss], sizes: Sequence[int], weights: Sequence[float]) -> keras.losses.Loss:
    """Returns the loss of all columns; of one, its own."""
    return losses[0] if len(losses) == 1 else SummedLoss(losses, sizes, weights)


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns float64 [classes]: a class weighs the more, the fewer of labels int64 [n] are its, up to a limit.

    Over the examples the weights have mean 1, so that a learning rate means the same with and without them.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.minimum(len(labels) / (classes * np.maximum(counts, 1)), _HEAVIEST)
    return weights * len(labels) / (weights @ counts)
