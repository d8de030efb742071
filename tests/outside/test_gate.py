"""The stage that asks an exported model about products of its classes and of none."""

import json
from pathlib import Path

import pytest

from components.evaluate.settings import Gate
from components.ingest.settings import Labels
from components.outside.assessment import read_assessment
from components.transform.taxonomy import Taxonomy
from tests.publish.infra import drawn, product
from tests.publish.test_infra import write_split
from tests.publish.toy import LABELS, save_toy

TAXONOMY = Taxonomy(name="tiny", classes=LABELS, column="articleType", values={label: label for label in LABELS})
KINDS = ("Belts", "Belts", "Ties")
OPEN = Gate(accepted=0.0)


def decides(tf, outputs):
    """Accepts what is likelier than not; the rest is foreign."""
    sure = outputs["confidence"] > 0.5
    decision = tf.where(sure, "accept", "outside")
    return {"outside": 1 - outputs["confidence"], "decision": decision, "label_set": outputs["label"]}


@pytest.fixture(scope="module")
def deciding(tmp_path_factory) -> Path:
    return save_toy(tmp_path_factory.mktemp("deciding") / "model", "examples", decides)


@pytest.fixture
def judged(tmp_path):
    """Runs the stage as an orchestrator does; returns what it assessed and its blessing."""
    from tfx.types import standard_artifacts

    from components.artifacts import OutsideAssessment, Quarantine
    from components.outside.component import OutsideGate

    def run(saved: Path, gate: Gate = OPEN, approved: bool = True, foreign: bool = True):
        examples, model, evaluated = (
            kind() for kind in (standard_artifacts.Examples, standard_artifacts.Model, standard_artifacts.ModelBlessing)
        )
        quarantine, assessment, blessing = Quarantine(), OutsideAssessment(), standard_artifacts.ModelBlessing()
        for name, artifact in {"examples": examples, "model": model, "quarantine": quarantine,
                               "assessment": assessment, "blessing": blessing}.items():  # fmt: skip
            artifact.uri = str(tmp_path / name)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "Format-Serving").symlink_to(saved)
        evaluated.set_int_custom_property("blessed", int(approved))
        inside = [product(drawn(n), number=n, label=LABELS[n % len(LABELS)]) for n in range(70)]
        write_split(tmp_path / "examples" / "Split-test", inside)
        summary = {}
        examples.split_names = '["train", "eval", "test"]'
        if foreign:
            outside = [product(drawn(n), number=n, label=KINDS[n % 3]) for n in range(100, 130)]
            write_split(tmp_path / "examples" / "Split-outside_test", outside)
            summary = {"outside": {"column": "articleType", "unseen": ["Ties"]}}
            examples.split_names = '["train", "eval", "test", "outside_train", "outside_eval", "outside_test"]'
        (tmp_path / "quarantine").mkdir()
        (tmp_path / "quarantine" / "summary.json").write_text(json.dumps(summary))
        inputs = {"examples": [examples], "quarantine": [quarantine], "model": [model], "evaluated": [evaluated]}
        outputs = {"assessment": [assessment], "blessing": [blessing]}
        parameters = {"taxonomy": TAXONOMY.as_json(), "gate": gate.model_dump_json(), "coverage": 0.95}
        parameters |= {"tags": "[]", "labels": Labels(column="articleType").as_json()}
        OutsideGate.EXECUTOR_SPEC.executor_class().Do(inputs, outputs, parameters)
        blessed = blessing.get_int_custom_property("blessed")
        assert (tmp_path / "blessing" / ("BLESSED" if blessed else "NOT_BLESSED")).exists()
        return read_assessment(tmp_path / "assessment"), bool(blessed)

    return run


def test_every_test_picture_is_asked_about_with_its_class_or_its_kind(judged, deciding):
    assessment, blessed = judged(deciding)
    assert blessed
    assert (assessment.accepted.total, assessment.shown.accepted.total, assessment.unseen.accepted.total) == (
        70,
        20,
        10,
    )
    assert 0 < assessment.accepted.count < 70
    assert assessment.kept == assessment.accepted, "this model is never unsure"
    assert {(kind.name, kind.unseen, kind.tested) for kind in assessment.kinds} == {
        ("Belts", False, 20),
        ("Ties", True, 10),
    }
    slipped = assessment.shown.accepted.count + assessment.unseen.accepted.count
    assert len(assessment.slipped) == min(slipped, 12) > 0
    assert {example.name for example in assessment.slipped} == {"Blue shirt"}
    assert all(100 <= int(example.id) < 130 for example in assessment.slipped)
    assert all(int(example.id) < 70 for example in assessment.refused)
    assert assessment.coverage.share == pytest.approx(1 / 6, abs=0.2), "a toy's only label is right by chance"


def test_a_model_that_misses_the_gate_is_not_blessed_and_it_is_said_why(judged, deciding):
    assessment, blessed = judged(deciding, Gate(accepted_accuracy=0.9, outsiders=1.0))
    assert not blessed
    [failure] = assessment.failures
    assert failure.startswith("accuracy among accepted pictures ")


def test_a_model_that_the_evaluation_refused_stays_refused(judged, deciding):
    assessment, blessed = judged(deciding, approved=False)
    assert (assessment.failures, blessed) == ((), False)


def test_without_outsiders_the_classes_alone_are_judged(judged, deciding):
    assessment, blessed = judged(deciding, foreign=False)
    assert (assessment.accepted.total, assessment.shown, assessment.kinds, blessed) == (70, None, (), True)


def test_a_model_that_decides_nothing_passes_unless_the_gate_asks_for_decisions(judged, tmp_path):
    without = save_toy(
        tmp_path / "toy", "examples", lambda tf, outputs: dict.fromkeys(("outside", "decision", "label_set"))
    )
    assessment, blessed = judged(without, Gate())
    assert (assessment.accepted, blessed) == (None, True)
