"""The page that shows what production says: alarms, the days as time lines, pictures of before and now."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from components.report.page.formats import number, percent, whole
from components.report.page.page import write_html
from components.report.page.plots.base import ACCENT, SERIES, Plot, drawn, plain

_LINES = len(SERIES)


def write_production(
    file: Path, verdict: Mapping[str, Any], log: str, against: str, pictures: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Path:
    """Writes one self-contained page on a verdict, as `fashion monitor --json` prints it.

    `pictures` are title to rows with `picture`, a JPEG, and the answer about it.
    """
    plots = [*_plots(verdict["days"])]
    return write_html(
        file, "production.html.j2", plots, verdict=verdict, log=log, against=against, pictures=pictures, plots=plots
    )


def _plots(days: Sequence[Mapping[str, Any]]) -> Iterator[Plot]:
    names = [day["day"] for day in days]
    if any(day["expected_accuracy"] for day in days):
        yield _accuracy(names, [day["expected_accuracy"] or {} for day in days])
    labels = Counter[str]()
    for day in days:
        labels.update(day["labels"])
    answered = [sum(day["labels"].values()) or 1 for day in days]
    shares = {
        label: [day["labels"].get(label, 0) / all_ for day, all_ in zip(days, answered, strict=True)]
        for label, _ in labels.most_common(_LINES)
    }
    yield _lines("labels", "Shares of the commonest labels", names, shares, ".0%")
    for measure in sorted({name for day in days for name in day["means"]}):
        means = [day["means"].get(measure) for day in days]
        yield _lines(f"mean-{measure}", f"Mean {measure}", names, {measure: means}, ".3~g")
    yield _lines("volume", "Answers a day", names, {"answers": [day["answers"] for day in days]}, ",d")


def _accuracy(days: Sequence[str], shares: Sequence[Mapping[str, float]]) -> Plot:
    value, low, high = ([share.get(name) for share in shares] for name in ("value", "low", "high"))
    band = go.Scatter(
        x=[*days, *days[::-1]], y=[*high, *low[::-1]], fill="toself", mode="none", hoverinfo="skip", showlegend=False,
        fillcolor="rgba(37,88,196,.18)",
    )  # fmt: skip
    line = go.Scatter(x=days, y=value, mode="lines+markers", line={"color": ACCENT}, showlegend=False)
    return Plot(
        id="accuracy",
        title="Expected accuracy",
        summary=f"On the last day {percent(value[-1])}, between {percent(low[-1])} and {percent(high[-1])}.",
        figure=drawn(band, line, yaxis={"tickformat": ".1%"}, xaxis={"type": "category"}),
        height=260,
        head=("day", "expected", "at least", "at most"),
        rows=tuple((day, *map(percent, row)) for day, *row in zip(days, value, low, high, strict=True)),
    )


def _lines(name: str, title: str, days: Sequence[str], series: Mapping[str, Sequence[Any]], form: str) -> Plot:
    shown = percent if form.endswith("%") else whole if form.endswith("d") else number
    traces = [
        go.Scatter(
            x=days, y=values, name=plain(label), mode="lines+markers", line={"color": colour, "dash": dash},
            showlegend=len(series) > 1,
        )
        for (label, values), (colour, dash) in zip(series.items(), SERIES, strict=False)
    ]  # fmt: skip
    last = ", ".join(f"{label} {shown(values[-1])}" for label, values in series.items())
    return Plot(
        id=name,
        title=title,
        summary=f"On the last day {last}." if last else "Nothing was answered.",
        figure=drawn(*traces, yaxis={"tickformat": form}, xaxis={"type": "category"}),
        height=240,
        head=("day", *series),
        rows=tuple((day, *(shown(values[place]) for values in series.values())) for place, day in enumerate(days)),
    )
