"""Teaches a trained network to say how foreign a picture is, and fits what is decided by that."""

from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from components.networks.classifier import energy_head, kinds_head, tapped
from components.outside.score import fit_score, label_kinds
from components.outside.settings import Decide
from components.outside.thresholds import Decisions, fit_decisions, sure_enough
from components.train.data import Pictures
from components.train.job import Job
from components.train.settings import Column

_BATCH = 64
_LEAST = 4096  # pictures of the classes, where there are so many, however few there are of none


def outputs_of(network: keras.Model, pictures: Pictures, least: int | None = None) -> list[np.ndarray]:
    """Runs pictures through a network, batch after batch until there are `least`: each of its outputs, [n, ...]."""
    # Not by Keras' predict, which takes four times as long to begin.
    answer = tf.function(lambda batch: tf.nest.flatten(network(batch, training=False)), reduce_retracing=True)
    batches = pictures.batches(_BATCH).take(-(-(least or len(pictures)) // _BATCH))
    parts = [[output.numpy() for output in answer(batch)] for batch, _ in batches]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def with_kinds(job: Job) -> Job:
    """Adds the kinds of pictures, those of no class among them, as a column that is learnt and never answered.

    A trunk that is tuned to its classes alone unlearns what sets other products apart. Of the eval split the column
    says nothing, so that the best epoch is still the classes'.
    """
    weight = job.train.kinds
    if job.outside_train is None or job.train.finetune is None or not weight:
        return job
    train, foreign = job.train_pictures, job.outside_train
    names, inside, outside = label_kinds(train.kinds, foreign.kinds)
    columns = (*job.columns, Column(name="kind", classes=tuple(repr(name) for name in names), weight=weight))
    missing = np.full((len(foreign.natural), len(job.columns)), -1)
    train = _tagged(train, columns, np.column_stack([train.tags, inside]))
    foreign = _tagged(foreign, columns, np.column_stack([missing, outside]))
    held_out = job.eval_pictures
    unknown = np.full(len(held_out.natural), -1)
    return replace(
        job, columns=columns, shift=np.concatenate([job.shift, np.zeros(len(names))]),
        train_pictures=replace(train, foreign=foreign),
        eval_pictures=_tagged(held_out, columns, np.column_stack([held_out.tags, unknown])),
    )  # fmt: skip


def _tagged(pictures: Pictures, columns: Sequence[Column], tags: np.ndarray) -> Pictures:
    return replace(pictures, columns=tuple(column.name for column in columns), tags=tags)


def with_outside(job: Job, trunk: keras.Model, head: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Adds to a trained trunk and its head what tells foreign pictures; both take part in `serving_network`.

    It learns from all pictures of no class, and from as many of the classes as there are of those, taken as they occur
    in the catalogue. Where there are none, it is the energy of the softmax head.

    Returns:
        The trunk, which may see more than before, and the third head.
    """
    if job.outside_train is None:
        return trunk, energy_head(head)
    trunk = tapped(trunk, job.model.backbone)
    train = job.train_pictures
    natural = replace(train, labels=train.natural, rows=np.arange(len(train.natural)), balanced=False)
    [outside] = outputs_of(trunk, job.outside_train)
    [inside] = outputs_of(trunk, natural, max(len(outside), _LEAST))
    score = fit_score((inside, natural.kinds[: len(inside)]), (outside, job.outside_train.kinds), head.input_shape[-1])
    return trunk, kinds_head(score, head)


def decisions_of(job: Job, network: keras.Model, asked: Decide) -> Decisions:
    """Fits the thresholds of a network that says how foreign pictures are, on the eval split alone."""
    probabilities, _, _, scores = outputs_of(network, job.eval_pictures)
    foreign = None
    if job.outside_eval is not None:
        confidences, _, _, outside = outputs_of(network, job.outside_eval)
        foreign = outside[:, 0], confidences[:, : job.classes].max(axis=1)
    main, *further = np.split(probabilities, np.cumsum(job.sizes)[:-1], axis=1)
    decisions = fit_decisions(main, job.eval_pictures.labels, scores[:, 0], foreign, asked)
    tags = {}
    for column, answers, labels in zip(job.columns, further, job.eval_pictures.tags.T, strict=True):
        answers, labels = answers[labels >= 0], labels[labels >= 0]
        tags[column.name] = sure_enough(answers.max(axis=1), answers.argmax(axis=1) == labels, column.accepted)
    return decisions.model_copy(update={"tags": tags})
