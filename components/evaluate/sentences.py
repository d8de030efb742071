"""What is said of an evaluation: why the model is refused, and what the gate passes over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.evaluate.record import Breach
from components.settings import Gate

if TYPE_CHECKING:
    from components.evaluate.verdict import RareClasses, Verdict

_CALLED = {"macro_f1": "macro-F1", "macro_auprc": "macro-AUPRC", "ece": "expected calibration error"}


@dataclass(frozen=True)
class Failure:
    """One reason to refuse a model; `name` is the class it is about, None where it is about several."""

    name: str | None
    sentence: str


def failures_of(breaches: Sequence[Breach], ok: bool, verdict: "Verdict") -> tuple[Failure, ...]:
    """Why a model is refused: what is about several classes first, then by class.

    Args:
        breaches: the thresholds that were not met.
        ok: whether all were; without any breach, not ok means that there was nothing to judge by.
        verdict: all else that is known of the evaluation.
    """
    # A class that does not occur misses every threshold; it is told once.
    told = dict.fromkeys(_failure(breach, verdict) for breach in breaches)
    if not told and not ok:
        return (Failure(None, "the test split holds no example to judge by"),)
    return tuple(sorted(told, key=lambda failure: failure.name is not None))


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
    if breach.label is None:
        return Failure(None, f"{_CALLED.get(breach.figure, breach.figure)} {_overall(breach, verdict)}")
    of, figure = verdict.classes[breach.label], breach.figure.removeprefix("judged_")
    if verdict.rare and of.name in verdict.rare.names:
        return Failure(None, _rare_failure(verdict.rare, breach, verdict.gate))
    if not of.support:
        return Failure(of.name, f"{of.name} does not occur in the test split")
    if not of.predicted:
        return Failure(of.name, f"{of.name} was never predicted")
    if breach.change:
        told = _lost(of.recall, of.baseline_recall, verdict.gate.class_regression)
    else:
        told = _missed(getattr(of, figure), getattr(verdict.gate, figure))
        told += _mistaken(figure, breach.label, verdict)
    return Failure(of.name, f"{of.name} {figure} {told}")


def _rare_failure(rare: "RareClasses", breach: Breach, gate: Gate) -> str:
    if breach.change:
        told = _lost(rare.recall, rare.baseline_recall, gate.class_regression)
    else:
        told = _missed(rare.recall, gate.recall)
    return f"recall of the {_classes(len(rare.names))} with fewer than {gate.support} test examples together {told}"


def _classes(count: int) -> str:
    return f"{count} class{'es' if count > 1 else ''}"


def _overall(breach: Breach, verdict: "Verdict") -> str:
    if breach.change:
        return _lost(verdict.accuracy, verdict.baseline_accuracy, verdict.gate.regression)
    value, limit = getattr(verdict, breach.figure), getattr(verdict.gate, breach.figure)
    if breach.figure == "ece" and value is not None:
        return f"{_apart(value, limit)} % is above {_hundredths(limit)} %"
    return _missed(value, limit)


def _missed(value: float | None, least: float) -> str:
    if value is None:
        return "could not be computed"
    return f"{_apart(value, least)} % is below {_hundredths(least)} %"


def _lost(value: float | None, baseline: float | None, tolerance: float) -> str:
    if value is None or baseline is None:
        return "could not be compared with the blessed baseline's"
    return (
        f"{100 * value:.1f} % is {_apart(baseline - value, tolerance)} points below the blessed baseline's "
        f"{100 * baseline:.1f} % (tolerance {_hundredths(tolerance)})"
    )


def _mistaken(figure: str, label: int, verdict: "Verdict") -> str:
    """The mistake made most often with a class, in parentheses."""
    of = verdict.classes[label]
    if figure == "recall":
        counts, total, verb = verdict.confusion[label], of.support, "taken for"
    else:
        counts, total, verb = tuple(row[label] for row in verdict.confusion), of.predicted, "predicted are"
    mistakes = [(count, verdict.classes[i].name) for i, count in enumerate(counts) if i != label]
    most, other = max(mistakes, default=(0, ""))
    return f" ({most:,} of {total:,} {verb} {other})" if most else ""


def _hundredths(share: float) -> str:
    return f"{100 * share:.10g}"


def _apart(share: float, limit: float) -> str:
    """The share in hundredths, with one decimal or as many as tell it from the limit."""
    shown = (f"{100 * share:.{decimals}f}" for decimals in range(1, 10))
    return next((text for text in shown if not math.isclose(float(text), 100 * limit)), f"{100 * share}")
