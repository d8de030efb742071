"""Writes docs/reference/ from the code: recipe keys, commands, exit codes, signatures, figures. Part of `make docs`."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any

import click
from prometheus_client.metrics import MetricWrapperBase

from components import errors
from components.evaluate.figures import CLASS_FIGURES, OVERALL_FIGURES, PAIRED_FIGURES
from pipeline import cli
from pipeline.commands.monitor import ALARM
from pipeline.commands.retrain import KEPT
from pipeline.recipe import Recipe
from serving.interface import DECISION, SIGNATURES, TAG, Output
from serving.server.metrics import Metrics

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- written by `make docs` from {}: edit there -->\n\n"

Schema = Mapping[str, Any]  # JSON Schema, as pydantic writes it


def pages() -> dict[str, str]:
    """Returns the text of each page by its file's name."""
    return {
        "recipe.md": NOTE.format("the settings.py of each stage") + "".join(_recipe(Recipe.model_json_schema())),
        "commands.md": NOTE.format("pipeline/commands/") + "".join(_commands()),
        "exit-codes.md": NOTE.format("components/errors.py") + _exit_codes(),
        "signatures.md": NOTE.format("serving/interface.py") + _signatures(),
        "metrics.md": NOTE.format("components/evaluate/figures.py and serving/server/metrics.py") + _metrics(),
    }


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [[*head], *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    cells.insert(1, ["---"] * len(cells[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells) + "\n"


def _recipe(schema: Schema) -> Iterator[str]:
    yield """# Recipe keys

A recipe is one YAML file. A key that it leaves out has its default; `--set KEY=VALUE` changes one for a run. NAME
stands for a name that you give. `none` is YAML's `null`.

"""
    for name, part in schema["properties"].items():
        yield f"## {name}\n\n"
        inner, default = _model(part, schema["$defs"]), part.get("default")
        if inner and (about := " ".join(inner.get("description", "").split())):
            yield f"{about}\n\n"
        if inner and default is None and "default" in part:
            yield "Default: none; it is left out as a whole.\n\n"
        rows = (
            _keys(name, inner, default, schema["$defs"])
            if inner
            else [_row(name, part, schema["$defs"], name in schema["required"])]
        )
        yield _table(("key", "type", "default", "meaning"), rows)


def _keys(path: str, model: Schema, given: Mapping[str, Any] | None, models: Schema) -> Iterator[tuple[str, ...]]:
    """The rows of a model's keys; `given` are the defaults of the place where it stands."""
    for name, part in model["properties"].items():
        if given and name in given:
            part = {**part, "default": given[name]}
        inner = _model(part, models)
        if inner is None or part.get("description"):
            yield _row(f"{path}.{name}", part, models, name in model.get("required", ()))
        if inner is not None:
            below = f"{path}.{name}" + (".NAME" if _kind(part) == "object" else "[]" if _kind(part) == "array" else "")
            yield from _keys(below, inner, part.get("default"), models)


def _row(path: str, part: Schema, models: Schema, required: bool) -> tuple[str, ...]:
    default = "required" if required else f"`{json.dumps(part.get('default'), ensure_ascii=False)}`"
    return f"`{path}`", _type(part, models), default.replace("`null`", "none"), part.get("description", "")


def _options(part: Schema) -> list[Schema]:
    return [each for each in part.get("anyOf", [part]) if each.get("type") != "null"]


def _kind(part: Schema) -> str:
    return str(_options(part)[0].get("type", ""))


def _model(part: Schema, models: Schema) -> Schema | None:
    """The model that a key holds, or holds many of."""
    for each in _options(part):
        for place in (each, each.get("additionalProperties"), each.get("items")):
            if isinstance(place, dict) and "$ref" in place:
                return models[place["$ref"].rpartition("/")[2]]
    return None


def _type(part: Schema, models: Schema) -> str:
    names = [_one_type(each, models) for each in _options(part)]
    return " or ".join([*names, *(["none"] if len(_options(part)) < len(part.get("anyOf", [part])) else [])])


def _one_type(part: Schema, models: Schema) -> str:
    if "$ref" in part:
        return "mapping"
    if words := part.get("enum") or ([part["const"]] if "const" in part else []):
        return ", ".join(f"`{word}`" for word in words)
    match part.get("type"):
        case "array":
            return f"list of {_type(part['items'], models)}" if "items" in part else "list"
        case "object":
            values = part.get("additionalProperties")
            return f"mapping of names to {_type(values, models)}" if isinstance(values, dict) else "mapping"
        case "integer" | "number" as kind:
            bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
            limits = [f"{sign} {part[name]:,}" for name, sign in bounds.items() if name in part]
            if {"minimum", "maximum"} <= part.keys():
                limits = [f"{part['minimum']:,} … {part['maximum']:,}"]
            return " ".join([kind, ", ".join(limits)]).strip()
        case kind:
            return {"string": "text", "boolean": "true or false", None: "any"}[kind]


def _commands() -> Iterator[str]:
    yield "# Commands\n\nEach as `--help` shows it. `fashion` stands for `.venv/bin/fashion`.\n\n"
    for title, commands in cli.COMMANDS.items():
        yield f"## {title}\n\n"
        for command in commands:
            yield from _help(command, f"fashion {command.name}")


def _help(command: click.Command, name: str) -> Iterator[str]:
    command = copy(command)
    command._help_option = None  # which a command keeps that has run by itself, with fewer names
    context = click.Context(command, info_name=name, terminal_width=80, help_option_names=["-h", "--help"])
    yield f"### {name}\n\n```text\n{command.get_help(context)}\n```\n\n"
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from _help(below, f"{name} {below.name}")


def _exit_codes() -> str:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.FashionError)]
    told = {kind.exit_code: (kind.__doc__ or "").strip().splitlines()[0] for kind in kinds}
    others = {
        0: "Done.",
        1: "Anything else. The message says what, and what to do; a traceback is a bug.",
        2: f"{told[2]} So does an option.",
        ALARM: "Something moved too far (`fashion monitor`).",
        KEPT: "No drift, the model stays (`fashion retrain --if-drift --only-decide`).",
        130: "Stopped by Ctrl-C; the same command goes on.",
    }
    passing = {kind.exit_code for kind in kinds if kind.passing}
    rows = [(str(code), text, "yes" if code in passing else "") for code, text in sorted({**told, **others}.items())]
    text = "# Exit codes\n\nThe same of all commands; what a command means by them beyond this, its `--help` says.\n\n"
    return text + _table(("code", "meaning", "may pass by itself"), rows)


def _signatures() -> str:
    text = """# Signatures

What a published model takes and gives, over REST, gRPC or `tf.saved_model.load`: n pictures, k classes, d dimensions,
h × w places of a feature map. A model that does not keep it is not published. A picture that cannot be read has an
`error`, empty texts and zeros; the others in its batch are not touched.

"""
    for name, (given, outputs) in SIGNATURES.items():
        about = {
            "image_bytes": "encoded JPEG or PNG",
            "examples": "serialized tf.train.Examples with the feature `image_bytes`, and `productDisplayName` for a "
            "model with `model.text`",
        }[given]
        text += f"## {name}\n\nTakes `{given}`, string [n]: {about}.\n\n" + _outputs(outputs)
    text += "## Of models that decide\n\nAll signatures that give a `label` also give:\n\n" + _outputs(DECISION)
    text += "## Of models that answer several columns\n\n"
    text += "For each further column, and `<column>_decision` where they decide:\n\n"
    return text + _outputs({f"<column>{end}": output for end, output in TAG.items()})


def _outputs(outputs: Mapping[str, Output]) -> str:
    rows = ((f"`{name}`", f"{out.kind} [{', '.join(out.shape)}]", out.meaning) for name, out in outputs.items())
    return _table(("output", "type", "meaning"), rows)


def _metrics() -> str:
    text = """# Figures and metrics

Shares are 0 to 1. A figure without a denominator is NaN, and no limit accepts that.

"""
    for title, figures in (
        ("Overall", OVERALL_FIGURES), ("Of each class", CLASS_FIGURES), ("Beside the baseline", PAIRED_FIGURES),
    ):  # fmt: skip
        text += f"## {title}\n\n" + _table(("figure", "is"), ((f"`{name}`", about) for name, about in figures.items()))
    text += """## Of the model server

At `/monitoring/prometheus/metrics`, under TensorFlow Serving's names where it counts the same.

"""
    metrics = Metrics()
    metrics.watch_log(None)  # type: ignore[arg-type]
    counted = [each for each in metrics._registry._collector_to_names if isinstance(each, MetricWrapperBase)]
    end = {True: "_total", False: ""}  # Prometheus' of counters, which TensorFlow Serving's lack
    names = [m._name + end[m._type == "counter" and m._name.startswith("fashion")] for m in counted]
    rows = (
        (f"`{name}`", m._type, ", ".join(m._labelnames), m._documentation)
        for name, m in zip(names, counted, strict=True)
    )
    return text + _table(("metric", "type", "labels", "is"), rows)


def main() -> None:
    """Writes the pages, and takes away what is none of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = pages()
    for file in FOLDER.glob("*.md"):
        if file.name not in written:
            file.unlink()
    for name, text in written.items():
        (FOLDER / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
