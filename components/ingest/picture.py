"""Checks a picture by its header, then in full, and brings it into the form in which it is kept."""

from dataclasses import dataclass

from fashion_client.colours import is_srgb
from fashion_client.formats import FORMATS, UPRIGHT, FormatError, as_jpeg, eight_bits, flat, open_picture, orientation
from PIL import Image, ImageFile, PngImagePlugin
from PIL.Image import Resampling

from components.ingest.duplicates import signature_of
from components.ingest.faults import Reason, Repair
from components.ingest.settings import Picture

# Text says nothing about the pixels, so one may be as long as all together.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
_GREY = ("1", "L", "I;16", "I;16B", "I")


@dataclass(frozen=True, slots=True)
class CheckedPicture:
    """A picture in the form in which it is kept."""

    # JPEG, RGB or grey, upright, sRGB, at most `stored_side` on its longer side; the decoder has decoded it.
    data: bytes
    width: int  # pixels of the picture as it was given, before any turning
    height: int  # likewise
    signature: bytes  # what it shows, see `components.ingest.duplicates.signature_of`
    repaired: tuple[Repair, ...] = ()  # what was repaired beyond that


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a picture cannot be used; `detail` is half a sentence that follows the picture's name."""

    reason: Reason
    detail: str


def check_picture(data: bytes, settings: Picture) -> CheckedPicture | Refusal:
    """Checks an encoded picture and brings it into the form in which it is kept.

    The format is judged by content, never by name. Format, size and animation are read from the header, so a small
    file that would fill the memory is refused undecoded. Then the whole picture is decoded, JPEG and PNG by the decoder
    of the published model. An upright RGB or grey JPEG in sRGB that is small enough keeps its very bytes; anything else
    becomes one: turned upright as its EXIF data says, transparency on white, 16 bits scaled to 8, colours of another
    profile converted, the longer side shrunk to `settings.stored_side`.

    Args:
        data: the file's content, whatever it is.
        settings: limits and the side kept.

    Returns:
        The picture, or why it is refused. Nothing is raised, whatever the bytes.
    """
    if not data:
        return Refusal(Reason.EMPTY_PICTURE, "has no content. Put the picture there, or remove the row")
    try:
        image = open_picture(data)
        if image is None:
            return Refusal(Reason.NOT_A_PICTURE, f"starts with {data[:8]!r}. Give a file of {', '.join(FORMATS)}")
        return _refusal(image, settings) or _kept(image, data, settings)
    except FormatError as error:
        return Refusal(Reason.BROKEN_PICTURE, f"cannot be opened ({error})")
    except Exception as error:  # noqa: BLE001  Pillow's decoders raise all kinds of exceptions on damaged files
        what = " ".join(str(error).split()) or type(error).__name__
        return Refusal(Reason.BROKEN_PICTURE, f"cannot be decoded ({what}). Export the picture again")


def _refusal(image: ImageFile.ImageFile, settings: Picture) -> Refusal | None:
    width, height = image.size
    size = f"has {width:,}×{height:,} pixels"
    if width * height > settings.max_pixels:
        detail = f"{size}, more than max_pixels {settings.max_pixels:,}. Shrink it, or raise picture.max_pixels"
        return Refusal(Reason.LARGE_PICTURE, detail)
    if min(width, height) < settings.min_side:
        detail = f"{size}, its shorter side below min_side {settings.min_side}. Give a larger one"
        return Refusal(Reason.SMALL_PICTURE, detail)
    if getattr(image, "is_animated", False):
        return Refusal(Reason.ANIMATED_PICTURE, "has several frames. Give a still picture")
    return None


def _kept(image: ImageFile.ImageFile, data: bytes, settings: Picture) -> CheckedPicture:
    width, height = image.size
    kept_size = _shrunk_size(width, height, settings)
    profile = image.info.get("icc_profile")
    if image.format in ("JPEG", "PNG"):
        from components.ingest.pixels import decode  # TensorFlow, which this module's users may do without

        pixels, turned = decode(data, min(width // kept_size[0], height // kept_size[1]))
        may_stay = image.format == "JPEG" and image.mode in ("RGB", "L") and kept_size == image.size
        if may_stay and turned == UPRIGHT and is_srgb(profile):
            return CheckedPicture(data, width, height, signature_of(Image.fromarray(pixels)).tobytes())
        is_grey, kept = image.mode in _GREY, Image.fromarray(pixels)
    else:
        image.load()
        is_grey, kept, turned = image.mode in _GREY, eight_bits(image), orientation(image)
    if kept.size != kept_size:
        kept = kept.resize(kept_size, Resampling.LANCZOS, reducing_gap=3.0)
    kept = flat(kept)
    encoded, kept, is_converted = as_jpeg(kept.convert("L") if is_grey else kept, turned, profile)
    repaired = (Repair.PROFILE,) if is_converted else ()
    return CheckedPicture(encoded, width, height, signature_of(kept).tobytes(), repaired)


def _shrunk_size(width: int, height: int, settings: Picture) -> tuple[int, int]:
    """Keeps the aspect, except where one side would fall below the network's: the network would see the loss."""
    scale = min(1.0, settings.stored_side / max(width, height))
    kept_width, kept_height = (max(min(side, settings.size), round(side * scale)) for side in (width, height))
    return kept_width, kept_height
