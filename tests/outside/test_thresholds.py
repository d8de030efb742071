"""Decisions keep what the recipe asks: of exchangeable pictures, and as far as the eval split can say."""

import numpy as np
import pytest
from fashion_client import Thresholds

from components.outside.settings import Decide
from components.outside.thresholds import NEVER, Decisions, fit_decisions, label_sets, set_thresholds, upper_quantile

CLASSES = 5


def drawn(count: int, seed: int, shares: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Answers of a model that is right more often than not, and the classes: float32 [n, k] and int64 [n]."""
    random = np.random.default_rng(seed)
    labels = random.choice(CLASSES, count, p=shares)
    logits = random.normal(size=(count, CLASSES)) * 1.5
    logits[np.arange(count), labels] += 2
    odds = np.exp(logits)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), labels


def covered(sets: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return sets[np.arange(len(labels)), labels]


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_label_sets_of_exchangeable_pictures_hold_the_true_class_as_often_as_asked(coverage):
    shares = []
    for seed in range(60):
        sets, _ = set_thresholds(*drawn(500, seed), coverage)
        probabilities, labels = drawn(500, 1000 + seed)
        shares.append(covered(label_sets(probabilities, sets), labels).mean())
    # Never below what was asked, and above by what a class of 100 pictures costs.
    assert coverage - 0.01 < np.mean(shares) < coverage + 0.02


def test_each_class_is_covered_and_not_only_their_mean():
    shares = np.array([0.4, 0.3, 0.2, 0.08, 0.02])
    sets, own = set_thresholds(*drawn(20_000, 1, shares), 0.9)
    probabilities, labels = drawn(20_000, 2, shares)
    found = covered(label_sets(probabilities, sets), labels)
    assert own == CLASSES
    assert [found[labels == label].mean() for label in range(CLASSES)] == pytest.approx([0.9] * CLASSES, abs=0.04)


def test_classes_with_few_examples_share_a_threshold():
    shares = np.array([0.5, 0.485, 0.005, 0.005, 0.005])
    sets, own = set_thresholds(*drawn(2000, 3, shares), 0.9)
    assert own == 2
    assert len(set(sets[2:])) == 1
    assert len(set(sets)) == 3


def test_a_set_is_never_empty_and_the_most_probable_class_is_in_it():
    probabilities, _ = drawn(100, 4)
    assert covered(label_sets(probabilities, np.ones(CLASSES)), probabilities.argmax(axis=1)).all()


@pytest.mark.parametrize(("count", "share", "rank"), [(19, 0.95, 19), (18, 0.95, None), (99, 0.9, 90), (100, 0.9, 91)])
def test_a_quantile_is_of_the_next_value(count, share, rank):
    assert upper_quantile(np.arange(1, count + 1), share) == (rank or np.inf)


def fitted(asked: Decide, outsiders: bool = True) -> tuple[Decisions, tuple[np.ndarray, ...]]:
    probabilities, labels = drawn(4000, 5)
    random = np.random.default_rng(6)
    scores = random.normal(-3, 1, 4000).astype(np.float32)
    foreign = random.normal(0, 1, 1000).astype(np.float32), random.uniform(0.2, 1, 1000).astype(np.float32)
    decisions = fit_decisions(probabilities, labels, scores, foreign if outsiders else None, asked)
    return decisions, (probabilities, labels, scores, *foreign)


@pytest.mark.parametrize("asked", [
    Decide(), Decide(accuracy=0.9, keep_outsiders=0.0), Decide(accuracy=0.9, keep_outsiders=1.0, keep_insiders=0.8),
])  # fmt: skip
def test_thresholds_keep_each_promise_on_eval(asked):
    found, (probabilities, labels, scores, foreign, sure) = fitted(asked)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    decide = np.vectorize(found.thresholds.decide)
    ours, theirs = decide(scores, confidence), decide(foreign, sure)
    assert asked.keep_insiders <= (ours != "outside").mean() < asked.keep_insiders + 0.001
    assert right[ours == "accept"].mean() >= asked.accuracy
    assert (theirs == "accept").mean() <= asked.keep_outsiders
    assert found.accepted == (ours == "accept").mean() > 0
    assert found.outsiders_accepted == (theirs == "accept").mean()
    assert found.accuracy == right[ours == "accept"].mean()


def test_no_more_is_unsure_than_the_accuracy_needs():
    found, (probabilities, labels, scores, *_) = fitted(Decide(accuracy=0.9))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    looser = (scores <= found.clear) & (confidence >= found.confidence - 0.02)
    assert right[looser].mean() < 0.9


def test_without_foreign_pictures_confidence_alone_decides():
    found, (_, _, scores, *_) = fitted(Decide(accuracy=0.9), outsiders=False)
    assert (found.outside, found.clear, found.outsiders, found.outsiders_accepted) == (None, None, 0, None)
    assert found.thresholds.decide(float(scores.max()) + 100, 0.999) == "accept"
    assert found.thresholds.decide(0.0, found.confidence - 0.01) == "unsure"


def test_an_accuracy_out_of_reach_accepts_nothing():
    probabilities = np.full((50, CLASSES), 1 / CLASSES, np.float32)
    found = fit_decisions(probabilities, np.arange(50) % CLASSES, np.zeros(50, np.float32), None, Decide())
    assert (found.confidence, found.accepted, found.accuracy) == (NEVER, 0, None)


def test_thresholds_survive_their_file(tmp_path):
    found, _ = fitted(Decide())
    assert Decisions.model_validate_json(found.model_dump_json()) == found


def test_a_user_decides_by_own_thresholds():
    strict, loose = Thresholds(outside=0.0, clear=-1.0, confidence=0.9), Thresholds()
    assert [strict.decide(*answer) for answer in ((0.1, 1.0), (-0.5, 1.0), (-1.0, 0.9), (-2.0, 0.8))] == [
        "outside", "unsure", "accept", "unsure",
    ]  # fmt: skip
    assert loose.decide(100.0, 0.1) == "accept"
    assert strict.decide(None, 0.95) == "accept", "a model that does not say how foreign a picture is"
