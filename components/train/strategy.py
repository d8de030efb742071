"""Where the network is trained: one device or many, in which precision."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from components.errors import RecipeError


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the tf.distribute strategy a recipe asks for.

    Args:
        name: `none` (TensorFlow's default device), `mirrored` (all GPUs of this machine, or all its logical CPU
            devices), `tpu` (the TPU named by TPU_NAME, or the local one), `multi_worker` (the workers of
            TF_CONFIG), or `auto`: the first of tpu, multi_worker and mirrored that this machine is set up for.

    Raises:
        RecipeError: what was asked for is not there.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if name == "auto":
        name = _found(len(gpus))
    match name:
        case "mirrored":
            return tf.distribute.MirroredStrategy([d.name for d in gpus or tf.config.list_logical_devices("CPU")])
        case "multi_worker":
            if not _in_cluster():
                raise RecipeError("train.strategy: multi_worker needs the cluster in TF_CONFIG, which is not set; "
                                  "use auto, or let the training operator set it")  # fmt: skip
            return tf.distribute.MultiWorkerMirroredStrategy()
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


def _found(gpus: int) -> str:
    if os.environ.get("TPU_NAME"):
        return "tpu"
    if _in_cluster():
        return "multi_worker"
    return "mirrored" if gpus > 1 else "none"


def _in_cluster() -> bool:
    return "cluster" in json.loads(os.environ.get("TF_CONFIG") or "{}")


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=os.environ.get("TPU_NAME", "local"))
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise RecipeError(f"train.strategy: no TPU was found ({error}); use auto, or set TPU_NAME") from error
    return tf.distribute.TPUStrategy(resolver)
