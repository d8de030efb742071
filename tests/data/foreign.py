"""Pictures that show no product of any class, drawn anew in each test."""

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

SIZE = (160, 200)


def foreign_pictures() -> Mapping[str, bytes]:
    """What a shop's upload holds by mistake, by name, as JPEG."""
    random = np.random.default_rng(0)
    height, width = SIZE[1], SIZE[0]
    noise = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    smooth = Image.fromarray(random.integers(0, 256, (6, 5, 3)).astype(np.uint8)).resize(SIZE)
    pictures = {"noise": Image.fromarray(noise), "blurred noise": smooth, "text": _page(), "room": _room()}
    for name, colour in (("grey", "#808080"), ("white", "white"), ("black", "black")):
        pictures[name] = Image.new("RGB", SIZE, colour)
    for name, shape in (("ellipse", "ellipse"), ("square", "rectangle")):
        pictures[f"blue {name}"] = Image.new("RGB", SIZE, "white")
        getattr(ImageDraw.Draw(pictures[f"blue {name}"]), shape)((30, 60, 130, 140), fill="#2040c0")
    return {name: _jpeg(picture) for name, picture in pictures.items()}


def _page() -> Image.Image:
    page = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(page)
    for line in range(14):
        draw.text((10, 10 + 13 * line), "Terms of delivery and payment", fill="black")
    return page


def _room() -> Image.Image:
    room = Image.new("RGB", SIZE, "#d8cfc0")
    draw = ImageDraw.Draw(room)
    draw.polygon([(0, 200), (0, 160), (40, 130), (120, 130), (160, 160), (160, 200)], fill="#8a6a4a")
    draw.rectangle((55, 40, 105, 90), fill="#a8c8e8", outline="#604020", width=4)
    draw.line((80, 40, 80, 90), fill="#604020", width=3)
    draw.rectangle((20, 120, 80, 165), fill="#40506a")
    draw.rectangle((112, 70, 150, 160), fill="#5a4030")
    return room


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()
