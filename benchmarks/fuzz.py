"""Does ingest ever keep a picture that fails later, or that the published model sees otherwise? Damaged files tell.

    python -m benchmarks.fuzz [--files 50000] [--seed 1]

JPEG and PNG files of many kinds are drawn, each is damaged in one way, and both ends are asked: ingest, and the graph
of the published model, about the original bytes and about what ingest kept. It ends with status 1 where a kept picture
is not decoded later, or where both accept a file and see pictures that differ by more than storing costs.
"""

import io
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measure import apart, parser_of, show
from components.ingest.picture import CheckedPicture, check_picture
from components.ingest.settings import Picture

MOST = 6.0  # mean difference, of 255: a damaged PNG may be noise, the hardest to store as JPEG

_AT_ONCE = 64
_SETTINGS = Picture(max_pixels=1_000_000, min_side=1)
_PNG_START = 8

Chance = random.Random
Damage = Callable[[bytes, Chance], bytes]


@dataclass
class Count:
    """What became of the files that were damaged in one way.

    Attributes:
        files: how many.
        both: kept by ingest and answered by the model.
        neither: refused by both.
        ingest: kept by ingest alone.
        model: answered by the model alone.
        failed: kept by ingest, and not decoded in training or by the model afterwards.
        difference: the largest mean difference between what is trained on and what the model sees of the file, of 255.
    """

    files: int = 0
    both: int = 0
    neither: int = 0
    ingest: int = 0
    model: int = 0
    failed: int = 0
    difference: float = 0.0


def pictures() -> list[bytes]:
    """JPEG and PNG files of all kinds, undamaged."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 6, 4), np.uint8)
    image = Image.fromarray(noise).resize((60, 80), Image.Resampling.BICUBIC)
    colour, exif = image.convert("RGB"), Image.Exif()
    exif[0x010F], exif[0x0112] = "A maker", 6
    sixteen = Image.fromarray(np.asarray(colour.convert("L")).astype(np.uint16) * 257)
    jpegs: list[dict[str, Any]] = [
        {}, {"progressive": True}, {"quality": 95, "subsampling": 0}, {"restart_marker_blocks": 2}, {"exif": exif},
        {"exif": exif, "comment": b"x" * 300}, {"optimize": True},
    ]  # fmt: skip
    files = [_encoded(colour, "JPEG", **options) for options in jpegs]
    files += [_encoded(colour.convert(mode), "JPEG") for mode in ("L", "CMYK")]
    files += [_encoded(image.convert(mode), "PNG") for mode in ("RGB", "RGBA", "L", "LA", "P", "1")]
    files += [
        _encoded(colour.convert("P"), "PNG", transparency=3),
        _encoded(sixteen, "PNG"),
        _encoded(colour.resize((340, 20)), "PNG", exif=exif),
    ]
    return files


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _anywhere(data: bytes, chance: Chance, added: bytes, start: int = 2) -> bytes:
    at = chance.randrange(start, len(data))
    return data[:at] + added + data[at + len(added) :]


def _in_scan(marker: bytes) -> Damage:
    return lambda data, chance: _anywhere(data, chance, marker, data.index(b"\xff\xda") + 14)


def _flipped(data: bytes, chance: Chance) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        damaged[chance.randrange(3, len(data))] = chance.randrange(256)
    return bytes(damaged)


def _cut(data: bytes, chance: Chance) -> bytes:
    return data[: -chance.randint(1, min(200, len(data) - 4))]


def _segments(data: bytes) -> list[bytes]:
    """A JPEG's segments before its scan; the last holds all the rest."""
    parts, at = [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        parts.append(data[at:end])
        at = end
    return [*parts, data[at:]]


def _segment_removed(data: bytes, chance: Chance) -> bytes:
    parts = _segments(data)
    parts.pop(chance.randrange(len(parts) - 1))
    return data[:2] + b"".join(parts)


def _segment_added(data: bytes, chance: Chance) -> bytes:
    parts, content = _segments(data), chance.randbytes(chance.randrange(40))
    if chance.random() < 0.5:
        content = b"Exif\0\0" + _exif(chance)
    length = len(content) + 2 if chance.random() < 0.8 else chance.randrange(1 << 16)
    marker = chance.choice((0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE, 0xDB, 0xC4, 0xDD))
    parts.insert(chance.randrange(len(parts)), struct.pack(">BBH", 0xFF, marker, length) + content)
    return data[:2] + b"".join(parts)


def _exif(chance: Chance) -> bytes:
    order = chance.choice("<>")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", chance.choice((8, 8, 8, 9, 1 << 31)))
    value = struct.pack(order + "HHIHH", 0x0112, chance.choice((3, 3, 4)), 1, chance.randrange(10), 0)
    count = chance.choice((1, 1, 1, 2, 40000))
    return head + struct.pack(order + "H", count) + value + bytes(4)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """A PNG's chunks: kind and content."""
    parts, at = [], _PNG_START
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return parts


def _png(data: bytes, parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, with sums that are right."""
    sealed = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in parts)
    return data[:_PNG_START] + b"".join(sealed)


def _chunk_removed(data: bytes, chance: Chance) -> bytes:
    parts = _chunks(data)
    parts.pop(chance.randrange(len(parts)))
    return _png(data, parts)


def _chunk_cut(data: bytes, chance: Chance) -> bytes:
    parts = _chunks(data)
    at = chance.randrange(len(parts))
    kind, content = parts[at]
    parts[at] = (kind, content[: chance.randrange(len(content) + 1)])
    return _png(data, parts)


def _chunk_changed(data: bytes, chance: Chance) -> bytes:
    parts = _chunks(data)
    at = chance.randrange(len(parts) - 1)
    kind, content = parts[at]
    parts[at] = (kind, _anywhere(content, chance, chance.randbytes(1), 0))
    return _png(data, parts)


def _chunk_added(data: bytes, chance: Chance) -> bytes:
    parts = _chunks(data)
    contents = {b"eXIf": _exif(chance), b"tEXt": b"a\0eXIf", b"IDAT": chance.randbytes(9), b"acTL": bytes(8)}
    contents |= {b"tRNS": bytes(chance.choice((1, 2, 6))), b"gAMA": chance.randbytes(4), b"abCd": chance.randbytes(4)}
    parts.insert(chance.randint(1, len(parts)), chance.choice(list(contents.items())))
    return _png(data, parts)


_ANY: dict[str, Damage] = {"bytes flipped": _flipped, "last bytes cut off": _cut}
_JPEG: dict[str, Damage] = {
    "undamaged": lambda data, _: data,
    "end marker lost": lambda data, _: data[:-2],
    "end marker lost, padded": lambda data, chance: data[:-2] + bytes(chance.randint(1, 4000)),
    "end marker overwritten": lambda data, chance: data[:-2] + chance.randbytes(2),
    "stray FF E1 in the scan": _in_scan(b"\xff\xe1"),
    "stray FF FE in the scan": _in_scan(b"\xff\xfe"),
    "other stray marker": lambda data, chance: _in_scan(bytes((0xFF, chance.randrange(0xC0, 0xFF))))(data, chance),
    "lossless (SOF3)": lambda data, _: data.replace(b"\xff\xc0", b"\xff\xc3", 1).replace(b"\xff\xc2", b"\xff\xc3", 1),
    "segment removed": _segment_removed,
    "segment added": _segment_added,
    **_ANY,
}
_PNG: dict[str, Damage] = {
    "undamaged": lambda data, _: data,
    "chunk removed": _chunk_removed,
    "chunk cut short": _chunk_cut,
    "chunk changed": _chunk_changed,
    "chunk added": _chunk_added,
    **_ANY,
}


def damaged(files: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Damaged files, each with its kind; the same for the same seed."""
    whole, chance = pictures(), random.Random(seed)
    jpegs = [data for data in whole if data[0] == 0xFF]
    kinds = [("JPEG: ", name, damage, jpegs) for name, damage in _JPEG.items()]
    kinds += [("PNG: ", name, damage, [data for data in whole if data[0] != 0xFF]) for name, damage in _PNG.items()]
    for number in range(files):
        form, name, damage, of_form = kinds[number % len(kinds)]
        yield form + name, damage(chance.choice(of_form), chance)


def _batches(files: Iterator[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    while batch := list(islice(files, _AT_ONCE)):
        yield batch


def count(files: int, seed: int) -> dict[str, Count]:
    """Damages files and asks both ends; returns what became of them, by kind."""
    import tensorflow as tf

    from serving.decode import decode_pictures, decode_trusted

    size = _SETTINGS.size
    serve = tf.function(
        lambda encoded: decode_pictures(encoded, size, _SETTINGS.max_pixels),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    train = tf.function(lambda encoded: decode_trusted(encoded, size), input_signature=[tf.TensorSpec([], tf.string)])
    counts: dict[str, Count] = {}
    for batch in _batches(damaged(files, seed)):
        seen, errors = (part.numpy() for part in serve(tf.constant([data for _, data in batch])))
        for (kind, data), picture, error in zip(batch, seen, errors, strict=True):
            row = counts.setdefault(kind, Count())
            checked = check_picture(data, _SETTINGS)
            kept, answered = isinstance(checked, CheckedPicture), not error
            row.files += 1
            row.both += kept and answered
            row.neither += not kept and not answered
            row.ingest += kept and not answered
            row.model += answered and not kept
            if not isinstance(checked, CheckedPicture):
                continue
            try:
                learnt = train(tf.constant(checked.data)).numpy()
            except tf.errors.InvalidArgumentError:
                row.failed += 1
                continue
            again, refused = serve(tf.constant([checked.data]))
            row.failed += bool(refused.numpy()[0]) or not np.array_equal(again.numpy()[0], learnt)
            if answered:
                row.difference = max(row.difference, float(np.abs(picture - learnt).mean()))
    return counts


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=1)
    parser.add_argument("--files", type=int, help="damaged files [default: 50000, quick: 2000]")
    parser.add_argument("--seed", type=int, default=1, help="of the damage [default: 1]")
    options = parser.parse_args()
    files = options.files or (2000 if options.quick else 50_000)
    counts = apart(count, files, options.seed)  # where the libraries print a line for every file
    rows = [
        (kind, *(f"{n:,}" for n in (c.files, c.both, c.neither, c.ingest, c.model, c.failed)), f"{c.difference:.1f}")
        for kind, c in counts.items()
    ]
    show(
        f"{files:,} damaged files, seed {options.seed}",
        ("damage", "files", "both accept", "both refuse", "ingest alone", "model alone", "fail later", "difference"),
        rows,
        "Difference: the largest mean, of 255, between what is trained on and what the model sees of the file.",
    )
    sys.exit(any(c.failed or c.ingest or c.difference > MOST for c in counts.values()))


if __name__ == "__main__":
    main()
