"""The two phases of training: the head on cached features, then the trunk from one part upwards.

Either can be left out: a network that starts from nothing has no features worth caching. A finished phase leaves its
weights in the work folder, and is not done again.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.errors import RecipeError
from components.networks.backbones import set_trainable_from
from components.networks.classifier import (
    pooled_trunk,
    serving_network,
    soften,
    softmax_head,
    training_network,
    widened,
)
from components.networks.folding import fold_batch_norms
from components.networks.layers import divide, producer_of
from components.outside.thresholds import DECIDE_FILE
from components.train.augment import changes, mixing
from components.train.calibration import CALIBRATION_FILE, calibrate
from components.train.callbacks import (
    Backup,
    KeepBest,
    Patience,
    RecordEpoch,
    ShowProgress,
    load_weights,
    save_weights,
    saved_loss,
)
from components.train.data import Pictures
from components.train.features import ACTIVATIONS, BATCH, FEATURES, cached_batches, compute, file_of, open_split
from components.train.history import MONITOR, best_epoch, read_history, repair_history
from components.train.job import Job
from components.train.optimizer import compile_network
from components.train.outside import decisions_of, outputs_of, with_kinds, with_outside
from components.train.settings import Finetune, Head
from components.train.strategy import precision
from components.train.workers import is_chief, wait_for_all

PLATEAU_FACTOR = 0.5


class Diverged(RecipeError):
    """Training has led to no numbers; with other settings it may."""


def fit(job: Job) -> keras.Model:
    """Trains and returns the best network: pictures [n, size, size, 3] to (probabilities, features).

    Where the job decides, it also says how foreign they are, [n, 1], and leaves its `Decisions` in the work folder. Of
    several workers only the chief writes to that; all return the same network.
    """
    job.work.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(job.train.seed)
    with precision(job.train.mixed_precision):
        with job.strategy.scope():
            trunk = pooled_trunk(job.model, job.train_pictures.size)
            head = softmax_head(job.model, trunk.output_shape[-1], job.shift, job.sizes)
        best = float("inf") if job.train.head is None else _fit_head(job, job.train.head, trunk, head)
        if job.train.finetune is not None:
            learnt = with_kinds(job)
            with job.strategy.scope():
                head = widened(head, job.model, learnt.shift, learnt.sizes)
            _finetune(learnt, job.train.finetune, trunk, head, best)
    return _for_serving(job, trunk, head)


def fit_head(job: Job) -> np.ndarray:
    """Trains a head and nothing else: where features are at hand, that takes seconds.

    Returns:
        What the best head makes of the eval split: probabilities float32 [n, k].
    """
    phase = job.train.head
    if phase is None:
        raise ValueError("the head phase is empty: there is no head to be trained alone")
    job.work.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(job.train.seed)
    with precision(job.train.mixed_precision):
        if not all(file_of(job, FEATURES, split).exists() for split in ("train", "eval")):
            with job.strategy.scope():
                trunk = pooled_trunk(job.model, job.train_pictures.size)
            compute(job, FEATURES, trunk, phase.views)
        with job.strategy.scope():
            width = open_split(job, FEATURES, "eval").values.shape[-1]
            head = softmax_head(job.model, width, job.shift, job.sizes)
        _fit_on_features(job, phase, head)
        _, eval_batches = cached_batches(job, FEATURES, job.train.seed)
        return head.predict(eval_batches, verbose=0)


def answers_of(network: keras.Model, pictures: Pictures) -> np.ndarray:
    """What a network from `fit` makes of a split: probabilities float32 [n, k]."""
    return outputs_of(network, pictures)[0]


def _fit_head(job: Job, phase: Head, trunk: keras.Model, head: keras.Model) -> float:
    """Fits the head on the frozen trunk's features; returns the monitored loss it reached."""
    finished = job.work / "head.npz"
    if finished.exists():
        return load_weights(head, finished)
    compute(job, FEATURES, trunk, phase.views)
    return _fit_on_features(job, phase, head)


def _fit_on_features(job: Job, phase: Head, head: keras.Model) -> float:
    """Fits the head on features that are there; returns the monitored loss it reached."""
    finished, train = job.work / "head.npz", job.train
    train_batches, eval_batches = cached_batches(job, FEATURES, train.seed)
    with job.strategy.scope():
        compile_network(head, train, phase, len(train_batches), job.loss(), job.classes)
    best, history = job.work / "head-best.npz", job.work / "head.csv"
    if is_chief(job.strategy):
        # Minutes at most, so a killed try starts this phase afresh; its costly part, the features, is kept.
        best.unlink(missing_ok=True)
        history.unlink(missing_ok=True)
    wait_for_all(job.strategy)
    head.fit(
        train_batches, validation_data=eval_batches, epochs=phase.epochs, shuffle=False,
        callbacks=_callbacks("head", job, phase, None), verbose=0,
    )  # fmt: skip
    return _finish(job, head, best, finished)


def _finetune(job: Job, phase: Finetune, trunk: keras.Model, head: keras.Model, loss: float) -> None:
    """Trains the trunk from `phase.unfreeze_from` upwards, together with the head; keeps what beats `loss`."""
    train = job.train
    finished, best, backup = job.work / "finetune.npz", job.work / "finetune-best.npz", Backup(job.work / "backup")
    with job.strategy.scope():
        batch_norm = job.trains_batch_norm(phase)
        set_trainable_from(trunk, job.model.backbone, phase.unfreeze_from, batch_norm=batch_norm)
        if phase.views:
            frozen, trained = _divided(job, phase, trunk)
            network = keras.Model(trained.input, head(trained.output), name="training")
        else:
            network = training_network(trunk, head, changes(train.augment, train.seed))
        if finished.exists():
            load_weights(network, finished)
            return
        compile_network(network, train, phase, _steps(job), job.loss(), job.classes)
        done = backup.restore(network)
    if is_chief(job.strategy) and not best.exists():
        save_weights(network, loss, best)  # what stays if no epoch does better
    # With the same seed a resume would see the pictures in the order of the first epochs again.
    seed = train.seed + done
    if phase.views:
        # Not where training starts: what else is trained, as batch norms are, moves the place of division.
        place = f"{producer_of(frozen.output)}-{phase.views}"
        compute(job, ACTIVATIONS, frozen, phase.views, np.float16, place)
        train_batches, eval_batches = cached_batches(job, ACTIVATIONS, seed, place)
    else:
        train_batches, eval_batches = _fresh(job, seed)
    network.fit(
        train_batches,
        validation_data=eval_batches,
        initial_epoch=done,
        epochs=phase.epochs,
        shuffle=False,
        # Before the moving average takes the weights' place, or that would be backed up in their stead.
        callbacks=[*([backup] if is_chief(job.strategy) else []), *_callbacks("finetune", job, phase, loss)],
        verbose=0,
    )
    if _finish(job, network, best, finished) == loss and is_chief(job.strategy):
        _tell_lost(read_history(job.work / "finetune.csv"), loss)


def _tell_lost(epochs: Sequence[dict[str, float]], loss: float) -> None:
    """Logs that fine-tuning has not done better than the head, so that it is never silent."""
    losses = [epoch[MONITOR] for epoch in epochs]
    best = best_epoch(losses)
    reached = "was not a number in any epoch" if best is None else f"came to {losses[best]:.4f} at best"
    logging.warning("train.finetune: the loss on eval %s, with the head it was %.4f: the head is kept", reached, loss)


def _divided(job: Job, phase: Finetune, trunk: keras.Model) -> tuple[keras.Model, keras.Model]:
    """The part of the trunk that stays as it is, and the part that is trained on what the first makes of pictures."""
    divided = divide(trunk)
    if divided is None:
        raise RecipeError(
            f"train.finetune.views: {job.model.backbone} cannot be divided below {phase.unfreeze_from!r}, so nothing "
            "can be computed once for all epochs; unfreeze from another part, or leave views out"
        )
    return divided


def _fresh(job: Job, seed: int) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """What is trained and evaluated on where pictures are changed anew in every epoch."""

    def one_hot(pictures: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        columns = zip(tf.unstack(targets, len(job.sizes), axis=1), job.sizes, strict=True)
        return pictures, tf.concat([tf.one_hot(labels, size) for labels, size in columns], axis=1)

    changed = job.train_pictures.batches(job.train.batch_size, job.train.shuffle_buffer, seed).map(one_hot)
    return changed.apply(mixing(job.train.augment, seed)), job.eval_pictures.batches(BATCH).map(one_hot)


def _callbacks(name: str, job: Job, phase: Head | Finetune, loss: float | None) -> list[keras.callbacks.Callback]:
    """In the order in which they are called: the moving average first, so that it is what all others see."""
    history = job.work / f"{name}.csv"
    if is_chief(job.strategy):
        repair_history(history)
    past = read_history(history)
    chosen: list[keras.callbacks.Callback] = []
    if job.train.ema:
        chosen.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if is_chief(job.strategy):
        best = job.work / f"{name}-best.npz"
        chosen += [RecordEpoch(), KeepBest(best), keras.callbacks.CSVLogger(history, append=True)]
    chosen += [
        Patience(phase.patience, loss, past),
        ShowProgress(job.title + name, phase.epochs, len(job.train_pictures), _steps(job), past),
    ]
    if phase.schedule == "plateau":
        patience = max(1, phase.patience // 2)
        chosen.append(keras.callbacks.ReduceLROnPlateau(monitor=MONITOR, factor=PLATEAU_FACTOR, patience=patience))
    return chosen


def _finish(job: Job, network: keras.Model, best: Path, finished: Path) -> float:
    """Ends a phase: its best weights become the network's, and the phase's result."""
    if is_chief(job.strategy):
        if saved_loss(best) == float("inf"):  # or the weights that fine-tuning has begun with
            raise Diverged(f"train.{finished.stem}: the loss was not a number in any epoch; lower the learning rate")
        best.rename(finished)
    wait_for_all(job.strategy)
    loss = load_weights(network, finished)
    wait_for_all(job.strategy)
    return loss


def _for_serving(job: Job, trunk: keras.Model, head: keras.Model) -> keras.Model:
    """The trained network in float32 on the default device, whatever it was trained in and on."""
    settings = job.model.model_copy(update={"weights": "none"})
    plain_trunk = pooled_trunk(settings, job.train_pictures.size)
    plain_trunk.set_weights(trunk.get_weights())
    plain_head = softmax_head(settings, trunk.output_shape[-1], job.shift, job.sizes)
    kept = len(job.shift)  # what is learnt and not answered stands behind
    plain_head.set_weights([weights[..., :kept] for weights in head.get_weights()])
    folded = fold_batch_norms(plain_trunk)
    # After the last change of the head, on which it may rest.
    doubt = _calibrate(job, folded, plain_head) if job.train.calibrate else 0.0
    folded, outside = with_outside(job, folded, plain_head) if job.decide else (folded, None)
    network = serving_network(folded, plain_head, outside, flip=settings.test_time_flip, doubt=doubt)
    if job.decide and is_chief(job.strategy):
        decisions = decisions_of(job, network, job.decide)
        (job.work / DECIDE_FILE).write_text(decisions.model_dump_json(indent=2), encoding="utf-8")
    return network


def _calibrate(job: Job, trunk: keras.Model, head: keras.Model) -> list[float]:
    """Scales the logits of the head; returns the doubt that is left, of each column."""
    # Of the mean over two answers the best temperature of one is the best for both alike, as near as matters.
    network = serving_network(trunk, head, flip=job.model.test_time_flip)
    answers = np.split(_eval_answers(job, network, head), np.cumsum(job.sizes)[:-1], axis=1)
    scaled = [calibrate(*each) for each in zip(answers, job.eval_pictures.targets.T, strict=True)]
    soften(head, [each.temperature for each in scaled])
    if is_chief(job.strategy):
        tags = {column.name: each for column, each in zip(job.columns, scaled[1:], strict=True)}
        calibration = scaled[0].model_copy(update={"tags": tags})
        (job.work / CALIBRATION_FILE).write_text(calibration.model_dump_json(indent=2), encoding="utf-8")
    return [each.doubt for each in scaled]


def _eval_answers(job: Job, network: keras.Model, head: keras.Model) -> np.ndarray:
    """What the network makes of the eval split: probabilities float32 [n, k]."""
    if job.train.finetune is None and not job.model.test_time_flip:  # the trunk's part in it is at hand
        features = open_split(job, FEATURES, "eval").values[0]
        return np.concatenate([head(part) for part in np.array_split(features, -(-len(features) // 4096))])
    return answers_of(network, job.eval_pictures)


def _steps(job: Job) -> int:
    return -(-len(job.train_pictures) // job.train.batch_size)
