"""Topwear, drawn: T-shirts, shirts, tops, kurtas and coats, hung, worn by a bust or folded."""

from dataclasses import dataclass

from PIL import Image

from pipeline.synthetic.draw import SKIN, Brush, ink, shade
from pipeline.synthetic.outlines import MIDDLE, Point, bend, both, box, curve, mirrored, oval


@dataclass(frozen=True)
class _Cut:
    """How a top is cut. Lengths and widths are units of the frame; widths are from the middle."""

    sleeve: float  # length of the sleeves; 0 for none
    lean: float  # how far the sleeves stand off, sideways units per unit of length
    cuff: float  # width of a sleeve's end
    waist: float  # width at the waist
    hem: float  # width at the lower edge
    length: float  # y of the lower edge
    neck: float  # width of the neckline
    plunge: float  # depth of the neckline


def _hanger(brush: Brush) -> None:
    brush.line(bend([(60, 26), (60, 20), (64, 16), (60, 11), (55, 14)]), (90, 90, 95), 1.4)
    brush.tube([(38, 38), (60, 26), (82, 38)], (150, 112, 76), 3.2)


def _sleeves(brush: Brush, cut: _Cut, paint: Image.Image) -> None:
    fall = (1 - cut.lean**2) ** 0.5
    end = (25 + cut.sleeve * cut.lean, 37 + cut.sleeve * fall)
    inner = (end[0] - cut.cuff * fall, end[1] + cut.cuff * cut.lean)
    hem = [(x - 1.6 * cut.lean, y - 1.6 * fall) for x, y in (end, inner)]
    for arm in both([(17, 34), (25, 37), end, inner, (23, 62), (15, 50)]):
        brush.fill(arm, paint, volume=0.35)
    for line in both(hem):
        brush.line(line, shade(brush.colour, 0.7), 0.6)


def _body(brush: Brush, cut: _Cut, paint: Image.Image) -> None:
    shoulder = 25 if cut.sleeve else 21
    half = [
        (0, 31 + cut.plunge), (cut.neck * 0.75, 31 + cut.plunge * 0.6), (cut.neck, 30), (cut.neck, 30),
        (shoulder, 36.5), (shoulder, 36.5), (shoulder - 2, 50), (23, 62), (23, 62), (cut.waist, 95),
        (cut.hem, cut.length), (cut.hem, cut.length), (0, cut.length + 2),
    ]  # fmt: skip
    brush.fill(curve(mirrored(half)), paint)
    for _ in range(brush.rng.randint(1, 4)):
        x, y = brush.rng.uniform(42, 72), brush.rng.uniform(70, 100)
        brush.glow([(x, y), (x + brush.rng.uniform(-6, 6), y + 24), (x + 3, y + 20)], 0.16, 1.5, (0, 0, 0))


def _top(brush: Brush, cut: _Cut, paint: Image.Image) -> None:
    """The garment itself, on a bust, on a hanger, or lying open."""
    if brush.chance(0.45):
        neck = [(0, 17), (7, 17), (7, 17), (7.5, 24), (15, 31), (16, 46), (0, 50)]
        brush.fill(curve(mirrored(neck)), brush.rng.choice(SKIN), volume=0.4, edge=False)
    else:
        if brush.chance(0.3):
            _hanger(brush)
        brush.fill(oval(MIDDLE, 31, cut.neck, 5), shade(brush.colour, 0.5), volume=0)
    if cut.sleeve:
        _sleeves(brush, cut, paint)
    _body(brush, cut, paint)


def _collar(brush: Brush, depth: float) -> None:
    for wing in both([(0, 38), (11, 27), (14, 33), (7, 38 + depth)]):
        brush.fill(wing, shade(brush.colour, 0.93), volume=0.2)


def _buttons(brush: Brush, top: float, bottom: float, count: int) -> None:
    brush.line([(MIDDLE - 2.5, top), (MIDDLE - 2.5, bottom)], shade(brush.colour, 0.65), 0.5)
    brush.line([(MIDDLE + 2.5, top), (MIDDLE + 2.5, bottom)], shade(brush.colour, 0.75), 0.5)
    for i in range(count):
        brush.disc(MIDDLE, top + 3 + i * (bottom - top - 6) / (count - 1), 1.1, ink(brush.colour))


_LETTERS: tuple[list[Point], ...] = (
    [(50, 18), (50, 0), (70, 18), (70, 0)],
    [(70, 0), (50, 0), (50, 9), (68, 9), (68, 18), (50, 18)],
    [(50, 18), (60, 0), (70, 18)],
)


def _print(brush: Brush) -> None:
    """Something on the chest: a badge with words, a big letter, words alone, or a small logo."""
    rng, y = brush.rng, brush.rng.uniform(60, 72)
    choice = rng.choice(("badge", "letter", "words", "logo"))
    if choice == "badge":
        triangle: list[Point] = [(45, y + 10), (60, y - 14), (75, y + 10)]
        shape = rng.choice((oval(MIDDLE, y, 13, 13), box(47, y - 12, 73, y + 12), triangle))
        brush.fill(shape, brush.accent, volume=0, edge=False)
        brush.lettering(MIDDLE, y - 1, 20, ink(brush.accent), rows=2, height=3)
    elif choice == "letter":
        brush.line([(x, y - 8 + down) for x, down in rng.choice(_LETTERS)], brush.accent, 4)
    elif choice == "words":
        brush.lettering(MIDDLE, y - 8, 34, brush.accent, rows=rng.randint(2, 4), height=5)
    else:
        brush.disc(72, 55, 2.4, brush.accent)


def tshirt(brush: Brush) -> None:
    """Mostly short sleeves; a round neck, a V or a polo collar; plain, striped or printed."""
    rng, polo = brush.rng, brush.chance(0.3)
    sleeve = (rng.uniform(60, 68), 0.3, 11) if brush.chance(0.12) else (rng.uniform(22, 30), rng.uniform(0.45, 0.7), 18)
    plunge = 16 if brush.chance(0.3) else rng.uniform(5, 9)
    cut = _Cut(*sleeve, rng.uniform(22, 25), rng.uniform(23, 27), rng.uniform(112, 126), 10, plunge)
    _top(brush, cut, brush.cloth("plain", "plain", "plain", "stripes"))
    if polo:
        _collar(brush, 6)
        _buttons(brush, 42, 60, 3)
        return
    right, left = both([(10, 30), (7.5, 31 + plunge * 0.6)])
    rim = [*right, (MIDDLE, 31 + plunge), *reversed(left)]
    brush.line(bend(rim), brush.accent if brush.chance(0.3) else shade(brush.colour, 0.75), 1.8)
    if brush.chance(0.65):
        _print(brush)


def shirt(brush: Brush) -> None:
    """A collar, a row of buttons, a breast pocket; long or short sleeves, or folded flat."""
    rng = brush.rng
    cloth = brush.cloth("plain", "plain", "pinstripes", "checks", "checks")
    if brush.chance(0.15):
        length = 130.0
        brush.fill(mirrored([(0, 34), (27, 35), (33, 38), (35, 44), (35, 128), (32, 132), (0, 132)]), cloth)
        brush.fill(oval(MIDDLE, 33, 12, 4), shade(brush.colour, 0.5), volume=0)
    else:
        length = rng.uniform(116, 126)
        short, long = (28.0, rng.uniform(0.4, 0.55), 17), (rng.uniform(66, 74), rng.uniform(0.15, 0.32), 11)
        sleeve = short if brush.chance(0.35) else long
        _top(brush, _Cut(*sleeve, rng.uniform(22, 25), rng.uniform(23, 26), length, 10, 9), cloth)
    _buttons(brush, 42, length, 6)
    _collar(brush, 10)
    if brush.chance(0.7):
        brush.line([(67, 60), (67, 74), (72, 77), (77, 74), (77, 60), (67, 60)], shade(brush.colour, 0.65), 0.8)


def top(brush: Brush) -> None:
    """A woman's top: flared, sleeveless or with half sleeves, a wide neck, a sash or ruffles."""
    rng = brush.rng
    sleeve, length, plunge = rng.choice((0, 14, 18, 40)), rng.uniform(102, 116), rng.uniform(10, 20)
    cut = _Cut(sleeve, 0.6, 14, rng.uniform(18, 21), rng.uniform(25, 33), length, rng.uniform(12, 15), plunge)
    _top(brush, cut, brush.cloth("plain", "plain", "flowers", "dots", "stripes"))
    if brush.chance(0.5):
        brush.line(bend([(40, 82), (60, 84), (80, 82)]), brush.accent, 3)
        for bow in both([(0, 83), (7, 79), (7, 88)]):
            brush.fill(bow, brush.accent, volume=0)
    else:
        for y in (34 + plunge, 38 + plunge, 42 + plunge):
            ruffle = [(50, y - 3), (55, y), (60, y - 1), (65, y), (70, y - 3)]
            brush.line(bend(ruffle), shade(brush.colour, 0.72), 1.1)


def kurta(brush: Brush) -> None:
    """To the knee, slit at the sides, with an embroidered placket and border."""
    rng = brush.rng
    hem, length = rng.uniform(25, 31), rng.uniform(142, 150)
    cut = _Cut(rng.choice((30, 46, 64)), 0.28, 13, rng.uniform(19, 22), hem, length, 9, rng.uniform(5, 9))
    _top(brush, cut, brush.cloth("plain", "plain", "flowers", "dots", "pinstripes"))
    brush.fill([(56, 36), (64, 36), (64, 66), (60, 71), (56, 66)], brush.accent, volume=0)
    for y in range(40, 66, 5):
        brush.disc(MIDDLE, y, 1.2, shade(brush.accent, 0.45))
    for slit in both([(hem - 3, length), (hem - 4.5, length - 32)]):
        brush.line(slit, shade(brush.colour, 0.5), 1)
    brush.line([(MIDDLE - hem + 3, length - 3), (MIDDLE + hem - 3, length - 3)], brush.accent, 2.6)


def coat(brush: Brush) -> None:
    """Long sleeves, wide lapels, two rows of buttons, often a belt."""
    rng = brush.rng
    hem, length = rng.uniform(28, 34), rng.uniform(144, 152)
    _top(brush, _Cut(rng.uniform(70, 78), 0.22, 14, rng.uniform(23, 25), hem, length, 11, 12), brush.cloth("plain"))
    for wing in both([(0, 74), (15, 28), (19, 36), (16, 52)]):
        brush.fill(wing, shade(brush.colour, 0.85), volume=0.3)
    brush.line([(MIDDLE, 74), (MIDDLE, length)], shade(brush.colour, 0.5), 1)
    for y in range(80, 132, 16):
        for side in both([(7, y)]):
            brush.disc(*side[0], 1.8, ink(brush.colour))
    if brush.chance(0.6):
        brush.line([(37, 95), (83, 95)], shade(brush.colour, 0.6), 5)
        brush.fill(box(55, 91, 65, 99), shade(brush.colour, 0.4), volume=0)
