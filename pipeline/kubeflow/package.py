"""A compiled pipeline, as `fashion compile` writes it and Kubeflow Pipelines takes it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.errors import RecipeError
from components.reading import choices
from pipeline.kubeflow.packing import PARAMETERS

# What a parameter of a package can be besides a text: as JSON, and in words.
KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "NUMBER_INTEGER": ((int,), "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list,), "a list, written as JSON"),
    "STRUCT": ((dict,), "a mapping, written as JSON"),
}


@dataclass(frozen=True)
class Package:
    """A compiled pipeline; its `tasks` are those that run a container."""

    path: Path
    name: str
    version: str  # names this content: the same for the same bytes, on any machine
    tasks: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]]  # what a run of it takes, by name, as the package describes them

    def arguments(self, given: Iterable[str]) -> dict[str, Any]:
        """Reads `key=value` texts as the types that the package asks for.

        Raises:
            RecipeError: a parameter is unknown, of another type, or needed and not given.
        """
        arguments: dict[str, Any] = {}
        for text in given:
            key, equals, value = text.partition("=")
            if not equals:
                raise RecipeError(f"--param {text}: give it as key=value")
            if key not in self.parameters:
                raise RecipeError(f"--param {key}: {self.path} has no such parameter; {choices(key, self.parameters)}")
            kind = self.parameters[key].get("parameterType", "STRING")
            try:
                arguments[key] = value if kind == "STRING" else _typed(value, kind)
            except ValueError:
                raise RecipeError(f"--param {key}: {value!r} is not {KINDS[kind][1]}") from None
        if (size := len(json.dumps(arguments))) > PARAMETERS:
            raise RecipeError(
                f"--param: all together are {size:,} characters; Kubeflow takes {PARAMETERS:,}. Shorten them"
            )
        for key, described in self.parameters.items():
            if key not in arguments and "defaultValue" not in described and not described.get("isOptional"):
                raise RecipeError(f"{self.path}: parameter {key} is needed and not given; add --param {key}=...")
        return arguments


def _typed(text: str, kind: str) -> Any:
    value, types = json.loads(text), KINDS[kind][0]
    if not isinstance(value, types) or isinstance(value, bool) != (bool in types):
        raise ValueError(text)
    return value


def read_package(path: Path) -> Package:
    """Reads a package that `fashion compile` wrote.

    Raises:
        RecipeError: it is not one, or a task would be taken from Kubeflow's cache, which knows nothing of the data.
    """
    try:
        content = path.read_bytes()
        spec = next(yaml.safe_load_all(content))
        name = str(spec["pipelineInfo"]["name"])
        bodies = [spec["root"], *spec["components"].values()]
    except OSError as error:
        raise RecipeError(f"--package {path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, StopIteration, KeyError, TypeError, AttributeError):
        raise RecipeError(
            f"--package {path}: is not a package; `fashion compile --target kubeflow` makes one"
        ) from None
    runs = {key for key, component in spec["components"].items() if "executorLabel" in component}
    listed = [item for body in bodies for item in body.get("dag", {}).get("tasks", {}).items()]
    tasks = {key: task for key, task in listed if task["componentRef"]["name"] in runs}
    if cached := [key for key, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")]:
        raise RecipeError(
            f"--package {path}: Kubeflow's cache is on for {', '.join(cached)}, and would skip tasks although the data "
            "has changed. Make the package with `fashion compile`, or give its tasks set_caching_options(False)"
        )
    version = f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    parameters = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    return Package(path, name, version, tuple(tasks), parameters)
