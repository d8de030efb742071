"""What is said of an evaluation: why the model is refused, and what the gate passes over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.evaluate.evidence import spread, wilson
from components.evaluate.record import Breach
from components.evaluate.settings import Gate

if TYPE_CHECKING:
    from components.evaluate.verdict import RareClasses, Verdict

_CALLED = {"macro_f1": "macro-F1", "macro_auprc": "macro-AUPRC", "ece": "expected calibration error",
           "regression": "accuracy"}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """One reason to refuse a model; `name` is the class it is about, None where it is about several."""

    name: str | None
    sentence: str


def failures_of(breaches: Sequence[Breach], ok: bool, verdict: "Verdict") -> tuple[Failure, ...]:
    """Why a model is refused: what is about several classes first, then by class.

    `breaches` are the thresholds that were not met. Without any, not `ok` means that there was nothing to judge by.
    """
    # A class that does not occur misses every threshold; it is told once.
    failures = dict.fromkeys(_failure(breach, verdict) for breach in breaches)
    if not failures and not ok:
        return (Failure(None, "the test split holds no example to judge by"),)
    return tuple(sorted(failures, key=lambda failure: failure.name is not None))


def note_on_rare(verdict: "Verdict") -> str:
    """Which classes were not judged each by itself, in one or two sentences; empty where all were."""
    rare = verdict.rare
    if rare is None:
        return ""
    how = f"judged together by their recall, {100 * (rare.recall or 0):.1f} %" if rare.judged else "not judged"
    absent = f" Not in the test split at all: {', '.join(rare.absent)}." if rare.absent else ""
    return (
        f"{_classes(len(rare.names))} with fewer than {verdict.gate.support} test examples, {rare.support:,} in all, "
        f"{'is' if len(rare.names) == 1 else 'are'} {how}: {', '.join(rare.names)}.{absent}"
    )


def _failure(breach: Breach, verdict: "Verdict") -> Failure:
    figure, gate = breach.figure.removeprefix("judged_"), verdict.gate
    if breach.label is None:
        return Failure(None, f"{_CALLED.get(figure, figure)} {_overall(figure, verdict)}")
    row = verdict.classes[breach.label]
    if verdict.rare and row.name in verdict.rare.names:
        return Failure(None, _rare_failure(verdict.rare, figure, gate))
    if not row.support:
        return Failure(row.name, f"{row.name} does not occur in the test split")
    if not row.predicted:
        return Failure(row.name, f"{row.name} was never predicted")
    if figure == "regression":
        lost = _lost(row.lost, row.gained, row.support, row.recall, row.baseline_recall, gate.class_regression)
        return Failure(row.name, f"{row.name} recall {lost}")
    share, total = (row.recall, row.support) if figure == "recall" else (row.precision, row.predicted)
    missed = _missed(share, getattr(gate, figure), total, gate.significance)
    return Failure(row.name, f"{row.name} {figure} {missed}{_mistaken(figure, breach.label, verdict)}")


def _rare_failure(rare: "RareClasses", figure: str, gate: Gate) -> str:
    if figure == "regression":
        said = _lost(rare.lost, rare.gained, rare.support, rare.recall, rare.baseline_recall, gate.class_regression)
    else:
        said = _missed(rare.recall, gate.recall, rare.support, gate.significance)
    return f"recall of the {_classes(len(rare.names))} with fewer than {gate.support} test examples together {said}"


def _classes(count: int) -> str:
    return f"{count} class{'es' if count > 1 else ''}"


def _overall(figure: str, verdict: "Verdict") -> str:
    if figure == "regression":
        values = verdict.lost, verdict.gained, verdict.examples, verdict.accuracy, verdict.baseline_accuracy
        return _lost(*values, verdict.gate.regression)
    value, limit = getattr(verdict, figure), getattr(verdict.gate, figure)
    if figure == "ece" and value is not None:
        return f"{_apart(value, limit)} % is above {_hundredths(limit)} %"
    return _missed(value, limit)


def _missed(value: float | None, least: float, examples: int = 0, significance: float = 0.0) -> str:
    """The shortfall; with `examples`, also the interval that lies below the limit."""
    if value is None:
        return "could not be computed"
    between = ""
    if examples:
        low, high = (float(end) for end in wilson(round(value * examples), examples, significance))
        between = f" ({100 * low:.1f}–{_apart(high, least)} %)"
    return f"{_apart(value, least)} %{between} is below {_hundredths(least)} %"


def _lost(
    lost: int | None,
    gained: int | None,
    examples: int,
    value: float | None,
    baseline: float | None,
    tolerance: float,
) -> str:
    if lost is None or gained is None or value is None or baseline is None:
        return "could not be compared with the blessed baseline's"
    loss, half = (lost - gained) / examples, spread(lost, gained, examples)
    return (
        f"{100 * value:.1f} % is worse by {_apart(loss, tolerance)} ± {100 * half:.1f} points than the blessed "
        f"baseline's {100 * baseline:.1f} % on {examples:,} pictures (tolerance {_hundredths(tolerance)})"
    )


def _mistaken(figure: str, label: int, verdict: "Verdict") -> str:
    """The mistake made most often with a class, in parentheses."""
    row = verdict.classes[label]
    if figure == "recall":
        counts, total, verb = verdict.confusion[label], row.support, "taken for"
    else:
        counts, total, verb = tuple(row[label] for row in verdict.confusion), row.predicted, "predicted are"
    mistakes = [(count, verdict.classes[i].name) for i, count in enumerate(counts) if i != label]
    most, other = max(mistakes, default=(0, ""))
    return f" ({most:,} of {total:,} {verb} {other})" if most else ""


def _hundredths(share: float) -> str:
    return f"{100 * share:.10g}"


def _apart(share: float, limit: float) -> str:
    """The share in hundredths, with one decimal or as many as tell it from the limit."""
    shown = (f"{100 * share:.{decimals}f}" for decimals in range(1, 10))
    return next((text for text in shown if not math.isclose(float(text), 100 * limit)), f"{100 * share}")
