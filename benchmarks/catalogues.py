"""Catalogues of any size, each a zip: drawn, drawn in full resolution, or a part of a real one."""

import io
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from components.ingest.catalogue import open_catalogue
from components.ingest.source import IMAGES, Catalogue
from components.ingest.table import TABLE, Row
from pipeline.synthetic import write_catalogue

# Drawing takes 10 ms a product. Beyond this many, pictures are used again, each with a comment of its own: other
# bytes, so another hash and split, and the same work for whoever decodes it.
_DRAWN, _DRAWN_LARGE = 600, 30
_LARGE = (1800, 2400)  # pixels of the published full-resolution pictures, width by height
_GRAIN = 6  # standard deviation of the noise that brings their files to the published 0.5 MB
_START = b"\xff\xd8"  # of every JPEG

Product = tuple[bytes, bytes]  # what follows the id in its row; its picture, empty where there is none


def drawn(file: Path, rows: int) -> Path:
    """Writes a catalogue of that many drawn products, of 120 × 160 pixels each; returns its path."""
    header, products = _draw(min(rows, _DRAWN))
    return _write(file, header, _repeated(products, rows))


def large(file: Path, rows: int) -> Path:
    """As `drawn`, with pictures of 1800 × 2400 pixels, about 0.5 MB each."""
    header, products = _draw(min(rows, _DRAWN_LARGE))
    sound = [(row, _enlarged(picture)) for row, picture in products if _is_sound(picture)]
    return _write(file, header, _repeated(sound, rows))


def part_of(data: Path, file: Path, rows: int) -> Path:
    """Writes that many rows of a catalogue, evenly spread, or all if it has fewer; returns the path of the part."""
    catalogue = open_catalogue(str(data))
    header, *lines = _lines(catalogue)
    count = min(rows, len(lines))
    chosen = (lines[number * len(lines) // count] for number in range(count))
    with zipfile.ZipFile(file, "w") as archive:
        kept = [header]
        for line in chosen:
            kept.append(line)
            product = line.partition(b",")[0].decode(errors="replace")
            if product.isdigit() and (picture := _picture(catalogue, product)) is not None:
                archive.writestr(f"{IMAGES}/{product}.jpg", picture)
        archive.writestr(TABLE, b"".join(kept))
    return file


def rows_of(data: Path) -> int:
    """Number of rows of a catalogue."""
    return len(_lines(open_catalogue(str(data)))) - 1


def pictures_of(data: Path) -> Iterator[bytes]:
    """The pictures of a catalogue, encoded, in the order of its rows."""
    catalogue = open_catalogue(str(data))
    _, *lines = _lines(catalogue)
    for line in lines:
        product = line.partition(b",")[0].decode(errors="replace")
        if product.isdigit() and (picture := _picture(catalogue, product)):
            yield picture


def with_comment(picture: bytes, comment: bytes) -> bytes:
    """The same JPEG in other bytes; what is no JPEG stays as it is."""
    if not picture.startswith(_START):
        return picture
    segment = b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment
    return _START + segment + picture[len(_START) :]


def _draw(products: int) -> tuple[bytes, list[Product]]:
    with tempfile.TemporaryDirectory(prefix="fashion-bench-") as scratch:
        folder = Path(scratch) / "drawn"
        write_catalogue(folder, products)
        catalogue = open_catalogue(str(folder))
        header, *lines = _lines(catalogue)
        return header, [_product(line, catalogue) for line in lines]


def _product(line: bytes, catalogue: Catalogue) -> Product:
    product, _, rest = line.partition(b",")
    return rest, _picture(catalogue, product.decode()) or b""


def _lines(catalogue: Catalogue) -> list[bytes]:
    with catalogue.open_table(catalogue.tables()[0]) as file:
        return file.readlines()


def _picture(catalogue: Catalogue, product: str) -> bytes | None:
    return catalogue.read_picture(Row(0, product, {}, None, ()))


def _repeated(products: list[Product], rows: int) -> Iterable[Product]:
    for number in range(rows):
        row, picture = products[number % len(products)]
        yield row, with_comment(picture, number.to_bytes(8, "big"))


def _write(file: Path, header: bytes, products: Iterable[Product]) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        lines = [header]
        for product, (row, picture) in enumerate(products, start=1):
            lines.append(b"%d,%s" % (product, row))
            if picture:
                archive.writestr(f"{IMAGES}/{product}.jpg", picture)
        archive.writestr(TABLE, b"".join(lines))
    return file


def _is_sound(picture: bytes) -> bool:
    try:
        Image.open(io.BytesIO(picture)).load()
    except OSError:
        return False
    return True


def _enlarged(picture: bytes) -> bytes:
    image = Image.open(io.BytesIO(picture)).convert("RGB").resize(_LARGE)
    grain = np.random.default_rng(len(picture)).normal(0, _GRAIN, (_LARGE[1], _LARGE[0], 1))
    stream = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=80)
    return stream.getvalue()
