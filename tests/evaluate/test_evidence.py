"""A gate decides on evidence: noise does not trip it, and a class that is worse does."""

import numpy as np
import pytest

from benchmarks.gates import CATALOGUE, EVEN, losses_alone, nights, refusals
from components.evaluate.evidence import mcnemar, proven_losses, spread, wilson
from components.evaluate.settings import Gate

NIGHTS = 1000


@pytest.mark.parametrize("sizes", [CATALOGUE, EVEN], ids=["catalogue", "even"])
@pytest.mark.parametrize("agreement", [0.94, 0.97, 0.98, 0.99])
def test_an_equally_good_model_is_refused_on_at_most_two_nights_in_a_hundred(
    sizes: tuple[int, ...], agreement: float
) -> None:
    refused = refusals(*nights(sizes, agreement, NIGHTS, seed=1), Gate()).any(axis=1)
    assert np.mean(refused) <= 0.02


def test_the_loss_alone_refuses_an_equally_good_model_on_most_nights() -> None:
    refused = losses_alone(*nights(CATALOGUE, 0.99, NIGHTS, seed=1), Gate()).any(axis=1)
    assert np.mean(refused) > 0.5


@pytest.mark.parametrize("sizes", [CATALOGUE, EVEN], ids=["catalogue", "even"])
def test_a_class_five_points_worse_on_its_200_pictures_is_caught(sizes: tuple[int, ...]) -> None:
    caught = refusals(*nights(sizes, 0.99, NIGHTS, seed=2, worse="pictures"), Gate())[:, 0]
    assert np.mean(caught) >= 0.95


def test_a_model_that_is_worse_in_every_class_or_better_in_all_others_hides_no_loss() -> None:
    sizes = np.full(10, 200)
    everywhere = proven_losses(np.full(10, 30), np.zeros(10, int), sizes, Gate())
    np.testing.assert_allclose(everywhere, 0.15)
    gained = np.array([0, *[30] * 9])
    assert proven_losses(30 - gained, gained, sizes, Gate())[0] == pytest.approx(0.15)


def test_a_loss_within_the_tolerance_is_allowed_however_sure_it_is() -> None:
    lost, none = np.array([300, 0]), np.zeros(2, int)
    assert not proven_losses(lost, none, np.array([10_000, 10_000]), Gate(class_regression=0.03)).any()


def test_probabilities_and_widths_are_those_of_their_sources() -> None:
    assert mcnemar(7, 0) == pytest.approx(1 / 128)
    assert mcnemar(0, 0) == 1
    assert spread(8, 0, 100) == pytest.approx(1.959964 * np.sqrt(8 - 0.64) / 100)
    assert np.isnan(wilson(0, 0)).all()
