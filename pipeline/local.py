"""Runs the graph, or a part of it, in this process, through TFX's own launcher."""

import dataclasses
import fcntl
import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, partial_run_utils, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from components.errors import FashionError, RecipeError, causes
from components.progress import report
from pipeline import footprint
from pipeline.record import CompiledRun, NodeResult, note_recipe, read_result, record_failure


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
    run = compile_run(pipeline, run_id)
    if nodes:
        partial_run_utils.mark_pipeline(run.ir, from_nodes=nodes, to_nodes=nodes)
    results: dict[str, NodeResult] = {}
    for name, node in run.nodes().items():
        if node.execution_options.HasField("skip"):
            results[name] = NodeResult(name, "skipped")
            continue
        started(name)
        if node.execution_options.run.perform_snapshot:
            _take_from_latest_run(run, name)
        results[name] = launch(run, name)
        finished(results[name])
    return results


def compile_run(pipeline: tfx_pipeline.Pipeline, run_id: str) -> CompiledRun:
    """Compiles a pipeline for one run, which its nodes' inputs are then taken from."""
    ir = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
    deployment = runner_utils.extract_local_deployment_config(ir)
    database = deployment.metadata_connection_config
    return CompiledRun(ir, run_id, deployment, getattr(database, database.WhichOneof("connection_config")))


def launch(run: CompiledRun, name: str) -> NodeResult:
    """Runs one node through TFX's launcher, on inputs that earlier nodes of the same run have left.

    The metadata remember the run's recipe, what a node took, and why it failed, for whoever reports on the run later.

    Raises:
        FashionError: raised by the stage, unwrapped from what TFX and Beam put around it.
    """
    node, began = run.nodes()[name], time.monotonic()
    if _publishes(node):
        node.execution_options.caching_options.enable_cache = False
    note_recipe(run, name)
    footprint.begin()
    with _alone(run, node):
        try:
            execution_id = _launch(run, node)
        except Exception as error:
            record_failure(run, name, error)
            raise
    with metadata.Metadata(run.connection) as handle:
        [execution] = handle.store.get_executions_by_id([execution_id])
        result = read_result(handle, name, execution)
        if result.state == "complete":
            execution.custom_properties[footprint.PROPERTY].string_value = footprint.taken().as_json()
            handle.store.put_executions([execution])
    if result.state not in ("complete", "cached"):
        raise RuntimeError(f"TFX left execution {execution_id} in state {result.state}: the log says why")
    return dataclasses.replace(result, seconds=time.monotonic() - began)


def _publishes(node: pipeline_pb2.PipelineNode) -> bool:
    """Whether what a node makes lies elsewhere: the cache would not see that it is gone."""
    return any(spec.artifact_spec.type.name == "PushedModel" for spec in node.outputs.outputs.values())


def _take_from_latest_run(run: CompiledRun, first: str) -> None:
    with metadata.Metadata(run.connection) as handle:
        try:
            partial_run_utils.snapshot(handle, run.ir)
        except LookupError as error:
            raise RecipeError(
                f"{first} cannot be the first stage: the latest run did not finish those before it ({error}). "
                "Leave --from out; a stage that has not changed is not run again in any case."
            ) from error


@contextmanager
def _alone(run: CompiledRun, node: pipeline_pb2.PipelineNode) -> Iterator[None]:
    """Has two runs that are about to do the very same wait for each other: the second then finds it in the cache.

    Two Trainers would otherwise share a folder of unfinished work. The system frees the lock with the process.
    """
    told = hashlib.blake2b(node.parameters.SerializeToString(deterministic=True), digest_size=8).hexdigest()
    root = Path(run.ir.runtime_spec.pipeline_root.field_value.string_value)
    path = root / node.node_info.id / ".system" / f"lock-{told}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another run that does the same", 0)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _launch(run: CompiledRun, node: pipeline_pb2.PipelineNode) -> int:
    """Runs one node; returns the id of its execution in the metadata."""
    name = node.node_info.id
    try:
        info = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(run.connection),
            pipeline_info=run.ir.pipeline_info,
            pipeline_runtime_spec=run.ir.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(run.deployment, name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(run.deployment, name),
        ).launch()
    except Exception as error:
        for cause in causes(error):
            if isinstance(cause, FashionError):
                raise cause from error
        raise
    if info is None or info.execution_id is None:
        raise RuntimeError(f"TFX did not run {name}: its inputs are not there; the log says which")
    return info.execution_id
