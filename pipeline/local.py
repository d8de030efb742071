"""Runs the graph, or a part of it, in this process, through TFX's own launcher."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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

Artifacts = Mapping[str, str]
"""Output name of a node to the place its (one) artifact lies."""


@dataclass(frozen=True)
class NodeResult:
    """What became of one node of a run.

    Attributes:
        node: its id, e.g. "train".
        state: "complete", "cached" or "skipped" (left out by --from and --to).
        seconds: how long it took.
        outputs: where its artifacts lie.
    """

    node: str
    state: str
    seconds: float = 0.0
    outputs: Artifacts = field(default_factory=dict)


def run_pipeline(
    pipeline: tfx_pipeline.Pipeline,
    run_id: str,
    started: Callable[[str], None],
    finished: Callable[[NodeResult], None],
    from_nodes: Sequence[str] = (),
    to_nodes: Sequence[str] = (),
) -> dict[str, NodeResult]:
    """Runs nodes in order and says when each starts and ends.

    Args:
        pipeline: as `create_pipeline` makes it.
        run_id: names the run in the metadata; a killed run is started again under a new one and uses the cache.
        started: called with a node's id before it runs.
        finished: called with its result after it.
        from_nodes: where to start; what lies before is taken from the latest run. All when empty.
        to_nodes: where to stop. All when empty.

    Raises:
        FashionError: raised by a stage, unwrapped from what TFX and Beam put around it.
    """
    ir = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
    deployment = runner_utils.extract_local_deployment_config(ir)
    database = deployment.metadata_connection_config
    connection = getattr(database, database.WhichOneof("connection_config"))
    if from_nodes or to_nodes:
        _mark(ir, from_nodes, to_nodes)
    results: dict[str, NodeResult] = {}
    for node in (entry.pipeline_node for entry in ir.nodes):
        name = node.node_info.id
        if node.execution_options.HasField("skip"):
            results[name] = NodeResult(name, "skipped")
            continue
        started(name)
        began = time.monotonic()
        if node.execution_options.run.perform_snapshot:
            with metadata.Metadata(connection) as handle:
                partial_run_utils.snapshot(handle, ir)
        execution = _launch(node, ir, deployment, connection)
        state, outputs = _outcome(connection, execution)
        results[name] = NodeResult(name, state, time.monotonic() - began, outputs)
        finished(results[name])
    return results


def _mark(ir: pipeline_pb2.Pipeline, from_nodes: Sequence[str], to_nodes: Sequence[str]) -> None:
    known = [entry.pipeline_node.node_info.id for entry in ir.nodes]
    for node in (*from_nodes, *to_nodes):
        if node not in known:
            raise RecipeError(f"{node!r} is not a stage; there are: {', '.join(known)}")
    try:
        partial_run_utils.mark_pipeline(ir, from_nodes=from_nodes or None, to_nodes=to_nodes or None)
    except ValueError as error:
        raise RecipeError(f"--from {', '.join(from_nodes)} --to {', '.join(to_nodes)}: {error}") from error


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


def _outcome(connection: object, execution_id: int) -> tuple[str, Artifacts]:
    with metadata.Metadata(connection) as handle:
        store = handle.store
        [execution] = store.get_executions_by_id([execution_id])
        state = mlmd.Execution.State.Name(execution.last_known_state).lower()
        if state not in ("complete", "cached"):
            raise RuntimeError(f"TFX left execution {execution_id} in state {state}: the log says why")
        events = [e for e in store.get_events_by_execution_ids([execution_id]) if e.type in _OUTPUTS]
        uris = {a.id: a.uri for a in store.get_artifacts_by_id([e.artifact_id for e in events])}
    return state, {event.path.steps[0].key: uris[event.artifact_id] for event in events}
