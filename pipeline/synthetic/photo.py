"""How a drawing becomes a catalogue picture: framed, lit and set on a white ground."""

import math
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pipeline.synthetic.draw import FINE, Colour
from pipeline.synthetic.outlines import HEIGHT, WIDTH

_SIZE = (WIDTH, HEIGHT)


def photograph(layer: Image.Image, rng: Random, second: bool = False) -> Image.Image:
    """Takes the picture of a drawn article: RGB, 120 × 160 pixels, the whole article in the frame.

    Args:
        layer: the drawing, RGBA, on nothing; see `draw.Brush`.
        rng: source of scale, angle, position, light, shadow, clutter and noise.
        second: whether another piece of the same article lies behind it.
    """
    item = _framed(_doubled(layer, rng) if second else layer, rng)
    spare = (WIDTH - item.width, HEIGHT - item.height)
    left, top = (round(room * min(1, max(0, rng.gauss(0.5, 0.13)))) for room in spare)
    ground = Image.new("RGB", _SIZE, _ground(rng))
    if rng.random() < 0.12:
        _clutter(ground, rng)
    ground = _shadowed(ground, item.getchannel("A"), (left, top), rng)
    ground.paste(item, (left, top), item)
    if rng.random() < 0.25:
        ground = ground.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.6)))
    return _lit(ground, rng)


def _doubled(layer: Image.Image, rng: Random) -> Image.Image:
    aside, down = rng.randint(8, 22) * FINE, rng.randint(-14, 6) * FINE
    room = 24 * FINE
    both = Image.new("RGBA", (layer.width + 2 * room, layer.height + 2 * room))
    both.alpha_composite(layer, (room + aside, room + down))
    both.alpha_composite(layer, (room, room))
    return both


def _framed(layer: Image.Image, rng: Random) -> Image.Image:
    """Turns, mirrors and scales the drawing, so that it still fits the frame."""
    item = layer.crop(layer.getbbox())
    if rng.random() < 0.5:
        item = item.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = min(16, max(-16, rng.gauss(0, 5)))
    item = item.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    item = item.crop(item.getbbox())
    fit = min(WIDTH * 0.95 * FINE / item.width, HEIGHT * 0.95 * FINE / item.height, 1.15)
    scale = fit * rng.uniform(0.72, 1) / FINE
    size = (max(1, round(item.width * scale)), max(1, round(item.height * scale)))
    return item.resize(size, Image.Resampling.LANCZOS)


def _ground(rng: Random) -> Colour:
    if rng.random() < 0.85:
        return (255, 255, 255)
    grey, warm = rng.randint(196, 246), rng.randint(-6, 6)
    return (grey + warm, grey, grey - warm)


def _clutter(ground: Image.Image, rng: Random) -> None:
    """Leaves something in the picture that is not for sale: a price tag, a table's edge, or a ribbon."""
    pen = ImageDraw.Draw(ground)
    tone = rng.choice(((222, 205, 178), (205, 212, 220), (228, 200, 200), (200, 214, 196)))
    kind = rng.choice(("tag", "table", "ribbon"))
    if kind == "tag":
        x, y = rng.choice((4, WIDTH - 22)), rng.choice((6, HEIGHT - 32))
        pen.rounded_rectangle((x, y, x + 17, y + 25), 3, tone, outline=(150, 140, 130))
        pen.circle((x + 8.5, y + 4), 1.5, (255, 255, 255))
        for row in range(3):
            pen.line((x + 4, y + 10 + 4 * row, x + rng.randint(9, 14), y + 10 + 4 * row), (120, 112, 104))
    elif kind == "table":
        edge = rng.randint(112, 140)
        pen.polygon([(0, edge), (WIDTH, edge + rng.randint(-6, 6)), (WIDTH, HEIGHT), (0, HEIGHT)], tone)
    else:
        x = rng.randint(8, 40)
        pen.line([(x, 0), (x + rng.randint(-8, 8), 60), (x + rng.randint(-20, 20), HEIGHT)], tone, 4)


def _shadowed(ground: Image.Image, shape: Image.Image, at: tuple[int, int], rng: Random) -> Image.Image:
    """Lays the article's soft shadow on the ground."""
    shadow = Image.new("L", _SIZE)
    shadow.paste(shape, (at[0] + rng.randint(-3, 3), at[1] + rng.randint(1, 4)))
    shadow = shadow.filter(ImageFilter.GaussianBlur(rng.uniform(2, 5)))
    strength = rng.uniform(0.05, 0.35)
    shadow = shadow.point([int(255 - strength * v) for v in range(256)])
    return ImageChops.multiply(ground, Image.merge("RGB", (shadow, shadow, shadow)))


def _lit(picture: Image.Image, rng: Random) -> Image.Image:
    """Adds uneven light, exposure, and the noise of a sensor."""
    turn, fall = rng.uniform(0, math.tau), rng.uniform(0, 0.07)
    across = (np.arange(WIDTH) / WIDTH - 0.5) * math.cos(turn)
    down = (np.arange(HEIGHT) / HEIGHT - 0.5) * math.sin(turn)
    light = rng.uniform(0.97, 1.03) * (1 - fall * (0.5 + across[None, :] + down[:, None]))
    noise = np.random.default_rng(rng.getrandbits(64)).normal(0, rng.uniform(0, 2.5), (HEIGHT, WIDTH, 1))
    pixels = np.asarray(picture, np.float64) * light[..., None] + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
