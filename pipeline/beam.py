"""Where the stages on Apache Beam run: here, or on a cluster. What they make is the same wherever they run.

Light: the names of Beam's options are read from its source, which takes milliseconds; importing Beam takes seconds.
"""

import difflib
import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from components.errors import RecipeError
from components.reading import kind_of
from components.settings import Settings

_RUNNERS = {
    # Beam's own choice, Prism, is a binary that it would first download.
    "local": "FnApiRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
    "portable": "PortableRunner",
}
# What a runner cannot do without: of each group, one.
_NEEDED = {
    "flink": (("flink_master", "job_endpoint"),),
    "spark": (("spark_master_url", "job_endpoint"),),
    "dataflow": (("project",), ("region",), ("temp_location",)),
    "portable": (("job_endpoint",),),
}
_IMAGE = "sdk_container_image"
_SECRET = re.compile(r"secret|token|password|access_key|connection_string")
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    known = _known_options()
    for name, value in options.items():
        if name == "runner":
            raise ValueError("runner: say it as beam.runner")
        if known and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]!r}?" if close else "its documentation lists those of each runner"
            raise ValueError(f"{name}: Beam has no such option; {meant}")
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, bool | int | float | str) for text in texts):
            raise ValueError(f"{name}: is {kind_of(value)}; give a text, a number, true, or a list of texts")
        if _SECRET.search(name) or any(_PASSWORD_IN_URL.search(str(text)) for text in texts):
            raise ValueError(
                f"{name}: a recipe is published together with its model, so it must not hold a secret; give that to "
                "the workers, e.g. as an environment variable"
            )
    return options


class Beam(Settings):
    """Where the stages on Beam run: ingest, statistics, transform and evaluate. Changes no result."""

    runner: Literal["local", "flink", "spark", "dataflow", "portable"] = Field(
        default="local", description="local is the stage's own process"
    )
    options: Annotated[dict[str, Any], AfterValidator(_checked)] = Field(
        default={}, description="of the Beam pipeline, by Beam's names without dashes, e.g. flink_master"
    )

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "Beam":
        for group in _NEEDED.get(self.runner, ()):
            if not any(self.options.get(name) for name in group):
                raise ValueError(f"runner {self.runner} needs options.{' or options.'.join(group)}")
        return self

    @property
    def in_containers(self) -> bool:
        """Whether Beam's workers are containers of an image, which has to hold this project."""
        environment = self.options.get("environment_type", "DOCKER")
        return self.runner == "dataflow" or (self.runner != "local" and environment == "DOCKER")

    def with_image(self, image: str) -> "Beam":
        """The same, with an image for workers that are containers and have none named."""
        if not self.in_containers or self.options.get(_IMAGE):
            return self
        return self.model_copy(update={"options": {**self.options, _IMAGE: image}})


def beam_args(beam: Beam) -> list[str]:
    """What TFX gives to every Beam pipeline.

    Raises:
        RecipeError: the workers are containers, and of which image is not said.
    """
    options: Mapping[str, Any] = beam.options
    if not beam.in_containers:
        # Where no image is named, TFX packs 50 MB of its sources for workers, at every stage, and leaves them in /tmp.
        options = {_IMAGE: "unused", **options}
    elif not options.get(_IMAGE):
        raise RecipeError(
            f"beam.options.{_IMAGE}: the workers of {beam.runner} are containers, and of which image is not said; give "
            "this project's, e.g. registry.example.com/fashion:1.4"
        )
    return [f"--runner={_RUNNERS[beam.runner]}", *(arg for item in options.items() for arg in _arguments(*item))]


def _arguments(name: str, value: Any) -> list[str]:
    if isinstance(value, list):
        return [f"--{name}={each}" for each in value]
    if isinstance(value, bool):  # a flag is there or not
        return [f"--{name}"] * value
    return [f"--{name}={value}"]


@cache
def _known_options() -> frozenset[str]:
    """The names of all options that the installed Beam has; empty where there is no Beam."""
    package = importlib.util.find_spec("apache_beam")
    if package is None or not package.submodule_search_locations:
        return frozenset()
    source = Path(package.submodule_search_locations[0]) / "options" / "pipeline_options.py"
    return frozenset(re.findall(r"'--(\w+)'", source.read_text(encoding="utf-8")))
