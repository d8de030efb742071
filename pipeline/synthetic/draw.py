"""What every article is drawn with: colours, cloth, and a brush that fills outlines and makes them look solid."""

import colorsys
import math
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pipeline.synthetic.outlines import HEIGHT, WIDTH, Point, oval

Colour = tuple[int, int, int]

FINE = 3
_SIZE = (WIDTH * FINE, HEIGHT * FINE)
_WHITE: Colour = (255, 255, 255)

GOLD: Colour = (212, 172, 84)
SILVER: Colour = (196, 198, 204)
SKIN: tuple[Colour, ...] = ((236, 200, 172), (221, 176, 142), (190, 138, 104), (141, 94, 66))


def shade(colour: Colour, light: float) -> Colour:
    """Darkens below 1 (0 is black), lightens above it (2 is white)."""
    if light <= 1:
        red, green, blue = (int(c * light) for c in colour)
    else:
        red, green, blue = (int(c + (255 - c) * (light - 1)) for c in colour)
    return red, green, blue


def ink(colour: Colour) -> Colour:
    """A shade of `colour` that can be read on it."""
    return shade(colour, 0.35 if sum(colour) > 380 else 1.8)


def vary(colour: Colour, rng: Random) -> Colour:
    """A neighbour of `colour` in hue, saturation and value, still called by the same name."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    saturation = min(1, saturation * rng.uniform(0.88, 1.1))
    value = min(0.97, value * rng.uniform(0.88, 1.1) + rng.uniform(0, 0.03))
    red, green, blue = (
        int(255 * c) for c in colorsys.hsv_to_rgb((hue + rng.uniform(-0.015, 0.015)) % 1, saturation, value)
    )
    return red, green, blue


def _stripes(brush: "Brush", pen: ImageDraw.ImageDraw, upright: bool) -> None:
    pitch = brush.rng.uniform(7, 18) * FINE
    thick = int(pitch * brush.rng.uniform(0.2, 0.5))
    for i in range(int(_SIZE[1] / pitch) + 1):
        at = i * pitch
        pen.line([(at, 0), (at, _SIZE[1])] if upright else [(0, at), (_SIZE[0], at)], brush.accent, max(2, thick))


def _checks(brush: "Brush", pen: ImageDraw.ImageDraw) -> None:
    pitch = brush.rng.uniform(9, 16) * FINE
    for tone, thick, offset in ((shade(brush.colour, 0.75), 0.45, 0.0), (brush.accent, 0.1, 0.3)):
        for i in range(int(_SIZE[1] / pitch) + 1):
            at, width = (i + offset) * pitch, max(1, int(thick * pitch))
            pen.line([(0, at), (_SIZE[0], at)], tone, width)
            pen.line([(at, 0), (at, _SIZE[1])], tone, width)


def _motifs(brush: "Brush", pen: ImageDraw.ImageDraw, petals: int) -> None:
    rng = brush.rng
    pitch, size = rng.uniform(9, 15) * FINE, rng.uniform(1.4, 2.6) * FINE
    for row in range(int(_SIZE[1] / pitch) + 1):
        for column in range(int(_SIZE[0] / pitch) + 1):
            x, y = (column + row % 2 / 2) * pitch, row * pitch
            turn = rng.uniform(0, math.tau)
            for petal in range(petals):
                angle, away = turn + math.tau * petal / petals, size if petals > 1 else 0
                pen.circle((x + away * math.cos(angle), y + away * math.sin(angle)), size * 0.8, brush.accent)
            if petals > 1:
                pen.circle((x, y), size * 0.5, shade(brush.accent, 1.6))


_PATTERNS: dict[str, Callable[["Brush", ImageDraw.ImageDraw], None]] = {
    "plain": lambda brush, pen: None,
    "stripes": lambda brush, pen: _stripes(brush, pen, upright=False),
    "pinstripes": lambda brush, pen: _stripes(brush, pen, upright=True),
    "checks": _checks,
    "dots": lambda brush, pen: _motifs(brush, pen, petals=1),
    "flowers": lambda brush, pen: _motifs(brush, pen, petals=5),
}


class Brush:
    """Draws one article on nothing, upright, in a frame of 120 × 160 units.

    Attributes:
        rng: source of all variation.
        colour: what the article is mainly made of.
        accent: its second colour.
        layer: the drawing, RGBA, three pixels to a unit so that its edges come out smooth.
        pair: whether a second piece belongs into the picture, behind this one.
    """

    def __init__(self, rng: Random, colour: Colour, accent: Colour) -> None:
        self.rng, self.colour, self.accent = rng, colour, accent
        self.layer = Image.new("RGBA", _SIZE)
        self.pair = False
        self._weight = rng.uniform(0.4, 0.9)

    def chance(self, share: float) -> bool:
        """True in `share` of the cases."""
        return self.rng.random() < share

    def fill(
        self, outline: Sequence[Point], paint: Colour | Image.Image, volume: float = 0.3, edge: bool = True
    ) -> None:
        """Fills an outline with a colour or a texture; `volume` darkens it towards its lower right edge."""
        mask, place = _mask(outline, 255, margin=3)
        if isinstance(paint, Image.Image):
            texture = paint.crop((*place, place[0] + mask.width, place[1] + mask.height))
        else:
            texture = Image.new("RGB", mask.size, paint)
        if volume:
            soft = ImageChops.offset(mask.reduce(FINE), -2, -2).filter(ImageFilter.GaussianBlur(5)).resize(mask.size)
            texture = _multiply(texture, soft.point([int(255 * (1 - volume * (1 - v / 255))) for v in range(256)]))
        self.layer.paste(texture, place, mask)
        if edge:
            tone = paint if isinstance(paint, tuple) else self.colour
            self.line([*outline, outline[0]], shade(tone, 0.62), self._weight)

    def roll(self, outline: Sequence[Point], colour: Colour, edge: bool = True) -> None:
        """Fills an outline so that it looks like an upright cylinder, glossy on the left."""
        left, right = min(x for x, _ in outline), max(x for x, _ in outline)
        across = np.clip((np.arange(_SIZE[0]) / FINE - left) / (right - left), 0, 1)
        gloss = 0.45 - 0.55 * np.cos(math.tau * across**0.7) + 0.3 * np.exp(-(((across - 0.22) / 0.06) ** 2))
        light, dark = np.array(shade(colour, 1.55)), np.array(shade(colour, 0.6))
        row = (dark + (light - dark) * np.clip(gloss, 0, 1)[:, None]).astype(np.uint8)
        self.fill(outline, Image.fromarray(row[None]).resize(_SIZE), volume=0, edge=edge)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draws a line of `width` units."""
        ImageDraw.Draw(self.layer).line(_fine(points), colour, max(1, round(width * FINE)), joint="curve")

    def tube(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draws a round wire, strap or rim that shines along its upper side."""
        lift = width * 0.16
        raised = [(x - lift, y - lift) for x, y in points]
        self.line(points, shade(colour, 0.5), width)
        self.line(points, shade(colour, 0.9), width * 0.7)
        self.line(raised, shade(colour, 1.65), width * 0.24)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draws a flat disc."""
        ImageDraw.Draw(self.layer).circle((x * FINE, y * FINE), radius * FINE, colour)

    def strap(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draws a flat matt strip with darker edges."""
        self.line(points, shade(colour, 0.55), width)
        self.line(points, colour, width - 1.6)

    def ball(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draws a bead, lit from the upper left."""
        for light, size, lift in ((0.55, 1, 0), (0.9, 0.86, 0.08), (1.3, 0.5, 0.25), (1.85, 0.2, 0.35)):
            self.disc(x - lift * radius, y - lift * radius, radius * size, shade(colour, light))

    def gem(self, x: float, y: float, radius: float, colour: Colour, sides: int = 8) -> None:
        """Draws a cut stone: facets of alternating brightness about a bright table."""
        rim = oval(x, y, radius, radius)[:: max(1, 40 // sides)]
        for i, (a, b) in enumerate(zip(rim, [*rim[1:], rim[0]], strict=True)):
            self.fill([a, b, (x, y)], shade(colour, (0.62, 1.25, 0.85, 1.55, 0.75)[i % 5]), volume=0, edge=False)
        table = [(x + (u - x) * 0.5, y + (v - y) * 0.5) for u, v in rim]
        self.fill(table, shade(colour, 1.35), volume=0, edge=False)

    def glow(self, outline: Sequence[Point], strength: float, blur: float = 1.5, colour: Colour = _WHITE) -> None:
        """Lays soft light, or a soft shadow, over what is already drawn."""
        mask, place = _mask(outline, int(255 * strength), margin=3 * blur)
        mask = mask.reduce(FINE).filter(ImageFilter.GaussianBlur(blur)).resize(mask.size)
        drawn = self.layer.getchannel("A").crop((*place, place[0] + mask.width, place[1] + mask.height))
        self.layer.paste(
            colour, (*place, place[0] + mask.width, place[1] + mask.height), ImageChops.multiply(mask, drawn)
        )

    def lettering(self, x: float, y: float, width: float, colour: Colour, rows: int = 1, height: float = 2.0) -> None:
        """Draws rows of strokes that read as words from afar, centred on x."""
        for row in range(rows):
            reach = width * self.rng.uniform(0.6, 1) / 2
            at, top = x - reach, y + row * height * 1.7
            while at < x + reach:
                letter = height * self.rng.uniform(0.35, 0.8)
                self.line([(at, top), (at + letter * 0.5, top + height)], colour, height * 0.3)
                at += letter + height * (0.8 if self.chance(0.15) else 0.15)

    def cloth(self, *patterns: str) -> Image.Image:
        """A texture of the brush's colours, softly creased, with one of the named patterns."""
        texture = Image.new("RGB", _SIZE, self.colour)
        _PATTERNS[self.rng.choice(patterns)](self, ImageDraw.Draw(texture))
        creases = Image.frombytes("L", (7, 9), bytes(self.rng.randint(214, 255) for _ in range(63)))
        return _multiply(texture, creases.resize(_SIZE, Image.Resampling.BICUBIC))

    def fade(self, top: float, bottom: float, upper: Colour, lower: Colour) -> Image.Image:
        """A texture that changes from one colour to another between two y."""
        down = np.clip((np.arange(_SIZE[1]) / FINE - top) / (bottom - top), 0, 1)[:, None]
        column = (np.array(upper) * (1 - down) + np.array(lower) * down).astype(np.uint8)
        return Image.fromarray(column[:, None]).resize(_SIZE)


def _fine(points: Sequence[Point]) -> list[Point]:
    return [(x * FINE, y * FINE) for x, y in points]


def _mask(outline: Sequence[Point], value: int, margin: float) -> tuple[Image.Image, tuple[int, int]]:
    """The inside of an outline, just large enough with its margin, and where its upper left corner belongs."""
    left, top = (math.floor(min(p[axis] for p in outline) - margin) - 1 for axis in (0, 1))
    right, bottom = (math.ceil(max(p[axis] for p in outline) + margin) + 1 for axis in (0, 1))
    mask = Image.new("L", ((right - left) * FINE, (bottom - top) * FINE))
    ImageDraw.Draw(mask).polygon([((x - left) * FINE, (y - top) * FINE) for x, y in outline], fill=value)
    return mask, (left * FINE, top * FINE)


def _multiply(texture: Image.Image, light: Image.Image) -> Image.Image:
    return ImageChops.multiply(texture, Image.merge("RGB", (light, light, light)))
