"""The files with which a shop's own catalogue can be run: drafts, for a person to read."""

import hashlib
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.errors import RecipeError
from components.ingest.columns import listed
from components.inspect.inspection import Inspection
from components.inspect.plan import Plan, plan_of

CATALOGUE, SCHEMA, RECIPE = "catalogue.yaml", "schema.pbtxt", "recipe.yaml"

# As quickstart and sub_category train, which were measured on few and on many products.
_SHORT = (
    "head: {epochs: 40, learning_rate: 3e-3, patience: 8, views: 2}",
    "finetune: {epochs: 2, learning_rate: 1e-4, unfreeze_from: block7}",
)
_LONG = (
    "optimizer: adamw", "weight_decay: 0.05", "label_smoothing: 0.1", "prior: 0.5",
    "head: {epochs: 60, learning_rate: 1e-3, patience: 8, views: 2}",
    "finetune: {epochs: 5, learning_rate: 3e-4, unfreeze_from: block4, views: 2}",
)  # fmt: skip
_MARK = re.compile(r"# Draft ([0-9a-f]{12}) ")


def write_draft(inspection: Inspection, folder: Path, schema: str, force: bool = False) -> list[Path]:
    """Writes what `fashion run` needs for this catalogue: how to read it, its schema, and a recipe.

    The schema is a text proto, inferred from the catalogue. `force` replaces also what a person has changed meanwhile.

    Raises:
        RecipeError: a file was changed by hand, or is none of ours; or `folder` cannot be written. Nothing is written.
    """
    plan = plan_of(inspection)
    texts = {
        CATALOGUE: "\n".join(_catalogue(inspection)) + "\n",
        SCHEMA: "\n".join(_schema_head(inspection, plan)) + "\n\n" + schema,
        RECIPE: "\n".join(_recipe(inspection, plan, folder)) + "\n",
    }
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


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _is_edited(path: Path) -> bool:
    if not path.exists():
        return False
    first, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n#\n")
    mark = _MARK.match(first)
    return mark is None or mark[1] != _digest(rest)


def _catalogue(inspection: Inspection) -> Iterator[str]:
    layout, pictures = inspection.layout, inspection.pictures
    now = ", ".join(f"{key} {value}" for key, value in inspection.dialect.items())
    yield from _comment(
        f"How to read {inspection.table}: for `fashion run`, `predict` and `batch`. What is not named here is found out"
        f" each time; now it was: {now}."
    )
    if layout.table:
        yield f"table: {_quoted(layout.table)}"
    yield "columns:"
    used = [use for use in inspection.uses if use.role]
    width = max(len(f"{use.role}: {_quoted(use.column)}") for use in used)
    for use in used:
        yield f"  {f'{use.role}: {_quoted(use.column)}':{width}}  # {use.reason}"
    if unused := [use.column for use in inspection.uses if not use.role]:
        yield from _comment(f"Not used: {listed(unused)}.")
    if layout.picture:
        yield "# Most pictures are called so."
        yield f"picture: {_quoted(layout.picture)}"
    if pictures.further:
        further = f"{pictures.further:,} pictures are further ones of a product"
        yield from _comment(f"{further}: main takes the first, all makes each an example.")
        yield f"pictures: {layout.pictures}"
    if layout.variants:
        yield "# Products that share its value are variants of one: they stay in one split."
        yield f"variants: {_quoted(layout.variants)}"


def _schema_head(inspection: Inspection, plan: Plan) -> Iterator[str]:
    yield from _comment(
        f"What examples of {Path(inspection.data).name} may hold, inferred by TFDV from {inspection.rows.all:,} rows. "
        f"Review it: {plan.column} is closed, so that a value which is not in its domain stops a run until it is "
        "corrected or added here. Other columns with a domain may have 15 % other values (min_domain_mass)."
    )


def _recipe(inspection: Inspection, plan: Plan, folder: Path) -> Iterator[str]:
    data = Path(inspection.data)
    column = inspection.column_of(plan.column)
    yield from _comment(f"{len(plan.classes)} classes of {column}, {plan.products:,} products of {data.name}.")
    yield "#"
    yield f"#   fashion run --recipe {folder / RECIPE} --data {inspection.data}"
    name = re.sub(r"[^a-z0-9]+", "_", data.stem.lower()).strip("_")
    yield f"name: {name if name[:1].isalpha() else f'shop_{name}'.rstrip('_')}"
    yield f"catalogue: {CATALOGUE}"
    yield ""
    yield from _labels(plan)
    yield from _validation(inspection, plan)
    yield ""
    yield from _training(inspection, plan)


def _labels(plan: Plan) -> Iterator[str]:
    sizes = plan.classes.values()
    yield from _comment(f"The largest class has {max(sizes):,} products, the smallest {min(sizes):,}.")
    if plan.others:
        shown = ", ".join(f"{name} {rows:,}" for name, rows in list(plan.others.items())[:5])
        more = ", …" if len(plan.others) > 5 else ""
        yield from _comment(
            f"Left out, for they are too few to learn from and be tested on: {shown}{more}. To keep them join them "
            "with others by labels.merge, or lower the minimum."
        )
    yield f"labels: {{column: {plan.column}, minimum: {plan.minimum}}}"
    yield f"split: {{{'train: 60, eval: 20, test: 20' if plan.small else 'train: 80, eval: 10, test: 10'}}}"


def _validation(inspection: Inspection, plan: Plan) -> Iterator[str]:
    rows, pictures = inspection.rows, inspection.pictures
    lost = rows.faults.total() + rows.products - pictures.matched + rows.products - rows.labels[plan.column].total()
    quarantine = _limit(lost / max(rows.all, 1), 0.01)
    unmapped = _limit(sum(plan.others.values()) / max(rows.all, 1), 0.5)
    keys = {"schema_file": SCHEMA, "class_minimum": min(10, max(1, plan.minimum // 4))}
    if quarantine > 0.01:
        yield f"# {lost:,} rows have no picture or no label, or cannot be read; lower the limits when they are fixed."
        keys |= {"quarantine": quarantine, "class_quarantine": _limit(quarantine, 0.05)}
    if unmapped > 0.5:
        keys |= {"unmapped": unmapped}
    if not plan.certain:
        yield "# With so few products some split may lack a class: that is noted and does not stop the run."
        keys |= {"scarce": "note"}
    yield f"validation: {_mapping(keys)}"


def _limit(share: float, default: float) -> float:
    """A limit with some room above a share that was measured."""
    return default if share <= default / 2 else round(min(1.0, share * 1.5 + 0.01), 3)


def _training(inspection: Inspection, plan: Plan) -> Iterator[str]:
    width, height = inspection.pictures.median or (0, 0)
    yield f"# The middle one of a sample of pictures has {width:,} × {height:,} pixels."
    yield f"picture: {{size: {128 if plan.small and max(width, height) < 300 else 160}}}"
    middle = sorted(plan.classes.values())[len(plan.classes) // 2]
    repeat = max(2, min(200, middle * (6 if plan.small else 8) // 10))
    yield "# Small classes are repeated until they are seen as often as the middle one, large ones are cut."
    yield f"balance: {_mapping({'cap': 500 if plan.small else 4000, 'oversample': repeat})}"
    yield "model: {backbone: efficientnet_lite0, weights: imagenet, dropout: 0.2}"
    yield "train:"
    yield from (f"  {line}" for line in (_SHORT if plan.small else _LONG))
    yield "# What a first model should reach. Raise it to what yours does, so that no worse one is published."
    many = len(plan.classes) > 30
    limits = {"accuracy": 0.7 if many else 0.8, "recall": 0.2 if many else 0.5, "support": 10 if plan.small else 20}
    yield f"gate: {_mapping(limits | {'regression': 0.03 if plan.small else 0.01, 'class_regression': 0.15})}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _mapping(keys: Mapping[str, object]) -> str:
    return f"{{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
