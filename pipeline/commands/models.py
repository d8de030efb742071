"""`fashion models`: which versions there are, which of them serve, and how that is changed."""

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import click

from pipeline.commands import JSON, PATH, ROOT, Command, shared_options

if TYPE_CHECKING:
    from pipeline.releasing import Choice


@click.group()
def models() -> None:
    """List published versions of models, and choose which serve.

    Without labels the highest version of a model serves, and a new one goes live when it is published. `promote`
    changes that: clients that ask for the label `stable` get the version promoted, no other one is loaded, and a newly
    published one waits for its turn. Labels are kept in models.config in the serving folder; a server has to watch it:

    \b
      tensorflow_model_server --model_config_file=/models/models.config \\
        --model_config_file_poll_wait_seconds=10 \\
        --allow_version_labels_for_unavailable_models=true

    A request that names neither version nor label is answered by the highest version loaded, the canary included.

    \b
      fashion models list
      fashion models promote six_class latest   the newest version becomes stable
      fashion models canary six_class latest    for clients that ask for `canary`
      fashion models rollback six_class         back to what was stable before
      fashion models prune six_class --keep 3
    """


_places = shared_options(
    ROOT, click.option("--serving", type=PATH, help="The serving folder, if it is not the one below --root.")
)
_moves = shared_options(
    click.option(
        "--mount",
        type=click.Path(path_type=PurePosixPath),
        help="Where servers see the serving folder, e.g. /models in a container. For models new in the config.",
    ),
    click.option(
        "--server",
        "urls",
        multiple=True,
        metavar="URL",
        help="REST address of a server: if it has to load the version first, wait for that. Repeatable.",
    ),
    click.option("--timeout", type=click.FloatRange(min=1), default=300.0, metavar="SECONDS"),
    click.option("--dry-run", is_flag=True, help="Only show how models.config would change."),
    _places,
)


def _version(context: click.Context, parameter: click.Parameter, value: str | None) -> "Choice":
    if value is None:
        return None
    if value == "latest":
        return "latest"
    if not (value.isascii() and value.isdecimal()):
        raise click.BadParameter(f"{value!r} is not a version: give its number, or `latest`.")
    return int(value)


@models.command("list", cls=Command)
@click.argument("model", required=False)
@_places
@JSON
def list_versions(model: str | None, root: Path, serving: Path | None, as_json: bool) -> None:
    """List versions, their figures and which serve. Dates are UTC; figures are of the test split.

    \b
      fashion models list
      fashion models list six_class --serving /srv/models --json
    """
    from pipeline.releasing import describe, models_in

    folder = serving or root / "serving"
    rows_of = {name: describe(folder, name) for name in ([model] if model else models_in(folder))}
    if as_json:
        click.echo(json.dumps(rows_of, indent=2))
        return
    for name, rows in rows_of.items():
        click.echo(f"{name}\n  {'version':<20}{'published':<20}{'accuracy':>9}{'macro-F1':>10}  serves")
        for row in rows:
            click.echo(f"  {_line(row)}")


@models.command(cls=Command)
@click.argument("model")
@click.argument("version", callback=_version)
@_moves
def promote(model: str, version: "Choice", **options: Any) -> None:
    """Make VERSION the stable one. It is a number, or `latest`.

    The version that was stable stays loaded, so that a rollback takes effect at once; promote the same version again
    to unload it. Without --server, a version that servers have not loaded takes two calls: one to load it, one to
    move the label when they have.

    \b
      fashion models promote six_class latest --server http://localhost:8501
      fashion models promote six_class latest --mount /models    in containers
    """
    _move(model, "promote", version, **options)


@models.command(cls=Command)
@click.argument("model")
@click.argument("version", callback=_version, required=False)
@click.option("--end", is_flag=True, help="Take the label away, and unload the version.")
@_moves
def canary(model: str, version: "Choice", end: bool, **options: Any) -> None:
    """Make VERSION the canary, beside the stable one. It is a number, or `latest`.

    \b
      fashion models canary six_class latest
      fashion models canary six_class --end
    """
    if end == (version is not None):
        raise click.UsageError("Give either a version or --end.")
    _move(model, "canary", version, **options)


@models.command(cls=Command)
@click.argument("model")
@_moves
def rollback(model: str, **options: Any) -> None:
    """Make the version stable that was it before. Without one on record, it is the next lower one."""
    _move(model, "promote", "former", **options)


@models.command(cls=Command)
@click.argument("model")
@click.option("--keep", type=click.IntRange(min=1), default=5, help="How many of the newest stay.")
@_places
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def prune(model: str, keep: int, root: Path, serving: Path | None, dry_run: bool) -> None:
    """Remove old versions. None goes that is labelled, loaded, or the target of a rollback.

    Loaded are the versions that models.config in the serving folder lets a server load: all of them, the latest n, or
    those listed; without it the highest. What servers have that are told otherwise is not known here: those with
    another config, or ones that could not load a newer version and go on with an old one. Look at
    http://SERVER:8501/v1/models/MODEL before, and keep enough.

    \b
      fashion models prune six_class --keep 3 --dry-run
    """
    from pipeline import releasing

    gone, left = releasing.prune(serving or root / "serving", model, keep, dry_run)
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{model}: {', '.join(map(str, gone)) or 'none'} {verb}, {left} left")


def _move(
    model: str, verb: Literal["promote", "canary"], version: "Choice", *, root: Path, serving: Path | None,
    mount: PurePosixPath | None, urls: tuple[str, ...], timeout: float, dry_run: bool,
) -> None:  # fmt: skip
    from pipeline.releasing import Move, Servers, move

    servers = Servers(mount, urls, timeout)
    move(serving or root / "serving", model, Move(verb, version), servers, click.echo, dry_run)


def _line(row: dict[str, Any]) -> str:
    accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.2%}"
    macro_f1 = "" if row["macro_f1"] is None else f"{row['macro_f1']:.4f}"
    role = "by default" if row["default"] else "loaded" if row["loaded"] else ""
    index = f"index {row['index']}" if row["index"] else ""
    serves = [*row["labels"], role, index, "MISSING: its folder is gone" if row["missing"] else ""]
    published = (row["published"] or "").replace("T", " ").rstrip("Z")
    return (
        f"{row['version']:<20}{published:<20}{accuracy:>9}{macro_f1:>10}  {' · '.join(filter(None, serves))}".rstrip()
    )
