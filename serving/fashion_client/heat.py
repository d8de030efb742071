"""Lays over a picture what a model saw in it. Needs numpy and Pillow: pip install 'fashion-client[heat]'."""

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageOps

_STRENGTH = 0.55  # of the colour where the heat is greatest

# From cold to hot, growing brighter all the way, so that it can also be read without colours.
_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
_COLOURS = np.array([(20, 11, 52), (112, 25, 110), (203, 65, 73), (247, 144, 28), (252, 255, 164)], np.float32)


def overlay(picture: Image.Image, heat: ArrayLike) -> Image.Image:
    """Draws a picture in grey under the colours of its heat, from cold to hot.

    Args:
        picture: of any mode; it is turned upright, as the model does.
        heat: [h, w] over the whole picture, as in `Prediction.explanation`: the network sees a picture stretched to a
            square. What speaks against the answer is as cold as what says nothing; the largest value is hot.

    Returns:
        RGB, of the size of the picture.
    """
    plain = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"), np.float32)
    height, width, _ = plain.shape
    positive = np.maximum(np.asarray(heat, np.float32), 0)
    share = positive / max(float(positive.max()), np.finfo(np.float32).tiny)
    scaled = Image.fromarray(share).resize((width, height), Image.Resampling.BICUBIC)
    smooth = np.clip(np.asarray(scaled), 0, 1)
    colours = np.stack([np.interp(smooth, _STEPS, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    weight = _STRENGTH * (0.35 + 0.65 * smooth[..., np.newaxis])
    grey = plain.mean(axis=-1, keepdims=True)
    return Image.fromarray(np.round((1 - weight) * grey + weight * colours).astype(np.uint8))
