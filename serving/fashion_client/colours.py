"""Converts pictures whose colours are of another profile to sRGB, which everything behind takes them for."""

import io
from functools import lru_cache

from PIL import Image, ImageCms

_MODES = {"RGB": "RGB", "GRAY": "L"}  # colour space of a profile to a mode of Pillow's
_NOTICEABLE = 4  # of 255: profiles that call themselves sRGB differ in the last digits


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """Converts a picture without transparency to sRGB.

    Args:
        image: L or RGB.
        profile: ICC profile that lay in its file.

    Returns:
        RGB; None where there is nothing to convert: no profile, sRGB itself, CMYK, which is RGB by now, or damaged.
    """
    found = _transform(profile) if profile else None
    if found is None:
        return None
    mode, transform = found
    return transform.apply(image.convert(mode))


def is_srgb(profile: bytes | None) -> bool:
    """Tells whether a picture with this profile is taken as it is."""
    return not profile or _transform(profile) is None


@lru_cache(maxsize=64)  # a shop has few
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(source.profile.xcolor_space.strip())
        if mode is None:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    # What a profile calls itself may be wrong, so it is tried on colours of all kinds.
    levels = bytes(range(0, 256, 51))
    cube = Image.frombytes("RGB", (36, 6), bytes(v for r in levels for g in levels for b in levels for v in (r, g, b)))
    cube = cube.convert(mode)
    pairs = zip(cube.convert("RGB").tobytes(), transform.apply(cube).tobytes(), strict=True)
    return (mode, transform) if any(abs(before - after) > _NOTICEABLE for before, after in pairs) else None
