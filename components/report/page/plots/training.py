"""Plots of training: what each epoch came to."""

from collections.abc import Callable

import plotly.graph_objects as go

from components.report.facts.training import Epoch, Stage
from components.report.page.formats import number, percent
from components.report.page.plots.base import ACCENT, LINE, MUTED, PANEL, TEXT, WARN, Plot, drawn, plain

_HEIGHT = 300


def learning_curves(stages: tuple[Stage, ...]) -> tuple[Plot, ...]:
    """Accuracy, loss and, where it was recorded, the learning rate over the epochs of all stages."""
    plots = [
        _curve(stages, "accuracy", percent, ".1~%", lambda epoch: epoch.accuracy, lambda epoch: epoch.val_accuracy),
        _curve(stages, "loss", number, ".3~g", lambda epoch: epoch.loss, lambda epoch: epoch.val_loss),
    ]
    if any(epoch.learning_rate is not None for stage in stages for epoch in stage.epochs):
        plots.append(_curve(stages, "learning rate", number, ".2g", lambda epoch: epoch.learning_rate, None))
    return tuple(plots)


def _curve(
    stages: tuple[Stage, ...],
    name: str,
    shown: Callable[[float | None], str],
    ticks: str,
    train: Callable[[Epoch], float | None],
    validation: Callable[[Epoch], float] | None,
) -> Plot:
    traces, shapes, notes, start = [], [], [], 0
    for stage in stages:
        epochs = [start + epoch.number for epoch in stage.epochs]
        hover = [f"{plain(stage.name)}, epoch {epoch.number}" for epoch in stage.epochs]
        series = [("training" if validation else name, train, ACCENT if validation is None else MUTED, "dot")]
        series += [("validation", validation, ACCENT, "solid")] if validation else []
        for label, figure, colour, dash in series:
            traces.append(
                go.Scatter(
                    x=epochs, y=[figure(epoch) for epoch in stage.epochs], name=label, legendgroup=label,
                    showlegend=stage is stages[0] and validation is not None, mode="lines+markers", marker={"size": 4},
                    line={"color": colour, "dash": dash, "width": 2}, hovertext=hover,
                    hovertemplate="%{hovertext}<br>" + f"{label}: %{{y:{ticks}}}<extra></extra>",
                )
            )  # fmt: skip
        if stage.epochs:
            traces.append(_chosen(stage, start, validation or train, first=stage is stages[0]))
            notes.append(_name_of(stage, (epochs[0] + epochs[-1]) / 2))
        if start:
            shapes.append({"type": "line", "x0": start + 0.5, "x1": start + 0.5, "y0": 0, "y1": 1, "yref": "paper",
                           "line": {"color": LINE, "width": 1}})  # fmt: skip
        start += len(stage.epochs)
    axis = {"type": "log", "tickformat": "~g", "nticks": 4} if name == "learning rate" else {"tickformat": ticks}
    return Plot(
        id=f"training-{name.replace(' ', '-')}",
        title=name.capitalize(),
        summary=_chosen_words(stages, name, shown, validation or train),
        figure=drawn(
            *traces,
            shapes=shapes,
            annotations=notes,
            xaxis={"title": "epoch, all stages counted on", "nticks": 8},
            yaxis={"nticks": 6, **axis},
            margin={"t": 40},
            legend={"y": 1.1},
        ),
        height=_HEIGHT,
        head=("stage", "epoch", *(("training", "validation") if validation else (name,))),
        rows=tuple(
            (
                stage.name,
                f"{epoch.number}{' (chosen)' if epoch.number == stage.chosen else ''}",
                shown(train(epoch)),
                *((shown(validation(epoch)),) if validation else ()),
            )
            for stage in stages
            for epoch in stage.epochs
        ),
    )


def _chosen(stage: Stage, start: int, figure: Callable[[Epoch], float | None], *, first: bool) -> go.Scatter:
    chosen = [epoch for epoch in stage.epochs if epoch.number == stage.chosen]
    return go.Scatter(
        x=[start + epoch.number for epoch in chosen], y=[figure(epoch) for epoch in chosen], mode="markers",
        marker={"size": 12, "symbol": "diamond", "color": WARN, "line": {"color": PANEL, "width": 2}},
        name="chosen epoch", legendgroup="chosen", showlegend=first, hoverinfo="skip",
    )  # fmt: skip


def _name_of(stage: Stage, x: float) -> dict[str, object]:
    return {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False, "text": plain(stage.name),
            "font": {"size": 11, "color": TEXT}}  # fmt: skip


def _chosen_words(
    stages: tuple[Stage, ...], name: str, shown: Callable[[float | None], str], figure: Callable[[Epoch], float | None]
) -> str:
    chosen = [
        f"{stage.name} {shown(figure(epoch))} at epoch {epoch.number}"
        for stage in stages
        for epoch in stage.epochs
        if epoch.number == stage.chosen
    ]
    return f"{name.capitalize()} at the chosen epochs: {', '.join(chosen) or 'none was recorded'}."
