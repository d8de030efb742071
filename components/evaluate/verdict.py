"""What an evaluation came to, read from what the Evaluator wrote, and said in sentences a person can act on."""

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.evaluate.figures import SLICES
from components.evaluate.record import Breach, Metric, Record, read_record
from components.settings import Gate

_MOST_SENTENCES = 6  # of a refusal; with many classes the rest would bury the first


@dataclass(frozen=True)
class ClassFigures:
    """How a class fared; shares in 0 … 1, None where there is nothing to divide by.

    Attributes:
        name: the class.
        precision: share of what was called so that is; None where nothing was called so.
        recall: share of what is so that was called so; None where the class does not occur.
        f1: harmonic mean of both; None where neither exists.
        auprc: area under the precision-recall curve; None where the class does not occur.
        support: examples of the class.
        predicted: examples called so.
        baseline_recall: the blessed baseline's recall; None without one.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    auprc: float | None
    support: int
    predicted: int
    baseline_recall: float | None


@dataclass(frozen=True)
class SliceFigures:
    """How the examples with one value of a feature fared; the macro mean is over the classes that occur among them."""

    feature: str
    value: str
    examples: int
    accuracy: float | None
    macro_recall: float | None


@dataclass(frozen=True)
class Failure:
    """One reason to refuse a model; `name` is the class it is about, None where it is about all of them."""

    name: str | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The outcome of an evaluation; shares in 0 … 1, None where there is nothing to divide by.

    Attributes:
        blessed: whether the model may be published: exactly when `failures` is empty.
        examples: how many it was judged by.
        loss: mean cross-entropy in nats.
        macro_precision: like the other macro figures, a mean over the classes that occur; None where one has none.
        classes: in the order of their labels.
        confusion: examples by true class (row) and predicted class (column).
        slices: by gender and season, sorted.
        failures: those over all classes first, then by class.
        baseline_accuracy: the blessed baseline's on the same examples; None without one.
        gate: what it was judged against.
    """

    blessed: bool
    examples: int
    accuracy: float | None
    loss: float | None
    macro_precision: float | None
    macro_recall: float | None
    macro_f1: float | None
    macro_auprc: float | None
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    slices: tuple[SliceFigures, ...]
    failures: tuple[Failure, ...]
    baseline_accuracy: float | None
    gate: Gate

    def as_json(self) -> dict[str, object]:
        """The verdict for `json.dumps`, under the names of its attributes; what does not exist is null."""
        return dataclasses.asdict(self) | {"gate": self.gate.model_dump()}


def read_verdict(evaluation_dir: str | os.PathLike[str], blessed: bool, classes: Sequence[str], gate: Gate) -> Verdict:
    """Reads what the Evaluator wrote; imports TFMA, which takes seconds.

    Args:
        evaluation_dir: the ModelEvaluation artifact.
        blessed: what the ModelBlessing artifact says.
        classes: names of the classes, as given to `eval_config`.
        gate: as given to `eval_config`.

    Raises:
        ValueError: evaluation and blessing contradict each other, so they are not of the same run.
    """
    record = read_record(os.fspath(evaluation_dir))
    if record.ok != blessed:
        raise ValueError(f"{evaluation_dir} says {record.ok}, its blessing says {blessed}: they are not of one run")
    metrics, labels = record.slices.get((), {}), range(len(classes))
    verdict = Verdict(
        blessed=blessed,
        examples=int(metrics.get(Metric("example_count"), 0)),
        accuracy=metrics.get(Metric("accuracy")),
        loss=metrics.get(Metric("loss")),
        macro_precision=metrics.get(Metric("macro_precision")),
        macro_recall=metrics.get(Metric("macro_recall")),
        macro_f1=metrics.get(Metric("macro_f1")),
        macro_auprc=metrics.get(Metric("macro_auprc")),
        classes=tuple(_class_figures(metrics, label, name) for label, name in enumerate(classes)),
        confusion=tuple(tuple(record.confusion.get((i, j), 0) for j in labels) for i in labels),
        slices=tuple(_slice_figures(record)),
        failures=(),
        baseline_accuracy=metrics.get(Metric("accuracy", baseline=True)),
        gate=gate,
    )
    return dataclasses.replace(verdict, failures=_failures(record, verdict))


def refusal(model_name: str, verdict: Verdict, serving_version: int | None) -> str:
    """Says why a model is not published, and what serves in its place.

    Args:
        model_name: name it would be served under.
        verdict: one that is not blessed.
        serving_version: the version that still serves, or None.
    """
    sentences = [failure.sentence for failure in verdict.failures]
    if len(sentences) > _MOST_SENTENCES:
        sentences[_MOST_SENTENCES:] = [f"and {len(sentences) - _MOST_SENTENCES} more"]
    serves = "nothing serves yet" if serving_version is None else f"version {serving_version} still serves"
    return f"{model_name} refused: {'; '.join(sentences)}. Nothing was published; {serves}."


def _class_figures(metrics: Mapping[Metric, float], label: int, name: str) -> ClassFigures:
    return ClassFigures(
        name=name,
        precision=metrics.get(Metric("precision", label)),
        recall=metrics.get(Metric("recall", label)),
        f1=metrics.get(Metric("f1", label)),
        auprc=metrics.get(Metric("auprc", label)),
        support=int(metrics.get(Metric("support", label), 0)),
        predicted=int(metrics.get(Metric("predicted", label), 0)),
        baseline_recall=metrics.get(Metric("recall", label, baseline=True)),
    )


def _slice_figures(record: Record) -> Iterator[SliceFigures]:
    for key, metrics in sorted(record.slices.items()):
        for feature, value in key:
            if feature in SLICES:
                examples = int(metrics.get(Metric("example_count"), 0))
                shares = (metrics.get(Metric(name)) for name in ("accuracy", "macro_recall"))
                yield SliceFigures(feature, value, examples, *shares)


def _failures(record: Record, verdict: Verdict) -> tuple[Failure, ...]:
    # A class that does not occur misses every threshold; it is told once.
    told = dict.fromkeys(_failure(breach, verdict) for breach in record.breaches)
    if not told and not record.ok:
        return (Failure(None, "the test split holds no example to judge by"),)
    return tuple(told)


def _failure(breach: Breach, verdict: Verdict) -> Failure:
    if breach.label is None:
        return Failure(None, f"{breach.figure} {_overall(breach, verdict)}")
    of = verdict.classes[breach.label]
    if not of.support:
        return Failure(of.name, f"{of.name} does not occur in the test split")
    if not of.predicted:
        return Failure(of.name, f"{of.name} was never predicted")
    if breach.change:
        told = _lost(of.recall, of.baseline_recall, verdict.gate.class_regression)
    else:
        told = _missed(getattr(of, breach.figure), getattr(verdict.gate, breach.figure))
        told += _mistaken(breach.figure, breach.label, verdict)
    return Failure(of.name, f"{of.name} {breach.figure} {told}")


def _overall(breach: Breach, verdict: Verdict) -> str:
    if breach.change:
        return _lost(verdict.accuracy, verdict.baseline_accuracy, verdict.gate.regression)
    return _missed(getattr(verdict, breach.figure), getattr(verdict.gate, breach.figure))


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


def _mistaken(figure: str, label: int, verdict: Verdict) -> str:
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
