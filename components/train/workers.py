"""Several processes that train one network: who of them writes, how they wait for each other, and what Keras lacks."""

import json
import os
from typing import Any

import tensorflow as tf
from keras.src import tree
from keras.src.backend.tensorflow import trainer as keras_trainer

from components.errors import RecipeError


def in_cluster() -> bool:
    """Whether TF_CONFIG says that this process is one of several workers.

    Raises:
        RecipeError: TF_CONFIG is not JSON of an object.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        return "cluster" in dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise RecipeError(
            f"TF_CONFIG: {text!r} is not a JSON object ({error}); unset it, or name the cluster"
        ) from None


def connect_workers() -> tf.distribute.Strategy:
    """Joins the cluster of TF_CONFIG; waits until all its workers are there.

    Raises:
        RecipeError: TF_CONFIG lacks something, or this process has used TensorFlow before, which is too late.
    """
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except ValueError as error:
        raise RecipeError(f"TF_CONFIG: {error} It needs the cluster's workers and this process's task") from error
    except RuntimeError as error:
        raise RecipeError("train.strategy: multi_worker has to be the first use of TensorFlow in its process "
                          f"({error}); run the stage `train` in a process of its own") from error  # fmt: skip
    _mend_keras()
    return strategy


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes for all; true where it is the only one."""
    return bool(strategy.extended.should_checkpoint)


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when every worker has come here; at once where there is only one."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        strategy.reduce(tf.distribute.ReduceOp.SUM, tf.zeros([]), axis=None)


def _mend_keras() -> None:
    # Keras 3.15 builds a network from a tuple of per-replica batches reduced as if it were one value, and reduces
    # metrics, which are scalars, along an axis. On one machine neither happens, or neither matters.
    keras_trainer.TensorFlowTrainer._maybe_symbolic_build = _build_from_local_batch
    keras_trainer.reduce_per_replica = _reduce_metrics


def _build_from_local_batch(network: Any, iterator: Any = None, data_batch: Any = None) -> None:
    strategy = network.distribute_strategy
    if iterator is not None:
        _, _, batches = next(iter(iterator))
        data_batch = tree.map_structure(lambda value: strategy.experimental_local_results(value)[0], next(batches))
    with strategy.scope():
        network._symbolic_build(data_batch=data_batch)


def _reduce_metrics(values: Any, strategy: tf.distribute.Strategy, reduction: str) -> Any:
    return tree.map_structure(lambda value: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None), values)
