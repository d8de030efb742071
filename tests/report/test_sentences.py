"""Every sentence of page and card is true of the very run they are about."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.evaluate.settings import Gate
from components.evaluate.verdict import Verdict
from components.networks.profiles import PROFILES
from components.report.facts import RunFacts
from components.report.facts.data import Count
from components.report.facts.quality import PictureFacts, SliceQuality
from components.report.facts.verdict import StageTime
from components.report.page import write_page
from components.report.page.compare import same_test
from components.report.quality_section import SLICED, slices_of
from components.report.reading import Reading
from components.report.training_section import seconds_of
from components.report.verdict_section import verdict_facts
from components.validate.gate import judge
from tests.report.drawn_facts import full_facts, refused_facts
from tests.report.inputs import CLASSES, sources
from tests.report.page_reader import Read

Change = Callable[[RunFacts], RunFacts]


def _with(part: str, **changes: object) -> Change:
    """Changes a section, or a part of one: `data.duplicates`."""

    def change(facts: RunFacts) -> RunFacts:
        section, _, inner = part.partition(".")
        now = getattr(facts, section)
        if inner:
            return _with(section, **{inner: dataclasses.replace(getattr(now, inner), **changes)})(facts)
        return dataclasses.replace(facts, **{section: dataclasses.replace(now, **changes)})  # type: ignore[arg-type]

    return change


def _unmistaken(facts: RunFacts) -> RunFacts:
    assert facts.quality is not None
    right = tuple(dataclasses.replace(each, accuracy=1.0) for each in facts.quality.coverage)
    facts = _with("quality", coverage=right, pairs=(), accuracy=1.0)(facts)
    return _with("verdict", lowest_recall=1.0)(facts)


def _without_heat(facts: RunFacts) -> RunFacts:
    assert facts.pictures is not None
    flat = [
        tuple(dataclasses.replace(each, overlay=None) for each in getattr(facts.pictures, kind))
        for kind in ("sure", "edge", "worst")
    ]
    return dataclasses.replace(facts, pictures=PictureFacts(*flat, facts.pictures.similar))


def _front(facts: RunFacts) -> RunFacts:
    vit = PROFILES["vit_tiny"].reference
    return _with("training.network", backbone="vit_tiny", front="edgenet", reference=vit)(facts)


def _scratch(facts: RunFacts) -> RunFacts:
    return _with("training.network", backbone="cnn", weights="none", reference="")(facts)


def _ill_calibrated(calibrated: bool | None) -> Change:
    def change(facts: RunFacts) -> RunFacts:
        return _with("training", calibrated=calibrated)(_with("quality.calibration", ece=0.2)(facts))

    return change


def _as_is(facts: RunFacts) -> RunFacts:
    return facts


# What a run was like, what page and card then say, and what neither may say.
RUNS: dict[str, tuple[Change, tuple[str, ...], tuple[str, ...]]] = {
    "split by picture": (
        _as_is,
        ("No such picture is in more than one split", "trained on none of them and chose its epochs on eval"),
        ("share their picture with a product of another split", "picture of a product in another split"),
    ),
    "split by year or as given, with shared pictures": (
        _with("data.duplicates", across=31, tested=17),
        ("31 of them are in more than one split", "17 of them share their picture with a product of another split",
         "17 test products have the picture of a product in another split: test figures are too high",
         "31 in more than one split"),
        ("No such picture is in more than one split", "in the same split", "none in more than one split"),
    ),
    "no duplicates": (
        _with("data.duplicates", groups=0, products=0, contradictory=0, samples=()),
        ("No two examples share a picture, in the same or another encoding",), ("more than one split.",),
    ),
    "notes of the data gate": (
        _with("data", notes=("hats has 3 pictures to train on.", "3 pictures are in both train and test.")),
        ("hats has 3 pictures to train on.", "3 pictures are in both train and test.",
         "The data gate noted 2 oddities", "Note of the data gate"), (),
    ),
    "corrections": (
        _with("data", corrections=(Count("applied", 12), Count("not applied", 1)), ignored=("7, A to B, gone",)),
        ("applied 12, not applied 1", "7, A to B, gone", "1 correction no longer match"), (),
    ),
    "corrected test labels": (
        _with("quality", uncorrected=SliceQuality("corrected", "12", 400, 380, 0.95, 0.92, 0.97)),
        ("12 of the test labels were corrected; by the labels as they stand in the catalogue, 95.0",
         "12 of their labels were corrected"), (),
    ),
    "labels to look at": (
        _as_is,
        ("the words of the products’ names together say another class", "fashion audit 2026-11-21T04-57-51 --open"),
        ("No label of the test split is contradicted",),
    ),
    "no labels to look at": (
        lambda facts: dataclasses.replace(facts, doubts=()), ("No label of the test split is contradicted",), (),
    ),
    "no corrections": (_as_is, (), ("corrected", "Corrections")),
    "no notes": (_with("data", notes=()), (), ("The data gate noted", "Note of the data gate")),
    "outside the classes but none unusable": (
        _with("data", quarantined=()), ("No row was unusable",), ("No row had to be left out",),
    ),
    "EfficientNetB0": (_as_is, ("Tan & Le 2019", "1905.11946", "started from imagenet"), ("EdgeNet", "random numbers")),
    "EdgeNet before a transformer": (
        _front, ("vit_tiny behind EdgeNet", "Touvron et al. 2021", "2012.12877"), ("Tan & Le", "1905.11946"),
    ),
    "trained from nothing": (
        _scratch, ("started from random numbers", "bound by the licence of the catalogue"),
        ("Tan & Le", "References", "pretrained weights", "started from none", "the weights none"),
    ),
    "only layers counted from the end": (
        _with("training.network", layers=20), ("the last 20 layers",), ("the rest stays as it came",),
    ),
    "cached training": (_with("training", seconds=None), (), ("It took",)),
    "ill calibrated, not scaled": (
        _ill_calibrated(False), ("train.calibrate: true scales them on the eval split",), ("gate.ece refuses",),
    ),
    "ill calibrated in spite of scaling": (
        _ill_calibrated(True), ("though train.calibrate scaled them", "gate.ece refuses such a model"),
        ("train.calibrate: true",),
    ),
    "ill calibrated, unknown": (_ill_calibrated(None), ("Confidences are off by",), ("train.calibrate",)),
    "no mistakes": (
        _unmistaken, ("Every test product was recognised", "There are no mistakes to avoid"),
        ("No confidence halves", "halves the share of mistakes", "underlined cells", "Every product of every class"),
    ),
    "mistakes": (
        _as_is, ("below", "at least halves the share of mistakes", "underlined cells lead to example pictures"),
        ("There are no mistakes to avoid", "Abstain"),
    ),
    "no heat maps": (_without_heat, (), ("Heat map", "The second picture is warm")),
    "no columns to slice by": (
        _with("quality", slices=()),
        ("accuracy by gender is not known", "have no value in a column that is looked at"),
        ("accuracy by gender stands below", "The model could not be asked"),
    ),
    "no baseline": (_with("verdict", baseline=None), ("There was no baseline to compare with",), ()),
    "never evaluated": (
        _with("verdict", baseline=None, gate=None, accuracy=None, macro_f1=None, lowest_recall=None),
        (), ("There was no baseline to compare with", "the gate judges by them"),
    ),
    "refused before training": (
        lambda _: refused_facts(), ("What came in and what was left out",), ("what the model learnt from",),
    ),
    "not balanced": (
        lambda facts: _with("data", classes=tuple(
            dataclasses.replace(row, balanced=row.splits["train"]) for row in facts.data.classes  # type: ignore[union-attr]
        ))(facts),
        ("Balancing changed none of them",), (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("run", RUNS)
def test_every_sentence_is_true_of_this_run(run: str, tmp_path: Path) -> None:
    change, true, false = RUNS[run]
    page = write_page(change(full_facts(8, pictures=1, side=16, name="a shirt")), tmp_path)
    card = (tmp_path / "card.md").read_text(encoding="utf-8").replace("\\", "")
    text = " ".join(f"{Read(page.read_text(encoding='utf-8')).text} {card}".split()).replace(" .", ".")
    assert [sentence for sentence in true if sentence not in text] == []
    assert [sentence for sentence in false if sentence in text] == []


def test_the_notes_of_the_data_gate_reach_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.validate.settings import Validation
    from components.validate.shares import Summary

    counts = {"train": 80, "eval": 10, "test": 10}
    summary = Summary(
        rows=300, examples={split: 3 * count for split, count in counts.items()},
        classes=dict.fromkeys(CLASSES, counts), quarantined={}, shared={"train and test": 7, "train and eval": 2},
    )  # fmt: skip
    told = judge([], summary, Validation(), CLASSES, "lists")
    assert told.ok
    reading = Reading(sources(), tmp_path)
    for name, value in {"anomalies": [], "summary": summary}.items():
        monkeypatch.setitem(reading.__dict__, name, value)
    reading.plan = reading.plan.model_copy(update={"validation": Validation()})
    reading.classes = CLASSES
    assert reading.judgement is not None
    assert reading.judgement.notes == told.notes
    assert "7 pictures are in both train and test" in told.notes[0]
    assert told.notes[0].endswith("Test figures are too high.")
    assert "Test figures" not in told.notes[1]


def test_a_cached_training_took_no_time_of_this_run() -> None:
    assert seconds_of((StageTime("train", "complete", 63.0),)) == 63.0
    assert seconds_of((StageTime("train", "cached", 0.04),)) is None


def test_a_run_that_failed_after_it_published_says_so() -> None:
    run = dataclasses.replace(
        sources(), pushed={"pushed": 1, "pushed_version": "7", "version": "7"},
        stages=(StageTime("publish", "complete", 1.0), StageTime("report", "failed", 1.0)),
    )  # fmt: skip
    found = verdict_facts(run, None, ())
    assert found.outcome == "published"
    assert found.sentence == "Published as version 7. Then report failed."


def test_a_model_refused_for_its_decisions_alone_says_why() -> None:
    verdict = Verdict(9, *6 * [None], classes=(), confusion=(), blessed=True, slices=(), failures=(),
                      baseline_accuracy=None, gate=Gate())  # fmt: skip
    run = dataclasses.replace(sources(), pushed={"pushed": 0, "version": "7"})
    found = verdict_facts(run, verdict, (), ("coverage of label sets 90 % is below 95 %",))
    assert (found.outcome, found.serving) == ("model refused", 7)
    assert found.sentence == "Refused: coverage of label sets 90 % is below 95 %. Nothing was published."


def test_runs_that_were_split_differently_were_tested_on_different_products() -> None:
    facts = full_facts()
    assert facts.provenance is not None
    by_year = dataclasses.replace(facts.provenance, recipe=f"{facts.provenance.recipe}split: {{by: year}}\n")
    assert same_test(facts, facts) is True
    assert same_test(facts, dataclasses.replace(facts, provenance=by_year)) is False
    assert same_test(facts, dataclasses.replace(facts, data=None)) is None


def test_a_column_without_a_value_is_no_slice() -> None:
    texts = {column: np.array(["", "", ""], object) for column in SLICED}
    texts[SLICED[0]] = np.array(["Men", "", "Men"], object)
    assert {part.column for part in slices_of(np.array([True, True, False]), texts)} == {SLICED[0]}
