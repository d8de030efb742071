"""`fashion retrain`: a new catalogue, and whether it takes a new model."""

from pathlib import Path

import click

from pipeline.commands import PATH, RECIPE, Command
from pipeline.commands.training import EXIT_CODES, metadata_option, set_option

KEPT = 11  # of --only-decide, where the model stays


@click.command(cls=Command, epilog=EXIT_CODES.rstrip() + f"\n{KEPT} with --only-decide: no drift, the model stays\n")
@click.option("--recipe", type=RECIPE, required=True, help="A recipe's name, or the path of a YAML file.")
@click.option("--data", type=PATH, required=True, help="The new catalogue: a folder or zip.")
@set_option
@click.option(
    "--root",
    type=PATH,
    default=Path("runs"),
    help="As in the runs before: what the published model was trained on is found there.",
)
@click.option("--if-drift", is_flag=True, help="Only if the data have moved from what the model was trained on.")
@click.option("--only-decide", is_flag=True, help="With --if-drift: train nothing, and say it by the exit code.")
@click.option("--production", type=PATH, help="With --if-drift: what fashion monitor wrote, whose drift counts too.")
@metadata_option
@click.pass_context
def retrain(
    context: click.Context, recipe: str, data: Path, overrides: tuple[str, ...], root: Path, if_drift: bool,
    only_decide: bool, production: Path | None, database: str | None,
) -> None:  # fmt: skip
    """Train again on a new catalogue. With --if-drift, only where its data have moved.

    With --if-drift the stages up to the gate look at the new data, and these are compared with what the newest
    published version was trained on: the mix of classes, and the columns for which the schema has a comparator. How far
    is too far is said in the recipe (drift.labels, drift.columns) and the schema. The decision is kept in
    ROOT/decisions/. A model is trained where there is none yet.

    \b
      fashion retrain --if-drift --recipe six_class --data drops/2026-11-21.zip
      fashion retrain --if-drift --recipe six_class --data shop/ \\
          --set drift.labels=0.02
      fashion retrain --if-drift --recipe six_class --data shop/ \\
          --production runs/monitor
      fashion retrain --if-drift --recipe six_class --data shop/ \\
          --only-decide && echo "time to train"
    """
    if (only_decide or production) and not if_drift:
        raise click.UsageError("--only-decide and --production go with --if-drift.")
    from pipeline.recipe import load_recipe
    from pipeline.retrain.look import look
    from pipeline.run import run_recipe

    loaded = load_recipe(recipe, overrides)
    train = look(loaded, data, root, database, production).train if if_drift else True
    if only_decide:
        context.exit(0 if train else KEPT)
    if train:
        run_recipe(loaded, data, root, database=database)
