"""Plots of quality: precision and recall, calibration, abstaining, slices."""

from collections.abc import Sequence

import plotly.graph_objects as go

from components.evaluate.verdict import ClassFigures
from components.report.facts.quality import Calibration, Coverage, Curve, SliceQuality
from components.report.page.formats import NONE, percent, score, whole
from components.report.page.plots.base import (
    ACCENT,
    BAD,
    FAINT,
    LINE,
    MUTED,
    PANEL,
    SERIES,
    TEXT,
    WARN,
    Plot,
    across,
    drawn,
    plain,
    share_axis,
    ticks,
)  # fmt: skip

_NAMED = 4  # curves that are told apart; the others stand behind them
_RECALLS = (0.5, 0.8, 0.9, 0.95, 0.99)
_NO_VALUE = "(missing)"


def precision_recall(curves: tuple[Curve, ...], classes: tuple[ClassFigures, ...]) -> Plot:
    """Precision against recall of every class; those with the smallest area below their curve stand out."""
    areas = {row.name: row.auprc for row in classes}
    ordered = sorted(curves, key=lambda curve: area if (area := areas.get(curve.name)) is not None else 0.0)
    named, others = ordered[:_NAMED], ordered[_NAMED:]
    looks = {curve.name: look for curve, look in zip(named, SERIES, strict=False)}
    traces = [_curve(curve, looks.get(curve.name)) for curve in [*others, *named[::-1]]]
    # Good classes crowd into the corner: the axis starts where the worst named one is at 80 % recall.
    floor = min((_precision_at(curve, 0.8) or 0.0 for curve in named), default=0.0)
    least = 0.0 if floor < 0.5 else max(0.0, floor - 0.15)
    return Plot(
        id="precision-recall",
        title="Precision and recall by threshold",
        summary=f"Smallest area below the curve: {ordered[0].name}, {score(areas.get(ordered[0].name))}."
        if ordered
        else "There are no curves.",
        figure=drawn(
            *traces,
            xaxis=share_axis("recall"),
            yaxis=share_axis("precision", least),
            legend={"traceorder": "reversed"},
        ),
        height=360,
        head=("class", "AUPRC", *(f"precision at {percent(recall, 0)} recall" for recall in _RECALLS)),
        rows=tuple(
            (curve.name, score(areas.get(curve.name)), *(percent(_precision_at(curve, recall)) for recall in _RECALLS))
            for curve in ordered
        ),
    )


def calibration(facts: Calibration) -> Plot:
    """How often answers are right against how sure they are."""
    filled = [bucket for bucket in facts.bins if bucket.count]
    middle = [(bucket.low + bucket.high) / 2 for bucket in filled]
    width = [(bucket.high - bucket.low) * 0.92 for bucket in filled]
    bars = go.Bar(
        x=middle, y=[bucket.accuracy for bucket in filled], width=width, marker_color=ACCENT, name="right",
        customdata=[[bucket.confidence, bucket.count] for bucket in filled],
        hovertemplate="right %{y:.1%}, sure %{customdata[0]:.1%}<br>%{customdata[1]:,} answers<extra></extra>",
    )  # fmt: skip
    ideal = go.Scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as right as sure", hoverinfo="skip",
        line={"color": TEXT, "dash": "dash", "width": 1.5},
    )  # fmt: skip
    return Plot(
        id="calibration",
        title="Calibration",
        summary=f"Expected calibration error {percent(facts.ece)}: over all answers, the mean distance of their bar "
        "from its mean confidence.",
        figure=drawn(
            bars,
            ideal,
            xaxis=share_axis("confidence", 0, 1),
            yaxis=share_axis("answers that are right", 0, 1.02),
        ),
        height=360,
        head=("confidence", "answers", "mean confidence", "accuracy"),
        rows=tuple(
            (f"{percent(bucket.low)} – {percent(bucket.high)}", whole(bucket.count), percent(bucket.confidence),
             percent(bucket.accuracy))
            for bucket in filled
        ),
    )  # fmt: skip


def coverage(points: tuple[Coverage, ...], suggested: Coverage | None) -> Plot:
    """Accuracy among what is answered against how much is answered, by the confidence asked for."""
    known = [point for point in points if point.accuracy is not None]
    share = [point.coverage for point in known]
    # Where next to nothing is answered the interval is so wide that it would hide all the rest.
    floor = min([point.low or 0.0 for point in known if point.coverage >= 0.3], default=0.0)
    span = [floor, 1 + 0.05 * (1 - floor)]
    band = go.Scatter(
        x=share + share[::-1], y=[point.high for point in known] + [point.low for point in known[::-1]], fill="toself",
        fillcolor="var(--wash)", line={"width": 0}, hoverinfo="skip", name="95 % interval", mode="lines",
    )  # fmt: skip
    line = go.Scatter(
        x=share, y=[point.accuracy for point in known], mode="lines+markers", name="accuracy", marker={"size": 5},
        line={"color": ACCENT, "width": 2}, customdata=[[point.threshold, point.answered] for point in known],
        hovertemplate="confidence ≥ %{customdata[0]}<br>answered %{x:.1%} (%{customdata[1]:,})<br>right %{y:.2%}"
        "<extra></extra>",
    )  # fmt: skip
    if suggested:
        summary = f"A confidence of {suggested.threshold:g} answers {percent(suggested.coverage)} and is right in "
        summary += f"{percent(suggested.accuracy)} of them."
    elif any(point.accuracy not in (None, 1) for point in points):
        summary = "No confidence halves the share of mistakes."
    else:
        summary = "There are no mistakes to avoid."
    return Plot(
        id="coverage",
        title="Accuracy and coverage",
        summary=summary,
        figure=drawn(
            band,
            line,
            *([_suggestion(suggested)] if suggested else []),
            xaxis={"title": "answered, of all products", "tickformat": ".0%", "autorange": "reversed", "nticks": 6},
            yaxis={"title": "right, of those answered", "tickformat": ".2~%", "nticks": 6, "range": span},
        ),
        height=360,
        head=("confidence at least", "answered", "coverage", "accuracy", "95 % interval"),
        rows=tuple(
            (f"{point.threshold:g}", whole(point.answered), percent(point.coverage), percent(point.accuracy, 2),
             _interval(point.low, point.high))
            for point in points
        ),
    )  # fmt: skip


def _suggestion(point: Coverage) -> go.Scatter:
    return go.Scatter(
        x=[point.coverage], y=[point.accuracy], mode="markers", hoverinfo="skip",
        name=f"suggested: {point.threshold:g}",
        marker={"size": 13, "symbol": "diamond", "color": WARN, "line": {"color": PANEL, "width": 2}},
    )  # fmt: skip


def slices(column: str, parts: Sequence[SliceQuality], accuracy: float | None) -> Plot:
    """Accuracy of each value of a column with its 95 % interval, against that of all."""
    ordered = sorted(parts, key=lambda part: part.accuracy, reverse=True)
    names = [part.value or _NO_VALUE for part in ordered][::-1]
    ordered = ordered[::-1]
    below = [accuracy is not None and max(part.high, part.accuracy) < accuracy for part in ordered]
    dots = go.Scatter(
        x=[part.accuracy for part in ordered], y=list(range(len(ordered))), mode="markers",
        marker={"size": 9, "color": [BAD if bad else ACCENT for bad in below],
                "symbol": ["x" if bad else "circle" for bad in below]},
        error_x={"type": "data", "symmetric": False, "array": [part.high - part.accuracy for part in ordered],
                 "arrayminus": [part.accuracy - part.low for part in ordered],
                 "color": MUTED, "thickness": 1.5, "width": 4},
        hovertext=[f"{plain(name)}: {percent(part.accuracy)} ({_interval(part.low, part.high)})<br>"
                   f"{whole(part.correct)} of {whole(part.examples)}"
                   for name, part in zip(names, ordered, strict=True)],
        hovertemplate="%{hovertext}<extra></extra>",
    )  # fmt: skip
    shapes = [] if accuracy is None else [across(accuracy, color=TEXT, dash="dash") | {"layer": "below"}]
    return Plot(
        id=f"slices-{column}",
        title=column,
        summary=f"Lowest: {names[0]}, {percent(ordered[0].accuracy)} of {whole(ordered[0].examples)}."
        if ordered
        else "There are no examples.",
        figure=drawn(
            dots,
            shapes=shapes,
            yaxis={**ticks(names), "range": [-0.6, len(names) - 0.4], "gridcolor": LINE},
            xaxis={"tickformat": ".0%", "nticks": 5},
        ),
        height=60 + max(3, len(names)) * 26,
        head=("value", "examples", "right", "accuracy", "95 % interval"),
        rows=tuple(
            (part.value or _NO_VALUE, whole(part.examples), whole(part.correct), percent(part.accuracy),
             _interval(part.low, part.high))
            for part in ordered
        ),
    )  # fmt: skip


def _curve(curve: Curve, look: tuple[str, str] | None) -> go.Scatter:
    colour, dash = look or (FAINT, "solid")
    return go.Scatter(
        x=_rounded(curve.recall), y=_rounded(curve.precision), customdata=_rounded(curve.threshold), mode="lines",
        name=plain(curve.name), showlegend=look is not None,
        line={"color": colour, "dash": dash, "width": 2 if look else 1},
        hovertemplate="recall %{x:.1%}, precision %{y:.1%}<br>probability ≥ %{customdata:.3f}"
        f"<extra>{plain(curve.name).replace('%', '&#37;')}</extra>",
    )  # fmt: skip


def _rounded(values: Sequence[float]) -> list[float]:
    """Short: more digits than a plot can show would make the page twice as large."""
    return [round(value, 4) for value in values]


def _precision_at(curve: Curve, recall: float) -> float | None:
    """The best precision that still reaches a recall."""
    return max((p for r, p in zip(curve.recall, curve.precision, strict=True) if r >= recall), default=None)


def _interval(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else f"{percent(low)} – {percent(high)}"
