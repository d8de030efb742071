"""How a model's decisions are judged: on pictures of the classes and of none."""

from dataclasses import replace

import numpy as np
import pytest

from components.evaluate.settings import Gate
from components.ingest.settings import Tag
from components.outside.assessment import Answers, Assessment, assess
from components.outside.sentences import failures_of, in_words
from components.outside.shares import Column

CLASSES = ("shoes", "tops")
NOBODY = ((), (), (), (), ())


def answers(truth, labels, confidence, scores, decisions, sets=None):
    """Answers about as many pictures as there are true classes."""
    confidence, first = np.array(confidence, np.float32), np.array(labels) == "shoes"
    probabilities = np.stack([np.where(first, confidence, 1 - confidence), np.where(first, 1 - confidence, confidence)])
    ids = np.array([f"{number}" for number in range(len(truth))], str)
    sets = labels if sets is None else sets
    texts = [np.array(column, str) for column in (truth, decisions, sets)]
    names, probabilities = np.full(len(ids), "a name"), probabilities.T.astype(np.float32)
    return Answers(ids, names, texts[0], probabilities, np.array(scores, np.float32), *texts[1:])


INSIDE = answers(
    ["shoes", "shoes", "tops", "tops", "tops"],
    ["shoes", "tops", "tops", "tops", "tops"],
    [0.9, 0.7, 0.99, 0.8, 0.6],
    [0.0, 0.1, 0.0, 0.2, 5.0],
    ["accept", "accept", "accept", "unsure", "outside"],
    ["shoes", "tops\nshoes", "tops", "tops", "shoes"],
)
FOREIGN = answers(
    ["Belts", "Belts", "Ties", ""],
    ["shoes", "tops", "tops", "tops"],
    [0.95, 0.99, 0.8, 0.8],
    [4.0, 0.05, 3.0, 0.15],
    ["outside", "accept", "outside", "unsure"],
)


@pytest.fixture
def assessment() -> Assessment:
    return assess(CLASSES, INSIDE, FOREIGN, ["Ties"], 0.95)


def test_accepted_answers_are_counted_and_those_of_them_that_are_right(assessment):
    assert (assessment.accepted.count, assessment.accepted.total) == (3, 5)
    assert (assessment.accuracy.count, assessment.accuracy.total) == (2, 3)
    assert assessment.kept.count == 4, "what is unsure is not taken for foreign"
    assert assessment.accuracy.low < 2 / 3 < assessment.accuracy.high


def test_outsiders_of_kinds_never_shown_are_counted_by_themselves(assessment):
    assert (assessment.shown.accepted.count, assessment.shown.accepted.total) == (1, 3)
    assert (assessment.unseen.accepted.count, assessment.unseen.accepted.total) == (0, 1)
    assert [(kind.name, kind.unseen, kind.tested, kind.accepted) for kind in assessment.kinds] == [
        ("Belts", False, 2, 1), ("", False, 1, 0), ("Ties", True, 1, 0),
    ]  # fmt: skip


def test_area_under_the_curve_is_the_share_of_pairs_in_the_right_order():
    random = np.random.default_rng(0)
    own, other = random.normal(0, 1, 300).round(1), random.normal(1.5, 1, 200).round(1)
    inside = answers(["tops"] * 300, ["tops"] * 300, [0.9] * 300, own, ["accept"] * 300)
    foreign = answers(["Ties"] * 200, ["tops"] * 200, [0.9] * 200, other, ["accept"] * 200)
    shown = assess(CLASSES, inside, foreign, [], 0.95).shown
    pairs = other[:, np.newaxis].astype(np.float32) - own.astype(np.float32)
    assert shown.auroc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert shown.auroc_low < 0.856 < shown.auroc_high, "as for two normal distributions 1.5 apart"
    assert shown.auroc_high - shown.auroc_low < 0.1


def test_label_sets_are_counted_where_they_hold_the_true_class(assessment):
    assert (assessment.coverage.count, assessment.coverage.total) == (4, 5)
    assert assessment.set_size == pytest.approx(1.2)


def test_the_curve_passes_through_what_is_accepted_and_never_takes_what_looks_foreign(assessment):
    here = next(point for point in assessment.curve if point.confidence == pytest.approx(0.7))
    assert (here.accepted, here.accuracy, here.outsiders) == pytest.approx((3 / 5, 2 / 3, 1 / 4))
    assert max(point.accepted for point in assessment.curve) == 3 / 5


def test_pictures_that_were_decided_wrongly_are_named(assessment):
    assert [(each.id, each.truth, each.label) for each in assessment.slipped] == [("1", "Belts", "tops")]
    assert [(each.id, each.truth, each.label) for each in assessment.refused] == [("4", "tops", "tops")]


def test_without_outsiders_it_says_that_foreign_pictures_were_not_tested():
    alone = assess(CLASSES, INSIDE, answers(*NOBODY), [], 0.95)
    assert (alone.shown, alone.unseen, alone.kinds) == (None, None, ())
    assert in_words(alone) == (
        "accepts 60.0 % of 5 test pictures, 66.7 % of these right, foreign pictures were not tested"
    )
    assert in_words(Assessment()) == "the model does not decide"


def test_the_three_shares_are_told_in_a_line(assessment):
    assert in_words(assessment) == (
        "accepts 60.0 % of 5 test pictures, 66.7 % of these right, 33.3 % of 3 outsiders, "
        "0.0 % of 1 outsiders of kinds never shown"
    )


def test_an_assessment_comes_back_from_its_file_as_it_was(assessment):
    assert Assessment.model_validate_json(assessment.model_dump_json()) == assessment


def many(count, right, accepted, outsiders, slipped):
    """A test of `count` pictures of tops and so many outsiders, of a kind that was shown."""
    labels = ["tops"] * right + ["shoes"] * (count - right)
    decisions = ["accept"] * accepted + ["unsure"] * (count - accepted)
    inside = answers(["tops"] * count, labels, [0.9] * count, [0.0] * count, decisions)
    wrong = ["accept"] * slipped + ["outside"] * (outsiders - slipped)
    foreign = answers(["Ties"] * outsiders, ["tops"] * outsiders, [0.9] * outsiders, [1.0] * outsiders, wrong)
    return assess(CLASSES, inside, foreign, [], 0.95)


LIMITS = {
    "accepted_accuracy": (0.99, "accuracy among accepted pictures 96.00 % (94.6–97.0 % of 1,000) is below 99 %"),
    "accepted": (1.0, None),
    "outsiders": (0.02, "share of accepted outsiders of known kinds 10.00 % (7.7–12.9 % of 500) is above 2 %"),
    "unseen_outsiders": (0.05, "share of accepted outsiders of kinds never shown could not be computed: the model does "
                               "not decide, or there is nothing to ask it about"),
    "coverage": (0.99, "coverage of label sets 96.00 % (94.6–97.0 % of 1,000) is below 99 %"),
}  # fmt: skip


@pytest.mark.parametrize("key", LIMITS)
def test_the_gate_refuses_by_name_what_chance_does_not_explain(key):
    limit, sentence = LIMITS[key]
    poor = many(1000, 960, 1000, 500, 50)
    assert failures_of(poor, Gate.model_validate({key: limit})) == ((sentence,) if sentence else ())
    assert failures_of(poor, Gate()) == (), "what the gate does not ask for is told and not judged"


def test_a_small_test_is_not_refused_for_one_picture():
    assert failures_of(many(50, 49, 50, 20, 1), Gate(accepted_accuracy=0.99, outsiders=0.02)) == ()


def test_a_gate_on_decisions_refuses_a_model_that_makes_none():
    assert len(failures_of(Assessment(), Gate(accepted=0.5))) == 1


def test_further_columns_are_judged_by_the_products_that_have_a_value(assessment):
    truth, labels = ["Men", "Men", "Women", "", "Men"], ["Men", "Women", "Women", "Men", "Men"]
    column = Column(*map(np.array, (truth, labels, ["accept", "unsure", "accept", "accept", "outside"])))
    nobody = Column(*map(np.array, ([""] * 5, labels, ["accept"] * 5)))
    [gender] = assess(CLASSES, replace(INSIDE, tags={"gender": column, "season": nobody}), FOREIGN, [], 0.9).tags
    assert (gender.column, gender.classes, gender.right.count, gender.right.total) == ("gender", 2, 3, 4)
    assert (gender.frequent, gender.accepted.count, gender.accuracy.count) == (0.75, 2, 2)
    assert gender.alone is None
    assert [(group.name, group.tested, group.right) for group in gender.by_class] == [("Men", 3, 2), ("Women", 1, 1)]
    assert [(pair.truth, pair.answer, pair.count) for pair in gender.confusions] == [("Men", "Women", 1)]
    seasons = {"season": np.array(["Fall", "Fall", "", "Fall", "Summer"]), "gender": column.truth}
    [gender] = assess(CLASSES, replace(INSIDE, tags={"gender": column}, slices=seasons), FOREIGN, [], 0.9).tags
    assert {
        key: [(group.name, group.tested, group.right) for group in groups] for key, groups in gender.slices.items()
    } == {"season": [("Fall", 2, 1), ("Summer", 1, 1)]}
    named = column._replace(alone=np.array(["Women"] * 5))
    [gender] = assess(CLASSES, replace(INSIDE, tags={"gender": named}), FOREIGN, [], 0.9).tags
    assert (gender.alone.count, gender.alone.total) == (1, 4)
    assert gender.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)


def test_a_gate_of_a_further_column_refuses_by_name_and_not_by_chance(assessment):
    def judged(right: int, **gate: float) -> tuple[str, ...]:
        column = Column(*map(np.array, (["Men", "Women"] * 50, ["Men"] * 50 + ["Women"] * 50, ["accept"] * 100)))
        column.answers[:right] = column.truth[:right]
        column.answers[right:] = np.where(column.truth[right:] == "Men", "Women", "Men")
        result = assess(CLASSES, replace(INSIDE, tags={"gender": column}), FOREIGN, [], 0.9)
        return failures_of(result, Gate(), {"gender": Tag(**gate)})

    assert judged(85, accuracy=0.9) == ()
    assert judged(70, accuracy=0.9) == ("gender: accuracy 70.00 % of 100 is below 90 %",)
    assert judged(70, macro_f1=0.9) == ("gender: macro-F1 70.00 % is below 90 %",)
    assert failures_of(assessment, Gate(), {"season": Tag()}) == (
        "season could not be judged: no test picture has a value",
    )
