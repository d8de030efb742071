"""Shoes, drawn: trainers, formal shoes, heels and sandals from the side, flip flops from above."""

from pipeline.synthetic.draw import Brush, Colour, ink, shade
from pipeline.synthetic.outlines import Point, bend, box, curve

_RUBBER: tuple[Colour, ...] = ((240, 238, 232), (226, 214, 190), (60, 56, 54))
_CREPE: Colour = (178, 128, 84)
_CORK: Colour = (188, 144, 96)
_LINING: Colour = (52, 46, 44)
_LACE: Colour = (245, 245, 240)
_PAIRS = 0.12


def _laces(brush: Brush, start: Point, end: Point, colour: Colour) -> None:
    count = brush.rng.randint(4, 6)
    for i in range(count):
        x, y = (a + (b - a) * i / (count - 1) for a, b in zip(start, end, strict=True))
        brush.line([(x - 4, y + 3.5), (x + 3, y - 2.5)], colour, 1.6)
        brush.disc(x - 4, y + 3.5, 0.9, shade(colour, 0.6))


def _opening(brush: Brush, left: float, right: float, y: float) -> None:
    middle = (left + right) / 2
    brush.fill(curve([(left, y), (middle, y + 3.5), (right, y - 1), (middle, y - 2.5)]), _LINING, volume=0)


def casual_shoe(brush: Brush) -> None:
    """A canvas or suede shoe on a flat sole; low or high, laced or not."""
    rng = brush.rng
    brush.pair = brush.chance(_PAIRS)
    high = rng.choice((50, 66, 70, 70))
    upper = [
        (16, 96), (16, 96), (14, 82), (17, high), (17, high), (28, high + 4), (41, high - 3), (41, high - 3),
        (56, 55 + high * 0.2), (74, 77), (92, 80), (104, 87), (106, 97), (106, 97),
    ]  # fmt: skip
    brush.fill(curve(upper), brush.cloth("plain", "plain", "plain", "checks", "flowers", "dots"), volume=0.4)
    _opening(brush, 18, 41, high + 1)
    trim = brush.accent if brush.chance(0.6) else shade(brush.colour, 0.7)
    if brush.chance(0.5):
        brush.fill(curve([(90, 97), (90, 97), (91, 85), (97, 82), (104, 87), (106, 97), (106, 97)]), trim, volume=0.2)
    if brush.chance(0.5):
        brush.fill(curve([(15, 96), (14, 82), (16, 74), (23, 76), (25, 96), (25, 96)]), trim, volume=0.2)
    brush.line(bend([(43, high), (50, 84), (66, 96)]), shade(brush.colour, 0.6), 0.9)
    if brush.chance(0.8):
        _laces(brush, (45, high + 2), (76, 78), _LACE if sum(brush.colour) < 560 else shade(brush.accent, 0.8))
    sole = rng.choice((*_RUBBER, _CREPE))
    brush.fill([(13, 93), (36, 95), (60, 96), (84, 95), (107, 93), (108, 100), (104, 104), (15, 104)], sole)
    brush.line([(14, 98), (107, 98)], brush.accent if brush.chance(0.4) else shade(sole, 0.75), 1)


def _flash(brush: Brush) -> None:
    """The mark on a runner's side: bars, a wave or a zigzag."""
    style = brush.rng.choice(("bars", "wave", "zigzag"))
    if style == "bars":
        for i in range(brush.rng.randint(2, 4)):
            brush.line([(44 + 8 * i, 92), (51 + 8 * i, 70 + 2 * i)], brush.accent, 3)
    elif style == "wave":
        wave = [(36, 88), (36, 88), (56, 90), (82, 78), (82, 78), (60, 96), (44, 96)]
        brush.fill(curve(wave), brush.accent, volume=0)
    else:
        brush.line([(40, 92), (54, 76), (66, 92), (78, 80)], brush.accent, 3.2)


def sports_shoe(brush: Brush) -> None:
    """A padded runner: mesh, swept overlays, a thick wedge of a sole in two colours."""
    rng = brush.rng
    brush.pair = brush.chance(_PAIRS)
    upper = [
        (15, 92), (15, 92), (12, 78), (15, 62), (21, 60), (28, 68), (38, 60), (44, 54), (50, 56), (60, 67),
        (78, 76), (96, 80), (107, 88), (108, 96), (108, 96),
    ]  # fmt: skip
    brush.fill(curve(upper), brush.cloth("plain", "dots"), volume=0.4)
    _opening(brush, 19, 45, 65)
    brush.fill(curve([(14, 92), (12, 78), (15, 63), (24, 70), (30, 82), (34, 96), (34, 96)]), brush.accent, volume=0.25)
    toe = curve([(86, 96), (86, 96), (90, 82), (98, 81), (107, 88), (108, 96), (108, 96)])
    brush.fill(toe, brush.accent if brush.chance(0.6) else shade(brush.colour, 0.6))
    _flash(brush)
    _laces(brush, (50, 61), (78, 78), _LACE if brush.chance(0.5) else shade(brush.accent, 1.3))
    sole = [
        (9, 88), (9, 88), (40, 94), (70, 96), (108, 92), (113, 94), (113, 94), (108, 104), (60, 106), (12, 106),
        (12, 106),
    ]  # fmt: skip
    brush.fill(curve(sole), rng.choice(_RUBBER))
    brush.line(bend([(10, 96), (30, 99), (50, 97), (75, 100), (110, 97)]), brush.accent, 2)
    for x in range(14, 106, 7):
        brush.fill(box(x, 104, x + 5, 108), shade(brush.accent, 0.9), volume=0, edge=False)


def formal_shoe(brush: Brush) -> None:
    """Polished leather on a thin sole with a block heel; laced or buckled."""
    brush.pair = brush.chance(_PAIRS)
    tip = brush.rng.uniform(108, 113)
    upper = [
        (15, 94), (15, 94), (13, 82), (16, 68), (16, 68), (28, 72), (42, 66), (42, 66), (58, 72), (80, 82),
        (100, 86), (tip, 95), (tip, 97), (tip, 97),
    ]  # fmt: skip
    brush.fill(curve(upper), brush.colour, volume=0.5)
    _opening(brush, 17, 43, 69)
    for seam, width in (([(86, 97), (84, 90), (88, 83)], 1.0), ([(20, 95), (32, 84), (46, 84), (58, 96)], 0.9)):
        brush.line(bend(seam), shade(brush.colour, 0.55), width)
    if brush.chance(0.7):
        brush.fill(curve([(40, 68), (40, 68), (62, 74), (62, 84), (46, 82)]), shade(brush.colour, 0.85), volume=0)
        _laces(brush, (48, 71), (60, 77), shade(brush.colour, 0.4))
    else:
        brush.fill(curve([(52, 70), (60, 73), (56, 95), (46, 95)]), shade(brush.colour, 0.8), volume=0)
        brush.fill(box(51, 79, 57, 85), (205, 180, 110), volume=0)
    brush.glow(curve([(68, 79), (92, 86), (102, 91), (88, 89)]), 0.5, 1.2)
    brush.glow(curve([(16, 74), (22, 76), (22, 90), (16, 90)]), 0.3, 1.5)
    sole = (48, 38, 32) if sum(brush.colour) < 330 else (120, 80, 50)
    brush.fill([(13, 94), (40, 96), (tip + 1, 96), (tip - 2, 100), (38, 100), (36, 106), (13, 106)], sole, volume=0.2)


def _pump(brush: Brush, heel: float) -> None:
    upper = [
        (14, heel + 2), (14, heel + 2), (11, heel - 9), (14, heel - 15), (14, heel - 15), (26, heel - 10),
        (44, heel + 3), (62, 80), (82, 83), (82, 83), (98, 88), (110, 97), (112, 102), (112, 102), (76, 102),
        (46, heel + 20), (30, heel + 8),
    ]  # fmt: skip
    brush.fill(curve(upper), brush.colour, volume=0.45)
    brush.glow(curve([(90, 89), (102, 94), (106, 98), (94, 93)]), 0.5, 1)
    if brush.chance(0.4):
        brush.fill(curve([(78, 88), (86, 84), (86, 94)]), brush.accent, volume=0)


def _strapped(brush: Brush, heel: float) -> None:
    bed = [
        (14, heel), (14, heel), (30, heel + 3), (50, 66 + heel * 0.35), (76, 99), (110, 99), (112, 103), (76, 104),
        (46, 78 + heel * 0.25),
    ]  # fmt: skip
    brush.fill(curve(bed), shade(brush.colour, 0.85))
    for left, right, rise in ((92, 107, 13), (80, 96, 15)):
        brush.tube(bend([(left, 100), ((left + right) / 2 - 2, 100 - rise), (right, 100)]), brush.colour, 4)
    ankle = [(16, heel), (14, heel - 18), (26, heel - 22), (38, heel - 14), (44, heel + 8)]
    brush.tube(bend(ankle), brush.colour, 2.8)


def heels(brush: Brush) -> None:
    """A pump or a strapped shoe, arched high over a stiletto, block or wedge."""
    rng = brush.rng
    brush.pair = brush.chance(_PAIRS)
    heel, style = rng.uniform(62, 78), rng.choice(("stiletto", "stiletto", "block", "wedge"))
    dark = shade(brush.colour, 0.7)
    if style == "wedge":
        wedge = [(16, heel + 4), (40, heel + 12), (74, 100), (108, 100), (106, 106), (20, 106)]
        brush.fill(wedge, rng.choice((_CORK, dark)))
    else:
        foot = 21 if style == "stiletto" else 30
        brush.fill([(14, heel), (22, heel + 5), (31, heel + 8), ((foot + 24) / 2, 88), (foot, 106), (17, 106)], dark)
    (_pump if brush.chance(0.6) else _strapped)(brush, heel)
    if brush.chance(0.35):
        brush.tube(bend([(15, heel - 8), (24, heel - 24), (40, heel - 20), (46, heel - 8)]), brush.colour, 2.4)


def flip_flops(brush: Brush) -> None:
    """One or two foam soles from above, each with a Y of two straps."""
    two, cloth = brush.chance(0.55), brush.cloth("plain", "plain", "stripes", "flowers", "dots")
    foot = [
        (-14, 38), (0, 22), (15, 34), (17, 56), (11, 84), (12, 112), (8, 130), (-3, 134), (-13, 126), (-14, 106),
        (-11, 80), (-16, 56),
    ]  # fmt: skip
    for middle, side in ((38, -1), (82, 1)) if two else ((60, 1),):
        outline = curve([(middle + side * x, y) for x, y in foot])
        brush.fill([(x + 1.5, y + 2.5) for x, y in outline], shade(brush.colour, 0.5), volume=0)
        brush.fill(outline, cloth, volume=0.2)
        brush.lettering(middle, 118, 14, ink(brush.colour), 1, 3)
        for end in (-13, 13):
            strap = [(middle - side, 46), (middle + side * end * 0.55, 58), (middle + side * end, 84)]
            brush.tube(bend(strap), brush.accent, 4.6)
        brush.ball(middle - side, 45, 2.4, brush.accent)


def sandals(brush: Brush) -> None:
    """An open shoe: a moulded sole, straps across the toes and instep, and one behind the heel."""
    rng = brush.rng
    sole = rng.choice((_RUBBER[2], shade(brush.colour, 0.5), _CREPE))
    brush.fill([(10, 94), (40, 96), (70, 97), (108, 92), (112, 97), (106, 105), (60, 106), (14, 106)], sole)
    bed = [(11, 92), (40, 92), (70, 94), (106, 89), (110, 94), (70, 98), (30, 97)]
    brush.fill(curve(bed), shade(sole, 1.25), volume=0.2)
    for inside in (
        [(46, 96), (46, 96), (50, 80), (56, 74), (64, 80), (68, 97), (68, 97)],
        [(78, 97), (78, 97), (84, 87), (92, 86), (98, 96), (98, 96)],
    ):
        brush.fill(curve(inside), shade(brush.colour, 0.35), volume=0)
    wide = rng.uniform(7, 11)
    brush.strap([(60, 76), (78, 90)], brush.accent, wide * 0.7)
    for strap in (
        [(15, 95), (13, 78), (17, 68), (30, 72), (46, 76)],
        [(44, 98), (46, 80), (54, 70), (64, 76), (72, 98)],
        [(74, 98), (80, 86), (90, 82), (99, 88), (102, 96)],
    ):
        brush.strap(bend(strap), brush.colour, wide)
    brush.strap([(20, 72), (24, 95)], shade(brush.colour, 0.8), wide * 0.8)
    brush.fill(box(47, 76, 54, 84), brush.accent if brush.chance(0.5) else (200, 196, 190), volume=0.2)
