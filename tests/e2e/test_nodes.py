"""Whole runs of one process for each node: interleaved on one database, with a killed Trainer, with a refused model."""

import re
import signal
import time

import pytest
from markupsafe import escape

from components.publish.store import versions
from components.report.page.card import escaped
from components.report.page.page import CARD_FILE, PAGE_FILE
from pipeline.stages import STAGES
from serving.signatures import LABELS_FILE
from tests.pipeline.nodes import NAMES, Ended, House

pytestmark = pytest.mark.slow

BEFORE_PUBLISH = STAGES[: STAGES.index("publish")]


@pytest.fixture(scope="module")
def trained(house: House, beginnings: dict[tuple[str, str], Ended]) -> tuple[str, Ended]:
    """Monday's run up to training, whose process is killed in the middle of fine-tuning and started again."""
    for node in ("validate", "gate", "transform"):
        assert house.run("monday", node).code == 0
    killed = house.start("monday", "train")
    deadline = time.monotonic() + 1200
    while not any(len(file.read_text().splitlines()) > 2 for file in (house.root / "work").rglob("finetune.csv")):
        assert killed.process.is_alive(), killed.end()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.process.kill()
    assert killed.end().code == -signal.SIGKILL
    before = (house.root / "logs" / "monday" / "train.log").read_text(errors="replace")
    return before, house.run("monday", "train")


@pytest.fixture(scope="module")
def published(house: House, trained: tuple[str, Ended]) -> Ended:
    for node in BEFORE_PUBLISH[BEFORE_PUBLISH.index("train") + 1 :]:
        assert house.run("monday", node).code == 0
    return house.run("monday", "publish")


@pytest.fixture(scope="module")
def refused(house: House, published: Ended) -> Ended:
    """Another run on the same catalogue, whose gate no model passes."""
    recipe = house.recipe("strict", ("accuracy: 0.4", "accuracy: 1, precision: 1"))
    before = house.run("strict", *BEFORE_PUBLISH, recipe=recipe)
    assert before.code == 0, before
    return house.run("strict", "publish", recipe=recipe)


def test_interleaved_runs_never_take_each_others_artifacts(house: House, published: Ended) -> None:
    monday, tuesday = house.lineage("monday"), house.lineage("tuesday")
    assert set(monday) == set(STAGES)
    assert not monday["ingest"]["out"] & tuesday["ingest"]["out"]
    made = set().union(*(node["out"] for node in monday.values()))
    assert set().union(*(node["in"] for node in monday.values())) <= made


def test_a_stage_waits_for_those_before_it_in_its_own_run(house: House, published: Ended) -> None:
    early = house.run("tuesday", "train", data="two")
    assert early.code == 2
    assert early.err == "fashion: --node train: transform comes before it, and is not finished in run tuesday\n"


def test_a_killed_trainer_goes_on_in_the_same_run(house: House, trained: tuple[str, Ended]) -> None:
    before, again = trained
    assert (again.code, again.err) == (0, "")
    after = (house.root / "logs" / "monday" / "train.log").read_text(errors="replace").removeprefix(before)
    assert "features train" in before
    assert "features train" not in after
    assert "epoch 1/8" not in after
    assert "epoch 8/8" in after
    assert list((house.root / "work").iterdir()) == []


def test_a_run_of_processes_ends_in_a_published_model(house: House, published: Ended) -> None:
    assert (published.code, published.err) == (0, "")
    [version] = versions(house.store)
    assert f"published as version {version}" in published.out


def test_classes_of_any_language_reach_the_published_model_and_the_report(house: House, published: Ended) -> None:
    from serving.local_model import LocalModel

    [folder] = versions(house.store).values()
    assert (folder / LABELS_FILE).read_text(encoding="utf-8").split("\n") == [*NAMES.values(), ""]
    pictures = sorted((house.folder / "one" / "images").iterdir())[:60]
    with LocalModel(folder) as client:
        answers = client.predict(pictures)
    named = {label for answer in answers for label, _ in answer.top}
    assert named == set(NAMES.values())
    verdict = house.run("monday")
    page, card = (
        (house.root / "reports" / "monday" / name).read_text(encoding="utf-8") for name in (PAGE_FILE, CARD_FILE)
    )
    for name in NAMES.values():
        assert name in verdict.out
        assert str(escape(name)) in page
        assert escaped(name) in card


def test_a_stage_that_was_done_is_not_done_again(house: House, published: Ended) -> None:
    before, held = house.lineage("monday"), versions(house.store)
    assert house.run("monday", "train", "baseline", "publish").code == 0
    assert (house.lineage("monday"), versions(house.store)) == (before, held)


def test_a_refused_model_fails_the_stage_that_would_publish_it(house: House, refused: Ended) -> None:
    assert refused.code == 5
    assert refused.err.startswith("fashion: tiny refused: accuracy ")
    [version] = versions(house.store)
    assert f"Nothing was published; version {version} still serves." in refused.err


@pytest.mark.parametrize(
    ("run", "code", "said"),
    [
        ("monday", 0, r"published as version \d+"),
        ("strict", 5, r"tiny refused: accuracy .+ is below 100 %"),
        ("tuesday", 1, r"run tuesday did not finish: \w+ is waiting"),
    ],
)
def test_the_verdict_ends_as_the_run_did_and_is_kept(house: House, refused: Ended, run: str, code: int, said) -> None:
    verdict = house.run(run, recipe="strict/tiny.yaml" if run == "strict" else "usual/tiny.yaml")
    assert verdict.code == code, verdict
    kept = (house.root / "logs" / run / "verdict.txt").read_text()
    assert re.search(said, kept)
    assert re.search(said, verdict.out + verdict.err)
    assert [line.split()[0] for line in kept.splitlines()[2 : 2 + len(STAGES)]] == list(STAGES)


def test_the_verdict_reports_a_run_that_was_refused(house: House, refused: Ended) -> None:
    verdict = house.run("strict", recipe="strict/tiny.yaml")
    page = house.root / "reports" / "strict" / "index.html"
    assert "reports/strict/index.html" in verdict.out
    assert "refused" in page.read_text()


def test_the_verdict_repeats_why_a_stage_failed(house: House, published: Ended) -> None:
    recipe = house.recipe("no_budget", ("quarantine: 0.05", "quarantine: 0"))
    assert house.run("unfit", *STAGES[:5], recipe=recipe).code == 4
    verdict = house.run("unfit", recipe=recipe)
    assert verdict.code == 4
    assert verdict.err.startswith("fashion: gate failed: ")
    assert "are quarantined" in verdict.err
