"""Lines and outlines as lists of points, in units of the frame that articles are drawn in."""

import math
from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]

WIDTH, HEIGHT = 120, 160
MIDDLE = WIDTH / 2


def curve(points: Sequence[Point]) -> list[Point]:
    """A smooth closed line through `points`; a point given twice is a corner."""
    return _spline([points[-1], *points, points[0], points[1]])


def bend(points: Sequence[Point]) -> list[Point]:
    """A smooth line from the first of `points` to the last; a point given twice is a corner."""
    return [*_spline([points[0], *points, points[-1]]), points[-1]]


def _spline(points: Sequence[Point]) -> list[Point]:
    """Catmull-Rom through all points but the first and the last, which only give the direction there."""
    line = []
    for a, b, c, d in zip(points, points[1:], points[2:], points[3:], strict=False):
        if b == c:
            continue
        for t in (0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6):
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
            x, y = (sum(w * p[axis] for w, p in zip(weights, (a, b, c, d), strict=True)) / 2 for axis in (0, 1))
            line.append((x, y))
    return line


def mirrored(half: Sequence[Point], middle: float = MIDDLE) -> list[Point]:
    """A closed outline from its right half, whose x is the distance from the middle; top to bottom."""
    return [(middle + x, y) for x, y in half] + [(middle - x, y) for x, y in reversed(half)]


def both(half: Sequence[Point], middle: float = MIDDLE) -> tuple[list[Point], list[Point]]:
    """A line on the right, given by its distance from the middle, and its mirror image on the left."""
    return [(middle + x, y) for x, y in half], [(middle - x, y) for x, y in half]


def oval(x: float, y: float, wide: float, high: float, start: float = 0, end: float = 360) -> list[Point]:
    """An ellipse about (x, y) with these radii, or its part between two angles, clockwise from the right."""
    count = max(8, int(abs(end - start) / 9))
    angles = (math.radians(start + (end - start) * i / count) for i in range(count + 1))
    return [(x + wide * math.cos(a), y + high * math.sin(a)) for a in angles]


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """A rectangle's corners."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def along(points: Sequence[Point], spacing: float) -> list[Point]:
    """Points at equal distances along a line, the first one included."""
    places, left = [points[0]], spacing
    for (x, y), (u, v) in pairwise(points):
        length, done = math.hypot(u - x, v - y), 0.0
        while length - done >= left:
            done, left = done + left, spacing
            places.append((x + (u - x) * done / length, y + (v - y) * done / length))
        left -= length - done
    return places
