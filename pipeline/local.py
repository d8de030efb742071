"""Runs the graph, or a part of it, in this process, through TFX's own launcher."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, partial_run_utils, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import context_lib
from tfx.proto.orchestration import pipeline_pb2

from components.errors import FashionError, RecipeError, causes
from components.progress import report
from pipeline import footprint
from pipeline.experiment import Experiment
from pipeline.graph import create_pipeline
from pipeline.history import History
from pipeline.runs import Run, StageRun
from serving.disk import locked


@dataclass(frozen=True)
class CompiledRun:
    """A pipeline as TFX's launcher takes it, with the id of one run filled in."""

    experiment: Experiment
    run_id: str
    ir: pipeline_pb2.Pipeline = field(repr=False)  # all nodes; their inputs are those that the same run has made
    deployment: Any = field(repr=False)  # how each node is executed
    connection: Any = field(repr=False)  # to the metadata; holds the password, as the IR and the deployment do
    history: History = field(repr=False)

    @property
    def pipeline(self) -> str:
        """The name of the pipeline."""
        return str(self.ir.pipeline_info.id)

    def nodes(self) -> dict[str, pipeline_pb2.PipelineNode]:
        """The nodes by their ids, in an order in which they can be run."""
        return {entry.pipeline_node.node_info.id: entry.pipeline_node for entry in self.ir.nodes}

    def read(self) -> Run:
        """What has become of the run so far."""
        return self.history.read(self.run_id, self.pipeline)


def compile_run(experiment: Experiment, run_id: str) -> CompiledRun:
    """Compiles an experiment's pipeline for one run, which its nodes' inputs are then taken from."""
    ir = compiler.Compiler().compile(create_pipeline(experiment))
    runtime_parameter_utils.substitute_runtime_parameter(ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
    deployment = runner_utils.extract_local_deployment_config(ir)
    database = deployment.metadata_connection_config
    connection = getattr(database, database.WhichOneof("connection_config"))
    return CompiledRun(experiment, run_id, ir, deployment, connection, History(experiment.paths.metadata))


def run_pipeline(
    run: CompiledRun, started: Callable[[str], None], finished: Callable[[StageRun], None], nodes: Collection[str] = (),
) -> None:  # fmt: skip
    """Runs nodes in order and says when each starts and ends.

    A node whose inputs and parameters have not changed is not run again, unless it publishes or what it made is gone.

    Args:
        run: from `compile_run`; a killed run is started again under a new id and uses the cache.
        started: called with a node's id before it runs.
        finished: called with what became of it after it.
        nodes: which to run, without gaps in their order; what lies before is taken from the latest run. All when empty.

    Raises:
        RecipeError: the latest run did not get as far as what lies before.
        FashionError: raised by a stage, unwrapped from what TFX and Beam put around it.
    """
    if nodes:
        partial_run_utils.mark_pipeline(run.ir, from_nodes=nodes, to_nodes=nodes)
    for name, node in run.nodes().items():
        if node.execution_options.HasField("skip"):
            continue
        started(name)
        if node.execution_options.run.perform_snapshot:
            _take_from_latest_run(run, name)
        finished(launch(run, name))


def launch(run: CompiledRun, name: str) -> StageRun:
    """Runs one node through TFX's launcher, on inputs that earlier nodes of the same run have left.

    The metadata remember the experiment, what the node took, and why it failed, for whoever tells of the run later.

    Raises:
        FashionError: raised by the stage, unwrapped from what TFX and Beam put around it.
    """
    node, began = run.nodes()[name], time.monotonic()
    # What a node makes may lie elsewhere: the cache would not see that it is gone.
    if any(spec.artifact_spec.type.name == "PushedModel" for spec in node.outputs.outputs.values()):
        node.execution_options.caching_options.enable_cache = False
    with metadata.Metadata(run.connection) as handle:
        context_lib.prepare_contexts(handle, node.contexts)
    run.history.remember(run.run_id, run.experiment.record())
    footprint.begin()
    with _alone(run, node):
        try:
            execution_id = _launch(run, node)
        except Exception as error:
            run.history.remember_failure(run.run_id, run.pipeline, name, error)
            raise
    stage = run.read().stage(name)
    if stage.state == "complete":
        run.history.add(execution_id, footprint.PROPERTY, footprint.taken().as_json())
    if not stage.succeeded:
        raise RuntimeError(f"TFX left execution {execution_id} in state {stage.state}: the log says why")
    return dataclasses.replace(stage, seconds=time.monotonic() - began)


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
    key = hashlib.blake2b(node.parameters.SerializeToString(deterministic=True), digest_size=8).hexdigest()
    root = Path(run.ir.runtime_spec.pipeline_root.field_value.string_value)
    path = root / node.node_info.id / ".system" / f"lock-{key}"
    with locked(path, lambda holder: report(f"waiting for another run that does the same ({holder})", 0)):
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
