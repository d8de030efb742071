"""What an evaluation came to, read from what the Evaluator wrote."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.evaluate.figures import CLASS_FIGURES, OVERALL_FIGURES, PAIRED_FIGURES, SLICES
from components.evaluate.record import Metric, Record, read_record
from components.evaluate.sentences import Failure, failures_of
from components.evaluate.settings import Gate

_MOST_SENTENCES = 6  # of a refusal; with many classes the rest would bury the first


@dataclass(frozen=True)
class ClassFigures:
    """How a class fared; shares in 0 … 1, None where there is nothing to divide by."""

    name: str  # the class
    precision: float | None  # share of what was called so that is; None where nothing was called so
    recall: float | None  # share of what is so that was called so; None where the class does not occur
    f1: float | None  # harmonic mean of both; None where neither exists
    auprc: float | None  # area under the precision-recall curve; None where the class does not occur
    support: int  # examples of the class
    predicted: int  # examples called so
    baseline_recall: float | None = None  # the blessed baseline's recall; None without one
    lost: int | None = None  # examples that the baseline alone has right; None without one
    gained: int | None = None  # examples that this model alone has right; None likewise


@dataclass(frozen=True)
class SliceFigures:
    """How the examples with one value of a feature fared; the macro mean is over the classes that occur among them."""

    feature: str
    value: str
    examples: int
    accuracy: float | None
    macro_recall: float | None


@dataclass(frozen=True)
class RareClasses:
    """The classes with too few test examples to be judged each by itself."""

    names: tuple[str, ...]  # in the order of their labels; those that do not occur are among them
    absent: tuple[str, ...]  # those that do not occur
    support: int  # examples of all of them
    judged: bool  # whether these are enough to judge them together
    recall: float | None  # share of these that were called by their class; None where there are none
    baseline_recall: float | None  # the blessed baseline's; None without one
    lost: int | None  # examples that the baseline alone has right; None likewise
    gained: int | None  # examples that this model alone has right; None likewise


@dataclass(frozen=True)
class EvaluationFigures:
    """How a model fared on the test split; shares in 0 … 1, None where there is nothing to divide by."""

    examples: int  # how many it was asked about
    accuracy: float | None
    loss: float | None  # mean cross-entropy in nats
    # Like the other macro figures, a mean over the classes that occur; None where one has none.
    macro_precision: float | None
    macro_recall: float | None
    macro_f1: float | None
    macro_auprc: float | None
    classes: tuple[ClassFigures, ...]  # in the order of their labels
    confusion: tuple[tuple[int, ...], ...]  # examples by true class (row) and predicted class (column)
    # Share whose class is among the five most probable; None for five classes or fewer.
    top5_accuracy: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Verdict(EvaluationFigures):
    """The outcome of an evaluation."""

    blessed: bool  # whether the model may be published: exactly when `failures` is empty
    slices: tuple[SliceFigures, ...]  # by gender and season, sorted
    failures: tuple[Failure, ...]  # those over all classes first, then by class
    baseline_accuracy: float | None  # the blessed baseline's on the same examples; None without one
    gate: Gate  # what it was judged against
    ece: float | None = None  # expected calibration error
    # The classes that the gate judges together or not at all; None where it judges each by itself.
    rare: RareClasses | None = None
    lost: int | None = None  # examples that the baseline alone has right; None without one
    gained: int | None = None  # examples that this model alone has right; None likewise

    @property
    def reasons(self) -> tuple[str, ...]:
        """The failures in words."""
        return tuple(failure.sentence for failure in self.failures)

    def as_json(self) -> dict[str, object]:
        """The verdict for `json.dumps`, under the names of its attributes; what does not exist is null."""
        return dataclasses.asdict(self) | {"gate": self.gate.model_dump()}


def read_verdict(evaluation_dir: str | os.PathLike[str], blessed: bool, classes: Sequence[str], gate: Gate) -> Verdict:
    """Reads what the Evaluator wrote in a ModelEvaluation artifact; imports TFMA, which takes seconds.

    `blessed` is what the ModelBlessing says, classes and gate are as they were given to `eval_config`.

    Raises:
        ValueError: evaluation and blessing contradict each other, so they are not of the same run.
    """
    record = read_record(os.fspath(evaluation_dir))
    if record.ok != blessed:
        raise ValueError(f"{evaluation_dir} says {record.ok}, its blessing says {blessed}: they are not of one run")
    metrics, labels = record.slices.get((), {}), range(len(classes))
    overall: dict[str, Any] = {name: metrics.get(Metric(name)) for name in OVERALL_FIGURES}
    verdict = Verdict(
        blessed=blessed,
        examples=int(metrics.get(Metric("example_count"), 0)),
        classes=tuple(_class_figures(metrics, label, name) for label, name in enumerate(classes)),
        confusion=tuple(tuple(record.confusion.get((i, j), 0) for j in labels) for i in labels),
        slices=tuple(_slice_figures(record)),
        failures=(),
        baseline_accuracy=metrics.get(Metric("accuracy", baseline=True)),
        gate=gate,
        **overall | {name: _count(metrics.get(Metric(name))) for name in PAIRED_FIGURES},
    )
    verdict = dataclasses.replace(verdict, rare=_rare_classes(verdict))
    return dataclasses.replace(verdict, failures=failures_of(record.breaches, record.ok, verdict))


def refusal(model_name: str, reasons: Sequence[str], serving_version: int | None) -> str:
    """Says why a model is not published, and which version still serves in its place, if any."""
    sentences = list(reasons)
    if len(sentences) > _MOST_SENTENCES:
        sentences[_MOST_SENTENCES:] = [f"and {len(sentences) - _MOST_SENTENCES} more"]
    serves = "nothing serves yet" if serving_version is None else f"version {serving_version} still serves"
    return f"{model_name} refused: {'; '.join(sentences)}. Nothing was published; {serves}."


def _rare_classes(verdict: Verdict) -> RareClasses | None:
    enough = verdict.gate.support or 0
    labels = [label for label, row in enumerate(verdict.classes) if row.support < enough]
    if not labels:
        return None
    classes = [verdict.classes[label] for label in labels]
    support = sum(row.support for row in classes)
    right = sum(verdict.confusion[label][label] for label in labels)
    compared = verdict.baseline_accuracy is not None
    lost, gained = (sum(getattr(row, name) or 0 for row in classes) for name in ("lost", "gained"))
    return RareClasses(
        names=tuple(row.name for row in classes),
        absent=tuple(row.name for row in classes if not row.support),
        support=support,
        judged=support >= enough,
        recall=right / support if support else None,
        baseline_recall=(right + lost - gained) / support if support and compared else None,
        lost=lost if compared else None,
        gained=gained if compared else None,
    )


def _class_figures(metrics: Mapping[Metric, float], label: int, name: str) -> ClassFigures:
    figures: dict[str, Any] = {figure: metrics.get(Metric(figure, label)) for figure in CLASS_FIGURES}
    figures |= {count: int(figures[count] or 0) for count in ("support", "predicted")}
    figures |= {count: _count(metrics.get(Metric(count, label))) for count in PAIRED_FIGURES}
    return ClassFigures(name, baseline_recall=metrics.get(Metric("recall", label, baseline=True)), **figures)


def _count(number: float | None) -> int | None:
    return None if number is None else int(number)


def _slice_figures(record: Record) -> Iterator[SliceFigures]:
    for key, metrics in sorted(record.slices.items()):
        for feature, value in key:
            if feature in SLICES:
                examples = int(metrics.get(Metric("example_count"), 0))
                shares = (metrics.get(Metric(name)) for name in ("accuracy", "macro_recall"))
                yield SliceFigures(feature, value, examples, *shares)
