"""The runs that ML Metadata remember: which there were, what their stages were told, what they took and made.

It reads the database alone and imports no TFX, so that a list of runs does not take longer than it has to.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import FashionError
from pipeline.metadata import check, connection, parse_url

if TYPE_CHECKING:
    from ml_metadata.metadata_store.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as mlmd

LATEST = "latest"

_RUN, _NODE, _PIPELINE = "pipeline_run", "node", "pipeline"  # TFX's types of contexts
# The words in which a run is told elsewhere too; TFX has more.
_STATES = {"COMPLETE": "complete", "CACHED": "cached", "FAILED": "failed", "CANCELED": "failed"}
_SHOWN = 8  # runs that an error names


class UnknownRun(FashionError):
    """There is no such run, or there are several."""

    exit_code = 2


@dataclass(frozen=True)
class Made:
    """An artifact.

    Attributes:
        id: its number in the database.
        type: e.g. "Examples".
        uri: where it lies.
        properties: what its stage said of it: its custom properties.
    """

    id: int
    type: str
    uri: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class StageRun:
    """What became of one stage in one run.

    Attributes:
        name: e.g. "train".
        state: "complete", "cached", "failed" or "running"; a stage that was killed is "running" for ever.
        began: seconds since 1970.
        seconds: how long it took; None where it did not end.
        parameters: what it was told.
        inputs: artifacts by the names of the inputs.
        outputs: likewise; a cached stage has those of an earlier run.
        error: what it said when it failed, where that was recorded.
    """

    name: str
    state: str
    began: float
    seconds: float | None
    parameters: Mapping[str, Any]
    inputs: Mapping[str, tuple[Made, ...]] = field(default_factory=dict)
    outputs: Mapping[str, tuple[Made, ...]] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Run:
    """One run of one pipeline.

    Attributes:
        id: names it.
        pipeline: name of the recipe and a digest of its classes.
        began: seconds since 1970.
        stages: by name, in the order in which they ran; the last try of each.
        experiment: its recipe as YAML; "" where it was not recorded.
    """

    id: str
    pipeline: str
    began: float
    stages: Mapping[str, StageRun]
    experiment: str = ""

    @property
    def recipe(self) -> str:
        """Name of the recipe."""
        return self.pipeline.rpartition("-")[0] or self.pipeline

    @property
    def seconds(self) -> float | None:
        """From the first stage's begin to the last one's end; None if a stage did not end, or there is none."""
        ends = [stage.began + stage.seconds for stage in self.stages.values() if stage.seconds is not None]
        return max(ends) - self.began if ends and len(ends) == len(self.stages) else None

    def made(self, stage: str, output: str) -> Made | None:
        """The (first) artifact that a stage made under an output's name."""
        of = self.stages.get(stage)
        return next(iter(of.outputs.get(output, ())), None) if of else None

    def told(self, stage: str) -> Mapping[str, Any]:
        """What a stage was told; empty if it did not come so far."""
        of = self.stages.get(stage)
        return of.parameters if of else {}


class History:
    """The runs in a database, read one by one as they are asked for."""

    def __init__(self, url: str) -> None:
        """Opens the database.

        Raises:
            MetadataError: it cannot be opened.
            UnknownRun: it has no runs yet.
        """
        from ml_metadata.metadata_store import metadata_store

        self._url = url
        database = parse_url(url)
        if database.kind == "sqlite" and not Path(database.name).is_file():
            raise UnknownRun(_no_runs(url))
        check(url)
        self._store: MetadataStore = metadata_store.MetadataStore(connection(url))
        contexts = self._store.get_contexts_by_type(_RUN) if self._has(_RUN) else []
        self._contexts = {context.name: context for context in sorted(contexts, key=lambda context: context.id)}
        if not self._contexts:
            raise UnknownRun(_no_runs(url))

    @property
    def ids(self) -> list[str]:
        """Ids of all runs, the latest last."""
        return list(self._contexts)

    def find(self, name: str) -> Run:
        """A run by its id, by the beginning of one, or `latest`.

        Raises:
            UnknownRun: none is meant, or several are.
        """
        if name == LATEST:
            return self.read(self.ids[-1])
        if name in self._contexts:
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

    def read(self, run_id: str) -> Run:
        """All that is remembered of a run."""
        context = self._contexts[run_id]
        executions = sorted(self._store.get_executions_by_context(context.id), key=lambda each: each.id)
        artifacts, events = self._artifacts(executions)
        stages: dict[str, StageRun] = {}
        pipeline = ""
        for execution in executions:
            names = {
                self._context_types[of.type_id]: of.name for of in self._store.get_contexts_by_execution(execution.id)
            }
            pipeline = names.get(_PIPELINE, pipeline)
            stage = names.get(_NODE, "").removeprefix(f"{pipeline}.")
            stages.pop(stage, None)
            of = events.get(execution.id, ())
            stages[stage] = _stage_run(stage, execution, _properties(execution) or self._maker(of), of, artifacts)
        began = min((stage.began for stage in stages.values()), default=context.create_time_since_epoch / 1000)
        return Run(run_id, pipeline, began, stages, context.custom_properties["recipe"].string_value)

    def earlier(self, run: Run, stage: str, output: str) -> tuple[Run, Made] | None:
        """The latest run before this one, of the same pipeline, that has another artifact there than this one."""
        own = run.made(stage, output)
        for run_id in reversed(self.ids[: self.ids.index(run.id)]):
            other = self.read(run_id)
            made = other.made(stage, output)
            if other.pipeline == run.pipeline and made and (own is None or made.id != own.id):
                return other, made
        return None

    def _maker(self, events: Iterable["mlmd.Event"]) -> dict[str, Any]:
        """The parameters of the execution that really made what a run took over from an earlier one.

        TFX enters a stage that `--from` left out with its artifacts, but without what it was told.
        """
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        output = mlmd.Event.OUTPUT
        taken = [event.artifact_id for event in events if event.type == output]
        of_all = self._store.get_events_by_artifact_ids(taken) if taken else []
        first = min((event.execution_id for event in of_all if event.type == output), default=None)
        found = self._store.get_executions_by_id([first]) if first is not None else []
        return _properties(found[0]) if found else {}

    @cached_property
    def _context_types(self) -> dict[int, str]:
        return {each.id: each.name for each in self._store.get_context_types()}

    @cached_property
    def _artifact_types(self) -> dict[int, str]:
        return {each.id: each.name for each in self._store.get_artifact_types()}

    def _has(self, context_type: str) -> bool:
        return context_type in self._context_types.values()

    def _artifacts(
        self, executions: Sequence["mlmd.Execution"]
    ) -> tuple[dict[int, Made], dict[int, list["mlmd.Event"]]]:
        """The artifacts that executions touched, and the events by execution."""
        events: dict[int, list[mlmd.Event]] = {}
        if not executions:
            return {}, events
        for event in self._store.get_events_by_execution_ids([each.id for each in executions]):
            events.setdefault(event.execution_id, []).append(event)
        touched = {event.artifact_id for of in events.values() for event in of}
        found = self._store.get_artifacts_by_id(sorted(touched)) if touched else []
        made = {
            each.id: Made(each.id, self._artifact_types[each.type_id], each.uri, _properties(each)) for each in found
        }
        return made, events


def _stage_run(
    name: str,
    execution: "mlmd.Execution",
    parameters: Mapping[str, Any],
    events: Iterable["mlmd.Event"],
    artifacts: Mapping[int, Made],
) -> StageRun:
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    state = _STATES.get(mlmd.Execution.State.Name(execution.last_known_state), "running")
    began = execution.create_time_since_epoch / 1000
    took = execution.last_update_time_since_epoch / 1000 - began
    inputs: dict[str, tuple[Made, ...]] = {}
    outputs: dict[str, tuple[Made, ...]] = {}
    for event in events:
        # A resolver's finds are of the internal kinds.
        into = inputs if event.type in (mlmd.Event.INPUT, mlmd.Event.INTERNAL_INPUT) else outputs
        key = event.path.steps[0].key if event.path.steps else ""
        into[key] = (*into.get(key, ()), artifacts[event.artifact_id])
    error = str(parameters.get("error", ""))
    return StageRun(name, state, began, None if state == "running" else took, parameters, inputs, outputs, error)


def _properties(of: Any) -> dict[str, Any]:
    found = {}
    for key, value in of.custom_properties.items():
        kind = value.WhichOneof("value")
        if kind in ("int_value", "double_value", "string_value"):
            found[key] = getattr(value, kind)
    return found


def parsed(parameters: Mapping[str, Any], name: str) -> Any:
    """A parameter that holds JSON; None where it is absent."""
    return json.loads(parameters[name]) if parameters.get(name) else None


def _no_runs(url: str) -> str:
    return (
        f"{parse_url(url)}: there are no runs yet. Start one with `fashion run`, or say with --root or --metadata "
        "where they are."
    )


def _listed(runs: Sequence[str]) -> str:
    shown = ", ".join(reversed(runs[-_SHOWN:]))
    return f"{shown} and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else shown
