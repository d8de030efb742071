"""What the metadata remember of one run: how far each node came, what it made, and why it failed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import execution_lib

from components.errors import FashionError
from pipeline.local import CompiledRun, NodeResult, read_result

_ERROR, _EXIT_CODE = "error", "exit_code"


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


def executions_of(handle: metadata.Metadata, run: CompiledRun, node: str) -> list[mlmd.Execution]:
    """The executions of a node in a run, oldest first; more than one only where TFX makes a new one at each start."""
    return [each for name, each in _executions(handle, run, _run_context(handle, run)) if name == node]


def finished_nodes(handle: metadata.Metadata, run: CompiledRun) -> set[str]:
    """The nodes that have succeeded in a run."""
    executions = _executions(handle, run, _run_context(handle, run))
    return {name for name, execution in executions if execution_lib.is_execution_successful(execution)}


def record_failure(run: CompiledRun, node: str, error: Exception) -> None:
    """Adds to a failed execution why it failed, for whoever reports on the run from another process."""
    if isinstance(error, FashionError):
        failure = Failure(str(error), error.exit_code)
    else:
        failure = Failure(f"{type(error).__name__}: {error}", 1)
    with metadata.Metadata(run.connection) as handle:
        for execution in executions_of(handle, run, node)[-1:]:
            execution.custom_properties[_ERROR].string_value = failure.said
            execution.custom_properties[_EXIT_CODE].int_value = failure.exit_code
            handle.store.put_executions([execution])


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
