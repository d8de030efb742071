"""Jewelry, drawn: rings, earrings, necklaces, bangles and pendants."""

from pipeline.synthetic.draw import Brush, Colour, shade
from pipeline.synthetic.outlines import MIDDLE, Point, along, bend, both, curve, oval

_STONES: tuple[Colour, ...] = (
    (226, 236, 246), (226, 236, 246), (200, 40, 60), (40, 90, 190), (40, 150, 100), (150, 80, 180), (40, 40, 46),
)  # fmt: skip


def ring(brush: Brush) -> None:
    """A band seen at an angle; a stone on top, a row of stones, or none."""
    rng = brush.rng
    wide, high, thick = rng.uniform(18, 24), rng.uniform(20, 25), rng.uniform(3.5, 9)
    stone = rng.choice(_STONES)
    brush.line(oval(MIDDLE + thick * 0.4, 87, wide * 0.95, high), shade(brush.colour, 0.45), thick)
    brush.tube(oval(MIDDLE, 88, wide, high), brush.colour, thick)
    top = 88 - high
    style = rng.choice(("stone", "stone", "row", "plain", "flower"))
    if style == "stone":
        radius = rng.uniform(6, 11)
        for claw in both([(radius * 0.9, top - radius), (radius * 0.5, top + 2)]):
            brush.tube(claw, brush.colour, 2)
        brush.gem(MIDDLE, top - radius * 0.7, radius, stone)
    elif style == "row":
        for x, y in along(oval(MIDDLE, 88, wide, high, 215, 325), 5.5):
            brush.gem(x, y, max(2.2, thick * 0.42), stone, 6)
    elif style == "flower":
        for x, y in oval(MIDDLE, top - 5, 7, 7)[:-1:8]:
            brush.gem(x, y, 4, stone, 6)
        brush.ball(MIDDLE, top - 5, 3.4, brush.colour)


def _hoop(brush: Brush, x: float, y: float, size: float, stone: Colour) -> float:
    brush.tube(oval(x, y + 13 * size, 11 * size, 13 * size), brush.colour, 2.8)
    return 26


def _tear(brush: Brush, x: float, y: float, size: float, stone: Colour) -> float:
    outline = [(0, 0), (0, 0), (7, 14), (0, 21), (-7, 14)]
    brush.fill(curve([(x + u * size, y + v * size) for u, v in outline]), brush.colour, volume=0.5)
    brush.gem(x, y + 14 * size, 4.6 * size, stone)
    return 21


def _heart(brush: Brush, x: float, y: float, size: float, stone: Colour) -> float:
    outline = [(0, 6), (0, 6), (5, 1), (10, 5), (8, 12), (0, 20), (0, 20), (-8, 12), (-10, 5), (-5, 1)]
    brush.fill(curve([(x + u * size, y + v * size) for u, v in outline]), brush.colour, volume=0.5)
    brush.gem(x, y + 9 * size, 3.6 * size, stone, 6)
    return 20


def _medal(brush: Brush, x: float, y: float, size: float, stone: Colour) -> float:
    brush.fill(oval(x, y + 9 * size, 9 * size, 9 * size), brush.colour, volume=0.45)
    for u, v in oval(x, y + 9 * size, 6.4 * size, 6.4 * size)[::5]:
        brush.disc(u, v, 1.3, stone)
    brush.gem(x, y + 9 * size, 3.6 * size, stone, 6)
    return 18


def _cross(brush: Brush, x: float, y: float, size: float, stone: Colour) -> float:
    brush.tube([(x, y), (x, y + 22 * size)], brush.colour, 4 * size)
    brush.tube([(x - 7 * size, y + 7 * size), (x + 7 * size, y + 7 * size)], brush.colour, 4 * size)
    return 22


def _stone(brush: Brush, x: float, y: float, size: float, stone: Colour) -> float:
    brush.gem(x, y + 7 * size, 7 * size, stone)
    return 14


def earrings(brush: Brush) -> None:
    """A pair: studs, or hoops and drops on hooks, some with beads below."""
    rng = brush.rng
    drop = rng.choice((_hoop, _tear, _tear, _medal, _heart, _stone))
    stone, size, beads = rng.choice(_STONES), rng.uniform(0.8, 1.3), brush.chance(0.4)
    hung, bead = drop is not _stone, rng.choice((stone, brush.colour))
    gap = rng.uniform(18, 25)
    for x in (MIDDLE - gap, MIDDLE + gap):
        if hung:
            brush.tube(bend([(x + 4, 56), (x + 4, 49), (x, 47), (x - 2, 52), (x, 60)]), brush.colour, 1.4)
            brush.ball(x, 59, 2.6, brush.colour)
        end = 61 + size * drop(brush, x, 61, size, stone)
        for shift in (-5, 0, 5) if hung and beads else ():
            brush.line([(x + shift, end - 3), (x + shift, end + 6)], shade(brush.colour, 0.7), 0.8)
            brush.ball(x + shift, end + 7, 2.3, bead)


def _chain(brush: Brush, line: list[Point], spacing: float, radius: float, colours: tuple[Colour, ...]) -> None:
    for i, (x, y) in enumerate(along(line, spacing)):
        brush.ball(x, y, radius * (1 if i % 2 else 0.8), colours[i % len(colours)])


def necklace(brush: Brush) -> None:
    """One to three strings of beads, laid out in a loop, some with stones along the front."""
    rng = brush.rng
    stone, bead = rng.choice(_STONES), rng.uniform(1.3, 4.4)
    colours = rng.choice(((brush.colour,), (brush.colour, brush.accent), (brush.colour, stone)))
    for string in range(rng.choice((1, 1, 2, 3))):
        wide, low = 36 - 6 * string, 132 - 15 * string
        right, left = both([(wide * 0.55, 18), (wide, 56), (wide * 0.72, low - 24)])
        loop = bend([*left, (MIDDLE, low), *reversed(right)])
        brush.line(loop, shade(brush.colour, 0.65), 0.8)
        _chain(brush, loop, bead * 1.9, bead, colours)
        if string == 0 and brush.chance(0.6):
            for x, y in along(loop, 13)[6:-6]:
                _stone(brush, x, y + 1, rng.uniform(0.45, 0.6), stone)


def bangle(brush: Brush) -> None:
    """One to five stiff hoops, stacked and seen from above the front."""
    rng, patterned = brush.rng, brush.chance(0.6)
    count, thick = rng.choice(((1, 14), (1, 9), (2, 7), (3, 6), (5, 4)))
    wide, high = rng.uniform(36, 44), rng.uniform(12, 24)
    hoops = [(78 + i * thick * 0.85, brush.accent if i % 2 and patterned else brush.colour) for i in range(count)]
    for y, colour in reversed(hoops):
        brush.line(oval(MIDDLE, y - thick * 0.1, wide - 1, high, 175, 365), shade(colour, 0.55), thick)
    for y, colour in reversed(hoops):
        front = oval(MIDDLE, y, wide, high, -4, 184)
        brush.tube(front, colour, thick)
        dot = shade(brush.accent if colour == brush.colour else brush.colour, 1.25)
        for u, v in along(front, thick * 1.1) if patterned else ():
            brush.disc(u, v, thick * 0.22, dot)


def pendant(brush: Brush) -> None:
    """A drop, heart, medal, cross or hoop on a fine chain."""
    rng = brush.rng
    knot = rng.uniform(62, 92)
    for strand in both([(20, 12), (18, knot * 0.5), (0, knot)]):
        _chain(brush, bend(strand), 2.3, 1.1, (brush.colour,))
    brush.tube(oval(MIDDLE, knot + 2, 2, 3), brush.colour, 1.4)
    drop = rng.choice((_tear, _heart, _medal, _cross, _hoop))
    drop(brush, MIDDLE, knot + 4, rng.uniform(1.1, 1.8), rng.choice(_STONES))
