"""A model to start from may not have been trained on what is tested on."""

from pathlib import Path

import pytest

from components.errors import DataRefused
from components.ingest.members import Members, read_members
from components.ingest.settings import Split
from components.train.earlier import MEMBERS
from components.validate.gate import Verdict, with_start
from components.validate.shares import Summary
from tests.ingest.membership import members

ACCEPTED = Verdict(Summary(rows=1, examples={}, classes={}, quarantined={}))
OTHER = Split(train=70, eval=10, test=20)


def judged(theirs: Members, most: float = 0.01) -> Verdict:
    return with_start(ACCEPTED, members(), theirs, "runs/serving/types/1", most)


SEEN = {
    "the same ids, divided otherwise": members(Split(by="year"), pictures=1),
    "the same pictures under other ids": members(prefix="other "),
    "the same pictures under other ids, saved anew": members(prefix="other ", noise=1),
}


@pytest.mark.parametrize("theirs", SEEN.values(), ids=SEEN)
def test_weights_that_have_seen_the_test_are_refused(theirs):
    [problem] = judged(theirs).problems
    assert f"of the {(members().splits == 2).sum():,} products that this run tests on, or on pictures" in problem
    assert "more than the 1 % that validation.seen allows" in problem
    assert "Give both the same split" in problem
    assert judged(theirs, most=1.0).ok


@pytest.mark.parametrize("noise", [0, 1])
def test_weights_trained_on_the_same_split_are_taken_also_when_pictures_were_saved_anew(noise):
    assert judged(members(noise=noise)) == ACCEPTED


def test_a_few_products_are_told_and_let_pass():
    theirs = members()
    test, train = ((theirs.splits == split).nonzero()[0] for split in (2, 0))
    theirs.keys[train[0]] = theirs.keys[test[0]]
    theirs.signatures[train[0]] = theirs.signatures[test[0]]
    verdict = judged(theirs, most=0.02)
    assert verdict.ok
    assert verdict.notes == (
        f"model.weights: runs/serving/types/1 was trained on 1 of the {len(test)} products that this run tests on, or "
        "on pictures like theirs.",
    )


def test_members_are_read_as_they_were_written():
    first = members()
    again = read_members(first.as_parquet())
    for name in ("keys", "splits", "signatures", "seen"):
        assert getattr(first, name).tolist() == getattr(again, name).tolist()
    assert first.as_parquet() == members().as_parquet()


@pytest.mark.slow
def test_the_data_gate_reads_both_and_stops_the_run(tmp_path: Path) -> None:
    from tfx.types import standard_artifacts

    from components.artifacts import DataVerdict, Quarantine
    from components.validate.component import DataGate

    def run(theirs: Members) -> None:
        (tmp_path / "model" / MEMBERS).write_bytes(theirs.as_parquet())
        parameters = {"settings": "{}", "name": "types", "classes": '["a", "b"]', "used": "[]"}
        parameters["start"] = str(tmp_path / "model")
        inputs = {"anomalies": [anomalies], "quarantine": [quarantine]}
        DataGate.EXECUTOR_SPEC.executor_class().Do(inputs, {"verdict": [verdict]}, parameters)

    counts = dict.fromkeys(("train", "eval", "test"), 100)
    summary = Summary(rows=600, examples=counts, classes={"a": counts, "b": counts}, quarantined={})
    anomalies, quarantine, verdict = standard_artifacts.ExampleAnomalies(), Quarantine(), DataVerdict()
    anomalies.split_names = "[]"
    quarantine.uri, verdict.uri = str(tmp_path / "quarantine"), str(tmp_path / "verdict")
    for folder in (tmp_path / "quarantine", tmp_path / "verdict", tmp_path / "model" / "assets.extra"):
        folder.mkdir(parents=True)
    (tmp_path / "quarantine" / "summary.json").write_text(summary.model_dump_json())
    (tmp_path / "quarantine" / "members.parquet").write_bytes(members().as_parquet())
    run(members(noise=1))
    with pytest.raises(DataRefused, match=r"was trained on .* products that this run tests on"):
        run(members(OTHER, prefix="other "))
