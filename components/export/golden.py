"""Pictures of our own drawing that every copy of a model has to answer as the model does.

Accuracy hides a wrong road to the pixels: with red and blue exchanged a model of six classes still has 98.5 % right. So
the pictures are all that a road can go wrong at: stripes that alias, colours that are not alike in any order of the
channels, sides of any proportion, transparency, grey, and a turn that only Exif tells of.
"""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

COUNT = 16
_SIZES = ((225, 300), (300, 225), (240, 240), (64, 48), (1000, 800), (450, 600), (180, 460), (301, 173))
_EXIF_ORIENTATION, _TURNED = 0x0112, 6


def draw_pictures() -> dict[str, bytes]:
    """Returns the pictures as files by name, the same on every machine with the same Pillow."""
    pictures = {}
    for number in range(COUNT):
        image = _drawn(number, _SIZES[number % len(_SIZES)])
        form = "JPEG"
        options: dict[str, Any] = {"quality": 92}
        match number:
            case 3 | 9:
                form = "PNG"
            case 5:
                image = image.convert("L")
            case 6:
                exif = Image.Exif()
                exif[_EXIF_ORIENTATION] = _TURNED
                options |= {"exif": exif.tobytes()}
            case 10:
                image.putalpha(Image.linear_gradient("L").resize(image.size))
                form = "PNG"
            case 13:
                options |= {"progressive": True}
        stream = io.BytesIO()
        image.save(stream, form, **options)
        pictures[f"{number:02}.{'jpg' if form == 'JPEG' else 'png'}"] = stream.getvalue()
    return pictures


def _drawn(number: int, size: tuple[int, int]) -> Image.Image:
    """A coloured thing with fine stripes on it, off the middle of a light ground."""
    random = np.random.default_rng(number)
    width, height = size
    image = Image.new("RGB", size, tuple(random.integers(225, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    colour, other = (tuple(each) for each in random.integers(0, 200, (2, 3)).tolist())
    left, top, right, bottom = (random.uniform(0.08, 0.22, 4) * (width, height, width, height)).tolist()
    box = (left, top, width - right, height - bottom)
    match number % 3:
        case 0:
            draw.ellipse(box, colour)
        case 1:
            draw.rectangle(box, colour)
        case _:
            draw.regular_polygon((width / 2, height / 2, min(size) / 3), 3 + number % 5, fill=colour)
    period = 2 + number % 4
    for x in range(int(width * 0.3), int(width * 0.7), 2 * period):
        draw.line((x, height * 0.3, x + width * 0.1 * (number % 3), height * 0.8), other, period)
    draw.rectangle((width * 0.4, height * 0.05, width * 0.48, height * 0.2), fill=other[::-1])
    return image
