"""A run and its stages, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Artifact:
    """An artifact: its number in the database, its type, e.g. "Examples", and where it lies.

    `properties` are its custom ones, which its stage has set.
    """

    id: int
    type: str
    uri: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageRun:
    """What became of one stage in one run."""

    name: str
    # "complete", "cached", "failed", "running" (a stage that was killed is that for ever), "waiting", or "skipped"
    # where --from and --to leave it out.
    state: str
    began: float = 0.0  # seconds since 1970
    seconds: float | None = None  # how long it took; None where it did not end
    parameters: Mapping[str, Any] = field(default_factory=dict)  # its execution properties
    inputs: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)  # artifacts by the names of the inputs
    # Likewise; a cached stage has those of an earlier run.
    outputs: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    error: str = ""  # its message when it failed, where that was recorded; `exit_code` is that of the command then
    exit_code: int = 1
    execution: int = 0  # its number in the database

    @property
    def succeeded(self) -> bool:
        """Whether its outputs are there to be used."""
        return self.state in ("complete", "cached")

    def output(self, name: str) -> Artifact | None:
        """The (first) artifact under an output's name; None if there is none."""
        return next(iter(self.outputs.get(name, ())), None)

    def folder(self, name: str) -> Path | None:
        """Where that artifact lies; None if it was not made, or is gone."""
        artifact = self.output(name)
        path = Path(artifact.uri) if artifact else None
        return path if path and path.exists() else None


@dataclass(frozen=True)
class Run:
    """One run of one pipeline, which is called by its recipe and a digest of its classes."""

    id: str
    pipeline: str
    began: float  # seconds since 1970
    stages: Mapping[str, StageRun]  # by name, in the order in which they ran; the last try of each
    # As `Experiment.record` gives it, parsed; empty where it was not recorded.
    experiment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self.pipeline.rpartition("-")[0] or self.pipeline

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe with every default written out; empty where it was not recorded."""
        return yaml.safe_load(self.experiment["recipe"]) if self.experiment else {}

    @property
    def seconds(self) -> float | None:
        """From the first stage's begin to the last one's end; None if a stage did not end, or there is none."""
        ends = [stage.began + stage.seconds for stage in self.stages.values() if stage.seconds is not None]
        return max(ends) - self.began if ends and len(ends) == len(self.stages) else None

    @property
    def version(self) -> int | None:
        """The version that it published, or found published; None where it did not."""
        pushed = self.stage("publish").output("pushed_model")
        return int(pushed.properties["pushed_version"]) if pushed and pushed.properties.get("pushed") else None

    @property
    def failed(self) -> StageRun | None:
        """The first stage that failed; None if none did."""
        return next((stage for stage in self.stages.values() if stage.state == "failed"), None)

    def stage(self, name: str) -> StageRun:
        """A stage; one that never began is waiting."""
        return self.stages.get(name) or StageRun(name, "waiting")
