"""`fashion report` and `fashion runs`: what there was, and how it went."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands import JSON, ROOT, Command, grid
from pipeline.commands.training import metadata_option

if TYPE_CHECKING:
    from pipeline.paths import Paths

_COLUMNS = (
    "run", "recipe", "began (UTC)", "verdict", "accuracy", "macro-F1", "lowest recall", "version", "minutes",
)  # fmt: skip


@click.command(cls=Command)
@click.argument("run", default="latest")
@click.option("--compare", nargs=2, metavar="RUN_A RUN_B", help="Set two runs side by side instead.")
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@ROOT
@metadata_option
def report(run: str, compare: tuple[str, str] | None, show: bool, root: Path, database: str | None) -> None:
    """Write the report of a run. RUN is an id as `fashion runs` lists it, the beginning of one, or `latest`.

    The page is one file, ROOT/reports/<run>/index.html, with a model card beside it. A run that was stopped, or whose
    data or model were refused, is reported as far as it came.

    \b
      fashion report --open
      fashion report 2026-11-21T06
      fashion report --compare 2026-11-20 latest
    """
    from pipeline.history import open_history
    from pipeline.paths import short
    from pipeline.view import quiet

    paths = _paths(root, database)
    history = open_history(paths.metadata)
    one, *others = [history.find(name) for name in compare or (run,)]
    with quiet(paths.logs / "report.log") as console:
        from pipeline.reporting import write_comparison, write_report

        page = write_comparison(history, one, others[0], paths) if others else write_report(history, one, paths)[0]
        console.print(short(page))
    if show:
        click.launch(str(page))


@click.command(cls=Command)
@ROOT
@metadata_option
@JSON
def runs(root: Path, database: str | None, as_json: bool) -> None:
    """List runs, the latest first, with their outcome and figures.

    \b
      fashion runs
      fashion runs --json
    """
    from pipeline.history import open_history

    paths = _paths(root, database)
    history = open_history(paths.metadata)
    rows = _summaries(history, paths)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        _print(rows)


def _summaries(history: Any, paths: "Paths") -> list[dict[str, Any]]:
    from pipeline.reporting import summary_of
    from pipeline.view import quiet

    # Figures that no report holds yet are read with TFMA, which has much to say.
    with quiet(paths.logs / "report.log"):
        return [summary_of(history, history.read(run), paths) for run in reversed(history.ids)]


def _paths(root: Path, database: str | None) -> "Paths":
    from pipeline.paths import Paths

    root = root.absolute()
    return Paths(root, root, database)


def _print(rows: list[dict[str, Any]]) -> None:
    import datetime

    from pipeline.summary import percent

    table = [_COLUMNS]
    for row in rows:
        began = datetime.datetime.fromisoformat(row["began"]).strftime("%Y-%m-%d %H:%M")
        minutes = "" if row["minutes"] is None else f"{row['minutes']:.1f}"
        shares = (percent(row[figure]) for figure in ("accuracy", "macro_f1", "lowest_recall"))
        cells = (row["run"], row["recipe"], began, row["verdict"], *shares, str(row["version"] or "–"), minutes)
        table.append(cells)
    head, *lines = grid(table, right=range(4, len(_COLUMNS)))
    click.echo("\n".join([click.style(head, bold=True), *lines]))
