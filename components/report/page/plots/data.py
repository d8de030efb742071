"""Plots of the data: classes before and after balancing, columns, sizes and brightness."""

from itertools import pairwise

import plotly.graph_objects as go

from components.report.facts.data import ClassCounts, Column, DriftFacts, Histogram
from components.report.page.formats import percent, whole
from components.report.page.plots.base import ACCENT, FAINT, MUTED, PANEL, TEXT, Plot, bars, drawn, plain, short, ticks

_ROW = 22  # pixels of a horizontal bar
_BARS, _SLICES = 12, 6  # of a plot, before the rest is put together; the table has them all
_LEGEND = 20  # characters of a name beside a pie
_COUNTS = {"nticks": 5, "tickformat": "~s", "tickangle": 0}
_MISSING = "(missing)"
_TRAIN = "train"


def class_counts(classes: tuple[ClassCounts, ...]) -> Plot:
    """Training examples of each class as they occur and as training uses them."""
    ordered = sorted(classes, key=lambda row: row.splits.get(_TRAIN, 0))
    names = [row.name for row in ordered]
    before = [row.splits.get(_TRAIN, 0) for row in ordered]
    after = [row.balanced for row in ordered]
    balanced = all(count is not None for count in after)
    traces = [
        bars(counts, names, f"<br>{name}: %{{x:,}}", name=name, marker_color=colour, texttemplate="%{x:,}",
             textposition="outside", textfont={"size": 11, "color": MUTED}, cliponaxis=False)
        for name, counts, colour in (("in an epoch, balanced", after, ACCENT), ("as they occur", before, FAINT))
        if balanced or counts is before
    ]  # fmt: skip
    unbalanced = "" if balanced else " The run ended before balancing."
    most = max([*before, *filter(None, after), 1])
    splits = dict.fromkeys(split for row in classes for split in row.splits if split != _TRAIN)
    return Plot(
        id="class-counts",
        title="Training examples by class",
        summary=_span(before, names) + (" Balancing changed none of them." if after == before else unbalanced),
        figure=drawn(
            *traces,
            xaxis={"title": "training examples", "nticks": 6, "range": [0, 1.08 * most]},
            yaxis=ticks(names),
            bargap=0.25,
            legend={"traceorder": "reversed"},
        ),
        height=110 + len(ordered) * (34 if balanced else _ROW),
        head=("class", "train", "train, balanced", *splits),
        rows=tuple(
            (row.name, *map(whole, (row.splits.get(_TRAIN, 0), row.balanced, *(row.splits.get(s, 0) for s in splits))))
            for row in reversed(ordered)
        ),
    )


def column_bars(column: Column) -> Plot:
    """How often each value of a column occurs."""
    values = _values(column)
    total = sum(count for _, count in values) or 1
    shown = _most_frequent(column, _BARS)[::-1]  # the first bar is the lowest
    names, counts = [name for name, _ in shown], [count for _, count in shown]
    shares = [percent(count / total) for count in counts]
    trace = bars(counts, names, ": %{x:,} (%{text})", text=shares, textposition="none")
    return Plot(
        id=f"column-{column.name}",
        title=column.name,
        summary=f"{whole(column.distinct)} different values in {whole(total)} examples, "
        f"{whole(column.missing)} missing.",
        figure=drawn(trace, yaxis=ticks(names), xaxis=_COUNTS, bargap=0.3),
        height=_column_height(column),
        head=("value", "examples", "share"),
        rows=tuple((name, whole(count), percent(count / total)) for name, count in values),
    )


def column_pie(column: Column) -> Plot:
    """The same as shares of a whole, the rarer values put together."""
    shown = sorted(_most_frequent(column, _SLICES), key=lambda item: (item[0].startswith("("), -item[1]))
    labels = [short(name, _LEGEND) for name, _ in shown]
    # Plotly adds up slices of equal labels.
    labels = labels if len(set(labels)) == len(labels) else [name for name, _ in shown]
    total = sum(count for _, count in shown) or 1
    pie = go.Pie(
        labels=[plain(label) for label in labels], values=[count for _, count in shown], sort=False,
        direction="clockwise", hole=0.55,
        marker={"colors": [f"var(--slice-{i})" for i in range(len(shown))], "line": {"color": PANEL, "width": 2}},
        texttemplate="%{percent:.0%}", textposition="inside", insidetextorientation="horizontal",
        hovertemplate="%{label}: %{value:,} (%{percent})<extra></extra>",
    )  # fmt: skip
    return Plot(
        id=f"pie-{column.name}",
        title=f"{column.name}, as shares",
        summary=f"{shown[0][0]} leads with {percent(shown[0][1] / total)}." if shown else "There are no examples.",
        figure=drawn(
            pie,
            uniformtext={"minsize": 11, "mode": "hide"},
            legend={"orientation": "v", "x": 1, "y": 0.5, "yanchor": "middle"},
        ),
        height=_column_height(column),
        head=("value", "share"),
        rows=tuple((name, percent(count / total)) for name, count in shown),
    )


def histogram(measure: Histogram) -> Plot:
    """How a measure of the pictures is spread."""
    unit = f" {measure.unit}" if measure.unit else ""
    middle = [(low + high) / 2 for low, high in pairwise(measure.edges)]
    spans = [f"{low:,.4g} – {high:,.4g}{unit}" for low, high in pairwise(measure.edges)]
    widths = [high - low for low, high in pairwise(measure.edges)]
    # A few of another size vanish beside thousands: the axis shows both.
    filled = [count for count in measure.counts if count]
    steep = bool(filled) and max(filled) > 1000 * min(filled) and len(filled) <= 10
    bars = go.Bar(
        x=middle, y=measure.counts, width=widths, marker={"color": ACCENT, "cornerradius": 0}, hovertext=spans,
        hovertemplate="%{hovertext}: %{y:,}<extra></extra>",
    )  # fmt: skip
    return Plot(
        id=f"histogram-{measure.name}",
        title=f"{measure.name}{f', {measure.unit}' if measure.unit else ''}",
        summary=f"{whole(sum(measure.counts))} pictures{', a sample' if measure.sampled else ''}, "
        f"from {measure.edges[0]:,.4g} to {measure.edges[-1]:,.4g}{unit}.",
        figure=drawn(
            bars,
            bargap=0,
            yaxis={"nticks": 4, "type": "log" if steep else "linear", "title": "logarithmic" if steep else None},
            xaxis={"nticks": 6},
        ),
        height=180,
        head=(measure.unit or measure.name, "pictures"),
        rows=tuple((span, whole(count)) for span, count in zip(spans, measure.counts, strict=True) if count),
    )


def drift(facts: DriftFacts) -> Plot:
    """How far each column moved."""
    ordered = facts.columns[::-1]
    hover = [f"{move.value or _MISSING}: {percent(move.before)} → {percent(move.now)}" for move in ordered]
    trace = bars(
        [move.distance for move in ordered], hover, "", text=[percent(move.distance) for move in ordered],
        textposition="outside", textfont={"color": TEXT}, cliponaxis=False,
    )  # fmt: skip
    most = max((move.distance for move in ordered), default=0)
    return Plot(
        id="drift",
        title="Largest change of a value's share, by column",
        summary=f"{facts.columns[0].column} moved most." if facts.columns else "No column could be compared.",
        figure=drawn(
            trace,
            yaxis=ticks([move.column for move in ordered]),
            xaxis={"tickformat": ".0%", "range": [0, max(0.02, most * 1.2)], "tickfont": {"color": MUTED}, "nticks": 5},
            bargap=0.35,
        ),
        height=60 + len(ordered) * 28,
        head=("column", "change", "value", "before", "now"),
        rows=tuple(
            (move.column, percent(move.distance), move.value or _MISSING, percent(move.before), percent(move.now))
            for move in facts.columns
        ),
    )


def _values(column: Column) -> list[tuple[str, int]]:
    values = [(value.value or _MISSING, value.count) for value in column.values]
    if column.others:
        values.append((f"({column.distinct - len(column.values):,} others)", column.others))
    if column.missing:
        values.append((_MISSING, column.missing))
    return values


def _most_frequent(column: Column, most: int) -> list[tuple[str, int]]:
    """The values that are shown, in their order, then all others as one, then the missing."""
    values = [(value.value, value.count) for value in column.values]
    kept = sorted(values, key=lambda item: -item[1])[: most if column.distinct > most + 1 else None]
    shown = [item for item in values if item in kept]
    rest = sum(count for _, count in values) + column.others - sum(count for _, count in shown)
    if rest:
        shown.append((f"({column.distinct - len(shown):,} others)", rest))
    return [*shown, (_MISSING, column.missing)] if column.missing else shown


def _column_height(column: Column) -> int:
    return 50 + max(6, len(_most_frequent(column, _BARS))) * _ROW


def _span(counts: list[int], names: list[str]) -> str:
    if not counts:
        return "There are no classes."
    return f"From {whole(counts[0])} ({names[0]}) to {whole(counts[-1])} ({names[-1]})."
