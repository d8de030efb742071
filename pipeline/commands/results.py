"""`fashion results`: the table of what recipes have reached, from the runs themselves."""

from pathlib import Path

import click

from pipeline.commands import PATH, Command
from pipeline.commands.training import metadata_option


@click.command(cls=Command)
@click.option(
    "--root",
    "roots",
    type=PATH,
    multiple=True,
    help="As in `fashion run`; repeatable.  [default: runs; with --record alone, none is needed]",
)
@click.option(
    "--write",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Put the table into this file, in place of the one between its marks.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also what this file remembers of runs that are gone; what the runs say is added to it.",
)
@metadata_option
def results(roots: tuple[Path, ...], file: Path | None, record: Path | None, database: str | None) -> None:
    """Tell what finished runs have reached, as a Markdown table.

    Every figure is read from metadata and reports. Runs that differ in their seeds alone share a row, and a recipe that
    has not been run says so.

    \b
      fashion results
      fashion results --root runs --root /data/nightly --write results.md
      fashion results --record results.jsonl --write results.md
    """
    from pipeline.paths import Paths
    from pipeline.results.record import read_record, write_record
    from pipeline.results.rows import read_records, rows
    from pipeline.results.table import as_markdown, write_between_marks

    usual = Path("runs")
    if not roots and (usual.exists() or not record):
        roots = (usual,)
    places = [Paths(root.absolute(), root.absolute(), database) for root in roots]
    records = read_records(places)
    table_rows = rows(read_record(record) | records if record else records)
    table = as_markdown(table_rows)
    if record:
        write_record(table_rows, record)
    if file is None:
        click.echo(table, nl=False)
    else:
        write_between_marks(table, file)
