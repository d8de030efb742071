"""The backbones by name: what can be said of each without building it, so that a wrong recipe is refused in a blink."""

import re
from dataclasses import dataclass
from pathlib import Path

from components.errors import WeightsError
from components.reading import choices


@dataclass(frozen=True)
class Profile:
    """What a backbone takes and what it is made of."""

    own_size: int  # side of the square pictures it was published for, pixels
    smallest: int  # smallest side it can take, pixels; a multiple of `step`
    parts: tuple[str, ...]  # names of its parts in the order a picture passes them; its layers are named after them
    step: int = 1
    starts: tuple[str, ...] = ("imagenet",)  # names of the pretrained weights that it can start from
    reference: str = ""  # who published it, and where; "" where nobody did


POOL, LOGITS = "pool", "logits"  # the head that all of them get: global average pooling, and one layer with numbers


def _numbered(name: str, first: int, last: int) -> tuple[str, ...]:
    return tuple(f"{name}{number}" for number in range(first, last + 1))


_LITE0 = ("imagenet", "efficientnet_lite0")
_EFFICIENTNET = ("stem", *_numbered("block", 1, 7), "top")
_TAN_2019 = "Tan & Le 2019, https://arxiv.org/abs/1905.11946"
_HE_2016 = "He et al. 2016, https://arxiv.org/abs/1512.03385"
_ZAGORUYKO_2016 = "Zagoruyko & Komodakis 2016, https://arxiv.org/abs/1605.07146"
_RESIDUAL = ("stem", *_numbered("conv", 2, 5))
_NASNET = ("stem", "normal1", "reduction1", "normal2", "reduction2", "normal3")
_XCEPTION = ("stem", *_numbered("block", 2, 14))
_INCEPTION = ("stem", *_numbered("mixed", 0, 10))
_DEIT = ("stem", *_numbered("block", 1, 12), "top")

# The first part is everywhere called stem: from there upwards the whole network is trained.
PROFILES = {
    "efficientnet_b0": Profile(224, 32, _EFFICIENTNET, starts=_LITE0, reference=_TAN_2019),
    "efficientnet_lite0": Profile(224, 32, _EFFICIENTNET, starts=_LITE0, reference=_TAN_2019),
    "efficientnet_lite1": Profile(240, 32, _EFFICIENTNET, reference=_TAN_2019),
    "efficientnet_lite2": Profile(260, 32, _EFFICIENTNET, reference=_TAN_2019),
    "efficientnet_v2m": Profile(480, 32, _EFFICIENTNET, reference="Tan & Le 2021, https://arxiv.org/abs/2104.00298"),
    "nasnet_large": Profile(331, 32, _NASNET, reference="Zoph et al. 2018, https://arxiv.org/abs/1707.07012"),
    "resnet18": Profile(224, 32, _RESIDUAL, reference=_HE_2016),
    "resnet50": Profile(224, 32, _RESIDUAL, reference=_HE_2016),
    "xception": Profile(299, 71, _XCEPTION, reference="Chollet 2017, https://arxiv.org/abs/1610.02357"),
    "inception_v3": Profile(299, 75, _INCEPTION, reference="Szegedy et al. 2016, https://arxiv.org/abs/1512.00567"),
    "densenet201": Profile(224, 32, _RESIDUAL, reference="Huang et al. 2017, https://arxiv.org/abs/1608.06993"),
    "vit_tiny": Profile(224, 16, _DEIT, step=16, reference="Touvron et al. 2021, https://arxiv.org/abs/2012.12877"),
    "cnn": Profile(28, 16, ("stem", "conv2", "conv3", "top"), starts=()),
    "resnet_small": Profile(28, 16, _RESIDUAL[:-1], starts=(), reference=_ZAGORUYKO_2016),
}


def check_size(backbone: str, size: int) -> None:
    """Refuses pictures that a network cannot take; `size` is the side of its square input in pixels.

    Raises:
        ValueError: naming the setting, the rule and the remedy.
    """
    profile = PROFILES[backbone]
    if size < profile.smallest:
        raise ValueError(
            f"picture.size: {size} is too small for {backbone}; give at least {profile.smallest}, "
            f"it was published at {profile.own_size}"
        )
    if size % profile.step:
        below = size - size % profile.step
        raise ValueError(
            f"picture.size: {backbone} cuts pictures into squares of {profile.step} pixels, and {size} is not a "
            f"multiple of that; give {below} or {below + profile.step}"
        )


def weights_path(backbone: str, weights: str) -> Path | None:
    """The file or the model's folder that `model.weights` names; None where it is `none` or the name of a start.

    Raises:
        WeightsError: it is none of these, or there can be no such file for this network.
    """
    known = ("none", *PROFILES[backbone].starts)
    path = Path(weights)
    if weights in known:
        return None
    if path.is_dir():
        return path
    if not PROFILES[backbone].starts:
        raise WeightsError(f"model.weights: there are none for {backbone}; train it from nothing: model.weights=none")
    if path.is_file():
        return path
    raise WeightsError(
        f"model.weights: {weights!r} is neither a file, a model's folder nor known for {backbone}; "
        f"{choices(weights, known)}"
    )


def read_unfreeze(backbone: str, where: str) -> int | tuple[str, ...]:
    """Says what `train.finetune.unfreeze_from` means for a network: one of its parts, or `last N`.

    Returns:
        How many of its last layers are trained, or the names of the parts that are.

    Raises:
        ValueError: it is neither.
    """
    if last := re.fullmatch(r"last ([1-9]\d*)", where):
        return int(last[1])
    parts = PROFILES[backbone].parts
    if where not in parts:
        raise ValueError(
            f"train.finetune.unfreeze_from: {backbone} has no part {where!r}; {choices(where, parts)}; "
            "or `last N` for its last N layers"
        )
    return parts[parts.index(where) :]


def part_of(layer: str, parts: tuple[str, ...]) -> str | None:
    """The part that a layer's or variable's name begins with; None if it belongs to none, like an input."""
    # block1 and block1a, but not block10.
    return next((part for part in parts if re.match(rf"{part}(?!\d)", layer)), None)
