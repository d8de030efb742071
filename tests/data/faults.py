"""Builds catalogues with everything that can be wrong with one."""

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
_ORIENTATION_TAG = 0x0112


def draw(mode: str = "RGB", size: tuple[int, int] = (60, 80), seed: int = 0) -> Image.Image:
    """A drawn picture: red in its upper left quarter, the rest white with marks that depend on the seed."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, size[0] // 2, size[1] // 2), fill="red")
    pen.line((0, size[1] - 1, size[0], size[1] // 2 + seed % (size[1] // 2)), fill=(seed * 7 % 256, 80, 160), width=2)
    if seed:  # colours that can be told from those of other seeds when the picture is shrunk to eight by eight
        right, middle, below = size[0] // 2, size[1] // 2, size[1] * 3 // 4
        pen.rectangle((right, middle, size[0], below), fill=(seed * 101 % 256, seed * 37 % 256, seed * 11 % 256))
        pen.rectangle((right, below, *size), fill=(seed * 53 % 256, seed * 149 % 256, seed * 211 % 256))
    return image.convert(mode)


def encode(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    """The picture as a file of a Pillow format."""
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def rotated(orientation: int, form: str = "JPEG") -> bytes:
    """A file of `draw()` that its EXIF data says to turn."""
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return encode(draw(), form, exif=exif)


def transparent() -> Image.Image:
    """A picture whose left half is fully transparent black and whose right half is opaque blue."""
    image = Image.new("RGBA", (60, 80), (0, 0, 0, 0))
    image.paste((0, 0, 255, 255), (30, 0, 60, 80))
    return image


def sixteen_bits() -> Image.Image:
    """A grey ramp of 64 by 64 pixels, from 0 at the top to 65,535 at the bottom."""
    ramp = b"".join((row * 65535 // 63).to_bytes(2, "little") * 64 for row in range(64))
    return Image.frombytes("I;16", (64, 64), ramp)


def animated(form: str = "GIF") -> bytes:
    """Two frames."""
    return encode(draw(), form, save_all=True, append_images=[draw(seed=20)])


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@functools.cache
def vast_png() -> bytes:
    """A PNG of some hundred kB that would decode to 432 MB; a twelfth of its rows is packed, and repeated."""
    side, parts = 12_000, 12
    rows = (b"\0" + b"\xff\0\0" * side) * (side // parts)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH)
    check = functools.reduce(lambda value, part: zlib.adler32(part, value), [rows] * parts, 1)
    content = b"\x78\x9c" + packed * parts + b"\x03\0" + struct.pack(">I", check)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def vast_gif() -> bytes:
    """A small GIF that announces 400 million pixels."""
    small = encode(draw(), "GIF")
    return small[:6] + struct.pack("<HH", 20_000, 20_000) + small[10:]


def pictures() -> dict[str, bytes | None]:
    """Fault of a picture to the file that has it; None is a missing file."""
    return {
        "missing picture": None,
        "zero bytes": b"",
        "text": b"<html>404 Not Found</html>",
        "truncated JPEG": encode(draw())[:-200],
        "JPEG without its end, padded": encode(draw())[:-2] + bytes(4000),
        "PNG named .jpg": encode(draw(), "PNG"),
        "GIF named .jpg": encode(draw(), "GIF"),
        "WebP named .jpg": encode(draw(), "WEBP"),
        "greyscale": encode(draw("L")),
        "CMYK": encode(draw("CMYK")),
        "RGBA": encode(transparent(), "PNG"),
        "palette": encode(draw("P"), "PNG"),
        "16 bits": encode(sixteen_bits(), "PNG"),
        "EXIF-rotated": rotated(6),
        "animated GIF": animated(),
        "1x1": encode(draw(size=(2, 2)).crop((0, 0, 1, 1))),
        "12,000x12,000 PNG": vast_png(),
    }


def rows(start: int = 5000) -> dict[str, str]:
    """Fault of a row to the line that has it; ids are `start` and the following where the fault is not the id."""
    tail = "Men,Apparel,Topwear,Tshirts,Blue,Summer,2012,Casual"
    lines = {
        "unmapped": "Men,Accessories,Bags,Backpacks,Black,Summer,2012,Casual,Plain Backpack",
        "empty label": "Men,,,,Black,Summer,2012,Casual,Thing",
        "unknown article type": "Men,Toys,Puzzles,Jigsaws,Black,Summer,2012,Casual,Thousand Pieces",
        "extra commas": f"{tail},Shirt, blue, large",
        "missing values": "Men,Apparel,Topwear,Tshirts,NA,,,NA,NA",
        "year in words": "Men,Apparel,Topwear,Tshirts,Blue,Summer,unknown,Casual,Shirt",
        "not UTF-8": f"{tail},Caf\udce9 Shirt",
        "stray quotation mark": f'{tail},"Shirt',
        "too few values": "Men,Apparel",
    }
    numbered = {fault: f"{start + index},{line}" for index, (fault, line) in enumerate(lines.items())}
    return numbered | {"id with ../": f"../x,{tail},Shirt", "duplicate id": f"1000,{tail},Shirt"}


def good_rows(count: int, start: int = 1000) -> list[str]:
    """Lines without a fault, of all six classes in turn."""
    labels = (
        "Apparel,Topwear,Shirts",
        "Footwear,Shoes,Casual Shoes",
        "Apparel,Innerwear,Bra",
        "Accessories,Jewellery,Ring",
        "Personal Care,Fragrance,Deodorant",
        "Accessories,Eyewear,Sunglasses",
    )
    return [
        f"{start + index},Women,{labels[index % len(labels)]},Blue,Summer,2012,Casual,Product {index}"
        for index in range(count)
    ]


def write_catalogue(
    folder: Path, lines: Sequence[str], images: Mapping[str, bytes], header: str = HEADER, newline: str = "\n"
) -> Path:
    """Writes `styles.csv`, with surrogates as the bytes they stand for, and `images/<id>.jpg`; returns the folder."""
    (folder / "images").mkdir(parents=True)
    text = "".join(line + newline for line in (header, *lines))
    (folder / "styles.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    for product, content in images.items():
        (folder / "images" / f"{product}.jpg").write_bytes(content)
    return folder


def write_good_catalogue(folder: Path, count: int) -> Path:
    """A catalogue of `count` products without a fault."""
    images = {str(1000 + index): encode(draw(seed=index)) for index in range(count)}
    return write_catalogue(folder, good_rows(count), images)


def write_faulty_catalogue(folder: Path, good: int = 12) -> dict[str, str]:
    """A catalogue with BOM, CRLF, some good rows and one row for every fault; returns fault to id."""
    of_pictures, of_rows = pictures(), rows()
    shown = dict(zip(of_pictures, map(str, range(2000, 3000)), strict=False))
    lines = [*good_rows(good), *of_rows.values()]
    lines += [good_rows(1, start=int(product))[0] for product in shown.values()]
    identities = {fault: line.split(",")[0] for fault, line in of_rows.items()} | shown
    images = {product: encode(draw(seed=number)) for number, product in enumerate(line.split(",")[0] for line in lines)}
    images.pop("../x")
    images |= {product: content for fault, product in shown.items() if (content := of_pictures[fault]) is not None}
    images.pop(shown["missing picture"])
    write_catalogue(folder, lines, images, header="\ufeff" + HEADER, newline="\r\n")
    return identities


def zipped(folder: Path, archive: Path, base: str = "") -> Path:
    """Packs a catalogue's folder into a zip, nested in `base`; returns the zip."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, base + str(path.relative_to(folder)))
    return archive
