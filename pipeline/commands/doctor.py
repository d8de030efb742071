"""`fashion doctor`: what this machine can do."""

import textwrap
from pathlib import Path

import click

from pipeline.commands import ROOT, Command
from pipeline.commands.training import metadata_option

_WIDTH, _INDENT = 80, 22


@click.command(cls=Command, epilog="Exit codes: 0 the main job can run here · 1 it cannot")
@ROOT
@metadata_option
@click.pass_context
def doctor(context: click.Context, root: Path, database: str | None) -> None:
    """Say what this machine can do, and how to mend what it cannot. Nothing is changed.

    A line says how a thing stands, ok, note (something beside the main job does not work) or bad (no run can work), and
    the next one what to do.
    """
    from pipeline.doctor import examine
    from pipeline.paths import Paths

    bad = []
    for finding in examine(Paths(root.absolute(), root.absolute(), database)):
        state = "ok" if not finding.remedy else "bad" if finding.needed else "note"
        bad += [finding.thing] if state == "bad" else []
        lines = f"{state:<4}  {finding.thing:<14}  {finding.said}"
        click.echo(textwrap.fill(lines, _WIDTH, subsequent_indent=" " * _INDENT, break_on_hyphens=False))
        if finding.remedy:
            margin = " " * _INDENT
            click.echo(textwrap.fill(finding.remedy, _WIDTH, initial_indent=margin, subsequent_indent=margin))
    click.echo(f"\nA run cannot work here: {', '.join(bad)}." if bad else "\nThe main job can run here.")
    context.exit(1 if bad else 0)
