"""Turns pictures of formats that models do not read into JPEG: the one way of clients and of ingest. Needs Pillow."""

import io
from collections.abc import Callable
from importlib import import_module

from fashion_client.colours import in_srgb
from fashion_client.pictures import format_of
from PIL import Image, ImageFile
from PIL.Image import Transpose

# The plugins are called directly: `Image.open` would guess further formats, and judge size by a global of its own.
_PLUGINS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"), "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"), "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"), "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"), "HEIC": ("pillow_heif.as_plugin", "HeifImageFile"),
}  # fmt: skip
FORMATS = tuple(_PLUGINS)
_MISSING = {
    "AVIF": "AVIF needs Pillow 11.3 or later: pip install --upgrade pillow, or send JPEG or PNG",
    "HEIC": "HEIC needs pillow-heif: pip install pillow-heif, or send JPEG or PNG",
}
MOST_PIXELS = 40_000_000
UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip


class FormatError(ValueError):
    """A picture cannot be opened for want of a package, or is beyond a limit; half a sentence with the remedy."""


def to_jpeg(data: bytes) -> bytes:
    """Returns a picture of any format in `FORMATS` as JPEG of the same size; of several frames the first.

    Raises:
        FormatError: it has more than `MOST_PIXELS`, a package is missing, or it cannot be decoded.
    """
    try:
        image = open_picture(data)
        if image is None:
            raise FormatError(f"this is not a picture in a known format: send {', '.join(FORMATS)}")
        width, height = image.size
        if width * height > MOST_PIXELS:
            many = f"the picture has {width} x {height} pixels, more than {MOST_PIXELS:,}"
            raise FormatError(f"{many}: send a smaller one")
        image.load()
        return as_jpeg(flat(eight_bits(image)), orientation(image), image.info.get("icc_profile"))[0]
    except FormatError:
        raise
    except Exception as error:  # Pillow's decoders raise all kinds of exceptions on damaged files
        raise FormatError("the picture is damaged or cut off: send a complete one") from error


def open_picture(data: bytes) -> ImageFile.ImageFile | None:
    """Opens a picture, whose format is judged by content, and reads its header; None if it is of no known format.

    Raises:
        FormatError: a package is missing for its format.
        Exception: of any kind, the header is damaged.
    """
    known = format_of(data)
    if known is None:
        return None
    module, name = _PLUGINS[known]
    try:
        plugin: Callable[[io.BytesIO], ImageFile.ImageFile] = getattr(import_module(module), name)
    except ImportError as error:
        raise FormatError(_MISSING.get(known, f"{known} needs Pillow: pip install pillow")) from error
    return plugin(io.BytesIO(data))


def orientation(image: Image.Image) -> int:
    """Reads the Exif orientation, 1 to 8; upright where there is none."""
    if "exif" not in image.info:
        return UPRIGHT
    try:
        value = image.getexif().get(_ORIENTATION_TAG, UPRIGHT)
    except Exception:  # noqa: BLE001  damaged EXIF data says nothing about the picture, which may be fine
        return UPRIGHT
    return value if value in _TURNS else UPRIGHT


def eight_bits(image: Image.Image) -> Image.Image:
    """Returns the picture as L, RGB or RGBA; transparency, where there is any, is kept for shrinking."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode.startswith("I"):  # 16 bits of a TIFF; converted as they are, all above 255 would be white
        return image.convert("I").point(lambda level: level / 256).convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def flat(image: Image.Image) -> Image.Image:
    """Lays transparency on white."""
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def as_jpeg(image: Image.Image, turned: int, profile: bytes | None) -> tuple[bytes, Image.Image, bool]:
    """Encodes a picture upright and in sRGB.

    Args:
        image: L or RGB.
        turned: its Exif orientation.
        profile: its ICC profile.

    Returns:
        The file, the picture in it, and whether its colours were converted.
    """
    converted = in_srgb(image, profile)
    image = converted or image
    if turned != UPRIGHT:
        image = image.transpose(_TURNS[turned])
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=95, subsampling=0, comment=b"")
    return encoded.getvalue(), image, converted is not None
