"""How files that people write are read: strict YAML, validated, and every mistake said so that it can be fixed."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from components.errors import RecipeError

YAML = ".yaml", ".yml"

Model = TypeVar("Model", bound=BaseModel)


class _StrictLoader(yaml.SafeLoader):
    """YAML as people mean it: 1e-3 is a number, and a key given twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def find_file(name: str, folder: Path, kind: str, *suffixes: str) -> Path:
    """Finds a file by its name in the project, without suffix, or by its path.

    Args:
        name: e.g. `six_class`, or a path that ends in one of the suffixes.
        folder: where the project keeps files of this kind, with the first suffix.
        kind: what errors call such a file.
        suffixes: e.g. `.yaml`.

    Raises:
        RecipeError: there is none.
    """
    path = Path(name)
    if path.suffix in suffixes:
        if not path.is_file():
            raise RecipeError(f"{kind} {name}: there is no such file")
        return path
    suffix = suffixes[0]
    at_hand = sorted(each.stem for each in folder.glob(f"*{suffix}"))
    if name not in at_hand:
        known = choices(name, at_hand)
        raise RecipeError(f"{kind} {name!r}: there is none; {known}; or give the path of a {suffix} file")
    return folder / f"{name}{suffix}"


def parse_yaml(text: str, source: str) -> Any:
    """Parses YAML.

    Args:
        text: the YAML.
        source: what errors call it.

    Raises:
        RecipeError: naming source, line and reason.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{source}{place}: not valid YAML: {getattr(error, 'problem', None) or error}") from None


def read_mapping(path: Path, kind: str) -> dict[str, Any]:
    """Reads a YAML file whose top is a mapping; `kind` is what errors call such a file.

    Raises:
        RecipeError: it cannot be read, or is something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{kind} {path}: cannot be read: {error}") from None
    content = parse_yaml(text, path.name)
    if not isinstance(content, dict):
        raise RecipeError(f"{path.name}: a {kind} is a mapping of keys to values, this is {kind_of(content)}")
    return content


def validated(model: type[Model], content: Any, source: str) -> Model:
    """Returns what was read from `source` as a model.

    Raises:
        RecipeError: see `explain`.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise RecipeError(explain(error, model, source)) from None


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """All that pydantic found wrong with a `model` read from `source`, one sentence a line."""
    return "\n".join(_sentence(problem, model, source) for problem in error.errors())


def choices(word: str, known: Iterable[str]) -> str:
    """What may have been meant by an unknown word: `did you mean 'cap'? known: cap, oversample`."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"known: {', '.join(names)}"


def kind_of(value: Any) -> str:
    """What a YAML value is, in words."""
    return {type(None): "empty", list: "a list", str: "a text", dict: "a mapping"}.get(type(value), f"{value!r}")


def _sentence(problem: Mapping[str, Any], model: type[BaseModel], source: str) -> str:
    location: Sequence[str | int] = problem["loc"]
    match problem["type"]:
        case "extra_forbidden":
            what = f"unknown key; {choices(str(location[-1]), _keys_at(model, location[:-1]))}"
        case "missing":
            what = "is needed and not given"
        case "value_error":
            what = str(problem["ctx"]["error"])
        case _:
            what = f"{problem['input']!r} {problem['msg'].removeprefix('Input ').replace('array', 'list')}"
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in location).lstrip(".")
    return ": ".join(filter(None, (source, where, what)))


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    for key in location:
        if isinstance(key, str):
            by_key = {field.alias or name: field for name, field in model.model_fields.items()}
            if key in by_key:  # else it is a name that the user gave, as in kubeflow.nodes.train
                model = next(_models_in(by_key[key].annotation))
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
