"""Text can be read on whatever it stands on, in the light theme and in the dark one."""

import re
from functools import cache
from pathlib import Path

import pytest

from components.report.page.page import shade


@cache
def _palette() -> dict[str, tuple[str, str]]:
    import components.report.page as package

    style = (Path(package.__file__).parent / "page.css").read_text(encoding="utf-8")
    return {name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", style)}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        (ink, ground)
        for ink in ("text", "muted", "accent", "good", "bad", "warn")
        for ground in ("page", "panel", "sunken")
    ]
    + [("accent", "wash"), ("good", "good-wash"), ("bad", "bad-wash"), ("warn", "warn-wash"), ("text", "wash")],
)
def test_text_can_be_read_on_what_it_stands_on(ink: str, ground: str, theme: int) -> None:
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5."""
    assert _contrast(_rgb(_palette()[ink][theme]), _rgb(_palette()[ground][theme])) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("hue", ["accent", "bad"])
def test_figures_in_the_confusion_matrix_can_be_read_at_every_shade(hue: str, theme: int) -> None:
    colours = {name: _rgb(of[theme]) for name, of in _palette().items()}
    for hundredths in range(101):
        strength = shade(hundredths / 100)
        cell = tuple(strength * a + (1 - strength) * b for a, b in zip(colours[hue], colours["sunken"], strict=True))
        ink = colours["page" if hundredths >= 50 else "text"]
        assert _contrast(cell, ink) >= 4.5, hundredths


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    light, dark = sorted(map(_luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: tuple[float, ...]) -> float:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
