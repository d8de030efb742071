"""Where the network is trained: one device or many, in which precision."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from components.errors import RecipeError
from components.train.workers import connect_workers, in_cluster


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the tf.distribute strategy a recipe asks for; `multi_worker` before any other use of TensorFlow.

    Args:
        name: `none` (TensorFlow's default device), `mirrored` (all GPUs of this machine, or all its logical CPU
            devices), `tpu` (the TPU named by TPU_NAME, or the local one), `multi_worker` (the workers of
            TF_CONFIG, all with the same files and the same work folder), or `auto`: the first of tpu, multi_worker
            and mirrored that this machine is set up for.

    Raises:
        RecipeError: what was asked for is not there.
    """
    if name == "auto":
        name = _found()
    match name:
        case "mirrored":
            devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
            return tf.distribute.MirroredStrategy([device.name for device in devices])
        case "multi_worker":
            if not in_cluster():
                raise RecipeError("train.strategy: multi_worker needs the cluster in TF_CONFIG, which is not set; "
                                  "use auto, or let the training operator set it")  # fmt: skip
            return connect_workers()
        case "tpu":
            return _tpu()
        case _:
            return tf.distribute.get_strategy()


@contextmanager
def precision(setting: str) -> Iterator[None]:
    """Mixed precision within the block where an accelerator is, else float32: CPUs are slower with it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_policy(setting))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _policy(setting: str) -> str:
    if setting == "auto" and tf.config.list_logical_devices("TPU"):
        return "mixed_bfloat16"
    if setting == "auto" and tf.config.list_logical_devices("GPU"):
        return "mixed_float16"
    return "float32"


def _found() -> str:
    if os.environ.get("TPU_NAME"):
        return "tpu"
    if in_cluster():
        return "multi_worker"
    # Logical devices would do, but to list them is a use of TensorFlow.
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "none"


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=os.environ.get("TPU_NAME", "local"))
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"train.strategy: no TPU was found ({reason}); use auto, or set TPU_NAME") from error
    return tf.distribute.TPUStrategy(resolver)
