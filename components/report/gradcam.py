"""A picture under the heat map of what the network looked at."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.report.thumbnail import encoded

_STRENGTH = 0.55  # of the colour where the heat is greatest

# From cold to hot, growing brighter all the way, so that it can also be read without colours.
_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
_COLOURS = np.array([(20, 11, 52), (112, 25, 110), (203, 65, 73), (247, 144, 28), (252, 255, 164)], np.float32)


def overlay(picture: bytes, heat: NDArray[np.float32]) -> bytes:
    """A JPEG of the size of `picture`, a JPEG, under `heat`.

    That is float32 [h, w] in 0 … 1 over the whole picture: the network sees it stretched to a square.
    """
    with Image.open(io.BytesIO(picture)) as opened:
        plain = np.asarray(opened.convert("RGB"), np.float32)
    height, width, _ = plain.shape
    scaled = Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    smooth = np.clip(np.asarray(scaled), 0, 1)
    colours = np.stack([np.interp(smooth, _STEPS, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    weight = _STRENGTH * (0.35 + 0.65 * smooth[..., np.newaxis])
    grey = plain.mean(axis=-1, keepdims=True)
    return encoded(Image.fromarray(np.round((1 - weight) * grey + weight * colours).astype(np.uint8)))
