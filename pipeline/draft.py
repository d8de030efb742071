"""The files with which a shop's own catalogue can be run: drafts, for a person to read."""

import hashlib
import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components.errors import RecipeError
from components.ingest.columns import listed
from components.inspect.inspection import Inspection
from components.inspect.plan import Plan, plan_of

CATALOGUE, SCHEMA, RECIPE = "catalogue.yaml", "schema.pbtxt", "recipe.yaml"

_TEMPLATES = Path(__file__).with_name("templates")
_MARK = re.compile(r"# Draft ([0-9a-f]{12}) ")


def write_draft(inspection: Inspection, folder: Path, schema: str, force: bool = False) -> list[Path]:
    """Writes what `fashion run` needs for this catalogue: how to read it, its schema, and a recipe.

    The schema is a text proto, inferred from the catalogue. `force` replaces also what a person has changed meanwhile.

    Raises:
        RecipeError: a file was changed by hand, or is none of ours; or `folder` cannot be written. Nothing is written.
    """
    plan, jinja = plan_of(inspection), environment()
    known: dict[str, Any] = {
        "inspection": inspection, "plan": plan, "data": Path(inspection.data), "recipe": folder / RECIPE,
        "schema": schema, **_of_catalogue(inspection), **_of_recipe(inspection, plan),
    }  # fmt: skip
    texts = {name: jinja.get_template(f"{name}.j2").render(known) for name in (CATALOGUE, SCHEMA, RECIPE)}
    edited = [folder / name for name in texts if not force and _is_edited(folder / name)]
    if edited:
        raise RecipeError(f"{edited[0]}: is not as a draft left it. Name another folder, or replace it with --force.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            mark = f"# Draft {_digest(text)} by `fashion inspect`, which replaces it only while nobody has changed it."
            (folder / name).write_text(f"{mark}\n#\n{text}", encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"{folder}: cannot be written ({error.strerror}). Name another folder.") from error
    return [folder / name for name in texts]


def environment() -> Environment:
    """Makes Jinja for the templates of texts."""
    jinja = Environment(
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    jinja.filters.update(comment=_comment, mapping=_mapping, quoted=_quoted, whole="{:,}".format)
    return jinja


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _is_edited(path: Path) -> bool:
    if not path.exists():
        return False
    first, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n#\n")
    mark = _MARK.match(first)
    return mark is None or mark[1] != _digest(rest)


def _of_catalogue(inspection: Inspection) -> dict[str, Any]:
    columns = [(f"{use.role}: {_quoted(use.column)}", use.reason) for use in inspection.uses if use.role]
    width = max(len(column) for column, _ in columns)
    return {
        "dialect": ", ".join(f"{key} {value}" for key, value in inspection.dialect.items()),
        "columns": [(column.ljust(width), reason) for column, reason in columns],
        "unused": listed([use.column for use in inspection.uses if not use.role]),
    }


def _of_recipe(inspection: Inspection, plan: Plan) -> dict[str, Any]:
    name = re.sub(r"[^a-z0-9]+", "_", Path(inspection.data).stem.lower()).strip("_")
    others = [f"{other} {rows:,}" for other, rows in plan.others.items()]
    width, height = inspection.pictures.median or (0, 0)
    sizes = sorted(plan.classes.values())
    limits = {"accuracy": 0.8, "recall": 0.5} if len(sizes) <= 30 else {"accuracy": 0.7, "recall": 0.2}
    rare = {"support": 10, "regression": 0.03} if plan.small else {"support": 20, "regression": 0.01}
    return {
        "column": inspection.column_of(plan.column),
        "name": name if name[:1].isalpha() else f"shop_{name}".rstrip("_"),
        "sizes": sizes,
        "others": ", ".join(others[:5]) + (", …" if len(others) > 5 else ""),
        "width": width,
        "height": height,
        "size": 128 if plan.small and max(width, height) < 300 else 160,
        "oversample": max(2, min(200, sizes[len(sizes) // 2] * (6 if plan.small else 8) // 10)),
        "gate": limits | rare | {"class_regression": 0.15},
        **_of_rows(inspection, plan),
    }


def _of_rows(inspection: Inspection, plan: Plan) -> dict[str, Any]:
    """How many rows have no picture or no label, or cannot be read, and limits that leave room for these."""
    rows = inspection.rows
    found = inspection.pictures.matched, rows.labels[plan.column].total()
    lost = rows.faults.total() + sum(rows.products - count for count in found)
    quarantine = _limit(lost / max(rows.all, 1), 0.01)
    unmapped = _limit(sum(plan.others.values()) / max(rows.all, 1), 0.5)
    keys: dict[str, object] = {"schema_file": SCHEMA, "class_minimum": min(10, max(1, plan.minimum // 4))}
    if quarantine > 0.01:
        keys |= {"quarantine": quarantine, "class_quarantine": _limit(quarantine, 0.05)}
    if unmapped > 0.5:
        keys |= {"unmapped": unmapped}
    return {"lost": lost, "validation": keys if plan.certain else {**keys, "scarce": "note"}}


def _limit(share: float, default: float) -> float:
    """A limit with some room above a share that was measured."""
    return default if share <= default / 2 else round(min(1.0, share * 1.5 + 0.01), 3)


def _comment(text: str) -> str:
    line = " ".join(text.split())
    return textwrap.fill(line, 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False) + "\n"


def _mapping(keys: Mapping[str, object]) -> str:
    return f"{{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
