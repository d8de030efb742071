"""What a picture looks like, in five numbers that tell one camera from another."""

from typing import Any

from fashion_client.formats import open_picture
from PIL import Image, ImageFilter, ImageStat

_EDGES = ImageFilter.Kernel((3, 3), (-1, -1, -1, -1, 8, -1, -1, -1, -1), scale=4, offset=128)
_SIDE = 160  # pixels: about what a network sees; sharpness depends on it


def looks(data: bytes) -> dict[str, Any]:
    """Measures an encoded picture, on white and no larger than 160 pixels.

    Returns:
        `width`, `height` in pixels and `format`; `brightness` 0..1, the mean of luma; `contrast`, its standard
        deviation; `sharpness`, the strength of edges against the contrast; `warmth`, red less blue, and `tint`, green
        less the mean of both, each against the mean colour. Empty if it cannot be read.
    """
    try:
        image = open_picture(data)  # of a format that is no program, as PostScript would be
        if image is None:
            return {}
        with image:
            known = {"width": image.width, "height": image.height, "format": image.format}
            image.draft("RGB", (_SIDE, _SIDE))
            return known | _measured(_on_white(image))
    except Exception:  # noqa: BLE001 - a damaged file makes Pillow raise nearly anything, and no answer depends on it
        return {}


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    image.thumbnail((_SIDE, _SIDE))
    return image


def _measured(image: Image.Image) -> dict[str, float]:
    luma = image.convert("L")
    [mean], [spread] = (stat := ImageStat.Stat(luma)).mean, stat.stddev
    red, green, blue = ImageStat.Stat(image).mean
    inner = (1, 1, max(image.width - 1, 2), max(image.height - 1, 2))  # the outermost pixels are not filtered
    [edges] = ImageStat.Stat(luma.filter(_EDGES).crop(inner)).stddev
    colour = max((red + green + blue) / 3, 1.0)
    return {
        "brightness": mean / 255,
        "contrast": spread / 255,
        "sharpness": edges / max(spread, 1.0),
        "warmth": (red - blue) / colour,
        "tint": (green - (red + blue) / 2) / colour,
    }
