"""Random changes to training pictures, by the layers of Keras where it has them."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from components.train.settings import Augment


class RandomAffine(keras.layers.Layer):
    """Mirrors, turns and zooms pictures [n, h, w, c] about their centre, each by chance, in training only.

    Does at once what Keras' RandomFlip, RandomRotation and RandomZoom do one after another: in little more than half
    of their time, and pixels are interpolated once. What comes in from outside repeats the edge.

    Args:
        flip: whether half of the pictures are mirrored left to right.
        rotation: degrees either way, at most.
        zoom: share by which pictures shrink or grow, at most; both sides alike.
        seed: with the same one, the same changes in the same order.
    """

    def __init__(self, *, flip: bool, rotation: float, zoom: float, seed: int) -> None:
        super().__init__(dtype="float32")  # few devices resample anything else
        self._flip, self._rotation, self._zoom = flip, np.deg2rad(rotation), zoom
        self._random = keras.random.SeedGenerator(seed)

    def call(self, pictures: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """The pictures, changed while training."""
        if not training:
            return pictures
        ops, shape = keras.ops, (keras.ops.shape(pictures)[0],)
        angle, scale = self._between(shape, self._rotation), 1 + self._between(shape, self._zoom)
        mirror = ops.sign(self._between(shape, 1.0)) if self._flip else ops.ones(shape)
        cos, sin, zero = ops.cos(angle) * scale, ops.sin(angle) * scale, ops.zeros(shape)
        # Where a pixel of the result, counted from the centre, comes from: (x, y) = matrix · (x', y').
        matrix = ((mirror * cos, -mirror * sin), (sin, cos))
        middle = ((pictures.shape[2] - 1) / 2, (pictures.shape[1] - 1) / 2)
        rows = [
            part
            for row, centre in zip(matrix, middle, strict=True)
            for part in (*row, centre - row[0] * middle[0] - row[1] * middle[1])
        ]
        transform = ops.stack([*rows, zero, zero], axis=1)
        return ops.image.affine_transform(pictures, transform, "bilinear", "nearest", data_format="channels_last")

    def _between(self, shape: tuple[int, ...], most: float) -> keras.KerasTensor:
        return keras.random.uniform(shape, -most, most, seed=self._random)


def changes(settings: Augment, seed: int) -> keras.Sequential:
    """Layers that change single training pictures at random; pictures keep shape and range.

    Random erasing fills a rectangle of 2 to 33 % of the picture with noise: Zhong et al. 2020,
    https://arxiv.org/abs/1708.04896.
    """
    layers: list[keras.layers.Layer] = []
    if settings.flip or settings.rotation or settings.zoom:
        layers.append(RandomAffine(flip=settings.flip, rotation=settings.rotation, zoom=settings.zoom, seed=seed))
    if settings.contrast:
        layers.append(keras.layers.RandomContrast(settings.contrast, value_range=(0, 255), seed=seed + 3))
    if settings.erase:
        share = (settings.erase, settings.erase)  # one number would be the upper end of a range
        layers.append(keras.layers.RandomErasing(share, value_range=(0, 255), seed=seed + 4))
    return keras.Sequential(layers or [keras.layers.Identity()], name="augmentation")


def mixing(settings: Augment, seed: int) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """For `Dataset.apply`: blends each picture and its label with another of the batch, if the recipe says so.

    Mixup: Zhang et al. 2018, https://arxiv.org/abs/1710.09412. With the same seed, the same pictures are mixed in the
    same way. A stream of (pictures float32 [b, size, size, 3], labels float32 [b, k]) becomes one of the same shapes.
    """
    if not settings.mixup:
        return lambda batches: batches
    # In the input stream numbers stay float32, whatever the network is trained in.
    mix = keras.layers.MixUp(settings.mixup, seed=seed, dtype="float32")

    def mixed(pictures: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        both = mix({"images": pictures, "labels": labels}, training=True)
        return both["images"], both["labels"]

    return lambda batches: batches.map(mixed)  # one after the other, or the order would be left to chance
