"""The plot of what a model accepts."""

import plotly.graph_objects as go

from components.outside.assessment import Assessment
from components.report.page.formats import NONE, percent
from components.report.page.plots.base import ACCENT, BAD, Plot, drawn


def accepted(assessment: Assessment) -> Plot:
    """Accuracy, and the share of outsiders, against the share of test pictures that is accepted."""
    points = assessment.curve
    share, texts = [point.accepted for point in points], [[point.confidence] for point in points]
    lines: list[tuple[str, list[float | None], str, str, str]] = [
        ("right, of those accepted", [point.accuracy for point in points], ACCENT, "solid", "y")
    ]
    if assessment.kinds:
        lines.append(("outsiders accepted", [point.outsiders for point in points], BAD, "dash", "y2"))
    traces = [
        go.Scatter(
            x=share, y=values, mode="lines", name=name, yaxis=axis, line={"color": colour, "dash": dash, "width": 2},
            customdata=texts, hovertemplate="confidence ≥ %{customdata[0]:.3f}<br>accepted %{x:.1%}<br>"
            f"{name} %{{y:.2%}}<extra></extra>",
        )
        for name, values, colour, dash, axis in lines
    ]  # fmt: skip
    least = min(0.9, min(point.accuracy for point in points))
    most = max(0.01, *(point.outsiders or 0.0 for point in points))
    now = (
        f"{percent(assessment.accepted.share if assessment.accepted else None)} are accepted, "
        f"{percent(assessment.accuracy.share if assessment.accuracy else None, 2)} of these rightly."
    )
    return Plot(
        id="accepted",
        title="Accuracy and outsiders by what is accepted",
        summary=f"As it is published {now}",
        figure=drawn(
            *traces,
            xaxis={"title": "accepted, of all test pictures", "tickformat": ".0%", "autorange": "reversed"},
            yaxis={"title": "right", "tickformat": ".2~%", "range": [least, 1.002], "nticks": 6},
            yaxis2={"title": "outsiders accepted", "tickformat": ".2~%", "overlaying": "y", "side": "right",
                    "range": [0, 1.05 * most], "showgrid": False, "tickmode": "auto", "nticks": 5},
        ),
        height=360,
        head=("confidence at least", "accepted", "accuracy", "outsiders accepted"),
        rows=tuple(
            (f"{point.confidence:.3f}", percent(point.accepted), percent(point.accuracy, 2),
             NONE if point.outsiders is None else percent(point.outsiders, 2))
            for point in points
        ),
    )  # fmt: skip
