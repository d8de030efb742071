"""Pretrained trunks by name: what a recipe's `model.backbone` and `model.weights` stand for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from components.errors import RecipeError, WeightsError
from components.reading import choices
from components.train import b0, lite0

SMALLEST = 32  # pixels: what all five halvings leave at least one of

PARTS = ("stem", *(f"block{number}" for number in range(1, 8)), "top")


@dataclass(frozen=True)
class Backbone:
    """A network that can be asked for by name.

    Attributes:
        build: side of the input in pixels to a trunk with random weights, whose layers are named after `PARTS`.
        starts: name of pretrained weights to what loads them into a trunk.
        load: reads a file in the layout in which this network's weights are published.
    """

    build: Callable[[int], keras.Model]
    starts: Mapping[str, Callable[[keras.Model], None]]
    load: Callable[[keras.Model, Path], None]


BACKBONES = {
    "efficientnet_b0": Backbone(
        b0.build_b0,
        {"imagenet": b0.load_imagenet, "efficientnet_lite0": b0.start_from_lite0},
        b0.load_published_weights,
    ),
    "efficientnet_lite0": Backbone(
        lite0.build_lite0,
        {"imagenet": lite0.load_imagenet, "efficientnet_lite0": lite0.load_imagenet},
        lite0.load_torch_weights,
    ),
}


def build_trunk(backbone: str, weights: str, size: int) -> keras.Model:
    """Builds a network without its classifier.

    Args:
        backbone: a name in `BACKBONES`.
        weights: `none` for a random start, the name of a start of this backbone, or a file in the layout that its
            weights are published in: Keras' `*.h5` for efficientnet_b0, a PyTorch checkpoint for efficientnet_lite0.
        size: side of the square input, pixels.

    Returns:
        Pictures float32 [n, size, size, 3] in 0..255 to feature map float32 [n, h, w, d].

    Raises:
        RecipeError: the backbone is unknown or the size too small for it.
        WeightsError: the weights cannot be had or do not fit. A trunk is never returned with random weights
            unless `none` was asked for.
    """
    if backbone not in BACKBONES:
        raise RecipeError(f"model.backbone: no network {backbone!r}; {choices(backbone, BACKBONES)}")
    if size < SMALLEST:
        raise RecipeError(f"picture.size: {size} is too small for {backbone}; give at least {SMALLEST}")
    entry = BACKBONES[backbone]
    file = None if weights in ("none", *entry.starts) else _existing(weights, backbone, entry)
    trunk = entry.build(size)
    if file:
        entry.load(trunk, file)
    elif weights != "none":
        entry.starts[weights](trunk)
    return trunk


def set_trainable_from(trunk: keras.Model, block: str) -> int:
    """Makes the trunk trainable from one block upwards and freezes what is below.

    All batch norms stay frozen and in inference mode, also where the trunk is called with `training=True`: few
    pictures would spoil the statistics that the pretrained weights rest on.

    Args:
        trunk: from `build_trunk`, or a model made of its layers.
        block: a name in `PARTS`.

    Returns:
        How many numbers are trained.

    Raises:
        RecipeError: there is no such block.
    """
    if block not in PARTS:
        raise RecipeError(f"train.finetune.unfreeze_from: no block {block!r}; {choices(block, PARTS)}")
    trained = PARTS[PARTS.index(block) :]
    trunk.trainable = True
    for layer in trunk.layers:
        layer.trainable = layer.name.startswith(trained) and not isinstance(layer, keras.layers.BatchNormalization)
    return sum(math.prod(weight.shape) for weight in trunk.trainable_weights)


def feature_width(trunk: keras.Model) -> int:
    """The number of channels of a trunk's feature map."""
    return int(trunk.output_shape[-1])


def _existing(weights: str, backbone: str, entry: Backbone) -> Path:
    path = Path(weights)
    if path.is_file():
        return path
    known = choices(weights, ("none", *entry.starts))
    raise WeightsError(f"model.weights: {weights!r} is neither a file nor known for {backbone}; {known}")
