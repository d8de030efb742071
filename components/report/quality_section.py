"""The section on quality, from the model's answers: curves, calibration, coverage, slices, frequent mistakes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluate.evidence import wilson
from components.evaluate.figures import CALIBRATION_BINS, OVERALL_FIGURES, calibration_bins, calibration_error, figures
from components.evaluate.verdict import ClassFigures, Verdict
from components.ingest.corrections import APPLIED, CORRECTIONS_FILE, read_outcomes
from components.report.examples import Table
from components.report.facts.quality import Bin, Calibration, Coverage, Curve, PictureFacts, QualityFacts, SliceQuality
from components.report.picture_section import confused_pairs, picture_facts, shown_products
from components.report.reading import TEST, Reading
from components.report.selection import select
from components.transform.taxonomy import NO_LABEL

SLICED = ("gender", "season", "year", "usage", "baseColour")

_FIGURES = tuple(name for name in OVERALL_FIGURES if name != "ece")  # which stands with the calibration
_MOST_POINTS = 200
_MOST_VALUES = 15  # of a column; rarer ones say little about a model

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


def quality_facts(reading: Reading) -> tuple[QualityFacts | None, PictureFacts | None]:
    """Makes the sections on quality and on pictures; None where the run did not come so far."""
    table, answers = reading.table, reading.predictions
    facts = _of_verdict(reading.verdict) if reading.verdict else None
    if table is None or answers is None:
        return facts, None
    test = table.take(table.rows_of(TEST))
    if not np.array_equal(test.ids, answers.ids):
        reason = "They are not of this run's test split. Remove predictions.npz."
        reading.miss("quality", "answers of the model", reason)
        return facts, None
    labels, probabilities, classes = test.labels, answers.probabilities, reading.classes
    facts = facts or _of_answers(labels, probabilities, classes)
    right = probabilities.argmax(axis=1) == labels
    facts = reading.attempt("quality", "curves", partial(_with_curves, facts, test, probabilities, classes)) or facts
    if reading.members:
        known = reading.members.seen[table.rows_of(TEST)]
        facts = replace(facts, unseen=slice_of("picture", "new to training", right[~known]))
    facts = replace(facts, uncorrected=_uncorrected(reading, test, probabilities))
    selection = select(labels, probabilities, answers.embeddings, test.hashes, facts.confusion)
    shown = reading.attempt("pictures", "everything", partial(shown_products, reading, selection, test, probabilities))
    if shown is None:
        return facts, None
    return replace(facts, pairs=confused_pairs(selection, classes, shown)), picture_facts(selection, shown)


def _uncorrected(reading: Reading, test: Table, probabilities: Probabilities) -> SliceQuality | None:
    """How the test products fare by the labels that the catalogue has; None where none of them was corrected."""
    labels, folder = test.labels.copy(), reading.folders.quarantine
    rows = {product: row for row, product in enumerate(test.ids.tolist())}
    corrected: dict[int, str] = {}
    for given, outcome in read_outcomes(folder / CORRECTIONS_FILE) if folder else ():
        if outcome == APPLIED and given.id in rows:
            corrected.setdefault(rows[given.id], given.old)
    known = {name: label for label, name in enumerate(reading.classes)}
    for row, name in corrected.items():
        labels[row] = known.get(name, NO_LABEL)
    right = (probabilities.argmax(axis=1) == labels)[labels != NO_LABEL]  # the others were not tested on
    return slice_of("corrected", str(len(corrected)), right) if corrected else None


def _of_verdict(verdict: Verdict) -> QualityFacts:
    """The figures of an evaluation, as they stand in its artifact."""
    overall: dict[str, Any] = {name: getattr(verdict, name) for name in _FIGURES}
    return QualityFacts(verdict.examples, classes=verdict.classes, confusion=verdict.confusion, **overall)


def _of_answers(labels: Labels, probabilities: Probabilities, classes: Sequence[str]) -> QualityFacts:
    """The same figures, of a model that was never evaluated."""
    from sklearn.metrics import confusion_matrix  # takes a second to import

    computed = figures(labels, probabilities, len(classes))
    rows = []
    for label, name in enumerate(classes):
        row: dict[str, Any] = {figure: _number(values[label]) for figure, values in computed.classes.items()}
        rows.append(ClassFigures(name, **row | {count: int(row[count]) for count in ("support", "predicted")}))
    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(classes)))
    overall: dict[str, Any] = {name: _number(computed.overall[name]) for name in _FIGURES}
    return QualityFacts(len(labels), classes=tuple(rows), confusion=tuple(map(tuple, counts.tolist())), **overall)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _with_curves(
    facts: QualityFacts, test: Table, probabilities: Probabilities, classes: tuple[str, ...]
) -> QualityFacts:
    return replace(
        facts,
        curves=curves_of(test.labels, probabilities, classes),
        calibration=calibration_of(test.labels, probabilities),
        coverage=coverage_of(test.labels, probabilities),
        slices=slices_of(probabilities.argmax(axis=1) == test.labels, test.texts),
    )


def curves_of(labels: Labels, probabilities: Probabilities, classes: Sequence[str]) -> tuple[Curve, ...]:
    """The precision-recall curve of each class of labels int64 [n] that occurs; probabilities are float32 [n, k]."""
    occurs = [i for i in range(len(classes)) if (labels == i).any()]
    return tuple(_curve(classes[i], labels == i, probabilities[:, i]) for i in occurs)


def calibration_of(labels: Labels, probabilities: Probabilities) -> Calibration:
    """Confidence against accuracy in bins of equal width, and the expected calibration error."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1).tolist()
    bins = tuple(
        Bin(low, high, int(count), *((float(total / count) for total in sums) if count else (None, None)))
        for low, high, (count, *sums) in zip(
            edges[:-1], edges[1:], calibration_bins(labels, probabilities).T, strict=True
        )
    )
    return Calibration(bins, calibration_error(labels, probabilities))


def coverage_of(labels: Labels, probabilities: Probabilities) -> tuple[Coverage, ...]:
    """How much is answered, and how rightly, where answers below a confidence are withheld."""
    confidence, correct = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    thresholds = [*np.arange(0, 0.9, 0.05), *np.arange(0.9, 0.99, 0.01), 0.99, 0.995, 0.999]
    return tuple(_covered(round(float(least), 3), confidence, correct) for least in thresholds)


def slices_of(correct: NDArray[np.bool_], texts: Mapping[str, NDArray[np.object_]]) -> tuple[SliceQuality, ...]:
    """Accuracy among the examples with one value of a column, for its most frequent values; empty columns are left out.

    `correct` is bool [n], `texts` column to object [n] with "" for a missing value.
    """
    return tuple(
        part for column in SLICED if (texts[column] != "").any() for part in _slices(column, correct, texts[column])
    )


def slice_of(column: str, value: str, correct: NDArray[np.bool_]) -> SliceQuality | None:
    """Sums up the examples of one slice, bool [n]; None where there are none."""
    return _slice(column, value, len(correct), int(correct.sum())) if len(correct) else None


def _curve(name: str, positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> Curve:
    from sklearn.metrics import precision_recall_curve  # takes a second to import

    precision, recall, thresholds = precision_recall_curve(positive, np.nan_to_num(scores))
    # Backwards, and without the end that no threshold reaches.
    points = np.stack([recall[:-1], precision[:-1], thresholds.astype(np.float64)])[:, ::-1]
    return Curve(name, *map(tuple, points[:, _thinned(points[0], points[1])].tolist()))


def _thinned(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.intp]:
    """At most 200 points: evenly along the curve's length, with both ends."""
    if len(recall) <= _MOST_POINTS:
        return np.arange(len(recall))
    length = np.cumsum(np.hypot(np.diff(recall, prepend=recall[0]), np.diff(precision, prepend=precision[0])))
    chosen = np.searchsorted(length, np.linspace(0, length[-1], _MOST_POINTS))
    chosen[-1] = len(recall) - 1
    return np.unique(np.minimum(chosen, len(recall) - 1))


def _covered(threshold: float, confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> Coverage:
    answered = confidence >= threshold
    count, right = int(answered.sum()), int(correct[answered].sum())
    low, high = map(float, wilson(right, count)) if count else (None, None)
    return Coverage(threshold, count / len(confidence), count, right / count if count else None, low, high)


def _slices(column: str, correct: NDArray[np.bool_], values: NDArray[np.object_]) -> Iterator[SliceQuality]:
    names, of_value = np.unique(values.astype(str), return_inverse=True)
    examples = np.bincount(of_value, minlength=len(names))
    right = np.bincount(of_value[correct], minlength=len(names))
    for i in sorted(range(len(names)), key=lambda i: (-examples[i], names[i]))[:_MOST_VALUES]:
        yield _slice(column, str(names[i]), int(examples[i]), int(right[i]))


def _slice(column: str, value: str, count: int, hits: int) -> SliceQuality:
    return SliceQuality(column, value, count, hits, hits / count, *map(float, wilson(hits, count)))
