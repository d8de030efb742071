"""The Publisher: what was approved and tried in a server goes out, once, and nothing else does."""

import json
import shutil
import sys
import types
from pathlib import Path

import pytest

from components.errors import PublishError
from components.publish.store import model_digest, read_extras, versions
from pipeline.recipe import load_recipe
from tests.publish.serving_folder import hidden, put
from tests.publish.serving_folder import model as model
from tests.publish.serving_folder import serving as serving
from tests.publish.toy import LABELS, LABELS_TXT

RECIPE = "train: {seed: 1}\n"


@pytest.fixture
def trained(model):
    """Files of another model than `model` makes by itself; publishing looks into none."""
    return model(seed=7)


@pytest.fixture
def tried(tmp_path):
    """Blesses a model as the stage infra does, or not."""
    from tfx.types import standard_artifacts

    def bless(model_dir, reason="", warmup=b""):
        blessing = standard_artifacts.InfraBlessing()
        blessing.uri = str(tmp_path / "tried")
        blessing.set_int_custom_property("blessed", int(not reason))
        blessing.set_string_custom_property("reason", reason)
        blessing.set_string_custom_property("digest", model_digest(model_dir))
        (tmp_path / "tried").mkdir(exist_ok=True)
        (tmp_path / "tried" / "tf_serving_warmup_requests").write_bytes(warmup)
        return blessing

    return bless


@pytest.fixture
def run_component(tmp_path, monkeypatch, tried):
    """Runs the component as an orchestrator does, on a model that stands for the trainer's."""
    from tfx.types import standard_artifacts

    from components.artifacts import OutsideAssessment, Quarantine
    from components.publish.component import Publisher

    verdict = types.ModuleType("components.evaluate.verdict")
    verdict.read_verdict = lambda folder, blessed, classes, gate: types.SimpleNamespace(
        as_json=lambda: {"asked": [folder, blessed, classes, gate.accuracy]}
    )
    monkeypatch.setitem(sys.modules, "components.evaluate.verdict", verdict)

    def run(model_dir, blessed, serving_dir=tmp_path / "serving", infra=None, recipe=RECIPE):
        model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
        evaluation, pushed = standard_artifacts.ModelEvaluation(), standard_artifacts.PushedModel()
        history = standard_artifacts.ModelRun()
        model.uri, evaluation.uri, history.uri = str(tmp_path / "trained"), "evaluated", str(tmp_path / "history")
        blessing.set_int_custom_property("blessed", int(blessed))
        quarantine, assessment = Quarantine(), OutsideAssessment()
        quarantine.uri = assessment.uri = str(tmp_path)
        (tmp_path / "outside.json").write_text("{}")
        (tmp_path / "members.parquet").write_bytes(b"who was trained on")
        shutil.copytree(model_dir, tmp_path / "trained" / "Format-Serving", dirs_exist_ok=True)
        parameters = {"serving_dir": str(serving_dir), "name": "six_class", "keep": 2, "classes": json.dumps(LABELS)}
        parameters |= {"gate": '{"accuracy": 0.9}', "recipe": recipe, "code": "abc"}
        inputs = {"model": [model], "blessing": [blessing], "evaluation": [evaluation], "history": [history]}
        inputs |= {"quarantine": [quarantine], "assessment": [assessment]}
        inputs["infra_blessing"] = [infra or tried(model_dir)]
        Publisher.EXECUTOR_SPEC.executor_class().Do(inputs, {"pushed_model": [pushed]}, parameters)
        return pushed

    return run


def test_blessed_model_is_published_and_found_again(run_component, trained, serving):
    first, again = run_component(trained, blessed=True), run_component(trained, blessed=True)
    (version, path), *others = versions(serving).items()
    assert others == []
    for pushed in (first, again):
        assert pushed.get_int_custom_property("pushed") == 1
        assert pushed.get_string_custom_property("pushed_version") == str(version)
        assert pushed.get_string_custom_property("pushed_destination") == str(path)
        assert pushed.get_string_custom_property("version") == str(version)
    extras = read_extras(path)
    assert extras["labels.txt"].decode() == LABELS_TXT
    assert extras["recipe.yaml"].decode() == RECIPE
    assert json.loads(extras["metrics.json"]) == {
        "asked": ["evaluated", True, list(LABELS), 0.9],
        "calibration": None,
    }
    assert json.loads(extras["provenance.json"])["code"] == "abc"


def test_recipe_beside_a_model_that_was_searched_for_trains_it_without_a_search(
    run_component, trained, serving, tmp_path
):
    given = load_recipe("six_class", ["tune={trials: 2, space: {model.dropout: {values: [0.1, 0.2]}}}"])
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "tuned.json").write_text(json.dumps({"model.dropout": 0.1}))
    run_component(trained, blessed=True, recipe=given.as_yaml())
    [path] = versions(serving).values()
    (tmp_path / "six_class.yaml").write_bytes(read_extras(path)["recipe.yaml"])
    assert load_recipe(str(tmp_path / "six_class.yaml")) == load_recipe("six_class", ["model.dropout=0.1"])


def test_model_that_was_not_blessed_stays_out(run_component, trained, serving, model, caplog):
    assert run_component(trained, blessed=False).get_string_custom_property("version") == ""
    assert "six_class was not approved. Nothing was published; no version serves." in caplog.text
    version = put(model(), serving).version
    pushed = run_component(trained, blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("version") == str(version)
    assert list(versions(serving)) == [version]
    assert f"version {version} serves" in caplog.text


def test_model_goes_out_with_its_warmup_and_once_whatever_that_is(run_component, tried, trained, serving):
    first = run_component(trained, blessed=True, infra=tried(trained, warmup=b"four pictures"))
    again = run_component(trained, blessed=True, infra=tried(trained, warmup=b"others"))
    [(version, path)] = versions(serving).items()
    assert read_extras(path)["tf_serving_warmup_requests"] == b"four pictures"
    for pushed in (first, again):
        assert pushed.get_string_custom_property("pushed_version") == str(version)
        assert pushed.get_string_custom_property("unservable") == ""


def test_approved_model_that_no_server_can_serve_stays_out(run_component, tried, trained, serving, model, caplog):
    version = put(model(), serving).version
    pushed = run_component(trained, blessed=True, infra=tried(trained, reason="it cannot be loaded: no weights"))
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("unservable") == "it cannot be loaded: no weights"
    assert pushed.get_string_custom_property("version") == str(version)
    assert list(versions(serving)) == [version]
    assert f"it cannot be loaded: no weights. Nothing was published; version {version} serves." in caplog.text


def test_refused_model_is_not_told_to_be_unservable(run_component, tried, trained, serving):
    pushed = run_component(
        trained, blessed=False, infra=tried(trained, reason="not tried: its evaluation did not approve it")
    )
    assert pushed.get_string_custom_property("unservable") == ""
    assert versions(serving) == {}


def test_model_whose_files_changed_since_it_was_tried_is_refused_by_name(
    run_component, tried, trained, serving, tmp_path
):
    blessing = tried(trained)
    changed = Path(shutil.copytree(trained, tmp_path / "changed"))
    (changed / "variables" / "variables.index").write_bytes(b"other weights")
    reason = r"trained/Format-Serving is not the model that was tried in a server: its files have changed since\."
    with pytest.raises(PublishError, match=reason):
        run_component(changed, blessed=True, infra=blessing)
    assert versions(serving) == {}
    assert hidden(serving) == []


def test_bucket_is_refused_as_a_serving_folder(run_component, trained):
    with pytest.raises(PublishError, match="gs://bucket/serving is not a folder"):
        run_component(trained, blessed=True, serving_dir="gs://bucket/serving")
