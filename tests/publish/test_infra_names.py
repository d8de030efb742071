"""Names that a server answers are those the gate judged, and right as often as the gate asks."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from components.infra.names import WHOLE, Answer, choose, count_refused, find_mistake

CLASSES = ("topwear", "underwear", "jewelry", "shoes", "eyewear", "fragrances")
TRUTH = [CLASSES[number % 6] for number in range(60)]


def answers(names=CLASSES, predicted=TRUTH, doubt=0.02):
    """What a server says that calls the classes `names`, where the gate knows them by their index."""
    found = [CLASSES.index(name) for name in predicted]
    probabilities = np.full((len(found), len(CLASSES)), doubt, np.float32)
    probabilities[np.arange(len(found)), found] = 1 - 5 * doubt
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    called = np.array(names)[order]
    scores = np.take_along_axis(probabilities, order, axis=1)
    outputs = {"label": called[:, 0], "top_labels": called, "top_scores": scores, "probabilities": probabilities}
    parts = range(40), range(40, 60)
    served = [Answer(asked, part, {key: rows[part.start : part.stop] for key, rows in outputs.items()}, 0.1)
              for asked in ("serving_default", "examples") for part in parts]  # fmt: skip
    judged = [Answer("evaluate", part, {"probabilities": probabilities[part.start : part.stop]}, 0.1) for part in parts]
    return [*served, *judged]


def test_right_names_are_no_mistake():
    assert find_mistake(answers(), CLASSES, TRUTH, 0.97) == ""


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ("underwear", "topwear", *CLASSES[2:]),
            "serving_default names underwear at 0.900 for a picture where evaluate",
        ),
        (CLASSES[::-1], "serving_default names fragrances at 0.900"),
        (("Topwear", *CLASSES[1:]), "serving_default names 'Topwear', which is none of the classes"),
    ],
    ids=["swapped", "reversed", "unknown"],
)
def test_names_other_than_the_gate_judged_are_a_mistake_however_low_the_gate(names, said):
    assert find_mistake(answers(names), CLASSES, TRUTH, 0.0).startswith(said)


def test_names_are_held_against_the_gate_for_every_signature_that_gives_them():
    right, wrong = answers(), answers(CLASSES[::-1])
    mixed = [*right[:2], *wrong[2:4], *right[4:]]
    assert find_mistake(mixed, CLASSES, TRUTH, 0.0).startswith("examples names fragrances")


def test_what_is_said_with_the_name_of_a_product_may_be_surer_and_names_classes_only():
    surer = answers(doubt=0.001)[0]
    assert find_mistake([*answers(), dataclasses.replace(surer, signature=WHOLE)], CLASSES, TRUTH, 0.97) == ""
    assert "evaluate" in find_mistake([*answers(), surer], CLASSES, TRUTH, 0.97)
    other = dataclasses.replace(answers(("Topwear", *CLASSES[1:]))[0], signature=WHOLE)
    assert "is none of the classes" in find_mistake([*answers(), other], CLASSES, TRUTH, 0.97)


def test_swapped_names_of_classes_that_no_picture_shows_are_found_among_the_next_best():
    swapped = (*CLASSES[:3], "eyewear", "shoes", CLASSES[5])
    served = answers(swapped, ["topwear"] * 60)
    for answer in served:  # shoes are the second guess, eyewear the third
        answer.outputs["probabilities"][:, 3:5] = 0.07, 0.03
        if "label" in answer.outputs:
            answer.outputs["top_labels"][:, 1:3] = "eyewear", "shoes"
            answer.outputs["top_scores"][:, 1:3] = 0.07, 0.03
    assert "names eyewear at 0.070 for a picture where evaluate" in find_mistake(served, CLASSES, [], 0.0)


def test_a_tie_may_go_either_way():
    served = answers(predicted=["topwear"] * 60)
    for answer in served:
        answer.outputs["probabilities"][:, :2] = 0.4500, 0.4501
        if "label" in answer.outputs:
            answer.outputs["top_scores"][:, :2] = 0.4501, 0.4500
    assert find_mistake(served, CLASSES, ["topwear"] * 60, 0.97) == ""


def refusing(served, signatures, rows):
    """The same answers, but for an error of some signatures about some pictures."""
    found = []
    for answer in served:
        outputs = {name: values.copy() for name, values in answer.outputs.items()}
        if answer.signature in signatures:
            refused = np.isin(list(answer.rows), rows)
            if answer.signature == "evaluate":
                outputs["probabilities"][refused] = 0
            else:
                outputs["error"] = np.where(refused, "is not a picture", "")
        found.append(dataclasses.replace(answer, outputs=outputs))
    return found


def test_picture_that_is_refused_though_the_gate_judged_it_is_a_mistake():
    said = find_mistake(refusing(answers(), ["examples"], [41]), CLASSES, TRUTH, 0.0)
    assert said == "examples refuses a picture that evaluate, which the gate judged, answers: is not a picture"


@pytest.mark.parametrize(("count", "said"), [(1, ""), (15, "serving_default names the right class of 45 of 60"),
                                             (60, "evaluate answers about none of 60 pictures")])  # fmt: skip
def test_picture_that_even_the_gate_could_not_judge_is_counted_as_a_wrong_answer(count, said):
    served = refusing(answers(), ["serving_default", "examples", "evaluate"], range(count))
    for answer in served:
        if "label" in answer.outputs:
            answer.outputs["label"][answer.outputs["error"] != ""] = ""
    assert find_mistake(served, CLASSES, TRUTH, 0.97).startswith(said)
    assert bool(said) == bool(find_mistake(served, CLASSES, TRUTH, 0.97))
    assert count_refused(served) == count


def test_probabilities_that_are_no_numbers_are_a_mistake():
    served = answers()
    served[0].outputs["top_scores"][0, 0] = np.nan
    assert find_mistake(served, CLASSES, TRUTH, 0.0)


@pytest.mark.parametrize(("wrong", "refused"), [(0, False), (1, False), (5, False), (8, True), (20, True)])
def test_accuracy_below_the_gate_is_a_mistake_where_chance_does_not_explain_it(wrong, refused):
    predicted = [*(["shoes" if name != "shoes" else "topwear" for name in TRUTH[:wrong]]), *TRUTH[wrong:]]
    said = find_mistake(answers(predicted=predicted), CLASSES, TRUTH, 0.97)
    assert bool(said) == refused
    if wrong == 20:
        assert said == (
            "serving_default names the right class of 40 of 60 pictures of the test split (66.7%, "
            "95 % interval 54.1% to 77.3%), and the gate asks for 97.0%"
        )


def test_choice_is_the_same_in_any_order_and_has_two_of_each_class():
    products = [(str(number), "rare" if number % 300 == 7 else "common") for number in range(3000)]
    chosen = [products[at] for at in choose(products, 50)]
    assert [products[::-1][at] for at in choose(products[::-1], 50)] == chosen
    assert len(set(chosen)) == len(chosen) <= 52
    assert Counter(name for _, name in chosen)["rare"] >= 2


def test_choice_is_bounded_however_many_classes_there_are():
    products = [(str(number), str(number % 1000)) for number in range(5000)]
    assert len(choose(products, 128)) == 128 + 256
    assert choose([], 128) == []
