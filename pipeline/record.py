"""What the metadata remember of one run: how far each node came, what it made, and why it failed."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import context_lib, execution_lib
from tfx.proto.orchestration import pipeline_pb2

from components.errors import FashionError

_ERROR, _EXIT_CODE, _RECIPE = "error", "exit_code", "recipe"
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
        state: "complete", "cached" or "skipped" (left out by --from and --to); of a run that is read from the
            metadata also "running", "failed" or "waiting".
        seconds: how long it took.
        outputs: its artifacts, by the names of the outputs.
    """

    node: str
    state: str
    seconds: float = 0.0
    outputs: Mapping[str, Output] = field(default_factory=dict)


@dataclass(frozen=True)
class CompiledRun:
    """A pipeline as TFX's launcher takes it, with the id of one run filled in.

    Attributes:
        ir: all nodes; their inputs are those that the same run has made.
        run_id: names the run in the metadata.
        deployment: how each node is executed.
        connection: to the metadata; holds the password, as the IR and the deployment do.
    """

    ir: pipeline_pb2.Pipeline = field(repr=False)
    run_id: str
    deployment: Any = field(repr=False)
    connection: Any = field(repr=False)

    def nodes(self) -> dict[str, pipeline_pb2.PipelineNode]:
        """The nodes by their ids, in an order in which they can be run."""
        return {entry.pipeline_node.node_info.id: entry.pipeline_node for entry in self.ir.nodes}

    @property
    def recipe(self) -> str:
        """The experiment as YAML, as those nodes are told it that write it down; "" if there is none."""
        told = (node.parameters.parameters for node in self.nodes().values())
        return next((of[_RECIPE].field_value.string_value for of in told if _RECIPE in of), "")


@dataclass(frozen=True)
class Failure:
    """Why a node failed, as its process said it, and the exit code of that process."""

    said: str
    exit_code: int


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        results: what became of each node, in their order; those that never began are "waiting".
        failures: by node, for those that failed.
        began: when the run's first node began, seconds since 1970; 0 if none did.
    """

    results: Mapping[str, NodeResult]
    failures: Mapping[str, Failure]
    began: float


def read_run(run: CompiledRun) -> RunRecord:
    """Reads what has become of a run so far."""
    results = {name: NodeResult(name, "waiting") for name in run.nodes()}
    failures = {}
    with metadata.Metadata(run.connection) as handle:
        context = _run_context(handle, run)
        for name, execution in _executions(handle, run, context):
            results[name] = read_result(handle, name, execution)
            if execution_lib.is_execution_failed(execution):
                said = execution.custom_properties[_ERROR].string_value or "the log says why"
                failures[name] = Failure(said, execution.custom_properties[_EXIT_CODE].int_value or 1)
    return RunRecord(results, failures, context.create_time_since_epoch / 1000 if context else 0.0)


def read_result(handle: metadata.Metadata, name: str, execution: mlmd.Execution) -> NodeResult:
    """What the metadata say of one execution of a node."""
    events = [e for e in handle.store.get_events_by_execution_ids([execution.id]) if e.type in _OUTPUTS]
    artifacts = {a.id: a for a in handle.store.get_artifacts_by_id([e.artifact_id for e in events])}
    return NodeResult(
        node=name,
        state=mlmd.Execution.State.Name(execution.last_known_state).lower(),
        seconds=(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000,
        outputs={event.path.steps[0].key: _output(artifacts[event.artifact_id]) for event in events},
    )


def executions_of(handle: metadata.Metadata, run: CompiledRun, node: str) -> list[mlmd.Execution]:
    """The executions of a node in a run, oldest first; more than one only where TFX makes a new one at each start."""
    return [each for name, each in _executions(handle, run, _run_context(handle, run)) if name == node]


def finished_nodes(handle: metadata.Metadata, run: CompiledRun) -> set[str]:
    """The nodes that have succeeded in a run."""
    executions = _executions(handle, run, _run_context(handle, run))
    return {name for name, execution in executions if execution_lib.is_execution_successful(execution)}


def note_recipe(run: CompiledRun, node: str) -> None:
    """Has the metadata remember the recipe of a run before a node begins; only the last nodes are told it whole."""
    with metadata.Metadata(run.connection) as handle:
        context_lib.prepare_contexts(handle, run.nodes()[node].contexts)
        context = _run_context(handle, run)
        if context and run.recipe and not context.custom_properties[_RECIPE].string_value:
            context.custom_properties[_RECIPE].string_value = run.recipe
            handle.store.put_contexts([context])


def record_failure(run: CompiledRun, node: str, error: Exception) -> None:
    """Adds to a failed execution why it failed, for whoever reports on the run later; what that meets is logged."""
    if isinstance(error, FashionError):
        failure = Failure(str(error), error.exit_code)
    else:
        failure = Failure(f"{type(error).__name__}: {error}", 1)
    try:
        with metadata.Metadata(run.connection) as handle:
            for execution in executions_of(handle, run, node)[-1:]:
                execution.custom_properties[_ERROR].string_value = failure.said
                execution.custom_properties[_EXIT_CODE].int_value = failure.exit_code
                handle.store.put_executions([execution])
    except errors.StatusError:  # it is not to hide the failure itself, which a full disk may have caused too
        logging.exception("%s: why it failed could not be recorded", node)


def _run_context(handle: metadata.Metadata, run: CompiledRun) -> mlmd.Context | None:
    return handle.store.get_context_by_type_and_name(constants.PIPELINE_RUN_CONTEXT_TYPE_NAME, run.run_id)


def _executions(
    handle: metadata.Metadata, run: CompiledRun, context: mlmd.Context | None
) -> Iterator[tuple[str, mlmd.Execution]]:
    """A run's executions with the nodes they are of, oldest first."""
    pipeline = run.ir.pipeline_info.id
    by_context = {f"{pipeline}.{name}": name for name in run.nodes()}
    executions = handle.store.get_executions_by_context(context.id) if context else []
    for execution in sorted(executions, key=lambda each: each.id):
        for each in handle.store.get_contexts_by_execution(execution.id):
            if each.name in by_context:  # else of another pipeline that was given the same run id
                yield by_context[each.name], execution


def _output(artifact: mlmd.Artifact) -> Output:
    properties = {key: getattr(value, value.WhichOneof("value")) for key, value in artifact.custom_properties.items()}
    return Output(artifact.uri, properties)
