"""From encoded bytes to a network's pixels by Pillow and numpy: what the published model's own decoder gives.

Pillow decodes JPEG by the library that TensorFlow has, and with the same transform; the arithmetic of TensorFlow's
resizing is repeated here step by step in float32. So pixels are equal, and answers are not moved by a resize that is
nearly the same.
"""

from collections.abc import Callable

import numpy as np
from fashion_client.formats import FormatError, open_picture, orientation
from fashion_client.pictures import MODELS_READ, format_of
from numpy.typing import NDArray
from PIL import ImageFile

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_RATIOS = (8, 4, 2, 1)  # by which libjpeg can shrink while it decodes
_PNG_BYTES = 4  # a pixel
_ONE, _HALF = np.float32(1), np.float32(0.5)
# What ends a file, and what comes before it: Pillow does not miss it.
_ENDS = {"JPEG": (b"\xff\xd9", b"\xff\xda"), "PNG": (b"IEND", b"IDAT")}
# What a picture is flipped by once it is square, after Exif's table; from 5 on rows and columns are exchanged before.
_COLUMNS, _ROWS = (2, 3, 6, 7), (3, 4, 7, 8)


def read_pixels(data: bytes, size: int, max_pixels: int, max_bytes: int) -> Pixels:
    """Decodes a JPEG or PNG and resizes it to a square, RGB, on white and upright.

    Args:
        data: the file.
        size: side of the result, pixels.
        max_pixels: a picture of more is refused by its header;
        max_bytes: likewise a PNG that takes more memory to decode.

    Returns:
        uint8 [size, size, 3].

    Raises:
        FormatError: it is not a picture, too large, or damaged; a sentence in the model's own words.
    """
    known = format_of(data)
    if known is None or known not in MODELS_READ:
        what = "the picture is empty" if not data else "this is not a picture in a known format"
        raise FormatError(f"{f'{known} is not supported' if known else what}: send JPEG or PNG")
    end, before = _ENDS[known]
    try:
        if data.rfind(end) < data.rfind(before):
            raise ValueError("it has no end")
        image = open_picture(data)
        assert image is not None
        _check_size(image, known, max_pixels, max_bytes)
        square = _png(image, size) if known == "PNG" else _jpeg(image, size)
        turned = orientation(image)  # of a PNG it may stand behind the pixels
    except FormatError:
        raise
    except Exception as error:  # Pillow's decoders raise all kinds of exceptions on damaged files
        raise FormatError("the picture is damaged or cut off: send a complete JPEG or PNG") from error
    return np.ascontiguousarray(_upright((square + _HALF).astype(np.uint8), turned))


def _check_size(image: ImageFile.ImageFile, known: str, max_pixels: int, max_bytes: int) -> None:
    width, height = image.size
    needed = width * height * _PNG_BYTES if known == "PNG" else 0
    if width * height > max_pixels or needed > max_bytes:
        heavy = f"which take {-(-needed // 1_000_000)} MB to decode, more than {max_bytes // 1_000_000}"
        limit = f"more than {max_pixels:,} in all" if width * height > max_pixels else heavy
        raise FormatError(f"the picture has {width} x {height} pixels, {limit}: send a smaller one")


def _jpeg(image: ImageFile.ImageFile, size: int) -> Floats:
    ratio = next(r for r in _RATIOS if min(image.size) // size >= r or r == 1)
    image.draft(None, (image.width // ratio, image.height // ratio))
    image.load()
    if image.mode != "CMYK":
        return _resized(np.asarray(image.convert("RGB")), size, size)
    ink = 255 - np.asarray(image).astype(np.int32)  # Pillow inverts what lies in the file, whoever wrote it
    if "adobe" not in image.info:
        ink = 255 - ink
    return _resized((ink[..., 3:] * ink[..., :3] // 255).astype(np.uint8), size, size)


def _png(image: ImageFile.ImageFile, size: int) -> Floats:
    """As the model's decoder does: first the width, then the height, as of stripes of rows."""
    image.load()
    if image.mode.startswith("I"):  # 16 bits of grey, of which the upper eight count
        levels = np.asarray(image).astype(np.int32)
        alpha = np.where(levels == image.info.get("transparency", -1), 0, 255)
        rgba = np.stack([*[levels >> 8] * 3, alpha], axis=-1).astype(np.uint8)
    else:
        rgba = np.asarray(image.convert("RGBA"))
    opacity = rgba[..., 3:].astype(np.float32) / np.float32(255)
    white = rgba[..., :3].astype(np.float32) * opacity + np.float32(255) * (_ONE - opacity)
    return _resized(_resized(white, len(white), size), size, size)


def _upright(square: Pixels, turned: int) -> Pixels:
    if turned >= 5:
        square = square.transpose(1, 0, 2)
    if turned in _COLUMNS:
        square = square[:, ::-1]
    return square[::-1] if turned in _ROWS else square


def _resized(picture: Pixels | Floats, height: int, width: int) -> Floats:
    """float32 [height, width, 3], as `tf.image.resize` does with antialias where a side shrinks."""
    floats: Floats = picture.astype(np.float32)
    if len(floats) > height or floats.shape[1] > width:
        rows = _gathered(floats, *_spans(len(floats), height))
        return _gathered(rows.transpose(1, 0, 2), *_spans(floats.shape[1], width)).transpose(1, 0, 2)
    top, bottom, down = _neighbours(len(floats), height)
    left, right, across = _neighbours(floats.shape[1], width)

    def between(row: NDArray[np.int64]) -> Floats:
        start = floats[row][:, left]
        return start + (floats[row][:, right] - start) * across[np.newaxis, :, np.newaxis]

    upper = between(top)
    return upper + (between(bottom) - upper) * down[:, np.newaxis, np.newaxis]


def _gathered(picture: Floats, starts: NDArray[np.int64], weights: Floats) -> Floats:
    """Weighted sums of rows, added one after another: in another order the last digit would differ."""
    out = np.zeros((len(starts), *picture.shape[1:]), np.float32)
    for number in range(weights.shape[1]):
        rows = np.minimum(starts + number, len(picture) - 1)
        out += weights[:, number, np.newaxis, np.newaxis] * picture[rows]
    return out


def _spans(length: int, size: int) -> tuple[NDArray[np.int64], Floats]:
    """Rows that each of `size` rows is made of: the first of them, and their weights; TensorFlow's ComputeSpansCore."""
    inverse = np.float32(1 / float(np.float32(size) / np.float32(length)))
    reach = max(inverse, _ONE)
    centres = (np.arange(size, dtype=np.float32) + _HALF) * inverse
    clipped: Callable[[Floats], NDArray[np.int64]] = lambda at: np.clip(at, 0, length - 1).astype(np.int64)  # noqa: E731
    starts, ends = clipped(np.ceil(centres - reach - _HALF)), clipped(np.floor(centres + reach - _HALF))
    places = starts[:, np.newaxis] + np.arange((ends - starts).max() + 1)
    distance = np.abs((places.astype(np.float32) + _HALF - centres[:, np.newaxis]) * (_ONE / reach))
    weights = np.where((distance < 1) & (places <= ends[:, np.newaxis]), _ONE - distance, np.float32(0))
    total = np.zeros(size, np.float32)
    for column in weights.T:
        total += column
    return starts, weights * (_ONE / total)[:, np.newaxis]


def _neighbours(length: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """The two rows that each of `size` rows lies between, and how far from the first; TensorFlow's HalfPixelScaler."""
    places = (np.arange(size, dtype=np.float32) + _HALF) * (np.float32(length) / np.float32(size)) - _HALF
    below = np.floor(places)
    lower, upper = np.maximum(below, 0).astype(np.int64), np.minimum(np.ceil(places), length - 1).astype(np.int64)
    return lower, upper, places - below
