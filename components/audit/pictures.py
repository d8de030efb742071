"""Pictures that show nothing: blank, dark or blurred ones."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 64
# Of 6,000 pictures of the public catalogue one has less contrast than that, none is as dark or as soft.
_FLAT, _DARK, _BLURRED = 2.0, 60.0, 0.05


def oddity(picture: bytes) -> str:
    """What is wrong with a picture that shows nothing, else ""."""
    with Image.open(io.BytesIO(picture)) as opened:
        opened.draft("L", (_SIDE, _SIDE))
        grey = np.asarray(opened.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
    return odd(grey)


def odd(grey: NDArray[np.float32]) -> str:
    """What is wrong with a grey picture, float32 [h, w] in 0 … 255, that shows nothing; else ""."""
    contrast = float(grey.std())
    if contrast < _FLAT:
        return "its picture is blank"
    if float(np.quantile(grey, 0.95)) < _DARK:
        return "its picture is dark"
    across, down = np.diff(grey, n=2, axis=1), np.diff(grey, n=2, axis=0)
    sharpness = float((across**2).mean() + (down**2).mean()) / contrast**2
    return "its picture is blurred" if sharpness < _BLURRED else ""
