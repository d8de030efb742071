"""Eyewear, drawn: sunglasses of several shapes."""

from pipeline.synthetic.draw import Brush, Colour, shade
from pipeline.synthetic.outlines import MIDDLE, Point, bend, both, box, curve, oval

_LENSES: dict[str, list[Point]] = {
    "aviator": [(5, 72), (14, 66), (32, 66), (41, 70), (40, 82), (30, 95), (18, 95), (8, 86)],
    "wayfarer": [(5, 69), (5, 69), (24, 66), (43, 66), (43, 66), (41, 80), (34, 90), (16, 90), (8, 82)],
    "round": [(x - MIDDLE, y) for x, y in oval(83, 80, 17, 16)[:-1]],
    "cat": [(6, 74), (20, 69), (46, 61), (46, 61), (42, 80), (32, 90), (16, 90), (8, 84)],
    "wrap": [(4, 72), (20, 68), (44, 68), (47, 72), (40, 84), (24, 90), (12, 88), (6, 80)],
    "square": [(5, 68), (5, 68), (40, 68), (40, 68), (39, 90), (39, 90), (9, 90), (9, 90)],
}  # fmt: skip


_TINTS: tuple[Colour, ...] = ((56, 54, 58), (84, 62, 48), (52, 70, 58), (50, 60, 92), (110, 70, 96), (150, 110, 60))


def sunglasses(brush: Brush) -> None:
    """Two tinted lenses in a frame of wire or plastic, from the front or turned so that the arms show."""
    rng, style = brush.rng, brush.rng.choice(tuple(_LENSES))
    wire, turned = style == "aviator" or brush.chance(0.25), brush.chance(0.6)
    thick = rng.uniform(1.6, 2.4) if wire else rng.uniform(3, 6)
    narrowed = 0.78 if turned else 1.0
    middle = 48 * narrowed + 6
    right, left = both([(x * narrowed, y) for x, y in curve(_LENSES[style])], middle)
    start, end = min(x for x, _ in left), max(x for x, _ in right)
    if turned:
        brush.tube(bend([(start, 71), (start + 18, 62), (start + 44, 57)]), shade(brush.colour, 0.7), thick * 0.7)
    tint = rng.choice(_TINTS)
    glass = brush.fade(66, 94, shade(tint, rng.uniform(0.6, 0.9)), shade(tint, rng.uniform(1.1, 1.6)))
    for lens in (left, right):
        brush.fill(lens, glass, volume=0.1, edge=False)
        x = min(x for x, _ in lens)
        brush.glow([(x + 9, 70), (x + 14, 70), (x + 9, 86), (x + 5, 84)], 0.3, 1)
        brush.tube([*lens, *lens[:2]], brush.colour, thick)
    bridge = [(middle + x * narrowed, y) for x, y in ((-8, 76), (-3, 71), (3, 71), (8, 76))]
    brush.tube(bend(bridge), brush.colour, thick)
    if style == "aviator":
        brush.tube([(middle - 12, 67), (middle + 12, 67)], brush.colour, thick)
    if turned:
        arm = [(end - 1, 71), (end + 10, 65), (end + 22, 62), (end + 25, 66), (end + 26, 74)]
        brush.tube(bend(arm), brush.colour, max(2.4, thick * 0.9))
    for x, lean in () if turned else ((start, 3), (end, -3)):
        brush.fill(box(x - 1.5, 70, x + 1.5, 75), brush.colour, volume=0)
        brush.line([(x, 72), (x + lean, 62)], shade(brush.colour, 0.7), 1.6)
