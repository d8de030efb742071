"""What a local run leaves in the metadata for whoever reports on it later."""

from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.component.experimental.annotations import OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import String

from components.errors import FashionError
from pipeline import local
from pipeline.experiment import unread_experiment
from pipeline.history import History
from pipeline.metadata import connection
from pipeline.paths import Paths
from pipeline.recipe import load_recipe

pytestmark = pytest.mark.slow

FAULTS = {
    "a mistake of the user": (
        FashionError("styles.csv: there is no column id"),
        "styles.csv: there is no column id",
        1,
    ),
    "a bug": (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero", 1),
}
_fault: list[Exception] = []


@component
def Failing(text: OutputArtifact[String]) -> None:
    raise _fault[-1]


@pytest.mark.parametrize(("fault", "said", "code"), FAULTS.values(), ids=FAULTS)
def test_run_that_failed_remembers_its_experiment_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, said: str, code: int
) -> None:
    _fault.append(fault)
    paths = Paths(tmp_path / "data", tmp_path)
    pipeline = Pipeline(
        "six_class-abc",
        str(paths.artifacts),
        components=[Failing().with_id("train")],
        metadata_connection_config=connection(paths.metadata),
    )
    monkeypatch.setattr(local, "create_pipeline", lambda _: pipeline)
    experiment = unread_experiment(load_recipe("six_class"), paths)
    with pytest.raises(type(fault), match=str(fault)):
        local.run_pipeline(local.compile_run(experiment, "monday"), lambda node: None, lambda stage: None)
    run = History(paths.metadata).find("monday")
    assert run.recipe["name"] == "six_class"
    train = run.stages["train"]
    assert (train.state, train.error, train.exit_code) == ("failed", said, code)
    [pipeline_of_run] = _parents(paths)
    assert pipeline_of_run.name == "six_class-abc"  # TFX looks for the latest run among its children


def _parents(paths: Paths) -> list[mlmd.Context]:
    from ml_metadata.metadata_store import metadata_store

    store = metadata_store.MetadataStore(connection(paths.metadata))
    [run] = store.get_contexts_by_type("pipeline_run")
    found: list[mlmd.Context] = store.get_parent_contexts_by_context(run.id)
    return found
