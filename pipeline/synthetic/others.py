"""What belongs to none of the six classes, drawn: watches, handbags, belts, jeans and skirts."""

import math

from pipeline.synthetic.draw import GOLD, SILVER, Brush, ink, shade
from pipeline.synthetic.outlines import MIDDLE, Point, bend, both, box, curve, mirrored, oval


def _case(size: float, square: bool) -> list[Point]:
    return box(MIDDLE - size, 80 - size, MIDDLE + size, 80 + size) if square else oval(MIDDLE, 80, size, size)


def _ray(turn: float, start: float, end: float) -> list[Point]:
    """A line from the dial's middle outwards; `turn` in radians from twelve o'clock."""
    return [(MIDDLE + math.sin(turn) * reach, 80 - math.cos(turn) * reach) for reach in (start, end)]


def watch(brush: Brush) -> None:
    """A round or square case on a strap or bracelet, with hands at a time of their own."""
    rng, linked, square = brush.rng, brush.chance(0.45), brush.chance(0.25)
    metal, size = rng.choice((GOLD, SILVER, (60, 60, 66))), rng.uniform(21, 27)
    strap = mirrored([(0, 10), (9, 10), (12, 50), (12, 110), (9, 150), (0, 150)])
    brush.roll(strap, metal if linked else brush.colour)
    if linked:
        for y in range(12, 150, 6):
            brush.line([(49, y), (71, y)], shade(metal, 0.55), 0.9)
    else:
        for y in range(122, 146, 6):
            brush.disc(MIDDLE, y, 1.1, shade(brush.colour, 0.4))
    brush.fill(box(MIDDLE + size - 2, 77, MIDDLE + size + 4, 83), metal, volume=0)
    brush.fill(_case(size, square), metal, volume=0.4)
    face, dial = size * 0.82, rng.choice(((246, 246, 242), (30, 32, 38), brush.accent))
    brush.fill(_case(face, square), dial, volume=0.15)
    for hour in range(12):
        brush.line(_ray(hour * math.pi / 6, face * 0.78, face * 0.92), ink(dial), 1.3)
    for reach, width in ((0.5, 2.0), (0.72, 1.2)):
        brush.line(_ray(rng.uniform(0, math.tau), 0, face * reach), ink(dial), width)
    brush.disc(MIDDLE, 80, 1.6, ink(dial))


def handbag(brush: Brush) -> None:
    """A body with one or two arched handles, a flap or a zip, and a metal clasp."""
    rng = brush.rng
    top, wide, flare = rng.uniform(66, 82), rng.uniform(32, 40), rng.uniform(-5, 9)
    rise = rng.uniform(26, 52)
    dark = shade(brush.colour, 0.7)
    for shift, colour in ((4, shade(brush.colour, 0.55)), (0, dark)):
        arch = [
            (60 - wide * 0.5, top + 4), (60 - wide * 0.42 + shift, top - rise * 0.7 - shift),
            (60 + shift / 2, top - rise - shift), (60 + wide * 0.42 + shift, top - rise * 0.7 - shift),
            (60 + wide * 0.5, top + 4),
        ]  # fmt: skip
        brush.tube(bend(arch), colour, 3.4)
    body = [(0, top), (wide - 3, top), (wide, top + 3), (wide + flare, 132), (wide + flare - 5, 138), (0, 139)]
    brush.fill(curve(mirrored(body)), brush.cloth("plain", "plain", "plain", "dots", "flowers", "stripes"), volume=0.4)
    if brush.chance(0.5):
        flap = [(0, top), (wide - 1, top), (wide - 1, top), (wide - 4, top + 22), (0, top + 32)]
        brush.fill(curve(mirrored(flap)), dark, volume=0.3)
        brush.fill(box(56, top + 26, 64, top + 35), GOLD, volume=0.2)
    else:
        brush.line([(60 - wide + 2, top + 6), (60 + wide - 2, top + 6)], shade(brush.colour, 0.5), 1.6)
        brush.ball(60 + wide * 0.5, top + 7, 2, GOLD)
        brush.line([(60 - wide * 0.6, top + 7), (60 - wide * 0.6, 136)], dark, 1)
        brush.line([(60 + wide * 0.6, top + 7), (60 + wide * 0.6, 136)], dark, 1)
    for side in (-1, 1):
        brush.ball(60 + side * wide * 0.5, top + 4, 2.4, GOLD)


def belt(brush: Brush) -> None:
    """A strap rolled into a loop, its buckle and holes to the front."""
    rng = brush.rng
    thick, high = rng.uniform(11, 15), rng.uniform(9, 15)
    metal = rng.choice((SILVER, GOLD, (90, 88, 86)))
    brush.line(oval(MIDDLE, 76, 43, high, 178, 362), shade(brush.colour, 0.5), thick)
    front = oval(MIDDLE, 78, 44, high, -6, 186)
    brush.line(front, shade(brush.colour, 0.6), thick)
    brush.line(front, brush.colour, thick - 1.4)
    for lift in (-0.34, 0.34):
        brush.line([(x, y + thick * lift) for x, y in front], shade(brush.colour, 1.3 if lift < 0 else 0.7), 0.7)
    low = 78 + high
    for i in range(4):
        brush.disc(72 + 6 * i, low - 1 - 0.5 * i * i * high / 14, 1.1, (30, 26, 24))
    brush.tube([*box(47, low - thick * 0.72, 63, low + thick * 0.72), (47, low - thick * 0.72)], metal, 3)
    brush.tube([(48, low), (64, low)], metal, 2)


def jeans(brush: Brush) -> None:
    """Two legs, pockets, seams and a fade on the thighs."""
    rng = brush.rng
    knee, ankle = rng.uniform(20, 24), rng.uniform(17, 25)
    half = [
        (0, 12), (19, 10), (19, 10), (25, 40), (knee + 3, 90), (ankle + 4, 152), (ankle + 4, 152), (6, 153),
        (6, 153), (4, 90), (0.6, 48), (0.6, 48), (0, 48),
    ]  # fmt: skip
    brush.fill(curve(mirrored(half)), brush.cloth("plain"), volume=0.4)
    stitch = (196, 150, 84) if brush.chance(0.6) else shade(brush.colour, 0.6)
    worn_off = rng.uniform(0.1, 0.45)
    for thigh in both(oval(13, 72, 5, 24)):
        brush.glow(thigh, worn_off, 4)
    for pocket in both([(9, 17), (12, 26), (21, 28)]):
        brush.line(bend(pocket), stitch, 0.9)
    for seam in both([(21, 22), (ankle + 2, 150)]):
        brush.line(seam, shade(brush.colour, 0.65), 0.6)
    brush.line([(60, 16), (60, 48)], shade(brush.colour, 0.5), 1)
    brush.line(bend([(60, 38), (65, 36), (66, 17)]), stitch, 0.8)
    brush.line([(41.5, 16), (78.5, 16)], stitch, 0.8)
    brush.disc(60, 13.5, 1.4, (190, 170, 120))


def skirt(brush: Brush) -> None:
    """From the waist to the knee or lower, straight or flared, with a waistband and pleats."""
    rng = brush.rng
    waist, hem, length = rng.uniform(17, 21), rng.uniform(26, 46), rng.uniform(110, 150)
    half = [(0, 26), (waist, 26), (waist, 26), (waist + 6, 50), (hem, length), (hem, length), (0, length + 4)]
    brush.fill(curve(mirrored(half)), brush.cloth("plain", "flowers", "checks", "dots"), volume=0.4)
    for pleat in (0.25, 0.6):
        for fold in both([(waist * pleat, 36), (hem * pleat, length)]):
            brush.line(fold, shade(brush.colour, 0.7), 1)
    brush.line([(60 - waist, 28), (60 + waist, 28)], shade(brush.colour, 0.6), 5)
