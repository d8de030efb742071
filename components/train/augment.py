"""Random changes to training pictures, by the layers of Keras."""

from collections.abc import Callable

import keras
import tensorflow as tf

from components.settings import Augment


def changes(settings: Augment, seed: int) -> keras.Sequential:
    """Layers that change single training pictures at random; pictures keep shape and range.

    Random erasing fills a rectangle of 2 to 33 % of the picture with noise: Zhong et al. 2020,
    https://arxiv.org/abs/1708.04896.
    """
    layers: list[keras.layers.Layer] = []
    if settings.flip:
        layers.append(keras.layers.RandomFlip("horizontal", seed=seed))
    if settings.rotation:
        layers.append(keras.layers.RandomRotation(settings.rotation / 360, fill_mode="nearest", seed=seed + 1))
    if settings.zoom:
        layers.append(keras.layers.RandomZoom(settings.zoom, fill_mode="nearest", seed=seed + 2))
    if settings.contrast:
        layers.append(keras.layers.RandomContrast(settings.contrast, value_range=(0, 255), seed=seed + 3))
    if settings.erase:
        share = (settings.erase, settings.erase)  # one number would be the upper end of a range
        layers.append(keras.layers.RandomErasing(share, value_range=(0, 255), seed=seed + 4))
    return keras.Sequential(layers or [keras.layers.Identity()], name="augmentation")


def mixing(settings: Augment, seed: int) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """For `Dataset.apply`: blends each picture and its label with another of the batch, if the recipe says so.

    Mixup: Zhang et al. 2018, https://arxiv.org/abs/1710.09412.

    Args:
        settings: the recipe's.
        seed: with the same one, the same pictures are mixed in the same way.

    Returns:
        A stream of (pictures float32 [b, size, size, 3], labels float32 [b, k]) to one of the same shapes.
    """
    if not settings.mixup:
        return lambda batches: batches
    # In the input stream numbers stay float32, whatever the network is trained in.
    mix = keras.layers.MixUp(settings.mixup, seed=seed, dtype="float32")

    def mixed(pictures: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        both = mix({"images": pictures, "labels": labels}, training=True)
        return both["images"], both["labels"]

    return lambda batches: batches.map(mixed)  # one after the other, or the order would be left to chance
