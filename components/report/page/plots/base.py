"""What all plots share: a plot with its words for those who cannot see it, colours by role, text that stays text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

# Names of the page's colours: the page puts in their values, those of the theme that is on.
TEXT, MUTED, LINE, PANEL = "var(--text)", "var(--muted)", "var(--line)", "var(--panel)"
ACCENT, FAINT, BAD, WARN, GOOD = "var(--accent)", "var(--faint)", "var(--bad)", "var(--warn)", "var(--good)"
# Told apart by dash as well as by colour.
SERIES = ((ACCENT, "solid"), (WARN, "dash"), (GOOD, "dot"), (BAD, "dashdot"))


@dataclass(frozen=True)
class Plot:
    """One plot, with the table that says the same; `height` is in pixels."""

    id: str  # unique on the page
    title: str
    summary: str  # what it shows in one sentence with its main figure, for those who do not see it
    figure: dict[str, Any]  # Plotly's `data` and `layout`
    height: int
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # of the table, as they are shown


def template() -> dict[str, Any]:
    """The looks of every plot."""
    axis = {
        "gridcolor": LINE, "linecolor": LINE, "zeroline": False, "automargin": True, "fixedrange": True,
        "title": {"font": {"size": 12, "color": MUTED}, "standoff": 8}, "tickfont": {"color": MUTED, "size": 12},
    }  # fmt: skip
    return {
        "layout": {
            **dict.fromkeys(("paper_bgcolor", "plot_bgcolor"), "rgba(0,0,0,0)"),
            "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": TEXT},
            "colorway": [colour for colour, _ in SERIES],
            "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
            **dict.fromkeys(("xaxis", "yaxis"), axis),
            "dragmode": False,
            "hoverlabel": {"bgcolor": PANEL, "bordercolor": LINE, "font": {"color": TEXT, "size": 13}, "align": "left"},
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
            "barcornerradius": 3,
        }
    }


def drawn(*traces: Any, **layout: Any) -> dict[str, Any]:
    """A figure of these traces.

    Raises:
        ValueError: Plotly knows no such property, or not such a value.
    """
    figure = go.Figure(traces, {"template": {}, **layout})
    return figure.to_plotly_json()


def plain(text: str) -> str:
    """Text from the data as Plotly shows it unchanged: it would take <b> and &amp; for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def short(text: str, most: int = 28) -> str:
    """A label that leaves room for its plot."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def share_axis(title: str, least: float = 0.0, most: float = 1.01) -> dict[str, Any]:
    """An axis of shares, as percentages."""
    return {"title": title, "range": [least, most], "tickformat": ".0%", "nticks": 6}


def across(x: float, **line: Any) -> dict[str, Any]:
    """A shape: an upright line at x, from edge to edge."""
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": {"width": 1, **line}}


def bars(counts: Sequence[float | None], hover: Sequence[str], template: str, **options: Any) -> go.Bar:
    """Horizontal bars at 0, 1, 2 and so on; `template` takes the text of `hover` for each as `%{hovertext}`."""
    return go.Bar(
        x=counts, y=list(range(len(counts))), orientation="h", hovertext=[*map(plain, hover)],
        hovertemplate=f"%{{hovertext}}{template}<extra></extra>", **{"marker_color": ACCENT, **options},
    )  # fmt: skip


def ticks(names: Sequence[str]) -> dict[str, Any]:
    """An axis with these names at 0, 1, 2, …: two that are equal once shortened stay two."""
    texts = [plain(short(name)) for name in names]
    return {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": texts}
