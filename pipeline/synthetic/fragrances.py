"""Fragrances, drawn: perfume bottles and deodorant cans, some with their carton."""

from pipeline.synthetic.draw import GOLD, SILVER, Brush, Colour, ink, shade
from pipeline.synthetic.outlines import MIDDLE, Point, bend, box, mirrored, oval

_BLACK: Colour = (38, 38, 42)
_PAPER: Colour = (246, 245, 240)


def _carton(brush: Brush) -> None:
    """The box it came in, behind it."""
    paint = brush.accent if brush.chance(0.5) else shade(brush.colour, 0.6)
    brush.fill(box(70, 50, 106, 134), paint, volume=0.2)
    brush.fill([(70, 50), (74, 45), (110, 45), (106, 50)], shade(paint, 1.2), volume=0)
    brush.fill([(106, 50), (110, 45), (110, 129), (106, 134)], shade(paint, 0.7), volume=0)
    brush.lettering(88, 72, 24, ink(paint), 2, 3.5)


def _cap(brush: Brush, bottom: float) -> None:
    """A sprayer's collar and the cap on it."""
    rng, half = brush.rng, brush.rng.uniform(7, 12)
    colour = rng.choice((GOLD, SILVER, _BLACK, shade(brush.colour, 0.6)))
    brush.roll(box(MIDDLE - half * 0.7, bottom - 5, MIDDLE + half * 0.7, bottom + 1), SILVER)
    if brush.chance(0.25):
        brush.ball(MIDDLE, bottom - 5 - half * 0.9, half * 1.1, colour)
    else:
        brush.roll(box(MIDDLE - half, bottom - rng.uniform(17, 27), MIDDLE + half, bottom - 4), colour)


def _bottle(brush: Brush) -> tuple[float, float, list[Point]]:
    """Half its width, its upper y, and the right half of its outline: square, tall, round, tapered or waisted."""
    wide, top = brush.rng.uniform(20, 32), 68.0
    style = brush.rng.choice(("square", "tall", "round", "tapered", "waisted"))
    if style == "round":
        return wide, top, [(x - MIDDLE, y) for x, y in oval(MIDDLE, 101, wide + 2, 33, -90, 90)]
    if style == "tapered":
        flank: list[Point] = [(14, 76), (wide, 130), (wide, 134), (wide, 134)]
    elif style == "waisted":
        flank = [(wide, 80), (wide * 0.7, 102), (wide, 128), (wide * 0.8, 134)]
    else:
        wide, top = (wide / 2, 48.0) if style == "tall" else (wide, top)
        return wide, top, [(0, top), (wide - 3, top), (wide, top + 3), (wide, 130), (wide - 3, 134), (0, 134)]
    return wide, top, bend([(0, top), (9, top), (9, top), *flank, (0, 134)])


def perfume(brush: Brush) -> None:
    """Coloured liquid in thick glass under a metal cap."""
    rng, colour = brush.rng, brush.colour
    if brush.chance(0.25):
        _carton(brush)
    wide, top, half = _bottle(brush)
    _cap(brush, top)
    brush.fill(mirrored(half), brush.fade(top, 136, shade(colour, 1.85), shade(colour, 1.6)), volume=0.35)
    level = top + rng.uniform(6, 16)
    liquid = [(x * 0.86, max(level, 101 + (y - 101) * 0.9)) for x, y in half]
    depths = brush.fade(level, 134, shade(colour, 1.3), shade(colour, 0.8))
    brush.fill(mirrored(liquid), depths, volume=0.25, edge=False)
    if brush.chance(0.6):
        reach, label = wide * rng.uniform(0.45, 0.6), rng.choice((_PAPER, _BLACK, GOLD))
        brush.fill(box(MIDDLE - reach, 94, MIDDLE + reach, 116), label, volume=0)
        brush.lettering(MIDDLE, 99, reach * 1.6, ink(label), 2, 4)
    else:
        brush.lettering(MIDDLE, 100, wide * 1.1, _PAPER, 1, 6)
    brush.glow(box(MIDDLE - wide * 0.78, top + 8, MIDDLE - wide * 0.58, 124), 0.7, 0.8)
    brush.glow(box(MIDDLE + wide * 0.7, top + 14, MIDDLE + wide * 0.8, 120), 0.4, 0.8)


def deodorant(brush: Brush) -> None:
    """A tall spray can with a cap, bands and a name; some come as a roll-on."""
    rng, roll_on = brush.rng, brush.chance(0.2)
    if brush.chance(0.15):
        _carton(brush)
    brush.pair = brush.chance(0.1)
    wide, top = (rng.uniform(13, 16), 84) if roll_on else (rng.uniform(11, 15), 52)
    can = [
        (0, top), (wide * 0.55, top), (wide * 0.9, top + 4), (wide, top + 10), (wide, 140), (wide - 2, 143),
        (0, 144),
    ]  # fmt: skip
    brush.roll(mirrored(can), brush.colour)
    neck = wide * (1 if roll_on else rng.uniform(0.7, 0.95))
    cap = [(0, top - 28), (neck - 3, top - 28), (neck, top - 24), (neck, top + 5), (0, top + 6)]
    brush.roll(mirrored(cap), rng.choice((SILVER, _BLACK, _PAPER, brush.accent)))
    left, right = MIDDLE - wide, MIDDLE + wide
    for _ in range(rng.randint(1, 2)):
        y, slope, high = rng.uniform(top + 22, 124), rng.choice((0, 0, 8, -8)), rng.uniform(3, 10)
        band = [(left, y), (right, y + slope), (right, y + slope + high), (left, y + high)]
        brush.roll(band, brush.accent, edge=False)
    brush.lettering(MIDDLE, top + 14, wide * 1.6, ink(brush.colour), 1, 6)
    brush.lettering(MIDDLE, 128, wide * 1.4, ink(brush.colour), 2, 2.4)
    brush.glow(box(MIDDLE - wide * 0.7, top + 10, MIDDLE - wide * 0.5, 138), 0.4, 0.8)
