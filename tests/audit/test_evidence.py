"""What speaks for the classes of products: found without their own labels, and strong enough to find wrong ones."""

import numpy as np
import pytest

from components.audit.doubts import doubted
from components.audit.evidence import gather, margins
from components.audit.words import Words

CLASSES = 4


def drawn(names: bool, seed: int = 0) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    """800 products of four classes, 24 of them labelled wrongly: features, names, labels, and which are wrong."""
    random = np.random.default_rng(seed)
    truth = random.integers(CLASSES, size=800)
    features = (random.normal(size=(800, 32)) + 2.5 * np.eye(CLASSES, 32)[truth]).astype(np.float32)
    said = [f"{random.choice(['Red', 'Blue'])} {['Flats', 'Heels', 'Röcke', 'T-Shirt'][kind]}" for kind in truth]
    wrong = random.choice(800, 24, replace=False)
    labels = truth.astype(np.int64)
    labels[wrong] = (labels[wrong] + 1) % CLASSES
    return features, said if names else [""] * 800, labels, wrong


@pytest.mark.parametrize(("names", "least"), [(True, 1.0), (False, 0.75)])
def test_labels_moved_to_the_next_class_are_among_the_first_five_in_a_hundred(names: bool, least: float) -> None:
    features, said, labels, wrong = drawn(names)
    evidence = gather(features, said, labels, CLASSES)
    margin, best = margins(evidence.probabilities, labels)
    first = np.argsort(-margin)[:40]
    assert np.isin(wrong, first).mean() >= least
    hits = np.intersect1d(first, wrong)
    assert (best[hits] == (labels[hits] - 1) % CLASSES).mean() >= least


def test_a_report_doubts_the_test_labels_that_model_and_name_contradict_and_no_others() -> None:
    _, said, labels, wrong = drawn(names=True)
    rows = np.arange(1, 800, 3)
    truth = labels.copy()
    truth[wrong] = (truth[wrong] - 1) % CLASSES
    answers = np.full((len(rows), CLASSES), 0.02, np.float32)
    answers[np.arange(len(rows)), truth[rows]] = 0.94
    first, probabilities = doubted(answers, rows, said, labels)
    assert {int(rows[place]) for place in first} == set(wrong.tolist()) & set(rows.tolist())
    assert (probabilities[first].argmax(axis=1) == truth[rows[first]]).all()


def test_words_that_say_nothing_get_less_weight_than_words_that_say_the_class() -> None:
    features, said, labels, _ = drawn(names=True)
    shuffled = np.random.default_rng(1).permutation(said).tolist()
    telling, idle = (gather(features, names, labels, CLASSES) for names in (said, shuffled))
    assert idle.weights[1] < telling.weights[1]
    right = [np.mean(each.probabilities.argmax(axis=1) == labels) for each in (telling, idle)]
    assert right[0] > right[1] > 0.8


def test_a_product_is_judged_by_the_words_of_the_others_alone() -> None:
    names = ["red shirt", "red shirt", "red shirt", "red skirt", "red skirt", "red skirt", "red skirt"]
    labels = np.array([0, 0, 1, 1, 1, 1, 0])
    scores = Words(names, labels, 2).scores
    for row in range(len(names)):
        others = np.arange(len(names)) != row
        fewer = Words([*np.array(names)[others], names[row]], np.append(labels[others], 1 - labels[row]), 2)
        # Of the other class, nothing of what it says is its own.
        assert scores[row, labels[row]] == pytest.approx(fewer.scores[-1, labels[row]], abs=1e-5)


@pytest.mark.parametrize("name", ["Röcke", "RO\u0308CKE", "röcke, rot"])
def test_words_are_found_in_any_spelling_and_named(name: str) -> None:
    words = Words(
        ["Röcke rot", "Röcke blau", "Röcke", "Hosen rot", "Hosen", "Hosen blau"], np.array([0, 0, 0, 1, 1, 1]), 2
    )
    assert len(words.telling(name, 0, 1)) == 1
    assert words.telling(name, 1, 0) == []


def test_catalogues_without_names_or_with_few_products_are_judged_by_pictures() -> None:
    features = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.05]], np.float32)
    evidence = gather(features, [""] * 5, np.array([0, 0, 1, 1, 1]), 2)
    margin, best = margins(evidence.probabilities, np.array([0, 0, 1, 1, 1]))
    assert evidence.neighbours.shape == (5, 4)
    assert margin.argmax() == 4
    assert best[4] == 0


def test_the_result_does_not_depend_on_the_order_of_products() -> None:
    features, said, labels, _ = drawn(names=True)
    order = np.random.default_rng(2).permutation(len(labels))
    evidence = gather(features, said, labels, CLASSES)
    other = gather(features[order], [said[row] for row in order], labels[order], CLASSES)
    assert other.probabilities == pytest.approx(evidence.probabilities[order], abs=0.02)
