"""How published networks scale pictures: RGB float32 [n, h, w, 3] in 0..255 to what their weights were trained on.

The first three are the modes tf, torch and caffe of keras.applications.imagenet_utils.preprocess_input, as layers.
"""

import keras

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB in 0..1
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # of ImageNet, RGB in 0..255, as Caffe's models had it


def to_one(pictures: keras.KerasTensor) -> keras.KerasTensor:
    """To -1..1."""
    return _rescaled(pictures, 1 / 127.5, -1.0)


def standardised(pictures: keras.KerasTensor) -> keras.KerasTensor:
    """Less ImageNet's mean and divided by its deviation, channel by channel."""
    offset = [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
    return _rescaled(pictures, [1 / (255 * deviation) for deviation in _DEVIATION], offset)


def centred_bgr(pictures: keras.KerasTensor) -> keras.KerasTensor:
    """Less ImageNet's mean, as BGR in place of RGB."""
    return keras.ops.flip(_rescaled(pictures, 1.0, [-mean for mean in _CAFFE_MEAN]), axis=-1)


def _rescaled(
    pictures: keras.KerasTensor, scale: float | list[float], offset: float | list[float]
) -> keras.KerasTensor:
    return keras.layers.Rescaling(scale, offset=offset, name="stem_scaling")(pictures)
