"""The report's curves, intervals, slices and calibration are what their definitions say."""

from itertools import pairwise

import numpy as np
import pytest

from components.evaluate.figures import average_precision
from components.report import quality_section as quality
from components.report.selection import frequent_mistakes
from tests.report.inputs import CLASSES, answers


def test_calibration_error_is_the_weighted_gap_between_confidence_and_accuracy():
    probabilities = np.array([[0.9, 0.1]] * 8 + [[0.6, 0.4]] * 2, np.float32)
    labels = np.array([0] * 6 + [1] * 2 + [0] * 2)
    found = quality.calibration_of(labels, probabilities)
    assert found.ece == pytest.approx(0.8 * abs(0.75 - 0.9) + 0.2 * abs(1.0 - 0.6))
    assert sum(each.count for each in found.bins) == 10
    assert found.bins[-1].count == 0
    assert found.bins[-1].confidence is None


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_and_certainty_to_the_last():
    found = quality.calibration_of(np.array([0]), np.array([[1.0, 0.0]], np.float32))
    assert found.bins[-1].count == 1
    assert found.ece == 0


@pytest.mark.parametrize(
    ("correct", "examples", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (500, 1000, 0.4691, 0.5309)],
)
def test_intervals_are_those_of_wilson(correct, examples, low, high):
    assert quality.wilson(correct, examples) == pytest.approx((low, high), abs=5e-5)


def test_answering_everything_has_the_accuracy_and_withholding_more_never_covers_more():
    labels, probabilities = answers()
    points = quality.coverage_of(labels, probabilities)
    assert points[0].coverage == 1
    assert points[0].accuracy == np.mean(probabilities.argmax(axis=1) == labels)
    assert all(before.answered >= after.answered for before, after in pairwise(points))
    assert points[-1].threshold == 0.999


def test_nothing_answered_has_no_accuracy():
    found = quality.coverage_of(np.array([0]), np.array([[0.5, 0.5]], np.float32))[-1]
    assert (found.answered, found.accuracy, found.low) == (0, None, None)


def test_curves_keep_their_ends_and_area_with_at_most_200_points():
    labels, probabilities = answers(count=5000)
    for label, curve in enumerate(quality.curves_of(labels, probabilities, CLASSES)):
        assert 100 < len(curve.recall) <= 200
        assert curve.recall[-1] == 1
        assert curve.precision[-1] == pytest.approx(np.mean(labels == label))
        area = float(np.sum(np.diff(curve.recall, prepend=0) * np.array(curve.precision)))
        assert area == pytest.approx(average_precision(labels == label, probabilities[:, label]), abs=0.01)


def test_a_class_that_does_not_occur_has_no_curve():
    labels, probabilities = answers()
    assert [curve.name for curve in quality.curves_of(np.minimum(labels, 1), probabilities, CLASSES)] == [*CLASSES[:2]]


def test_slices_count_every_example_once_missing_values_too():
    correct = np.array([True, False, True, True])
    texts = {name: np.array(["a", "a", "", "b"], object) for name in quality.SLICED}
    found = [each for each in quality.slices_of(correct, texts) if each.column == "season"]
    assert [(each.value, each.examples, each.correct) for each in found] == [("a", 2, 1), ("", 1, 1), ("b", 1, 1)]


def test_the_most_frequent_mistakes_come_first_and_right_answers_are_none():
    assert frequent_mistakes([[50, 1, 0], [7, 9, 0], [0, 2, 3]], 2) == [(1, 0, 7), (2, 1, 2)]
