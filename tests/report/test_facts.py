"""What a report says of a run survives its file, and what could not be measured is said to be missing."""

import dataclasses

from components.report.facts import Gap, RunFacts, from_json, to_json
from components.report.facts.quality import Answer, PictureFacts, ProductAnswers
from components.report.facts.verdict import VerdictFacts
from components.report.predictions import Predictions, load_predictions
from components.report.reading import Reading
from components.report.verdict_section import verdict_facts
from tests.report.inputs import CLASSES, answers, sources


def test_facts_survive_json_byte_for_byte():
    shown = ProductAnswers(
        "1", "<script>alert('Ärmel')</script>", "topwear", bytes(range(256)), (Answer("shoes", 0.1 + 0.2),)
    )
    facts = RunFacts(
        "r", "six_class", 1.5, None, CLASSES, VerdictFacts("failed", "ingest failed."),
        pictures=PictureFacts((shown,), (), (), ()), gaps=(Gap("data", "drift", "none"),),
    )  # fmt: skip
    assert from_json(to_json(facts)) == facts


def test_a_broken_artifact_is_a_gap_and_no_failure(tmp_path):
    (tmp_path / "summary.json").write_text("{")
    reading = Reading(sources(quarantine=tmp_path), tmp_path)
    assert reading.summary is None
    [gap] = reading.gaps
    assert (gap.section, gap.part) == ("data", "counts")
    assert "JSONDecodeError" in gap.reason


def test_a_run_that_did_nothing_has_a_gap_for_every_part_that_was_asked_for(tmp_path):
    reading = Reading(sources(), tmp_path)
    assert (reading.verdict, reading.network, reading.uses, reading.anomalies) == (None, None, None, None)
    assert len(reading.gaps) == 4
    assert verdict_facts(reading.sources, None, ()).outcome == "unfinished"


def test_a_published_run_says_so_and_names_the_version_that_serves_instead():
    of = dataclasses.replace(sources(), pushed={"pushed": 1, "pushed_version": "9", "version": "7"})
    found = verdict_facts(of, None, ())
    assert (found.outcome, found.version, found.serving) == ("published", 9, 7)
    until = f"until `fashion models promote {of.recipe} 9`."
    assert found.sentence == f"Published as version 9. Version 7 serves, as models.config has it, {until}"


def test_answers_come_back_from_their_file_as_they_were(tmp_path):
    labels, probabilities = answers()
    before = Predictions(labels.astype(str), probabilities, probabilities)
    before.save(tmp_path / "predictions.npz")
    after = load_predictions(tmp_path / "predictions.npz")
    assert (after.ids == before.ids).all()
    assert (after.probabilities == probabilities).all()
