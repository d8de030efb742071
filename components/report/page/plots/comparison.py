"""Plots that compare two runs."""

import plotly.graph_objects as go

from components.report.facts.quality import QualityFacts
from components.report.page.formats import percent, points
from components.report.page.plots.base import ACCENT, BAD, FAINT, MUTED, PANEL, Plot, drawn, plain, ticks


def recalls(a: QualityFacts, b: QualityFacts, runs: tuple[str, str]) -> Plot:
    """The recall of every class in two runs, the greatest loss on top."""
    before = {row.name: row.recall for row in a.classes}
    both = [(row.name, before[row.name], row.recall) for row in b.classes if before.get(row.name) is not None]
    known = [(name, one, other) for name, one, other in both if one is not None and other is not None]
    ordered = sorted(known, key=lambda row: row[2] - row[1], reverse=True)
    places = list(range(len(ordered)))
    wires = go.Scatter(
        x=[x for _, one, other in ordered for x in (one, other, None)], y=[y for at in places for y in (at, at, None)],
        mode="lines", line={"color": FAINT, "width": 3}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    hover = [
        f"{plain(name)}: {percent(one)} → {percent(other)}, {points(other - one)} points"
        for name, one, other in ordered
    ]
    dots = [
        go.Scatter(
            x=[row[side] for row in ordered], y=places, mode="markers", name=plain(run), hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
            marker={"size": 11, "symbol": symbol, "color": colours, "line": {"color": line, "width": 2}},
        )
        for side, run, symbol, colours, line in (
            (1, runs[0], "circle-open", MUTED, MUTED),
            (2, runs[1], "circle", [BAD if other < one else ACCENT for _, one, other in ordered], PANEL),
        )
    ]  # fmt: skip
    lost = [f"{name} {points(other - one)}" for name, one, other in ordered[::-1] if other < one]
    return Plot(
        id="recalls",
        title="Recall by class",
        summary=f"Points lost: {', '.join(lost[:5])}." if lost else "No class lost recall.",
        figure=drawn(
            wires,
            *dots,
            yaxis={**ticks([name for name, _, _ in ordered]), "range": [-0.6, len(ordered) - 0.4]},
            xaxis={"tickformat": ".1%", "nticks": 6},
        ),
        height=90 + max(3, len(ordered)) * 28,
        head=("class", *runs, "points"),
        rows=tuple((name, percent(one), percent(other), points(other - one)) for name, one, other in ordered[::-1]),
    )
