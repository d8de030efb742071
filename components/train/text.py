"""The name as a second witness: a linear reading of names, and how much it counts beside the picture.

It is fused late, by a weighted sum of log probabilities: without a name the picture's answer stays what it was.
"""

import json

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import log_softmax  # type: ignore[import-untyped]

from components.features import NAME
from components.progress import report
from components.train.data import Pictures
from components.train.history import NAMES_FILE
from components.train.job import Job
from serving.grams import BUCKETS, logits_of
from serving.signatures import Words

_EPOCHS, _BATCH, _RATE = 4, 512, 0.03
_LEAST = 1e-7  # a probability
_GAIN = 0.01  # of accuracy on eval, from which on the name has a say


def fit_words(job: Job, main: str, answers: np.ndarray) -> Words:
    """Learns to read names, and weighs them against pictures on the eval split.

    A column in which both together are hardly better than the picture is answered by the picture. How right each is on
    eval is left in the work folder.

    Args:
        job: has been trained.
        main: name of the main column.
        answers: what its network makes of the eval split, probabilities float32 [n, k].
    """
    train, held_out = job.train_pictures, job.eval_pictures
    names, targets = names_of(train), np.column_stack([train.natural, train.tags])
    kernel = tf.Variable(tf.zeros([BUCKETS, sum(job.sizes)]))
    step, order = _step(job.sizes, kernel), np.random.default_rng(job.train.seed)
    steps = max(len(names) // _BATCH, 1)
    for epoch in range(_EPOCHS):
        for number, chosen in enumerate(np.array_split(order.permutation(len(names)), steps), start=1):
            step(tf.constant(names[chosen]), tf.constant(targets[chosen]))
            report("names", epoch * steps + number, _EPOCHS * steps)
    parts = np.array_split(names_of(held_out), -(-len(held_out) // _BATCH))
    read = np.concatenate([logits_of(kernel, tf.constant(part))[0].numpy() for part in parts])
    ends = np.cumsum(job.sizes)[:-1]
    columns = zip(*(np.split(each, ends, axis=1) for each in (answers, read)), held_out.targets.T, strict=True)
    found = [_witnesses(*column) for column in columns]
    columns_of = (main, *(column.name for column in job.columns))
    right = {name: shares for name, (shares, _) in zip(columns_of, found, strict=True)}
    (job.work / NAMES_FILE).write_text(json.dumps(right, indent=2), encoding="utf-8")
    return Words(kernel.numpy(), [weights for _, weights in found])


def _witnesses(
    answers: np.ndarray, logits: np.ndarray, labels: np.ndarray
) -> tuple[dict[str, float], tuple[float, float]]:
    """How often picture, name and both are right, and what picture and name count: arguments as of `weights_of`."""
    known = np.flatnonzero(labels >= 0)
    seen, read = weights_of(answers, logits, labels)
    both = seen * np.log(np.maximum(answers, _LEAST)) + read * log_softmax(logits, axis=1)
    right = {
        name: float(np.mean(scores[known].argmax(axis=1) == labels[known]))
        for name, scores in (("picture", answers), ("name", logits), ("both", both))
    }
    return right, (seen, read) if right["both"] >= right["picture"] + _GAIN else (1.0, 0.0)


def names_of(pictures: Pictures) -> np.ndarray:
    """Returns the name of each example of a split, bytes [m], b"" where it has none; of none that is left out."""
    spec = {NAME: tf.io.FixedLenFeature([], tf.string, b"")}
    records = tf.data.TFRecordDataset(list(pictures.files), compression_type="GZIP").batch(_BATCH)
    read = [tf.io.parse_example(batch, spec)[NAME].numpy() for batch in records]
    return np.delete(np.concatenate([np.zeros(0, object), *read]), pictures.broken)


def weights_of(answers: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Returns what the log probabilities of picture and name count, for the least cross entropy of their sum.

    Args:
        answers: the picture's, probabilities float32 [n, k].
        logits: the name's, float32 [n, k].
        labels: int64 [n], -1 where there is none.
    """
    known = np.flatnonzero(labels >= 0)
    picture, name = np.log(np.maximum(answers[known], _LEAST)), log_softmax(logits[known], axis=1)

    def loss(logarithms: np.ndarray) -> float:
        seen, read = np.exp(logarithms)
        return -float(log_softmax(seen * picture + read * name, axis=1)[np.arange(len(known)), labels[known]].mean())

    found = minimize(loss, [0.0, 0.0], method="Nelder-Mead", bounds=[(-5, 3)] * 2)
    seen, read = np.exp(found.x).tolist()
    return seen, read


def _step(sizes: tuple[int, ...], kernel: tf.Variable) -> "tf.types.experimental.PolymorphicFunction":
    optimizer = keras.optimizers.Adam(_RATE)

    @tf.function(reduce_retracing=True)
    def step(names: tf.Tensor, targets: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits, loss = logits_of(kernel, names)[0], 0.0
            for place, part in enumerate(tf.split(logits, sizes, axis=1)):
                wanted = tf.one_hot(targets[:, place], sizes[place])  # of -1, nothing
                loss += tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, part))
        optimizer.apply(tape.gradient(loss, [kernel]), [kernel])

    return step
