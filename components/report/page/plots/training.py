"""Plots of training: what each epoch came to."""

from collections.abc import Callable

import plotly.graph_objects as go

from components.report.facts.training import Epoch, Phase
from components.report.page.formats import number, percent
from components.report.page.plots.base import ACCENT, LINE, MUTED, PANEL, TEXT, WARN, Plot, across, drawn, plain

_HEIGHT = 300


def learning_curves(phases: tuple[Phase, ...]) -> tuple[Plot, ...]:
    """Accuracy, loss and, where it was recorded, the learning rate over the epochs of all phases."""
    plots = [
        _curve(phases, "accuracy", percent, ".1~%", lambda epoch: epoch.accuracy, lambda epoch: epoch.val_accuracy),
        _curve(phases, "loss", number, ".3~g", lambda epoch: epoch.loss, lambda epoch: epoch.val_loss),
    ]
    if any(epoch.learning_rate is not None for phase in phases for epoch in phase.epochs):
        plots.append(_curve(phases, "learning rate", number, ".2g", lambda epoch: epoch.learning_rate, None))
    return tuple(plots)


def _curve(
    phases: tuple[Phase, ...],
    name: str,
    shown: Callable[[float | None], str],
    ticks: str,
    train: Callable[[Epoch], float | None],
    validation: Callable[[Epoch], float] | None,
) -> Plot:
    series = [("training" if validation else name, train, MUTED if validation else ACCENT, "dot")]
    series += [("validation", validation, ACCENT, "solid")] if validation else []
    traces, shapes, notes, start = [], [], [], 0
    for phase in phases:
        epochs = [start + epoch.number for epoch in phase.epochs]
        hover = [f"{plain(phase.name)}, epoch {epoch.number}" for epoch in phase.epochs]
        for label, figure, colour, dash in series:
            traces.append(
                go.Scatter(
                    x=epochs, y=[figure(epoch) for epoch in phase.epochs], name=label, legendgroup=label,
                    showlegend=phase is phases[0] and validation is not None, mode="lines+markers", marker={"size": 4},
                    line={"color": colour, "dash": dash, "width": 2}, hovertext=hover,
                    hovertemplate="%{hovertext}<br>" + f"{label}: %{{y:{ticks}}}<extra></extra>",
                )
            )  # fmt: skip
        if phase.epochs:
            traces.append(_chosen(phase, start, validation or train, first=phase is phases[0]))
            notes.append({
                "x": (epochs[0] + epochs[-1]) / 2, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
                "text": plain(phase.name), "font": {"size": 11, "color": TEXT},
            })  # fmt: skip
        if start:
            shapes.append(across(start + 0.5, color=LINE))
        start += len(phase.epochs)
    axis = {"type": "log", "tickformat": "~g", "nticks": 4} if name == "learning rate" else {"tickformat": ticks}
    return Plot(
        id=f"training-{name.replace(' ', '-')}",
        title=name.capitalize(),
        summary=_chosen_words(phases, name, shown, validation or train),
        figure=drawn(
            *traces,
            shapes=shapes,
            annotations=notes,
            xaxis={"title": "epoch, all phases counted on", "nticks": 8},
            yaxis={"nticks": 6, **axis},
            margin={"t": 40},
            legend={"y": 1.1},
        ),
        height=_HEIGHT,
        head=("phase", "epoch", *(label for label, *_ in series)),
        rows=tuple(
            (phase.name, f"{epoch.number}{' (chosen)' * (epoch.number == phase.chosen)}",
             *(shown(figure(epoch)) for _, figure, *_ in series))
            for phase in phases
            for epoch in phase.epochs
        ),
    )  # fmt: skip


def _chosen(phase: Phase, start: int, figure: Callable[[Epoch], float | None], *, first: bool) -> go.Scatter:
    chosen = [epoch for epoch in phase.epochs if epoch.number == phase.chosen]
    return go.Scatter(
        x=[start + epoch.number for epoch in chosen], y=[figure(epoch) for epoch in chosen], mode="markers",
        marker={"size": 12, "symbol": "diamond", "color": WARN, "line": {"color": PANEL, "width": 2}},
        name="chosen epoch", legendgroup="chosen", showlegend=first, hoverinfo="skip",
    )  # fmt: skip


def _chosen_words(
    phases: tuple[Phase, ...], name: str, shown: Callable[[float | None], str], figure: Callable[[Epoch], float | None]
) -> str:
    chosen = [
        f"{phase.name} {shown(figure(epoch))} at epoch {epoch.number}"
        for phase in phases
        for epoch in phase.epochs
        if epoch.number == phase.chosen
    ]
    return f"{name.capitalize()} at the chosen epochs: {', '.join(chosen) or 'none was recorded'}."
