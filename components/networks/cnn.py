"""Two small networks for small pictures, which are trained from nothing: there are no published weights."""

import keras
from keras import layers

from components.networks.scaling import to_one

_MOMENTUM = 0.9  # of batch norms: with Keras' 0.99 their statistics lag behind a short training


def build_cnn(size: int) -> keras.Model:
    """Builds the plain CNN that is often trained on Fashion-MNIST; its dropout is the recipe's `model.dropout`.

    Three convolutions of 32, 64 and 128 filters, each with batch norm and max-pooling, and a dense layer of 128, which
    is its feature map: [n, 1, 1, 128].
    """
    pictures = keras.Input((size, size, 3), name="pictures")
    x = layers.Rescaling(1 / 255, name="stem_scaling")(pictures)
    for part, filters in (("stem", 32), ("conv2", 64), ("conv3", 128)):
        x = _activated(_conv(x, filters, f"{part}_conv"), part)
        x = layers.MaxPooling2D(2, name=f"{part}_pool")(x)
    # A convolution as large as the map is a dense layer on the flattened map.
    x = layers.Conv2D(128, x.shape[1:3], kernel_initializer="he_normal", activation="relu", name="top_dense")(x)
    return keras.Model(pictures, x, name="cnn")


def build_resnet_small(size: int) -> keras.Model:
    """Builds a wide residual network of ten layers: Zagoruyko & Komodakis 2016, https://arxiv.org/abs/1605.07146.

    The widths are those of their WRN-10-4. For speed the first group already halves the resolution, after a stem of 32
    filters: a CPU core trains on about 550 pictures of 28 pixels a second. Its feature map is
    [n, ⌈size/8⌉, ⌈size/8⌉, 256].
    """
    pictures = keras.Input((size, size, 3), name="pictures")
    x = _conv(to_one(pictures), 32, "stem_conv")
    for part, filters in (("conv2", 64), ("conv3", 128), ("conv4", 256)):
        activated = _activated(x, f"{part}_1")
        shortcut = _conv(activated, filters, f"{part}_0_conv", kernel=1, stride=2)
        x = _conv(activated, filters, f"{part}_1_conv", stride=2)
        x = _conv(_activated(x, f"{part}_2"), filters, f"{part}_2_conv")
        x = layers.Add(name=f"{part}_add")([shortcut, x])
    return keras.Model(pictures, _activated(x, "conv4"), name="resnet_small")


def _conv(x: keras.KerasTensor, filters: int, name: str, kernel: int = 3, stride: int = 1) -> keras.KerasTensor:
    return layers.Conv2D(
        filters, kernel, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
