"""The ImageNet networks of keras.applications, each with its own scaling of pictures inside and its parts by name."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from components.networks import scaling
from components.networks.profiles import part_of
from components.networks.weights.published import Published, load_h5

_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications/"

Scaling = Callable[[keras.KerasTensor], keras.KerasTensor]
Parts = Callable[[Sequence[keras.layers.Layer]], Iterator[str]]


@dataclass(frozen=True)
class Application:
    """A network of keras.applications: its function there, and its ImageNet weights without the classifier.

    `scale` takes pictures in 0..255 to what it was trained on, `parts` its layers to the part of each.
    """

    maker: str
    scale: Scaling
    parts: Parts
    published: Published

    def build(self, size: int) -> keras.Model:
        """Builds the trunk with random weights; its layers are named after the parts in `networks.PROFILES`.

        Returns:
            Pictures float32 [n, size, size, 3] in 0..255 to feature map float32 [n, h, w, d], about size/32 high and
            wide.
        """
        pictures = keras.Input((size, size, 3), name="pictures")
        plain = getattr(keras.applications, self.maker)(
            include_top=False, weights=None, input_tensor=self.scale(pictures), input_shape=(size, size, 3)
        )
        names = _names(plain.layers, list(self.parts(plain.layers)))

        def named(operation: keras.Operation) -> keras.Operation:
            if not isinstance(operation, keras.layers.Layer):
                return operation
            return type(operation).from_config({**operation.get_config(), "name": names[operation.name]})

        trunk = keras.models.clone_model(plain, clone_function=named)
        return keras.Model(trunk.inputs[0], trunk.outputs[0], name=plain.name)

    def load(self, trunk: keras.Model, path: Path) -> None:
        """Loads a file in Keras' layout, with or without the classifier.

        Raises:
            WeightsError: the file is damaged or holds another network.
        """
        load_h5(trunk, path, self.maker, self.published)


def _names(layers: Sequence[keras.layers.Layer], parts: Sequence[str]) -> dict[str, str]:
    """Keras' name of each layer to one that begins with its part, and that does not depend on what was built before."""
    counts: Counter[str] = Counter()
    names = {}
    for layer, part in zip(layers, parts, strict=True):
        # Layers without a name of their own are numbered through all networks of the process.
        kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", type(layer).__name__).lower()
        own = kind if re.fullmatch(rf"{kind}(_\d+)?", layer.name) else layer.name
        name = own if part_of(own, (part,)) else f"{part}_{own}"
        counts[name] += 1
        names[layer.name] = name if counts[name] == 1 else f"{name}_{counts[name]}"
    return names


def _by_first(pattern: str, names: dict[str, str] | None = None) -> Parts:
    """Parts that begin where a layer's name matches; what follows belongs to them. `names` translates the match."""

    def parts(layers: Sequence[keras.layers.Layer]) -> Iterator[str]:
        part = "stem"
        for layer in layers:
            if match := re.match(pattern, layer.name):
                part = (names or {}).get(match[1], match[1])
            yield part

    return parts


def _inception_parts(layers: Sequence[keras.layers.Layer]) -> Iterator[str]:
    """Inception names the last layer of each block; its stem ends with the second pooling."""
    part, pools = "stem", 0
    for layer in layers:
        yield part
        pools += isinstance(layer, keras.layers.MaxPooling2D)
        if part == "stem" and pools == 2:
            part = "mixed0"
        elif last := re.fullmatch(r"mixed(\d+)", layer.name):
            part = f"mixed{int(last[1]) + 1}"


def _nasnet_parts(layers: Sequence[keras.layers.Layer]) -> Iterator[str]:
    """NASNet's layers end in the number of their cell; activations and padding, which have no weights, do not."""
    part = "stem"
    for layer in layers:
        if cell := re.fullmatch(r"(?:normal|reduction|separable|adjust)\w*?_(stem|reduce)?_?(\d+)", layer.name):
            kind, number = cell[1], int(cell[2])
            if kind == "reduce":
                part = f"reduction{number // 6}"
            elif kind is None:
                part = f"normal{1 + (number > 6) + (number > 12)}"
        yield part


_NAMED = _SERVER + "{0}/{1}_weights_tf_dim_ordering_tf_kernels_notop.h5"  # as most files are


APPLICATIONS = {
    "efficientnet_v2m": Application(
        "EfficientNetV2M", lambda pictures: pictures, _by_first(r"(stem|block\d|top)"),  # its first layer scales
        Published(_SERVER + "efficientnet_v2/efficientnetv2-m_notop.h5", "1b8dc055df72dde80d614482840fe342"),
    ),
    "nasnet_large": Application(
        "NASNetLarge", scaling.to_one, _nasnet_parts,
        Published(_SERVER + "nasnet/NASNet-large-no-top.h5", "d81d89dc07e6e56530c4e77faddd61b5"),
    ),
    "resnet50": Application(
        "ResNet50", scaling.centred_bgr, _by_first(r"(conv[2-5])"),
        Published(_NAMED.format("resnet", "resnet50"), "4d473c1dd8becc155b73f8504c6f6626"),
    ),
    "xception": Application(
        "Xception", scaling.to_one, _by_first(r"(block\d+)", {"block1": "stem"}),
        Published(_NAMED.format("xception", "xception"), "b0042744bf5b25fce3cb969f33bebb97"),
    ),
    "inception_v3": Application(
        "InceptionV3", scaling.to_one, _inception_parts,
        Published(_NAMED.format("inception_v3", "inception_v3"), "bcbd6486424b2319ff4ef7d526e38f63"),
    ),
    "densenet201": Application(
        "DenseNet201", scaling.standardised, _by_first(r"(conv[2-5])"),
        Published(_NAMED.format("densenet", "densenet201"), "c13680b51ded0fb44dff2d8f86ac8bb1"),
    ),
}  # fmt: skip
