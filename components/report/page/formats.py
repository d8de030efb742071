"""How figures are written: the same everywhere on the page, in the model card and in the plots."""

import base64
import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components.export import copies
from components.index import summary

NONE = "–"  # what is not known

_ROUNDING = 1e-9
_NARROW = "\u202f"  # keeps a figure and its unit on one line


def percent(share: float | None, digits: int = 1) -> str:
    """A share as "98.8 %"; only what is all or nothing reads 100 % or 0 %."""
    if share is None:
        return NONE
    shown = round(100 * share, digits)
    least = 10**-digits
    # 1,999 of 2,000 must not read as if there were no mistakes; a rounding error below 1 is none.
    if shown >= 100 and share < 1 - _ROUNDING:
        shown = 100 - least
    elif shown <= 0 and share > _ROUNDING:
        shown = least
    return f"{shown:.{digits}f}{_NARROW}%"


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points, with its sign: "+0.4", "−1.2", "±0.0"."""
    if difference is None:
        return NONE
    shown = round(100 * difference, 1)
    sign = "+" if shown > 0 else "−" if shown < 0 else "±"
    return f"{sign}{abs(shown):.1f}"


def whole(count: float | None) -> str:
    """A count as "39,879"."""
    return NONE if count is None else f"{round(count):,}"


def number(value: float | None, digits: int = 3) -> str:
    """A figure without a unit, in as many significant digits as matter: "0.0911", "1,280"."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def score(value: float | None) -> str:
    """A figure between 0 and 1 that is not read as a share, to four digits: "0.9731"; only 1 itself reads 1."""
    if value is None:
        return NONE
    return "1" if value == 1 else f"{min(value, 0.9999):.4f}"


def duration(seconds: float | None) -> str:
    """How long something took: "0.4 s", "12 s", "13 min 2 s", "2 h 5 min"."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f}{_NARROW}s"
    rounded = round(seconds)
    hours, minutes, rest = rounded // 3600, rounded % 3600 // 60, rounded % 60
    if hours:
        return f"{hours}{_NARROW}h {minutes}{_NARROW}min"
    return f"{minutes}{_NARROW}min {rest}{_NARROW}s" if minutes else f"{rest}{_NARROW}s"


def moment(seconds: float) -> str:
    """A time as "2026-11-21 04:57 UTC"."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def parameters(count: int) -> str:
    """How many numbers a part of a network has: "998", "41.2 k", "4.1 M"."""
    for scale, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= scale:
            return f"{count / scale:.1f}{_NARROW}{unit}"
    return str(count)


def jpeg_uri(picture: bytes) -> str:
    """A JPEG as a URI that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def environment(**options: Any) -> Environment:
    """Makes Jinja for the templates, with the formats of this module; a name that a template misspells is an error."""
    templates = FileSystemLoader(Path(__file__).parent / "templates")
    jinja = Environment(
        loader=templates, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, **options
    )  # fmt: skip
    for form in (percent, points, whole, number, score, duration, moment, parameters, jpeg_uri):
        jinja.filters[form.__name__] = form
    jinja.globals |= {"copies": copies, "similar": summary}
    return jinja
