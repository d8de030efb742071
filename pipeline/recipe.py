"""The experiment: one YAML file, read once at the edge into frozen, validated models.

Light on purpose: nothing here imports TensorFlow or TFX, so a wrong recipe is refused in a blink.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, StringConstraints, ValidationError

from components.errors import RecipeError
from components.settings import (
    Balance,
    Gate,
    Labels,
    Model,
    Picture,
    Publish,
    Settings,
    Split,
    Train,
    Validation,
)

RECIPES = Path(__file__).parent / "recipes"


class Recipe(Settings):
    """Everything that changes a result. `name` is also the name the model is served under."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    labels: Labels
    split: Split = Split()
    picture: Picture = Picture()
    validation: Validation = Validation()
    balance: Balance = Balance()
    model: Model = Model()
    train: Train = Train()
    gate: Gate = Gate()
    publish: Publish = Publish()

    def as_yaml(self) -> str:
        """The recipe with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def recipe_names() -> list[str]:
    """Names of the recipes that come with the project."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides to it.

    Args:
        name: a recipe of this project, or the path of a YAML file.
        overrides: `key=value` texts, e.g. `train.head.epochs=5`; values are YAML.

    Raises:
        RecipeError: naming the file, the key and the rule, for all mistakes at once.
    """
    path = _find(name)
    content = _read(path)
    content.setdefault("name", path.stem)
    for override in overrides:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError("\n".join(_sentence(path.name, problem) for problem in error.errors())) from None


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise RecipeError(f"recipe {name}: there is no such file")
        return path
    path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        raise RecipeError(f"recipe {name!r} is not known{_did_you_mean(name, recipe_names())}. "
                          f"There are: {', '.join(recipe_names())}; or give the path of a YAML file")  # fmt: skip
    return path


class _Loader(yaml.SafeLoader):
    """YAML as people write it: 1e-3 is a number, and a key given twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(problem=f"key {key!r} is given twice",
                                                        problem_mark=key_node.start_mark)  # fmt: skip
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{source}{place}: not valid YAML: {getattr(error, 'problem', error)}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {path}: cannot be read: {error}") from None
    content = _yaml(text, path.name)
    if not isinstance(content, dict):
        raise RecipeError(f"{path.name}: a recipe is a mapping of keys to values, this is {_kind(content)}")
    return content


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise RecipeError(f"--set {override}: give it as key=value, e.g. --set train.head.epochs=5")
    *parents, last = key.split(".")
    for parent in parents:
        below = content.get(parent)
        if below is None:
            below = content[parent] = {}
        if not isinstance(below, dict):
            raise RecipeError(f"--set {override}: {parent} is {_kind(below)}, it has no keys below it")
        content = below
    content[last] = _yaml(text, f"--set {key}")


def _sentence(source: str, problem: Mapping[str, Any]) -> str:
    """One of pydantic's findings, in the project's words."""
    location: Sequence[str | int] = problem["loc"]
    where = ".".join(map(str, location))
    match problem["type"]:
        case "extra_forbidden":
            known = _fields_at(location[:-1])
            hint = _did_you_mean(str(location[-1]), known) or f". Known here: {', '.join(known)}"
            what = f"unknown key{hint}"
        case "missing":
            what = "is needed and not given"
        case "value_error":
            what = str(problem["ctx"]["error"])
        case _:
            rule = problem["msg"].removeprefix("Input ")
            what = f"{problem['input']!r} {rule}"
    return f"{source}: {where}: {what}" if where else f"{source}: {what}"


def _fields_at(location: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = Recipe
    for key in location:
        annotation = model.model_fields[str(key)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _kind(value: Any) -> str:
    return {type(None): "empty", list: "a list", str: "a text"}.get(type(value), f"{value!r}")
