"""What a person is asked to look at is what a look tells most about."""

from components.batch.review import review, value


def row(name: str, decision: str, confidence: float, outside: float | None) -> dict[str, object]:
    return {"id": name, "decision": decision, "label": "shoes", "confidence": confidence, "outside": outside,
            "label_set": ["shoes", "topwear"]}  # fmt: skip


ROWS = [
    row("sure", "accept", 0.99, -5.0),
    row("alien", "outside", 0.9, 9.0),
    row("even", "unsure", 0.5, -6.0),
    row("stranger", "outside", 0.99, 1.0),
    row("nearly", "unsure", 0.8, -6.0),
    row("broken", "", 0.0, None),
]


def test_what_is_as_likely_wrong_as_right_comes_first_and_what_is_accepted_not_at_all():
    header, *lines = review(ROWS, ["id"])
    assert header == ["id", "decision", "label", "confidence", "outside", "label_set", "value"]
    assert [line[0] for line in lines] == ["even", "stranger", "nearly", "alien"]
    assert lines[0] == ["even", "unsure", "shoes", 0.5, -6.0, "shoes | topwear", "0.998"]


def test_a_look_is_worth_nothing_where_the_answer_is_plain():
    assert value(row("", "accept", 1.0, -40.0)) < 1e-6
    assert value(row("", "outside", 1.0, 5000.0)) < 1e-6
    assert value(row("", "unsure", 0.5, None)) == 0.5
