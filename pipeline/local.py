"""Runs the graph, or a part of it, in this process, through TFX's own launcher."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, partial_run_utils, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from components.errors import FashionError, RecipeError

# A resolver's finds are recorded as the second kind.
_OUTPUTS = (mlmd.Event.OUTPUT, mlmd.Event.INTERNAL_OUTPUT)


@dataclass(frozen=True)
class Output:
    """The (one) artifact that a node has under an output's name.

    Attributes:
        uri: where it lies.
        properties: what the node said of it: its custom properties.
    """

    uri: str
    properties: Mapping[str, str | int | float]


@dataclass(frozen=True)
class NodeResult:
    """What became of one node of a run.

    Attributes:
        node: its id, e.g. "train".
        state: "complete", "cached" or "skipped" (left out by --from and --to).
        seconds: how long it took.
        outputs: its artifacts, by the names of the outputs.
    """

    node: str
    state: str
    seconds: float = 0.0
    outputs: Mapping[str, Output] = field(default_factory=dict)


def run_pipeline(
    pipeline: tfx_pipeline.Pipeline,
    run_id: str,
    started: Callable[[str], None],
    finished: Callable[[NodeResult], None],
    nodes: Collection[str] = (),
) -> dict[str, NodeResult]:
    """Runs nodes in order and says when each starts and ends.

    A node whose inputs and parameters have not changed is not run again, unless it publishes or what it made is gone.

    Args:
        pipeline: as `create_pipeline` makes it.
        run_id: names the run in the metadata; a killed run is started again under a new one and uses the cache.
        started: called with a node's id before it runs.
        finished: called with its result after it.
        nodes: which to run, without gaps in their order; what lies before is taken from the latest run. All when empty.

    Raises:
        RecipeError: the latest run did not get as far as what lies before.
        FashionError: raised by a stage, unwrapped from what TFX and Beam put around it.
    """
    ir = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
    deployment = runner_utils.extract_local_deployment_config(ir)
    database = deployment.metadata_connection_config
    connection = getattr(database, database.WhichOneof("connection_config"))
    if nodes:
        partial_run_utils.mark_pipeline(ir, from_nodes=nodes, to_nodes=nodes)
    results: dict[str, NodeResult] = {}
    for node in (entry.pipeline_node for entry in ir.nodes):
        name = node.node_info.id
        if node.execution_options.HasField("skip"):
            results[name] = NodeResult(name, "skipped")
            continue
        started(name)
        began = time.monotonic()
        if _publishes(node):
            node.execution_options.caching_options.enable_cache = False
        if node.execution_options.run.perform_snapshot:
            _take_from_latest_run(ir, connection, name)
        state, outputs = _outcome(connection, _launch(node, ir, deployment, connection))
        results[name] = NodeResult(name, state, time.monotonic() - began, outputs)
        finished(results[name])
    return results


def _publishes(node: pipeline_pb2.PipelineNode) -> bool:
    """Whether what a node makes lies elsewhere: the cache would not see that it is gone."""
    return any(spec.artifact_spec.type.name == "PushedModel" for spec in node.outputs.outputs.values())


def _take_from_latest_run(ir: pipeline_pb2.Pipeline, connection: object, first: str) -> None:
    with metadata.Metadata(connection) as handle:
        try:
            partial_run_utils.snapshot(handle, ir)
        except LookupError as error:
            raise RecipeError(
                f"{first} cannot be the first stage: the latest run did not finish those before it ({error}). "
                "Leave --from out; a stage that has not changed is not run again in any case."
            ) from error


def _launch(node: pipeline_pb2.PipelineNode, ir: pipeline_pb2.Pipeline, deployment: object, connection: object) -> int:
    """Runs one node; returns the id of its execution in the metadata."""
    name = node.node_info.id
    try:
        info = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=ir.pipeline_info,
            pipeline_runtime_spec=ir.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
        ).launch()
    except Exception as error:
        for cause in _causes(error):
            if isinstance(cause, FashionError):
                raise cause from error
        raise
    if info is None or info.execution_id is None:
        raise RuntimeError(f"TFX did not run {name}: its inputs are not there; the log says which")
    return info.execution_id


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _outcome(connection: object, execution_id: int) -> tuple[str, dict[str, Output]]:
    with metadata.Metadata(connection) as handle:
        store = handle.store
        [execution] = store.get_executions_by_id([execution_id])
        state = mlmd.Execution.State.Name(execution.last_known_state).lower()
        if state not in ("complete", "cached"):
            raise RuntimeError(f"TFX left execution {execution_id} in state {state}: the log says why")
        events = [e for e in store.get_events_by_execution_ids([execution_id]) if e.type in _OUTPUTS]
        artifacts = {a.id: a for a in store.get_artifacts_by_id([e.artifact_id for e in events])}
    return state, {event.path.steps[0].key: _output(artifacts[event.artifact_id]) for event in events}


def _output(artifact: mlmd.Artifact) -> Output:
    properties = {key: getattr(value, value.WhichOneof("value")) for key, value in artifact.custom_properties.items()}
    return Output(artifact.uri, properties)
