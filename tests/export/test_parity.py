"""A copy is published if it answers as the model does: floating point all but exactly, whole numbers without loss."""

import numpy as np
import pytest

from components.export.parity import compare
from components.export.refit import refit
from components.export.settings import Export
from components.outside.settings import Decide
from components.outside.thresholds import fit_decisions

CLASSES = ("shirts", "shoes", "hats")
LABELS = np.repeat([0, 1, 2], [2000, 800, 200])


def judged(form: str, flips: dict[int, int], cosine: float = 1.0, wrong: int = 0):
    """A model that has `wrong` shirts wrong, and a copy that has so many more of each class wrong."""
    model = LABELS.copy()
    model[:wrong] = 1
    copy = model.copy()
    for label, count in flips.items():
        copy[np.flatnonzero((label == LABELS) & (model == label))[:count]] = (label + 1) % 3
    cosines = np.full(len(LABELS), cosine, np.float32)
    return compare(form, LABELS, (model, copy), cosines, CLASSES, Export(formats=(form,)))


@pytest.mark.parametrize(
    ("form", "flips", "cosine", "said"),
    [
        ("onnx", {}, 1.0, ""),
        ("onnx", {0: 3}, 1.0, ""),
        ("onnx", {0: 4}, 1.0, "99.87% of 3,000 answers are the model's, below 99.90%"),
        ("litert", {}, 0.9984, "an embedding's cosine to the model's is 0.9984, below 0.999"),
        ("litert-int8", {}, 0.9, ""),
        ("litert-int8", {0: 9}, 0.9, ""),
        ("litert-int8", {0: 18}, 0.9, "accuracy falls from 100.00% to 99.40%, by more than 0.3%"),
        ("litert-int8", {2: 1}, 0.9, ""),
        ("litert-int8", {2: 8}, 0.9, "recall of hats falls from 100.0% to 96.0% of 200, by more than 1.0%"),
    ],
)
def test_what_a_copy_may_lose(form, flips, cosine, said):
    assert judged(form, flips, cosine).refused == said


def test_figures_are_of_the_copy_and_of_the_model():
    parity = judged("litert-int8", {2: 4}, 0.95, wrong=20)
    assert (parity.examples, parity.lost, parity.gained) == (3000, 4, 0)
    assert (parity.worst_class, parity.worst_recall) == ("hats", 0.98)
    assert (parity.fallen_class, parity.fall) == ("hats", 0.02)
    assert (parity.model_accuracy, parity.accuracy) == pytest.approx((2980 / 3000, 2976 / 3000))
    assert parity.same == pytest.approx(2996 / 3000)


def test_thresholds_of_whole_numbers_are_fitted_to_their_own_scores():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet((8, 1, 1), 400).astype(np.float32)
    labels = np.zeros(400, np.int64)
    scores, foreign = random.normal(0, 1, (2, 400, 1)).astype(np.float32)

    def answers(shift: float):
        inside = {"probabilities": probabilities, "outside": scores + shift}
        outside = {"probabilities": probabilities, "outside": foreign + shift + 3}
        return iter([(inside, labels)]), iter([(outside, labels)])

    (inside, label), (outside, _) = (next(batches) for batches in answers(0))
    pair = outside["outside"][:, 0], outside["probabilities"].max(axis=1)
    model = fit_decisions(inside["probabilities"], label, inside["outside"][:, 0], pair, Decide())
    decide = model.model_copy(update={"tags": {"colour": 0.7}}).model_dump(mode="json")
    assert refit(decide, *answers(0)) == decide
    moved = refit(decide, *answers(10))
    assert moved["outside"] == pytest.approx(decide["outside"] + 10, abs=1e-3)
    assert moved["clear"] == pytest.approx(decide["clear"] + 10, abs=1e-3)
    assert moved["tags"] == {"colour": 0.7}
    assert refit(decide, answers(0)[0], iter(()))["outside"] is None
