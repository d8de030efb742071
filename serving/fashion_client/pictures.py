"""From what a caller calls a picture to the encoded bytes that a model takes."""

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Protocol

# Read from files no further than this: a larger one is not a picture of a product, and may fill the memory.
MOST_BYTES = 64 << 20

MODELS_READ = ("JPEG", "PNG")
_MAGIC = (
    (0, b"\xff\xd8\xff", "JPEG"), (0, b"\x89PNG\r\n\x1a\n", "PNG"), (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"),
    (0, b"BM", "BMP"), (0, b"II*\0", "TIFF"), (0, b"MM\0*", "TIFF"),
)  # fmt: skip
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIC"}


class ArrayLike(Protocol):
    """What numpy, Pillow and others hand pixels over by; uint8 [h, w], [h, w, 3] or [h, w, 4]."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Source:
    """A picture that is read only when its turn comes."""

    name: str  # what it is called in the answer
    read: Callable[[], bytes]  # gives its encoded bytes; raises OSError with the reason where it cannot
    # Which part of the traffic a log counts it to, e.g. {"gender": "Women"}; of few values each.
    slices: Mapping[str, str] = field(default_factory=dict)


Picture = str | os.PathLike[str] | bytes | BinaryIO | ArrayLike | Source


@dataclass(frozen=True)
class Encoded:
    """A picture ready to be sent, or the reason why it is not."""

    source: str  # the path or name it came with, "" if it had none
    data: bytes = b""  # encoded bytes; b"" beside an error
    error: str | None = None  # one sentence, None if all is well
    slices: Mapping[str, str] = field(default_factory=dict)  # as of a `Source`


def encode(picture: Picture) -> Encoded:
    """Reads or encodes one picture; formats that models do not read become JPEG.

    What cannot be read becomes an error in its place.

    Raises:
        TypeError: it is nothing that could be a picture.
        ImportError: it is an array, and Pillow is not installed.
    """
    try:
        if isinstance(picture, Source):
            return replace(_named(picture.name, picture.read()), slices=picture.slices)
        if isinstance(picture, (str, os.PathLike)):
            return _named(os.fspath(picture), read_file(picture))
        if isinstance(picture, (bytes, bytearray, memoryview)):
            return _named("", bytes(picture))
        if hasattr(picture, "read"):
            return _named(_name_of(picture), picture.read(MOST_BYTES + 1))
        if hasattr(picture, "__array_interface__"):
            return _named("", _png(picture))
    except OSError as error:
        return Encoded(_name_of(picture), error=f"cannot be read: {error.strerror or error}")
    raise TypeError(
        f"{type(picture).__name__} is not a picture: give a path, encoded bytes, a file open in binary mode or an array"
    )


def format_of(data: bytes) -> str | None:
    """Names the format of a picture by its first bytes; None if it is none of those that are known."""
    for offset, magic, name in _MAGIC:
        if data.startswith(magic, offset):
            return name
    if data[4:8] != b"ftyp":
        return None
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return next((name for brand, name in _BRANDS.items() if brand in brands), None)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Reads a regular file, no more than `MOST_BYTES` + 1 of it.

    Raises:
        OSError: it is missing, may not be read, or is not a regular file.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe could keep us waiting for ever
        raise OSError("it is not a file")
    with open(path, "rb") as file:
        return file.read(MOST_BYTES + 1)


def _named(name: str, data: object) -> Encoded:
    if not isinstance(data, bytes):
        raise TypeError(f"{name or 'a file'} gives {type(data).__name__}: open pictures in binary mode")
    if len(data) > MOST_BYTES:
        return Encoded(name, error=f"the file is larger than {MOST_BYTES >> 20} MB: send a smaller picture")
    known = format_of(data)
    if known is None or known in MODELS_READ:
        return Encoded(name, data)
    try:
        from fashion_client.formats import FormatError, to_jpeg
    except ImportError:
        error = f"{known} needs Pillow: pip install 'fashion-client[pictures]', or send JPEG or PNG"
        return Encoded(name, error=error)
    try:
        return Encoded(name, to_jpeg(data))
    except FormatError as unreadable:
        return Encoded(name, error=str(unreadable))


def _name_of(picture: Any) -> str:
    if isinstance(picture, (str, os.PathLike)):
        return os.fspath(picture)
    name = getattr(picture, "name", "")
    return name if isinstance(name, str) else ""


def _png(pixels: Any) -> bytes:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError("Sending arrays needs Pillow: pip install pillow, or encode them first.") from error
    if isinstance(pixels, Image.Image):
        # Pillow's picture is as it lies in the file, with a note how to turn it, which PNG would lose.
        image = ImageOps.exif_transpose(pixels)
        image = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else image.convert("RGB")
    else:
        interface = pixels.__array_interface__
        shape, kind = interface["shape"], interface["typestr"]
        if kind != "|u1" or len(shape) not in (2, 3) or 0 in shape or shape[2:] not in ((), (3,), (4,)):
            raise TypeError(
                f"an array of {kind} and shape {tuple(shape)} is not a picture: give uint8 [h, w] or [h, w, 3 or 4]"
            )
        image = Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
