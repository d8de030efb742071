"""The section on decisions: the pictures of what slipped in and of what was refused, and why there is none."""

import pytest

from components.outside.assessment import ASSESSMENT_FILE, Assessment, Example
from components.outside.shares import Proportion
from components.report.outside_section import outside_facts
from components.report.reading import Reading
from tests.publish.infra import drawn, product
from tests.publish.test_infra import write_split
from tests.report.inputs import sources

HALF = Proportion(count=1, total=2, share=0.5, low=0.1, high=0.9)


@pytest.fixture
def section(tmp_path):
    """What is collected of a run with two test pictures, one of a class and one of none."""

    def collected(assessment: Assessment):
        (tmp_path / "assessment").mkdir()
        (tmp_path / "assessment" / ASSESSMENT_FILE).write_text(assessment.model_dump_json())
        for number, split in enumerate(("test", "outside_test")):
            write_split(tmp_path / "examples" / f"Split-{split}", [product(drawn(number), number=number)])
        folders = {name: tmp_path / name for name in ("assessment", "examples")}
        reading = Reading(sources(**folders), tmp_path)
        return outside_facts(reading), reading.gaps

    return collected


def example(product_id: str, truth: str) -> Example:
    return Example(id=product_id, name="a name", truth=truth, label="shoes", confidence=0.9)


def test_pictures_are_found_in_the_splits_that_they_were_tested_in(section):
    lost = example("0", "Ties")  # of the split test, and never an outsider's picture
    facts, gaps = section(
        Assessment(accepted=HALF, slipped=(example("1", "Belts"), lost), refused=(example("0", "tops"),))
    )
    [slipped], [refused] = facts.slipped, facts.refused
    assert (slipped.id, slipped.class_name, slipped.answers[0].class_name) == ("1", "Belts", "shoes")
    assert (refused.id, refused.class_name, refused.answers[0].probability) == ("0", "tops", 0.9)
    assert slipped.picture != refused.picture
    assert gaps == []


def test_a_model_that_decides_nothing_leaves_a_gap_with_its_reason(section):
    facts, [gap] = section(Assessment())
    assert facts is None
    assert (gap.section, gap.reason) == (
        "outside",
        "The model does not decide whether a picture is of one of its classes.",
    )
