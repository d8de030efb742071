"""ResNet-18: He et al. 2016, Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385.

keras.applications begins at 50 layers. This one is torchvision's, so that its ImageNet weights fit; parts are named as
in Keras' ResNet50: conv2 is torchvision's layer1.
"""

import re
from pathlib import Path

import keras
from keras import layers

from components.networks.scaling import standardised
from components.networks.weights.published import Published
from components.networks.weights.torch_layout import load_torch_layout

PUBLISHED = Published(
    "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
)
_FILTERS = (64, 128, 256, 512)
_EPSILON, _MOMENTUM = 1e-5, 0.9  # PyTorch's; it counts momentum the other way round


def build_resnet18(size: int) -> keras.Model:
    """Builds the trunk with random weights; its feature map is [n, ⌈size/32⌉, ⌈size/32⌉, 512]."""
    pictures = keras.Input((size, size, 3), name="pictures")
    x = _conv(standardised(pictures), 64, "stem_conv", kernel=7, stride=2)
    x = _norm(x, "stem_bn", activate=True)
    # Zeros at the edge change no maximum: nothing is below them after the rectifier.
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(layers.ZeroPadding2D(1, name="stem_pool_pad")(x))
    for number, filters in enumerate(_FILTERS, start=2):
        x = _block(x, filters, f"conv{number}_block1", stride=1 if number == 2 else 2)
        x = _block(x, filters, f"conv{number}_block2", stride=1)
    return keras.Model(pictures, x, name="resnet18")


def load_torch_weights(trunk: keras.Model, path: Path) -> None:
    """Loads a PyTorch checkpoint in torchvision's layout; its classifier is left out.

    Raises:
        WeightsError: the file is not a checkpoint, or not one of this network.
    """
    load_torch_layout(trunk, path, _module_of, "ResNet-18", f"Give a checkpoint like {PUBLISHED.url}")


def _block(inputs: keras.KerasTensor, filters: int, name: str, stride: int) -> keras.KerasTensor:
    """Two convolutions, added to their input; where the shape changes, to a projection of it."""
    x = _norm(_conv(inputs, filters, f"{name}_1_conv", stride=stride), f"{name}_1_bn", activate=True)
    x = _norm(_conv(x, filters, f"{name}_2_conv"), f"{name}_2_bn")
    if inputs.shape[-1] != filters:
        inputs = _norm(_conv(inputs, filters, f"{name}_0_conv", kernel=1, stride=stride), f"{name}_0_bn")
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([inputs, x]))


def _conv(x: keras.KerasTensor, filters: int, name: str, kernel: int = 3, stride: int = 1) -> keras.KerasTensor:
    if kernel > 1:
        # With a stride, Keras' "same" would pad one edge alone.
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    start = keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")
    return layers.Conv2D(filters, kernel, stride, use_bias=False, kernel_initializer=start, name=name)(x)


def _norm(x: keras.KerasTensor, name: str, activate: bool = False) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activate else x


def _module_of(layer: str) -> str | None:
    """The torchvision module with a layer's weights, None for a layer without."""
    if stem := re.fullmatch(r"stem_(conv|bn)", layer):
        return f"{stem[1]}1"
    if not (match := re.fullmatch(r"conv(\d)_block(\d)_(\d)_(conv|bn)", layer)):
        return None
    part, block, place, kind = match.groups()
    module = f"{kind}{place}" if place != "0" else f"downsample.{0 if kind == 'conv' else 1}"
    return f"layer{int(part) - 1}.{int(block) - 1}.{module}"
