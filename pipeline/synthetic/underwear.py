"""Underwear, drawn: briefs, trunks, boxers and bras, worn or laid flat."""

from pipeline.synthetic.draw import SKIN, Brush, Colour, ink, shade
from pipeline.synthetic.outlines import MIDDLE, bend, both, box, curve, mirrored, oval


def _hips(brush: Brush) -> None:
    """A body from the ribs to the thighs, cut off above and below."""
    skin = brush.rng.choice(SKIN)
    half = [
        (0, 14), (27, 14), (27, 14), (25, 40), (33, 72), (36, 100), (33, 150), (33, 150), (4, 150), (4, 150),
        (1, 104), (1, 104), (0, 104),
    ]  # fmt: skip
    brush.fill(curve(mirrored(half)), skin, volume=0.35, edge=False)
    brush.line([(60, 36), (60, 41)], shade(skin, 0.6), 1.2)
    brush.glow([(59, 18), (61, 18), (61, 34), (59, 34)], 0.25, 1, shade(skin, 0.5))


def _waistband(brush: Brush, half: float, y: float, high: float, colour: Colour) -> None:
    brush.fill(box(MIDDLE - half, y, MIDDLE + half, y + high), colour, volume=0.15)
    if high > 4:
        width = half * brush.rng.uniform(0.5, 1.6)
        brush.lettering(MIDDLE, y + high * 0.3, width, ink(colour), 1, high * 0.42)


def _worn_or_flat(brush: Brush) -> None:
    """Underwear below the waist is worn by a body, or lies flat, alone or in a pack of two."""
    if brush.chance(0.5):
        _hips(brush)
    else:
        brush.pair = brush.chance(0.3)


def briefs(brush: Brush) -> None:
    """A waistband, high legs and a gusset; flat or worn."""
    rng = brush.rng
    _worn_or_flat(brush)
    wide, side = rng.uniform(32, 35), rng.uniform(4, 16)
    cloth = brush.cloth("plain", "plain", "plain", "stripes", "dots", "flowers")
    half = [
        (0, 66), (wide, 64), (wide, 64), (wide + 1, 68 + side), (wide + 1, 68 + side), (20, 88 + side / 3),
        (8, 106), (8, 106), (0, 108),
    ]  # fmt: skip
    brush.fill(curve(mirrored(half)), cloth)
    for leg in both([(wide + 1, 68 + side), (20, 88 + side / 3), (8, 106)]):
        brush.line(bend(leg), shade(brush.accent, 0.9), 1.6)
    if brush.chance(0.5):
        for seam in both([(9, 69), (13, 84), (4, 105)]):
            brush.line(bend(seam), shade(brush.colour, 0.65), 0.9)
    band = brush.accent if brush.chance(0.5) else shade(brush.colour, 0.85)
    _waistband(brush, wide + 0.5, 62, rng.choice((2.5, 5, 7)), band)


def trunks(brush: Brush) -> None:
    """Short tight legs under a broad waistband with a name on it."""
    rng = brush.rng
    _worn_or_flat(brush)
    wide, length = rng.uniform(33, 36), rng.uniform(106, 116)
    half = [
        (0, 60), (wide, 58), (wide, 58), (wide + 4, 84), (wide + 5, length), (wide + 5, length), (20, length + 3),
        (5, length + 1), (5, length + 1), (1, 100), (1, 100), (0, 100),
    ]  # fmt: skip
    brush.fill(curve(mirrored(half)), brush.cloth("plain", "plain", "plain", "stripes"))
    for seam in (*both([(10, 66), (12, 84), (2, 101)]), *both([(6, length - 2), (20, length), (wide + 4, length - 3)])):
        brush.line(bend(seam), shade(brush.colour, 0.65), 0.9)
    _waistband(brush, wide + 0.5, 56, rng.uniform(7, 10), brush.accent)


def boxers(brush: Brush) -> None:
    """Wide printed legs gathered under an elastic, with a fly."""
    rng = brush.rng
    _worn_or_flat(brush)
    wide, length = rng.uniform(32, 35), rng.uniform(118, 132)
    half = [
        (0, 56), (wide, 54), (wide, 54), (wide + 9, 90), (wide + 12, length), (wide + 12, length), (4, length + 3),
        (4, length + 3), (0, 94), (0, 94),
    ]  # fmt: skip
    brush.fill(curve(mirrored(half)), brush.cloth("checks", "checks", "flowers", "dots", "stripes", "plain"))
    brush.line(bend([(60, 60), (65, 62), (65, 78), (60, 90)]), shade(brush.colour, 0.55), 0.9)
    brush.disc(62.5, 68, 1.2, shade(brush.colour, 1.8))
    _waistband(brush, wide + 0.5, 52, 6, shade(brush.colour, 0.85))
    for x in range(int(MIDDLE - wide), int(MIDDLE + wide), 4):
        brush.line([(x, 59), (x + 0.5, 64)], shade(brush.colour, 0.6), 0.6)


def _bust(brush: Brush) -> None:
    """A body from the neck to the navel, its arms cut off."""
    skin = brush.rng.choice(SKIN)
    half = [
        (0, 10), (8, 10), (8, 10), (9, 26), (30, 33), (37, 44), (38, 62), (32, 72), (27, 90), (25, 118), (28, 146),
        (28, 146), (0, 146),
    ]  # fmt: skip
    brush.fill(curve(mirrored(half)), skin, volume=0.35, edge=False)
    brush.line([(60, 128), (60, 133)], shade(skin, 0.6), 1.2)


def bra(brush: Brush) -> None:
    """Two cups under straps, joined by a bow and a band; flat or worn."""
    rng = brush.rng
    worn = brush.chance(0.5)
    if worn:
        _bust(brush)
    inner, outer, top, bottom = rng.uniform(1, 3), rng.uniform(29, 33), rng.uniform(58, 66), rng.uniform(96, 102)
    middle, shoulder = (inner + outer) / 2, (24, 34) if worn else (rng.uniform(16, 24), rng.uniform(22, 30))
    for strap in both([(middle + 3, top + 2), (middle + 4, 46), shoulder]):
        brush.line(bend(strap), shade(brush.colour, 0.85), 2.6)
    end = 31 if worn else 42
    for wing in both([(26, 84), (end, 82), (end, 91), (24, 96)]):
        brush.fill(wing, shade(brush.colour, 0.9))
    cup = [
        (inner, 76), (inner, 76), (middle - 4, top + 10), (middle + 3, top), (middle + 3, top), (outer, 72),
        (outer + 1, 86), (middle + 2, bottom), (inner + 4, bottom - 5),
    ]  # fmt: skip
    cloth, lace = brush.cloth("plain", "plain", "plain", "flowers", "dots"), rng.choice((brush.accent, brush.colour))
    for outline in both(cup):
        brush.fill(curve(outline), cloth, volume=0.45)
        brush.line(bend(outline[1:4]), shade(lace, 0.8), 1.5)
    for dart in both([(middle + 1, top + 8), (19, 84), (20, 97)]):
        brush.line(bend(dart), shade(brush.colour, 0.75), 0.6)
    for light in both(oval(12, 78, 5, 7)):
        brush.glow(light, 0.25, 3)
    for bow in both([(0, 79), (4, 76.5), (4, 82)]):
        brush.fill(bow, brush.accent, volume=0)
