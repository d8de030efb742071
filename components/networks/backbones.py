"""Trunks by name: what a recipe's `model.backbone` and `model.weights` stand for."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from components.errors import RecipeError
from components.networks import b0, cnn, edgenet, lite, resnet18, transformer
from components.networks.applications import APPLICATIONS
from components.networks.profiles import PROFILES, check_size, part_of, read_unfreeze, weights_path
from components.networks.weights.published import Published, fetch
from components.networks.weights.saved_model import load_trunk
from components.reading import choices

Build = Callable[[int], keras.Model]
Load = Callable[[keras.Model, Path], None]


@dataclass(frozen=True)
class Backbone:
    """A network that can be asked for by name; `networks.PROFILES` says what it takes."""

    # Side of the square input in pixels to a trunk with random weights, which takes pictures float32 [n, size, size, 3]
    # in 0..255 to a feature map float32 [n, h, w, d]; its layers are named after its parts.
    build: Build
    # Name of pretrained weights, as in `networks.PROFILES`, to what loads them into a trunk.
    starts: Mapping[str, Callable[[keras.Model], None]]
    load: Load | None  # reads a file in the layout in which this network's weights are published; None where none are


def _fetched(build: Build, load: Load, published: Published) -> Backbone:
    return Backbone(build, {"imagenet": lambda trunk: load(trunk, fetch(published))}, load)


def _lite(size: lite.Lite, *starts: str) -> Backbone:
    return Backbone(
        partial(lite.build_lite, size),
        dict.fromkeys(starts, partial(lite.load_imagenet, lite=size)),
        partial(lite.load_torch_weights, lite=size),
    )


BACKBONES = {
    "efficientnet_b0": Backbone(
        b0.build_b0,
        {"imagenet": b0.load_imagenet, "efficientnet_lite0": b0.start_from_lite0},
        b0.load_published_weights,
    ),
    "efficientnet_lite0": _lite(lite.LITE0, "imagenet", "efficientnet_lite0"),
    "efficientnet_lite1": _lite(lite.LITE1, "imagenet"),
    "efficientnet_lite2": _lite(lite.LITE2, "imagenet"),
    **{name: _fetched(network.build, network.load, network.published) for name, network in APPLICATIONS.items()},
    "resnet18": _fetched(resnet18.build_resnet18, resnet18.load_torch_weights, resnet18.PUBLISHED),
    "vit_tiny": _fetched(transformer.build_vit_tiny, transformer.load_torch_weights, transformer.PUBLISHED),
    "cnn": Backbone(cnn.build_cnn, {}, None),
    "resnet_small": Backbone(cnn.build_resnet_small, {}, None),
}


def build_trunk(backbone: str, weights: str, size: int) -> keras.Model:
    """Builds a network without its classifier.

    Args:
        backbone: a name in `BACKBONES`.
        weights: `none` for a random start, the name of a start of this backbone, the folder of a published model of
            this network, or a file in the layout that its weights are published in: a PyTorch checkpoint for
            efficientnet_lite, resnet18 and vit_tiny, Keras' `*.h5` for the others.
        size: side of the square input, pixels.

    Returns:
        Pictures float32 [n, size, size, 3] in 0..255 to feature map float32 [n, h, w, d].

    Raises:
        RecipeError: the backbone is unknown, or cannot take pictures of this size.
        WeightsError: the weights cannot be had or do not fit. A trunk is never returned with random weights
            unless `none` was asked for.
    """
    if backbone not in BACKBONES:
        raise RecipeError(f"model.backbone: no network {backbone!r}; {choices(backbone, BACKBONES)}")
    try:
        check_size(backbone, size)
    except ValueError as error:
        raise RecipeError(str(error)) from None
    entry = BACKBONES[backbone]
    path = weights_path(backbone, weights)
    trunk = entry.build(size)
    if path and path.is_dir():
        load_trunk(trunk, path)
    elif path and entry.load:
        entry.load(trunk, path)
    elif weights != "none":
        entry.starts[weights](trunk)
    return trunk


def set_trainable_from(trunk: keras.Model, backbone: str, where: str, *, batch_norm: bool = False) -> int:
    """Makes the trunk trainable from one place upwards and freezes what is below.

    EdgeNet before it is trained in any case. Batch norms that are not trained stay in inference mode, also where the
    trunk is called with `training=True`: few pictures would spoil the statistics that pretrained weights rest on.

    Args:
        trunk: from `build_trunk`, or a model made of its layers.
        backbone: its name in `BACKBONES`.
        where: one of its parts, or `last N` for its last N layers, as Keras counts them.
        batch_norm: whether batch norms are trained like other layers.

    Returns:
        How many numbers are trained.

    Raises:
        RecipeError: there is no such part, or there are fewer layers.
    """
    parts = PROFILES[backbone].parts
    layers = [layer for layer in trunk.layers if part_of(layer.name, parts)]
    try:
        wanted = read_unfreeze(backbone, where)
    except ValueError as error:
        raise RecipeError(str(error)) from None
    if isinstance(wanted, int):
        if wanted > len(layers):
            raise RecipeError(f"train.finetune.unfreeze_from: {backbone} has {len(layers)} layers, not {wanted}; "
                              f"for all of them give {parts[0]}")  # fmt: skip
        chosen = layers[-wanted:]
    else:
        chosen = [layer for layer in layers if part_of(layer.name, wanted)]
    trained = {layer.name for layer in chosen if batch_norm or not isinstance(layer, keras.layers.BatchNormalization)}
    trunk.trainable = True
    for layer in trunk.layers:
        layer.trainable = layer.name in trained or layer.name.startswith(edgenet.PREFIX)
    return sum(math.prod(weight.shape) for weight in trunk.trainable_weights)
