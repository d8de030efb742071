"""Temperature scaling finds how sure a network may be."""

import numpy as np
import pytest

from components.evaluate.figures import calibration_error
from components.networks.classifier import pooled_trunk, serving_network, soften, softmax_head
from components.networks.settings import Model
from components.train.calibration import best_temperature, calibrate

CLASSES = 5


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_it_undoes_what_makes_logits_too_sharp_or_too_soft(factor):
    random = np.random.default_rng(1)
    logits = random.normal(size=(20_000, CLASSES)) * 2
    labels = np.array([random.choice(CLASSES, p=row / row.sum()) for row in softmax(logits).astype(np.float64)])
    assert best_temperature(softmax(logits * factor), labels) == pytest.approx(factor, rel=0.05)


def scaled(probabilities: np.ndarray, temperature: float, doubt: float) -> np.ndarray:
    """What a network that was calibrated so makes of what it would have answered."""
    return (1 - doubt) * softmax(np.log(probabilities) / temperature) + doubt / probabilities.shape[1]


@pytest.mark.parametrize("count", [20, 168, 2000])
@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_no_answer_is_surer_than_a_split_without_an_error_supports(count, factor):
    random = np.random.default_rng(1)
    labels = random.integers(CLASSES, size=count)
    margins = 3 + 3 * random.random((count, 1))  # perfectly separable, some pictures more clearly than others
    probabilities = softmax(factor * margins * np.eye(CLASSES)[labels])
    found = calibrate(probabilities, labels)
    answers = scaled(probabilities, found.temperature, found.doubt).max(axis=1)
    assert (found.errors, found.examples) == (0, count)
    assert answers.max() <= (count + 1) / (count + 2) + 1e-6
    assert answers.mean() > 1 - 3 / count
    assert answers.max() - answers.min() > 1e-3 / count, "they still tell the sure from the unsure"


def test_real_miscalibration_is_still_corrected():
    random = np.random.default_rng(2)
    logits = random.normal(size=(2_650, CLASSES)) * 4
    labels = np.array([random.choice(CLASSES, p=row / row.sum()) for row in softmax(logits).astype(np.float64)])
    sure = softmax(logits * 3)
    found = calibrate(sure, labels)
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.ece_before == pytest.approx(calibration_error(labels, sure))
    assert found.ece_after == pytest.approx(
        calibration_error(labels, scaled(sure, found.temperature, found.doubt)), abs=1e-4
    )
    assert found.ece_after < 0.02 < 0.08 < found.ece_before
    assert found.errors == (sure.argmax(axis=1) != labels).sum()


def test_a_split_without_an_error_or_with_a_certain_one_leaves_a_finite_answer():
    certain = np.eye(CLASSES, dtype=np.float32)
    assert 1 < best_temperature(certain, np.arange(CLASSES)) < 20
    assert 1 < best_temperature(certain, np.roll(np.arange(CLASSES), 1)) <= 20 + 1e-6


def test_softened_it_gives_the_same_answers_less_surely():
    settings = Model(backbone="cnn", weights="none")
    trunk = pooled_trunk(settings, 16)
    head = softmax_head(settings, trunk.output_shape[-1], np.zeros(CLASSES))
    pictures = np.random.default_rng(2).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    network = serving_network(trunk, head)
    sure, *_ = network(pictures)
    soften(head, 2.0)
    modest, *_ = network(pictures)
    np.testing.assert_allclose(modest, softmax(np.log(np.asarray(sure)) / 2), atol=1e-5)


def test_doubt_caps_what_is_published_and_changes_no_answer():
    settings = Model(backbone="cnn", weights="none")
    trunk = pooled_trunk(settings, 16)
    head = softmax_head(settings, trunk.output_shape[-1], np.zeros(CLASSES))
    soften(head, 1e-6)
    pictures = np.random.default_rng(4).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    (sure, *_), (capped, *_) = (serving_network(trunk, head, doubt=doubt)(pictures) for doubt in (0, 0.1))
    np.testing.assert_allclose(np.max(sure, axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(capped, 0.9 * np.asarray(sure) + 0.02, atol=1e-5)


def test_with_its_mirror_image_a_picture_gets_the_mean_of_both_answers():
    settings = Model(backbone="cnn", weights="none")
    trunk = pooled_trunk(settings, 16)
    head = softmax_head(settings, trunk.output_shape[-1], np.zeros(CLASSES))
    pictures = np.random.default_rng(3).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    plain, both = serving_network(trunk, head), serving_network(trunk, head, flip=True)
    for one, other, mean in zip(
        *(each[:2] for each in (plain(pictures), plain(pictures[:, :, ::-1]), both(pictures))), strict=True
    ):
        assert np.abs(np.asarray(one) - other).max() > 1e-6
        np.testing.assert_allclose(mean, (np.asarray(one) + other) / 2, atol=1e-5)
    np.testing.assert_allclose(both(pictures)[0], both(pictures[:, :, ::-1])[0], atol=1e-5)
