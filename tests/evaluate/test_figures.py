"""The figures of an evaluation are what their definitions say, and none is made of no examples."""

import numpy as np
import pytest

from components.evaluate.evidence import wilson
from components.evaluate.figures import (
    OVERALL_FIGURES,
    average_precision,
    calibration_error,
    figures,
    judgement,
    top_accuracy,
)
from components.evaluate.settings import Gate
from components.report.quality_section import calibration_of
from tests.evaluate.confusions import OPEN


@pytest.mark.parametrize(
    ("positive", "scores", "area"),
    [
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 1.0),
        ([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1], (1 / 3 + 2 / 4) / 2),
        ([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], (1 + 2 / 3) / 2),
        ([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], 1 / 4),
        ([0, 0, 1, 0], [0.5, 0.5, 0.5, 0.5], 1 / 4),
    ],
)
def test_area_under_precision_and_recall_is_the_mean_precision_of_the_positives(
    positive: list[int], scores: list[float], area: float
) -> None:
    assert average_precision(np.array(positive, bool), np.array(scores, np.float32)) == pytest.approx(area)


@pytest.mark.parametrize("seed", range(3))
def test_area_under_precision_and_recall_is_the_sum_over_all_thresholds(seed: int) -> None:
    random = np.random.default_rng(seed)
    positive, scores = random.random(60) < 0.3, random.integers(0, 12, 60).astype(np.float32)
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        called = scores >= threshold
        recall = (called & positive).sum() / positive.sum()
        area += (recall - recall_before) * (called & positive).sum() / called.sum()
        recall_before = recall
    assert average_precision(positive, scores) == pytest.approx(area)


def test_answers_that_are_no_numbers_are_wrong_and_stop_no_evaluation() -> None:
    found = figures(np.array([0, 1, 0]), np.array([[0.9, 0.1], [np.nan, np.nan], [0.8, 0.2]], np.float32), 2)
    assert found.overall["accuracy"] == pytest.approx(2 / 3)
    assert found.classes["auprc"] == pytest.approx([1.0, 1 / 3])


def drawn(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that lean towards them."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    logits = random.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy_bin_by_bin() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.92, 0.08], [0.61, 0.39], [0.0, 1.0]], np.float32)
    # 0.9 and 0.92 share a bin, both right; 0.61 is wrong; 1.0 is right.
    assert calibration_error(labels, probabilities) == pytest.approx((2 * 0.09 + 0.61 + 0) / 4)


def test_calibration_error_is_what_the_report_shows() -> None:
    labels, probabilities = drawn(500, 7)
    probabilities[0] = np.eye(7)[2] * np.float32(1.0000001)
    shown = calibration_of(labels, probabilities).ece
    assert calibration_error(labels, probabilities) == pytest.approx(shown)
    assert 0.02 < shown < 0.5


@pytest.mark.parametrize("top", [1, 2, 5])
def test_top_accuracy_is_how_often_the_class_is_among_the_most_probable(top: int) -> None:
    labels, probabilities = drawn(300, 7)
    probabilities[:50] = np.round(probabilities[:50], 1)  # so that some are equal
    found = [
        label in sorted(range(7), key=lambda i, row=row: -row[i])[:top] and row[label] > 0
        for label, row in zip(labels, probabilities, strict=True)
    ]
    assert top_accuracy(labels, probabilities, top) == pytest.approx(np.mean(found))
    assert top > 1 or top_accuracy(labels, probabilities, 1) == figures(labels, probabilities, 7).overall["accuracy"]


def test_top_five_of_five_classes_are_no_figure() -> None:
    assert np.isnan(figures(*drawn(20, 5), 5).overall["top5_accuracy"])
    assert figures(*drawn(20, 6), 6).overall["top5_accuracy"] > 0.5


def answered(confusion: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and answers of a confusion: examples by true class (row) and predicted class (column)."""
    labels = np.repeat(range(len(confusion)), [sum(row) for row in confusion])
    return labels, np.concatenate([np.repeat(range(len(row)), row) for row in confusion])


RARE = [[90, 10, 0, 0, 0], [4, 4, 0, 0, 0], [1, 0, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("enough", "right", "examples"),
    [
        (None, [90, 4, 1, 0, 0], [100, 8, 2, 1, 0]),
        (3, [90, 4, 1, 1, 1], [100, 8, 3, 3, 3]),
        (4, [90, 4, None, None, None], [100, 8, None, None, None]),
        (10, [90, 5, 5, 5, 5], [100, 11, 11, 11, 11]),
        (200, [None] * 5, [None] * 5),
    ],
)
def test_no_judgement_rests_on_fewer_examples_than_are_enough(
    enough: int | None, right: list[int | None], examples: list[int | None]
) -> None:
    of = judgement(*answered(RARE), None, 5, OPEN.model_copy(update={"support": enough})).classes
    ends = [1.0 if r is None or n is None else float(wilson(r, n)[1]) for r, n in zip(right, examples, strict=True)]
    np.testing.assert_allclose(of["judged_recall"], ends)
    np.testing.assert_allclose(of["judged_regression"], 0)


def refused(confusion: list[list[int]], gate: Gate) -> list[bool]:
    """Whether each class is refused for its recall or precision; NaN is below any limit."""
    of = judgement(*answered(confusion), None, len(confusion), gate).classes
    return (~((of["judged_recall"] >= gate.recall) & (of["judged_precision"] >= gate.precision))).tolist()


@pytest.mark.parametrize(
    ("confusion", "classes"),
    [
        ([[11, 1], [0, 50]], [False, False]),  # one mistake in twelve: chance, with a recall of 0.95
        ([[9, 3], [0, 50]], [True, False]),
        ([[1141, 110], [0, 50]], [True, False]),
        ([[1181, 70], [0, 50]], [False, False]),  # 94.4 %, and the interval reaches 95.5 %
        ([[0, 3], [0, 50]], [True, False]),  # never predicted: three pictures are enough
        ([[50, 0], [0, 0]], [False, True]),  # does not occur
    ],
)
def test_class_is_refused_only_where_its_interval_lies_below_the_gate(
    confusion: list[list[int]], classes: list[bool]
) -> None:
    assert refused(confusion, Gate(recall=0.95)) == classes


def test_macro_figures_leave_out_classes_that_do_not_occur() -> None:
    of = figures(np.array([0, 0, 1]), np.array([[0.9, 0.1, 0], [0, 1, 0], [0, 1, 0]], np.float32), 3)
    assert of.overall["macro_recall"] == pytest.approx(0.75)
    assert np.isnan(of.classes["recall"][2])
    assert np.isnan(of.classes["precision"][2])


def test_picture_without_an_answer_counts_as_a_mistake() -> None:
    of = figures(np.array([0, 0]), np.array([[1, 0], [0, 0]], np.float32), 2)
    assert of.overall["accuracy"] == 0.5
    assert of.classes["predicted"].tolist() == [1, 0]


def test_no_examples_give_no_figures() -> None:
    of = figures(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), 2)
    assert all(np.isnan(of.overall[name]) for name in OVERALL_FIGURES)


@pytest.mark.parametrize(("labels", "columns"), [([-1], 2), ([2], 2), ([0], 3)])
def test_labels_or_scores_of_another_class_list_are_refused(labels: list[int], columns: int) -> None:
    with pytest.raises(ValueError, match=r"labels go from|have shape"):
        figures(np.array(labels), np.ones((1, columns), np.float32), 2)
