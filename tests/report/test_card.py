"""The model card has the sections and the figures that it should have, and no markup from the data."""

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


def test_text_from_the_data_is_no_markup_in_the_card() -> None:
    card = write_card(full_facts())
    assert "<script" not in card.replace("\\<script", "")
    assert "\\<script\\>alert\\(1\\)" in card
    assert all(line.count(" | ") in (3, 4, 5) for line in card.splitlines() if line.startswith("| "))


def test_every_table_and_list_of_the_card_begins_after_an_empty_line() -> None:
    lines = write_card(full_facts()).splitlines()
    for before, line in pairwise(lines):
        if line.startswith("|") and not before.startswith("|"):
            assert not before, line
        if line.startswith("- ") and not before.startswith("- "):
            assert not before, line
