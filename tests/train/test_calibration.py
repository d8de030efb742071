"""Temperature scaling finds how sure a network may be."""

import numpy as np
import pytest

from components.networks.classifier import pooled_trunk, serving_network, soften, softmax_head
from components.settings import Model
from components.train.calibration import best_temperature

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


def test_a_split_without_an_error_or_with_a_certain_one_leaves_a_finite_answer():
    certain = np.eye(CLASSES, dtype=np.float32)
    assert 0 < best_temperature(certain, np.arange(CLASSES)) < 1
    assert 1 < best_temperature(certain, np.roll(np.arange(CLASSES), 1)) <= 20 + 1e-6


def test_softened_it_gives_the_same_answers_less_surely():
    settings = Model(backbone="cnn", weights="none")
    trunk = pooled_trunk(settings, 16)
    head = softmax_head(settings, trunk.output_shape[-1], np.zeros(CLASSES))
    pictures = np.random.default_rng(2).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    network = serving_network(trunk, head)
    sure, _ = network(pictures)
    soften(head, 2.0)
    modest, _ = network(pictures)
    np.testing.assert_allclose(modest, softmax(np.log(np.asarray(sure)) / 2), atol=1e-5)


def test_with_its_mirror_image_a_picture_gets_the_mean_of_both_answers():
    settings = Model(backbone="cnn", weights="none")
    trunk = pooled_trunk(settings, 16)
    head = softmax_head(settings, trunk.output_shape[-1], np.zeros(CLASSES))
    pictures = np.random.default_rng(3).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    plain, both = serving_network(trunk, head), serving_network(trunk, head, flip=True)
    for one, other, mean in zip(plain(pictures), plain(pictures[:, :, ::-1]), both(pictures), strict=True):
        assert np.abs(np.asarray(one) - other).max() > 1e-6
        np.testing.assert_allclose(mean, (np.asarray(one) + other) / 2, atol=1e-5)
    np.testing.assert_allclose(both(pictures)[0], both(pictures[:, :, ::-1])[0], atol=1e-5)
