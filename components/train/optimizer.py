"""What moves the weights: optimiser, learning rate and loss, given to a network."""

from functools import partial

import keras
import tensorflow as tf

from components.train.settings import Finetune, Head, Train

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
    "rmsprop": keras.optimizers.RMSprop,
}
_HEAD_STEPS = 16


def compile_network(
    network: keras.Model, train: Train, phase: Head | Finetune, steps: int, loss: keras.losses.Loss,
    classes: int | None = None,
) -> None:  # fmt: skip
    """Gives a network, pictures to probabilities [n, k], its optimizer, loss and metrics.

    An epoch has `steps` batches. The first of the k probabilities are the main column's, as many as `classes`; None is
    all.
    """

    def accuracy(targets: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
        main = targets[:, :classes]
        right = keras.metrics.categorical_accuracy(main, probabilities[:, :classes])
        known = keras.ops.cast(keras.ops.sum(main, axis=1), right.dtype)  # pictures of no class count nowhere
        return right * known / keras.ops.maximum(keras.ops.mean(known), keras.backend.epsilon())

    # AdamW refuses a missing decay, the others apply one of 0 at a cost.
    decayed = train.optimizer == "adamw" or train.weight_decay > 0
    network.compile(
        optimizer=_OPTIMIZERS[train.optimizer](
            learning_rate(phase, steps),
            weight_decay=train.weight_decay if decayed else None,
            use_ema=train.ema > 0,
            ema_momentum=train.ema,
        ),
        loss=loss,
        metrics=[accuracy],
        # A step of the head takes less time than to call for it. Several devices fail on an epoch's last, fewer steps.
        steps_per_execution=_HEAD_STEPS if isinstance(phase, Head) and not tf.distribute.has_strategy() else 1,
        jit_compile=False,  # XLA is ten times slower on CPUs
    )


def learning_rate(phase: Head | Finetune, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate, or its course over a phase whose epochs have `steps` batches.

    Cosine decay to nothing (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts), after a
    linear rise from nothing where the phase warms up (Goyal et al. 2017, https://arxiv.org/abs/1706.02677). `plateau`
    is a callback's work and begins as `constant`.
    """
    if phase.schedule != "cosine":
        return phase.learning_rate
    decay = keras.optimizers.schedules.CosineDecay
    if not phase.warmup:
        return decay(phase.learning_rate, phase.epochs * steps)
    rising = phase.warmup * steps
    return decay(0.0, phase.epochs * steps - rising, warmup_target=phase.learning_rate, warmup_steps=rising)
