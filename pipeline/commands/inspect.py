"""`fashion inspect`: what a catalogue is like, and what a run would do with it."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.commands import JSON, PATH, Command, grid

if TYPE_CHECKING:
    from components.inspect.inspection import Inspection
    from pipeline.advice import Fit

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
    click.echo(_describe(inspection, fits, written), nl=False)


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


def _describe(inspection: "Inspection", fits: list["Fit"], written: list[Path]) -> str:
    """Says all that was found out, and what to do next."""
    from components.errors import RecipeError
    from components.inspect.plan import ENOUGH, plan_of
    from pipeline.draft import environment

    pictures, plan, obstacle = inspection.pictures, None, ""
    try:
        plan = plan_of(inspection)
    except RecipeError as error:
        obstacle = str(error)
    uses = [use for place, use in enumerate(inspection.uses) if use.role or place < _MOST_COLUMNS]
    sizes = filter(None, [*pictures.sizes[:1], pictures.median, *pictures.sizes[-1:]])
    jinja = environment()
    jinja.filters["grid"] = _grid
    return jinja.get_template("inspection.txt.j2").render(
        inspection=inspection, fits=fits, written=written, plan=plan, obstacle=obstacle, most=_EXAMPLES, enough=ENOUGH,
        columns=[(use.column, use.role or "–", use.reason) for use in uses],
        labels=[_label(inspection.column_of(role), counts, ENOUGH) for role, counts in inspection.rows.labels.items()
                if len(counts) > 1],
        sizes=" to ".join(dict.fromkeys(f"{width:,} × {height:,}" for width, height in sizes)),
        suited=[(fit.recipe, fit.classes, fit.products) for fit in fits if not fit.obstacle],
    )  # fmt: skip


def _label(column: str, counts: Counter[str], enough: int) -> tuple[str | int, ...]:
    largest = ", ".join(f"{value} {rows:,}" for value, rows in counts.most_common(_EXAMPLES))
    return column, len(counts), sum(rows >= enough for rows in counts.values()), counts.total(), largest


def _grid(rows: list[tuple[str | int, ...]], *headings: str) -> str:
    """Rows under headings, numbers to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in (headings, *rows)]
    head, *lines = grid(texts, [place for place, cell in enumerate(rows[0]) if isinstance(cell, int)], gap="   ")
    return "\n".join([click.style(head, bold=True), *lines])
