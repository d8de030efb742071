"""Small pictures for a page, of whatever lies in a catalogue."""

import io

from fashion_client.formats import open_picture
from fashion_client.heat import overlay
from numpy.typing import ArrayLike
from PIL import Image, ImageOps

LONGEST_SIDE = 160

_QUALITY = 82
# What is broken may be anything: a picture of more pixels than this is not decoded, however few bytes it has.
_MOST_PIXELS = 40_000_000


def thumbnail(picture: bytes, side: int = LONGEST_SIDE) -> bytes | None:
    """A JPEG of at most `side` pixels on its longer side, never enlarged; None of what cannot be decoded."""
    try:
        # Not by `Image.open`: what is quarantined may be of any format, and for EPS that starts Ghostscript.
        opened = open_picture(picture)
        if opened is None or opened.width * opened.height > _MOST_PIXELS:
            return None
        opened.draft("RGB", (side, side))
        small = ImageOps.exif_transpose(opened).convert("RGB")
    except Exception:  # noqa: BLE001  Pillow's decoders raise all kinds of exceptions on damaged files
        return None
    small.thumbnail((side, side))
    return _encoded(small)


def heated(picture: bytes, heat: ArrayLike) -> bytes:
    """Lays the heat, [h, w], over a thumbnail; see `fashion_client.heat`."""
    return _encoded(overlay(Image.open(io.BytesIO(picture)), heat))


def _encoded(picture: Image.Image) -> bytes:
    """An RGB picture as JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
