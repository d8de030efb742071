"""`fashion run`, and what one needs to start: recipes and a catalogue to try them on."""

import re
import shutil
import sys
from itertools import takewhile
from pathlib import Path

import click

from pipeline.commands import PATH, RECIPE, Command

EXIT_CODES = """
\b
Exit codes: 0 done · 2 wrong recipe or option · 3 catalogue cannot be read ·
4 data refused · 5 model refused, nothing published ·
6 weights cannot be had · 7 not published for another reason ·
8 metadata database cannot be used · 130 stopped by Ctrl-C
"""

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting, e.g. --set train.head.epochs=5. Repeatable.",
)

metadata_option = click.option(
    "--metadata",
    "database",
    envvar="FASHION_METADATA",
    show_envvar=True,
    metavar="URL",
    help="The database that remembers runs: sqlite:///file, mysql://… or postgresql://…; a password comes from "
    "FASHION_METADATA_PASSWORD.  [default: a SQLite file below the root]",
)


@click.command(cls=Command, epilog=EXIT_CODES)
@click.option("--recipe", type=RECIPE, default="quickstart", help="A recipe's name, or the path of a YAML file.")
@click.option(
    "--data",
    type=PATH,
    help="A folder, zip or tar with a table and pictures, or a folder with the idx files of Fashion-MNIST. Without it "
    "a catalogue is drawn.",
)
@set_option
@click.option("--root", type=PATH, default=Path("runs"), help="Everything a run writes lies below it.")
@click.option(
    "--from", "first", metavar="STAGE", help="First stage to run; what lies before is taken from the latest run."
)
@click.option("--to", "last", metavar="STAGE", help="Last stage to run.")
@metadata_option
def run(
    recipe: str, data: Path | None, overrides: tuple[str, ...], root: Path, first: str | None, last: str | None,
    database: str | None,
) -> None:  # fmt: skip
    """Train on a catalogue; publish the model if every class is good.

    Stages: ingest, schema, statistics, validate, gate, transform, train, baseline, evaluate, outside, infra,
    publish. A stage whose inputs, settings and code are unchanged is not run again, so a stopped run goes on where it
    was.

    \b
      fashion run --recipe six_class --data fashion-product-images-small.zip
      fashion run --recipe six_class --data shop/ --set train.seed=2
      fashion run --recipe six_class --data shop/ --to gate   only look
    """
    from pipeline.recipe import load_recipe
    from pipeline.run import run_recipe

    run_recipe(load_recipe(recipe, overrides), data, root, first, last, database)


@click.command(cls=Command)
def recipes() -> None:
    """List the recipes that come with the project."""
    from pipeline.recipe import RECIPES, recipe_names

    listed = click.HelpFormatter(width=shutil.get_terminal_size().columns)
    listed.write_dl([(name, _first_sentence(RECIPES / f"{name}.yaml")) for name in recipe_names()], col_max=40)
    click.echo(listed.getvalue(), nl=False)


def _first_sentence(recipe: Path) -> str:
    """What a recipe's comment says first."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("# "), lines))
    # Not the end of `et al.`, or of a number.
    return re.split(r"(?<=[\w)%]{2}[.:])\s(?=[A-Z])", comment, maxsplit=1)[0].rstrip(".:")


@click.command(cls=Command)
@click.option("--out", type=PATH, required=True, help="Folder to write; must not exist yet.")
@click.option("--products", type=click.IntRange(min=1), default=600)
@click.option("--seed", type=int, default=1)
@click.option(
    "--shape",
    type=click.Choice(["kaggle", "german", "shopify"]),
    default="kaggle",
    help="Whose export it looks like: Kaggle's data set, a German shop's (semicolons, Windows-1252, article numbers, "
    "nested folders), or Shopify's (variants, HTML, WebP).",
)
def catalogue(out: Path, products: int, seed: int, shape: str) -> None:
    """Draw a synthetic catalogue. It has a table and pictures, with a few of real life's faults."""
    from pipeline.synthetic.catalogue import write_catalogue

    with click.progressbar(length=products, label="drawing", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        summary = write_catalogue(out, products, seed, lambda done, _: bar.update(done - bar.pos), shape)
    click.echo(f"{out}: {summary.products:,} products, {summary.pictures:,} pictures")
