"""The model card has the sections and the figures that it should have, and no markup from the data."""

import dataclasses
import re
from itertools import pairwise

from components.report.page import write_card
from components.report.page.formats import percent
from tests.report.drawn_facts import full_facts


def test_the_card_has_the_toolkit_s_sections_and_the_figures_by_slice() -> None:
    facts = full_facts()
    assert facts.quality is not None
    card = write_card(facts)
    heads = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert heads[:5] == ["Model details", "Intended use", "Considerations", "Data", "Quantitative analysis"]
    for of in facts.quality.classes:
        assert f"| {percent(of.precision)} | {percent(of.recall)} | {percent(of.f1)} |" in card
    assert card.count(f"{percent(0.94)} | {percent(0.91)} – {percent(0.96)} |") == 3
    assert "Apache-2.0" in card
    assert "litert-int8 was refused: recall of \\<shoes\\> falls." in card
    assert "| onnx | 13.5 | 99.40 % |" in card
    assert "| articleType and baseColour | 0.425 | 0.208 | 1,319 |" in card


def test_the_card_says_what_is_accepted_or_that_foreign_pictures_were_not_tested() -> None:
    facts = full_facts()
    assert facts.outside is not None
    assert "the model accepts 93.0 % of 1,000 test pictures, 99.7 % of these right" in write_card(facts)
    alone = facts.outside.assessment.model_copy(update={"kinds": (), "shown": None, "unseen": None})
    card = write_card(dataclasses.replace(facts, outside=dataclasses.replace(facts.outside, assessment=alone)))
    assert "foreign pictures were not tested" in card
    assert "goods outside the classes (no foreign picture was tested)" in card
    assert "every picture gets one of them" in write_card(dataclasses.replace(facts, outside=None))


def test_text_from_the_data_is_no_markup_in_the_card() -> None:
    card = write_card(full_facts())
    assert "<script" not in card.replace("\\<script", "")
    assert "\\<script\\>alert\\(1\\)" in card
    assert all(line.count(" | ") in (3, 4, 5, 6) for line in card.splitlines() if line.startswith("| "))


def test_every_table_and_list_of_the_card_begins_after_an_empty_line() -> None:
    lines = write_card(full_facts()).splitlines()
    for before, line in pairwise(lines):
        if line.startswith("|") and not before.startswith("|"):
            assert not before, line
        if line.startswith("- ") and not before.startswith("- "):
            assert not before, line
