"""What a local run leaves in the metadata for whoever reports on it later."""

from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import String

from components.errors import FashionError
from pipeline.history import History
from pipeline.local import run_pipeline
from pipeline.metadata import connection
from pipeline.paths import Paths

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
def Failing(recipe: Parameter[str], text: OutputArtifact[String]) -> None:
    raise _fault[-1]


@pytest.mark.parametrize(("fault", "said", "code"), FAULTS.values(), ids=FAULTS)
def test_run_that_failed_remembers_its_recipe_and_why(tmp_path: Path, fault: Exception, said: str, code: int) -> None:
    _fault.append(fault)
    paths = Paths(tmp_path / "data", tmp_path)
    pipeline = tfx.dsl.Pipeline(
        "six_class-abc",
        str(paths.artifacts),
        components=[Failing(recipe="name: six_class\n").with_id("train")],
        metadata_connection_config=connection(paths.metadata),
    )
    with pytest.raises(type(fault), match=str(fault)):
        run_pipeline(pipeline, "monday", lambda node: None, lambda result: None)
    run = History(paths.metadata).find("monday")
    assert run.experiment == "name: six_class\n"
    train = run.stages["train"]
    assert (train.state, train.error, train.parameters["exit_code"]) == ("failed", said, code)
    [pipeline_of_run] = _parents(paths)
    assert pipeline_of_run.name == "six_class-abc"  # TFX looks for the latest run among its children


def _parents(paths: Paths) -> list[mlmd.Context]:
    from ml_metadata.metadata_store import metadata_store

    store = metadata_store.MetadataStore(connection(paths.metadata))
    [run] = store.get_contexts_by_type("pipeline_run")
    found: list[mlmd.Context] = store.get_parent_contexts_by_context(run.id)
    return found
