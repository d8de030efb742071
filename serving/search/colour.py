"""The colours in the middle of a picture. A network that learns classes forgets them: shoes are shoes in any colour."""

from functools import cache

import numpy as np
from fashion_client.formats import eight_bits, flat, open_picture
from numpy.typing import NDArray
from PIL.Image import Resampling

_SIZE = 24, 32  # pixels looked at, width and height
_BINS = (6, 7, 7)  # of lightness, and from green to red and blue to yellow, in CIELAB
_LOW, _HIGH = np.array([0, -60, -60], np.float32), np.array([100, 60, 60], np.float32)
_SPREAD = 0.35  # of the middle, in sides of the picture
_WHITE, _BACKGROUND = (92, 6), 0.05  # lightness from which and colour up to which it is background; what that counts
WIDTH = int(np.prod(_BINS))


def colours(picture: bytes) -> NDArray[np.float32]:
    """Counts the colours of an encoded picture: float32 [WIDTH] of length 1, close where colours are.

    A histogram over CIELAB, each pixel shared out among the eight bins around it, square roots taken: the inner product
    of two is Bhattacharyya's coefficient.

    Raises:
        ValueError: it is no picture that a model takes.
    """
    try:
        image = open_picture(picture)
        if image is None:
            raise ValueError("this is not a picture in a known format")
        image.draft("RGB", (_SIZE[0] * 4, _SIZE[1] * 4))
        small = flat(eight_bits(image)).convert("RGB").resize(_SIZE, Resampling.BOX, reducing_gap=2.0)
    except Exception as error:  # Pillow's decoders raise all kinds of exceptions on damaged files
        raise ValueError(f"the picture's colours cannot be read: {error}") from error
    lab = _lab(np.asarray(small))
    plain = (lab[..., 0] > _WHITE[0]) & (np.abs(lab[..., 1:]) < _WHITE[1]).all(axis=-1)
    weights = _middle() * np.where(plain, _BACKGROUND, 1)
    steps = np.array(_BINS) - 1
    place = np.clip((lab - _LOW) / (_HIGH - _LOW), 0, 1) * steps
    low = np.minimum(np.floor(place).astype(int), steps - 1)
    rest = place - low
    histogram = np.zeros(WIDTH)
    for corner in np.ndindex(2, 2, 2):
        share = np.where(corner, rest, 1 - rest).prod(axis=-1) * weights
        bins = np.ravel_multi_index(tuple(np.moveaxis(low + corner, -1, 0)), _BINS)
        histogram += np.bincount(bins.ravel(), share.ravel(), WIDTH)
    roots = np.sqrt(histogram)
    return (roots / np.linalg.norm(roots)).astype(np.float32)


def join(embeddings: NDArray[np.float32], histograms: NDArray[np.float32] | None, weight: float) -> NDArray[np.float32]:
    """Puts embeddings float32 [m, d] and their pictures' colours [m, WIDTH] side by side, `weight` of it colours."""
    if not weight or histograms is None:
        return embeddings
    return np.concatenate([np.sqrt(1 - weight) * embeddings, np.sqrt(weight) * histograms], axis=1, dtype=np.float32)


@cache
def _middle() -> NDArray[np.float64]:
    across, down = (((np.arange(side) - (side - 1) / 2) / (side * _SPREAD)) ** 2 for side in _SIZE)
    return np.exp(-(down[:, np.newaxis] + across))


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """SRGB uint8 [..., 3] to CIELAB under D65 (IEC 61966-2-1, CIE 15)."""
    share = rgb / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / (0.9505, 1, 1.089)
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
