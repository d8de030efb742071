"""The one memory of runs: what ML Metadata hold of each, which `fashion run` writes and all that tell of runs read.

It knows the database alone and imports no TFX, so that a list of runs does not take longer than it has to.
"""

import base64
import json
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import FashionError
from pipeline.metadata import check, connection, parse_url
from pipeline.runs import Artifact, Run, StageRun

if TYPE_CHECKING:
    from ml_metadata.metadata_store.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as mlmd

LATEST = "latest"

_RUN, _NODE, _PIPELINE = "pipeline_run", "node", "pipeline"  # TFX's types of contexts
# The words in which a run is told elsewhere too; TFX has more.
_STATES = {"COMPLETE": "complete", "CACHED": "cached", "FAILED": "failed", "CANCELED": "failed"}
_EXPERIMENT, _ERROR, _EXIT_CODE = "experiment", "error", "exit_code"
_LONGEST = 2000  # characters of a property
_SHOWN = 8  # runs that an error names


class UnknownRun(FashionError):
    """There is no such run, or there are several."""

    exit_code = 2


class History:
    """The runs in a database, read one by one as they are asked for."""

    def __init__(self, url: str) -> None:
        """Opens the database, which need not hold any run yet.

        Raises:
            MetadataError: it cannot be opened.
        """
        from ml_metadata.metadata_store import metadata_store

        check(url)
        self._url = url
        self._store: MetadataStore = metadata_store.MetadataStore(connection(url))

    @property
    def ids(self) -> list[str]:
        """Ids of all runs, the latest last."""
        contexts = self._store.get_contexts_by_type(_RUN) if _RUN in self._context_types.values() else []
        return [context.name for context in sorted(contexts, key=lambda context: context.id)]

    def find(self, name: str) -> Run:
        """A run by its id, by the beginning of one, or `latest`.

        Raises:
            UnknownRun: none is meant, or several are.
        """
        if not self.ids:
            raise UnknownRun(_no_runs(self._url))
        if name == LATEST:
            return self.read(self.ids[-1])
        if name in self.ids:
            return self.read(name)
        meant = [run for run in self.ids if run.startswith(name)] if name else []
        if len(meant) == 1:
            return self.read(meant[0])
        some = _listed(meant or self.ids)
        if meant:
            raise UnknownRun(f"run {name!r}: {len(meant)} runs begin so: {some}. Give more of the id.")
        raise UnknownRun(
            f"run {name!r}: there is none in {parse_url(self._url)}; there are {some}, or give {LATEST!r}."
        )

    def read(self, run_id: str, pipeline: str | None = None) -> Run:
        """Reads all that is remembered of a run; of one that never began, nothing.

        `pipeline` leaves out the stages of other pipelines that were given the same id.
        """
        context = self._context(run_id)
        if context is None:
            return Run(run_id, pipeline or "", 0.0, {})
        found = ""
        stages: dict[str, StageRun] = {}
        for of_pipeline, stage in self._stage_runs(context):
            if pipeline in (None, of_pipeline):
                found = of_pipeline
                stages.pop(stage.name, None)
                stages[stage.name] = stage
        began = min((stage.began for stage in stages.values()), default=context.create_time_since_epoch / 1000)
        record = _record(context)
        return Run(run_id, found or pipeline or "", began, stages, json.loads(record) if record else {})

    def published(self, model: str) -> Iterator[tuple[int, Run]]:
        """Versions of a model, each with a run that published it or found it published, the latest first."""
        for run in map(self.read, reversed(self.ids)):
            if run.name == model and run.version is not None:
                yield run.version, run

    def tries(self, run_id: str, pipeline: str, stage: str) -> list[StageRun]:
        """What became of a stage of a run, oldest try first; TFX takes up a try that was killed, but not always."""
        context = self._context(run_id)
        runs = self._stage_runs(context) if context else []
        return [run for of_pipeline, run in runs if (of_pipeline, run.name) == (pipeline, stage)]

    def earlier(self, run: Run, stage: str, output: str) -> tuple[Run, Artifact] | None:
        """The latest run before this one, of the same pipeline, that has another artifact there than this one."""
        own = run.stage(stage).output(output)
        for other in self.before(run):
            artifact = other.stage(stage).output(output)
            if artifact and (own is None or artifact.id != own.id):
                return other, artifact
        return None

    def before(self, run: Run) -> Iterable[Run]:
        """The runs before this one of the same pipeline, the latest first."""
        for run_id in reversed(self.ids[: self.ids.index(run.id)]):
            other = self.read(run_id)
            if other.pipeline == run.pipeline:
                yield other

    def record(self, run_id: str) -> str:
        """What `remember` has kept of a run's experiment; "" where the run has not begun."""
        context = self._context(run_id)
        return _record(context) if context else ""

    def remember(self, run_id: str, record: str) -> None:
        """Keeps what was read at the door with a run that TFX has begun; the first to come has the word."""
        context = self._context(run_id)
        if context and not _record(context):
            put_record(context, record)
            self._store.put_contexts([context])

    def remember_failure(self, run_id: str, pipeline: str, stage: str, error: Exception) -> None:
        """Adds to a failed stage why it failed, for whoever tells of the run later; what that meets is logged."""
        from ml_metadata import errors

        said, code = f"{type(error).__name__}: {error}", 1
        if isinstance(error, FashionError):
            said, code = str(error), error.exit_code
        try:
            for tried in self.tries(run_id, pipeline, stage)[-1:]:
                [execution] = self._store.get_executions_by_id([tried.execution])
                execution.custom_properties[_ERROR].string_value = said
                execution.custom_properties[_EXIT_CODE].int_value = code
                self._store.put_executions([execution])
        except errors.StatusError:  # it is not to hide the failure itself, which a full disk may have caused too
            logging.exception("%s: why it failed could not be recorded", stage)

    def add(self, execution_id: int, key: str, text: str) -> None:
        """Adds a property to an execution."""
        [execution] = self._store.get_executions_by_id([execution_id])
        execution.custom_properties[key].string_value = text
        self._store.put_executions([execution])

    def _context(self, run_id: str) -> "mlmd.Context | None":
        return self._store.get_context_by_type_and_name(_RUN, run_id)

    def _stage_runs(self, context: "mlmd.Context") -> Iterable[tuple[str, StageRun]]:
        """A run's executions as stages, each with its pipeline, oldest first."""
        executions = sorted(self._store.get_executions_by_context(context.id), key=lambda each: each.id)
        artifacts, events = self._artifacts(executions)
        for execution in executions:
            names = {
                self._context_types[each.type_id]: each.name
                for each in self._store.get_contexts_by_execution(execution.id)
            }
            pipeline = names.get(_PIPELINE, "")
            name = names.get(_NODE, "").removeprefix(f"{pipeline}.")
            own = events.get(execution.id, ())
            parameters = _properties(execution) or self._maker(own)
            yield pipeline, _stage_run(name, execution, parameters, own, artifacts)

    def _maker(self, events: Iterable["mlmd.Event"]) -> dict[str, Any]:
        """The parameters of the execution that really made what a run took over from an earlier one.

        TFX enters a stage that `--from` left out with its artifacts, but without its parameters.
        """
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        output = mlmd.Event.OUTPUT
        artifacts = [event.artifact_id for event in events if event.type == output]
        makers = self._store.get_events_by_artifact_ids(artifacts) if artifacts else []
        first = min((event.execution_id for event in makers if event.type == output), default=None)
        found = self._store.get_executions_by_id([first]) if first is not None else []
        return _properties(found[0]) if found else {}

    @property
    def _context_types(self) -> dict[int, str]:
        return {each.id: each.name for each in self._store.get_context_types()}

    def _artifacts(
        self, executions: Sequence["mlmd.Execution"]
    ) -> tuple[dict[int, Artifact], dict[int, list["mlmd.Event"]]]:
        """The artifacts that executions touched, and the events by execution."""
        events: dict[int, list[mlmd.Event]] = {}
        if not executions:
            return {}, events
        for event in self._store.get_events_by_execution_ids([each.id for each in executions]):
            events.setdefault(event.execution_id, []).append(event)
        touched = {event.artifact_id for own in events.values() for event in own}
        found = self._store.get_artifacts_by_id(sorted(touched)) if touched else []
        types = {each.id: each.name for each in self._store.get_artifact_types()}
        artifacts = {each.id: Artifact(each.id, types[each.type_id], each.uri, _properties(each)) for each in found}
        return artifacts, events


def _stage_run(
    name: str, execution: "mlmd.Execution", parameters: Mapping[str, Any], events: Iterable["mlmd.Event"],
    artifacts: Mapping[int, Artifact],
) -> StageRun:  # fmt: skip
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    state = _STATES.get(mlmd.Execution.State.Name(execution.last_known_state), "running")
    began = execution.create_time_since_epoch / 1000
    inputs: dict[str, tuple[Artifact, ...]] = {}
    outputs: dict[str, tuple[Artifact, ...]] = {}
    for event in events:
        # A resolver's finds are of the internal kinds.
        into = inputs if event.type in (mlmd.Event.INPUT, mlmd.Event.INTERNAL_INPUT) else outputs
        key = event.path.steps[0].key if event.path.steps else ""
        into[key] = (*into.get(key, ()), artifacts[event.artifact_id])
    return StageRun(
        name=name, state=state, began=began,
        seconds=None if state == "running" else execution.last_update_time_since_epoch / 1000 - began,
        parameters=parameters, inputs=inputs, outputs=outputs, error=str(parameters.get(_ERROR, "")),
        exit_code=int(parameters.get(_EXIT_CODE, 1)), execution=execution.id,
    )  # fmt: skip


def put_record(context: "mlmd.Context", text: str) -> None:
    """Sets the properties of a context that hold a record.

    On PostgreSQL ML Metadata 1.21 fails on a text with a backslash, as JSON has, and the database indexes no property
    above 2,700 bytes: so the text is encoded, and divided.
    """
    encoded = base64.b64encode(zlib.compress(text.encode())).decode()
    for number, start in enumerate(range(0, len(encoded), _LONGEST)):
        context.custom_properties[f"{_EXPERIMENT}_{number:03}"].string_value = encoded[start : start + _LONGEST]


def _record(context: "mlmd.Context") -> str:
    keys = sorted(key for key in context.custom_properties if key.startswith(f"{_EXPERIMENT}_"))
    encoded = "".join(context.custom_properties[key].string_value for key in keys)
    return zlib.decompress(base64.b64decode(encoded)).decode() if encoded else ""


def _properties(thing: Any) -> dict[str, Any]:
    kinds = ("int_value", "double_value", "string_value")
    values = {key: (value.WhichOneof("value"), value) for key, value in thing.custom_properties.items()}
    return {key: getattr(value, kind) for key, (kind, value) in values.items() if kind in kinds}


def open_history(url: str) -> History:
    """Opens a database that has runs.

    Raises:
        MetadataError: it cannot be opened.
        UnknownRun: it has no runs yet.
    """
    database = parse_url(url)
    if database.kind == "sqlite" and not Path(database.name).is_file():
        raise UnknownRun(_no_runs(url))
    history = History(url)
    if not history.ids:
        raise UnknownRun(_no_runs(url))
    return history


def _no_runs(url: str) -> str:
    return (
        f"{parse_url(url)}: there are no runs yet. Start one with `fashion run`, or say with --root or --metadata "
        "where they are."
    )


def _listed(runs: Sequence[str]) -> str:
    shown = ", ".join(reversed(runs[-_SHOWN:]))
    return f"{shown} and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else shown
