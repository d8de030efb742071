"""`fashion inspect`: what a catalogue is like, and what a run would do with it."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import JSON, PATH, Command

if TYPE_CHECKING:
    from components.inspect.inspection import Inspection
    from pipeline.advice import Fit

_WIDEST = 240
_EXAMPLES, _MOST_COLUMNS = 3, 60

EXIT_CODES = """
\b
Exit codes: 0 done · 2 no draft: nothing to learn, or a file was edited ·
3 cannot be read
"""


@click.command(cls=Command, epilog=EXIT_CODES)
@click.argument("data", type=PATH)
@click.option(
    "--draft",
    type=PATH,
    metavar="DIR",
    help="Write catalogue.yaml, schema.pbtxt and recipe.yaml there, with which `fashion run` takes the catalogue.",
)
@click.option("--force", is_flag=True, help="Replace drafts in DIR although they were edited.")
@click.option("--catalogue", "layout", type=PATH, help="A catalogue.yaml that says how to read it.")
@JSON
def inspect(data: Path, draft: Path | None, force: bool, layout: Path | None, as_json: bool) -> None:
    """Say what a catalogue holds, and draft a recipe for it.

    DATA is a folder or an archive with a table and pictures, in whatever shape a shop exports them.

    \b
      fashion inspect shop.zip
      fashion inspect shop/ --draft mine         then read mine/recipe.yaml, and:
      fashion run --recipe mine/recipe.yaml --data shop/
    """
    import json

    from rich.console import Console

    from components.ingest.settings import DEFAULT_LAYOUT, load_layout
    from components.inspect.inspection import inspect_catalogue
    from pipeline.advice import fits_of

    inspection = inspect_catalogue(data, load_layout(layout) if layout else DEFAULT_LAYOUT)
    fits = fits_of(inspection)
    written = _write(inspection, draft, force) if draft else []
    if as_json:
        recipes = [asdict(fit) for fit in fits]
        click.echo(json.dumps(inspection.as_json() | {"recipes": recipes, "draft": list(map(str, written))}, indent=2))
        return
    console = Console(width=_WIDEST, highlight=False, markup=False, emoji=False)
    for lines in (_table(inspection), _labels(inspection), _pictures(inspection), _faults(inspection)):
        for each in lines:
            console.print(each)
        console.print()
    for line in _next(inspection, fits, written):
        console.print(line)


def _write(inspection: "Inspection", folder: Path, force: bool) -> list[Path]:
    import tempfile

    from components.inspect.plan import plan_of
    from pipeline.draft import write_draft
    from pipeline.view import quiet

    column = plan_of(inspection).column  # refused before TensorFlow is loaded
    click.echo("inferring a schema …", err=True)
    with tempfile.TemporaryDirectory() as log, quiet(Path(log) / "log"):
        from google.protobuf import text_format

        from components.validate.inferred import infer_schema

        schema = text_format.MessageToString(infer_schema(inspection.read_rows(), column), as_utf8=True)
    return write_draft(inspection, folder, schema, force)


def _grid(*headings: str, numbers: int = 0) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if 0 < place <= numbers else "left", no_wrap=True)
    return table


def _table(inspection: "Inspection") -> Iterator[Any]:
    yield ", ".join((inspection.table, *(f"{name} {value}" for name, value in inspection.dialect.items())))
    table = _grid("column", "is", "because")
    shown = [use for place, use in enumerate(inspection.uses) if use.role or place < _MOST_COLUMNS]
    for use in shown:
        table.add_row(use.column, use.role or "–", use.reason)
    yield table
    if len(shown) < len(inspection.uses):
        yield f"and {len(inspection.uses) - len(shown):,} more columns"


def _labels(inspection: "Inspection") -> Iterator[Any]:
    from components.inspect.plan import ENOUGH

    labels = {role: counts for role, counts in inspection.rows.labels.items() if len(counts) > 1}
    if not labels:
        yield "No column can be the labels: none has a few values that repeat."
        return
    table = _grid("labels could be", "values", f"with {ENOUGH} products", "products", "largest", numbers=3)
    for role, counts in labels.items():
        largest = ", ".join(f"{value} {rows:,}" for value, rows in counts.most_common(_EXAMPLES))
        enough = sum(rows >= ENOUGH for rows in counts.values())
        table.add_row(inspection.column_of(role), f"{len(counts):,}", f"{enough:,}", f"{counts.total():,}", largest)
    yield table


def _pictures(inspection: "Inspection") -> Iterator[Any]:
    pictures, products = inspection.pictures, inspection.rows.products
    yield f"{pictures.files:,} pictures; {pictures.matched:,} of {products:,} products have one" + (
        f", and {pictures.further:,} further ones" if pictures.further else ""
    )
    if pictures.sizes:
        sizes = [pictures.sizes[0], pictures.median, pictures.sizes[-1]]
        shown = " to ".join(dict.fromkeys(f"{size[0]:,} × {size[1]:,}" for size in sizes if size))
        formats = ", ".join(f"{count} {name}" for name, count in pictures.formats.most_common())
        yield f"  a sample: {formats}, {shown} px"
    for product, hint in pictures.without[:_EXAMPLES]:
        yield f"  {product}: no picture" + (f"; {hint}" if hint else "")


def _faults(inspection: "Inspection") -> Iterator[Any]:
    rows = inspection.rows
    yield f"{rows.all:,} products, {rows.faults.total():,} of which cannot be used" + (
        f"; {rows.variants:,} rows of variants" if rows.variants else ""
    )
    for reason, count in rows.faults.most_common():
        yield f"  {count:,} × {reason}: {rows.examples[reason][0]}"
    for repair, count in rows.repaired.most_common():
        yield f"  {count:,} × fixed: {repair}"
    if rows.contradictory:
        yield f"  {len(rows.contradictory):,} ids stand twice with two labels: {', '.join(rows.contradictory[:5])}"


def _next(inspection: "Inspection", fits: list["Fit"], written: list[Path]) -> Iterator[Any]:
    from components.errors import RecipeError
    from components.inspect.plan import plan_of

    data = inspection.data
    if written:
        for path in written:
            yield f"draft       {path}"
        yield f"\nRead them, then: fashion run --recipe {written[-1]} --data {data}"
        return
    suited = [fit for fit in fits if not fit.obstacle]
    if suited:
        table = _grid("fashion run --recipe", "classes", "products", numbers=2)
        for fit in suited:
            table.add_row(fit.recipe, f"{fit.classes:,}", f"{fit.products:,}")
        yield table
    else:
        obstacles = dict.fromkeys(fit.obstacle for fit in fits if fit.obstacle)
        yield f"No recipe of the project takes it as it is: {next(iter(obstacles))}."
    try:
        plan = plan_of(inspection)
    except RecipeError as error:
        yield str(error)
    else:
        what = f"{len(plan.classes):,} classes of {inspection.column_of(plan.column)}, {plan.products:,} products"
        yield f"A recipe of its own for {what}: fashion inspect {data} --draft DIR"
