"""What a recipe may have tried out: paths of its settings, and what each is tried with.

Light on purpose: a wrong search space is refused with the recipe, before anything is imported or run.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from components.reading import choices, explain
from components.settings import Count, Settings
from components.train.settings import Train

Value = bool | int | float | str
S = TypeVar("S", bound=Settings)

VALUES_FILE = "tuned.json"  # in the ModelRun: the settings that the Trainer was given by the search

_TRIED = ("model", "train")  # parts of the recipe that change training and nothing before it
# A seed that wins has won by chance; the others change how training runs, not what it finds.
_NEVER_TRIED = ("train.seed", "train.strategy", "train.mixed_precision")


class Dimension(Settings):
    """What one setting is tried with: the numbers from `min` to `max`, or the `values`."""

    min: int | float | None = Field(default=None, description="least number")
    max: int | float | None = Field(default=None, description="largest number")
    log: bool = Field(default=False, description="orders of magnitude are equally likely, not numbers")
    values: Annotated[tuple[Value, ...] | None, Field(strict=False, description="in place of min and max")] = None

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.values is not None:
            if self.min is not None or self.max is not None or self.log:
                raise ValueError("give either values, or min and max")
            if len(set(self.values)) < max(2, len(self.values)):
                raise ValueError("values: give at least two, each once")
        elif self.min is None or self.max is None:
            raise ValueError("give min and max, or values")
        elif not -math.inf < self.min < self.max < math.inf:
            raise ValueError(f"nothing lies between min {self.min} and max {self.max}")
        elif self.log and self.min <= 0:
            raise ValueError(f"log goes by orders of magnitude, so min has to be above 0, not {self.min}")
        return self

    @property
    def edges(self) -> tuple[Value, ...]:
        """All values, or both ends of the range."""
        return self.values or (self.min or 0, self.max or 0)


class Tune(Settings):
    """A search for better settings before training; the best on the split `eval` are what the Trainer trains with.

    A trial trains the head alone, on features that all trials share, unless the space holds a setting of
    `train.finetune` or the recipe has no head phase: then a trial is a whole training.
    """

    trials: Count = Field(description="how many combinations are tried")
    epochs: Count | None = Field(default=None, description="of a phase in a trial, at most; none is the recipe's own")
    objective: Literal["accuracy", "macro_f1", "macro_auprc", "loss"] = Field(
        default="macro_f1", description="on the split eval; loss is the cross-entropy without smoothing or weights"
    )
    space: Annotated[dict[str, Dimension], Field(min_length=1, description="by the path of a setting")]

    def trial_of(self, train: Train) -> Train:
        """How a trial is fitted where the recipe says `train`.

        Raises:
            ValidationError: the settings contradict each other.
        """
        content = train.model_dump()
        of_finetune = ("train.finetune.", "train.augment.mixup")
        if train.head is not None and not any(path.startswith(of_finetune) for path in self.space):
            content["finetune"] = None
            content["augment"]["mixup"] = 0.0  # which fine-tuning alone makes use of
        for phase in filter(None, (content["head"], content["finetune"])):
            phase["epochs"] = min(phase["epochs"], self.epochs or phase["epochs"])
        return Train.model_validate(content)


def with_values(settings: S, values: Mapping[str, Value]) -> S:
    """Returns settings with some changed: path to value, e.g. {"train.head.learning_rate": 0.01}.

    Raises:
        ValidationError: they do not take a value, or not together with the others.
    """
    return type(settings).model_validate(_put(settings.model_dump(), values))


def as_found(recipe: str, values: Mapping[str, Value]) -> str:
    """A recipe, as YAML with every setting written out, with what a search has found in place of the search.

    Without `values`, as for `with_values`, it stays as it is.
    """
    if not values:
        return recipe
    content = _put(yaml.safe_load(recipe), values)
    del content["tune"]
    return f"# Found by a search: {', '.join(sorted(values))}.\n{yaml.safe_dump(content, sort_keys=False)}"


def _put(content: dict[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    for path, value in values.items():
        *parents, last = path.split(".")
        part = content
        for parent in parents:
            part = part[parent]
        part[last] = value
    return content


def read_values(history: Path) -> dict[str, Value]:
    """The settings that a search gave to a training, from the folder of its ModelRun; none where there was none."""
    file = history / VALUES_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def current_value(settings: Settings, path: str) -> Any:
    """The value of a setting, e.g. of `train.head.epochs`."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def check_space(settings: Settings, tune: Tune) -> None:
    """Refuses what cannot be tried in settings with the parts `model` and `train`, none of them the search itself.

    Raises:
        ValueError: naming each setting that is unknown, or that cannot take what it would be tried with.
    """
    problems = [problem for path, dimension in tune.space.items() for problem in _problems(settings, path, dimension)]
    try:
        tune.trial_of(current_value(settings, "train"))
    except ValidationError as error:
        problems.append(f"tune.epochs: {explain(error, Train, '')}")
    if problems:
        raise ValueError("; ".join(problems))


def _problems(settings: Settings, path: str, dimension: Dimension) -> Iterator[str]:
    known = [each for part in _TRIED for each in _paths(current_value(settings, part), part)]
    if path not in known:
        yield f"tune.space.{path}: this recipe has no such setting to tune; {choices(path, known)}"
        return
    if dimension.values is None and type(current_value(settings, path)) not in (int, float):
        yield f"tune.space.{path}: it is not a number; give values in place of min and max"
        return
    for value in dimension.edges:
        try:
            with_values(settings, {path: value})
        except ValidationError as error:
            yield f"tune.space.{path}: {value!r} cannot be tried: {explain(error, type(settings), '')}"


def _paths(settings: Settings, start: str) -> Iterator[str]:
    for name, value in settings:
        path = f"{start}.{name}"
        if isinstance(value, Settings):
            yield from _paths(value, path)
        elif value is not None and path not in _NEVER_TRIED:
            yield path
