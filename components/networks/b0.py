"""EfficientNetB0 as Keras builds it, with either of two starts: Keras' ImageNet weights or EfficientNet-Lite0's."""

from pathlib import Path

import keras
import numpy as np

from components.networks import lite
from components.networks.weights.published import Published, fetch, load_h5

PUBLISHED = Published(
    "https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5", "50bc09e76180e00e4465e1a485ddc09d"
)

# Keras' published files store these as the variance and expect the network to divide by their root once more.
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)

# Of swish as a rectifier. On 2,400 catalogue pictures of six classes a linear head on the frozen features finds 94.6 %
# right at 1, 96.8 % at 10 and 97.3 % at 32; one epoch of fine-tuning on 1,200 ends at 84.7 % from 1, 97.7 % from 32.
_SHARPNESS = 32.0
_OPEN_GATE = 5.0  # sigmoid(5) = 0.993, still steep enough to learn from


@keras.saving.register_keras_serializable("fashion")
class InputScaling(keras.layers.Normalization):
    """Normalization that follows its weights.

    Keras' own computes with constants made from them, which `set_weights` and TensorFlow's checkpoints leave stale.
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Scales pictures [n, h, w, c] by the mean and variance of each channel."""
        deviation = keras.ops.sqrt(self.adapt_variance)
        return (keras.ops.cast(inputs, self.compute_dtype) - self.adapt_mean) / deviation


def build_b0(size: int) -> keras.Model:
    """Builds the trunk with random weights, for 32 pixels or more; its map is [n, ⌈size/32⌉, ⌈size/32⌉, 1280]."""
    plain = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(size, size, 3))
    pictures = keras.Input((size, size, 3), name="pictures")
    trunk = keras.models.clone_model(plain, pictures, clone_function=_with_input_scaling)
    _scale_inputs(trunk, lite.PIXEL_MEAN / 255, lite.PIXEL_DEVIATION / 255)
    return trunk


def load_imagenet(trunk: keras.Model) -> None:
    """Loads the ImageNet weights that Keras publishes, from its cache or else from its server.

    Raises:
        WeightsError: they cannot be fetched; said within seconds where there is no network.
    """
    remedy = (
        "Give a file with --set model.weights=PATH, or start from efficientnet_lite0 "
        "(--set model.weights=efficientnet_lite0)"
    )
    load_published_weights(trunk, fetch(PUBLISHED, remedy))


def load_published_weights(trunk: keras.Model, path: Path) -> None:
    """Loads a file in the layout of keras.applications, so that the trunk computes what Keras' own computes with it.

    It is `efficientnetb0_notop.h5`, or `efficientnetb0.h5`, whose classifier is left out.

    Raises:
        WeightsError: the file is damaged or holds another network.
    """
    load_h5(trunk, path, "EfficientNetB0", PUBLISHED)
    # With "imagenet" Keras adds a layer for this division, with a path it does not (tensorflow#49930).
    mean, variance, count = trunk.get_layer("normalization").get_weights()
    trunk.get_layer("normalization").set_weights([mean, variance * _IMAGENET_DEVIATION, count])


def start_from_lite0(trunk: keras.Model) -> None:
    """Copies EfficientNet-Lite0's ImageNet weights, whose convolutions and batch norms have the same shapes.

    What B0 has besides is made to change little: squeeze-and-excitation lets everything through, and swish is brought
    near to a rectifier, since swish(s·x) / s tends to max(x, 0) as s grows. Lite0's limit of 6 stays missing, so these
    are weights to fine-tune rather than features to freeze.

    Raises:
        WeightsError: the package with Lite0's weights is not installed or damaged.
    """
    lite.load_imagenet(trunk)
    _scale_inputs(trunk, lite.PIXEL_MEAN / 255, lite.PIXEL_DEVIATION / 255)
    for layer in trunk.layers:
        if layer.name.endswith("_se_expand"):
            kernel, bias = layer.get_weights()
            layer.set_weights([np.zeros_like(kernel), np.full_like(bias, _OPEN_GATE)])
        elif isinstance(layer, keras.layers.BatchNormalization):
            _rescale(layer, *_scales(layer.name))


def _with_input_scaling(layer: keras.layers.Layer) -> keras.layers.Layer:
    # Keras numbers these two anew in every trunk it builds.
    if isinstance(layer, keras.layers.Normalization):
        return InputScaling.from_config({**layer.get_config(), "name": "normalization"})
    if isinstance(layer, keras.layers.Rescaling):
        return keras.layers.Rescaling.from_config({**layer.get_config(), "name": "rescaling"})
    return type(layer).from_config(layer.get_config())


def _scales(norm: str) -> tuple[float, float]:
    """By how much a batch norm's input is larger than in Lite0, and by how much its output shall be."""
    if norm == "top_bn":
        return 1, 1
    if norm == "stem_bn" or norm.endswith("_expand_bn"):
        return 1, _SHARPNESS
    if norm.endswith("_project_bn"):
        return _SHARPNESS / (1 + np.exp(-_OPEN_GATE)), 1
    return _SHARPNESS, _SHARPNESS


def _rescale(norm: keras.layers.BatchNormalization, before: float, after: float) -> None:
    gamma, beta, mean, variance = norm.get_weights()
    variance = (variance + norm.epsilon) * before**2 - norm.epsilon
    norm.set_weights([gamma * after, beta * after, mean * before, variance])


def _scale_inputs(trunk: keras.Model, mean: float, deviation: float) -> None:
    """Sets the scaling of pixels that are already divided by 255, the same for all channels."""
    layer = trunk.get_layer("normalization")
    layer.set_weights([np.full(3, mean), np.full(3, deviation**2), np.array(1)])
