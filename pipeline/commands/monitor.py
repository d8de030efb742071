"""`fashion monitor` and `fashion feedback`: what production says, and how right it was."""

import json
import time
from pathlib import Path

import click

from pipeline.commands import JSON, PATH, ROOT, Command
from pipeline.commands.training import metadata_option

ALARM = 12

EXIT_CODES = f"""
\b
Exit codes: 0 nothing moved · 2 wrong option ·
10 the log or the model cannot be read ·
{ALARM} something moved too far
"""

_LOG = click.argument("log", type=PATH)
_AGAINST = click.option(
    "--against", metavar="MODEL", help="A version's folder, run, baseline or another log.  [default: as it was logged]"
)


@click.command(cls=Command, epilog=EXIT_CODES)
@_LOG
@_AGAINST
@ROOT
@metadata_option
@click.option("--out", type=PATH, help="Folder for the page and verdict.json.  [default: ROOT/monitor]")
@click.option("--chance", type=click.FloatRange(0, 1, min_open=True), default=0.001,
              help="Of a false alarm on a day, about.")  # fmt: skip
@click.option("--label-next", type=click.IntRange(min=0), default=50, help="Pictures to suggest.")
@click.option("--data", type=PATH, help="A catalogue; its names are held against answers, for what to label next.")
@click.option("--watch", type=click.FloatRange(min=1), metavar="SECONDS", help="Look again and again, until an alarm.")
@JSON
@click.pass_context
def monitor(
    context: click.Context, log: Path, against: str | None, root: Path, database: str | None, out: Path | None,
    chance: float, label_next: int, data: Path | None, watch: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Judge what production says, by a log of answers.

    Each day is compared with what the model was judged by, and with the week before. What moved is told by name, with
    how far, since when and on how many answers; what moves by chance is not. The page shows the days as time lines, and
    label-next.csv and review.html the pictures whose labels would teach the model most.

    \b
      fashion monitor answers
      fashion monitor answers --against runs/serving/six_class --json
      fashion monitor answers --watch 3600          until something moves
    """
    from pipeline.monitor.look import find_against, look, read_names, write
    from pipeline.monitor.moves import Limits
    from pipeline.paths import short
    from pipeline.view import quiet

    root, out = root.absolute(), (out or root / "monitor").absolute()
    with quiet(out / "monitor.log") as console:
        while True:
            baseline = find_against(log, against, root, database)
            verdict = look(log, baseline, Limits(chance=chance))
            if verdict.standing or watch is None:
                break
            time.sleep(watch)
        names = read_names(data, log, root) if data else {}
        page = write(verdict, log, baseline, out, label_next, names)
        if as_json:
            click.echo(json.dumps(verdict.as_json(), indent=2))
        else:
            last = verdict.days[-1]
            known = baseline.stem if baseline else "no baseline"
            console.print(f"{last.tally.rows:,} answers of {last.day}, against {known}")
            console.print(f"accuracy    {last.accuracy or 'unknown'}, expected from confidences")
            console.print("\n".join(map(str, verdict.standing)) or "nothing moved")
            console.print(f"page        {short(page)}")
    context.exit(ALARM if verdict.standing else 0)


@click.command(cls=Command)
@_LOG
@click.argument("labels", type=PATH)
@_AGAINST
@ROOT
@metadata_option
@click.option("--corrections", type=PATH, help="Write wrong answers here, for labels.corrections of a recipe.")
@JSON
def feedback(
    log: Path, labels: Path, against: str | None, root: Path, database: str | None, corrections: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Hold labels that arrive later against what was answered.

    LABELS is a CSV file with a column product or digest, and one label.

    \b
      fashion feedback answers returns.csv
      fashion feedback answers returns.csv --corrections corrections.csv
    """
    import dataclasses
    import datetime

    from pipeline.monitor.feedback import compare, read_labels
    from pipeline.monitor.log import read_tally
    from pipeline.monitor.look import find_against
    from pipeline.textfile import replace_text

    late = read_labels(labels)
    baseline = find_against(log, against, root.absolute(), database)
    found = compare(log, late, read_tally(baseline) if baseline else None)
    if corrections:
        replace_text("--corrections", corrections, found.as_corrections(f"{datetime.datetime.now(datetime.UTC):%F}"))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
        return
    click.echo(f"accuracy    {found.accuracy}\nexpected    {found.expected or 'unknown: there is no baseline'}")
    for label, share in found.classes.items():
        click.echo(f"  {label:<24}{share}")
