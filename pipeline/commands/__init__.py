"""What the `fashion` command can do, one file for each thing people want done.

A module here imports what its commands need inside them, when they run, so that help answers at once.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from components.errors import FashionError

PATH = click.Path(path_type=Path)  # the type of an option that names a file or folder


class _Recipe(click.types.StringParamType):
    """A recipe's name, which shells complete, or the path of a file."""

    name = "recipe"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from pipeline.recipe import recipe_names

        names = [name for name in recipe_names() if name.startswith(incomplete)]
        return [*map(CompletionItem, names)] or [CompletionItem(incomplete, type="file")]


RECIPE = _Recipe()

ROOT = click.option("--root", type=PATH, default=Path("runs"), help="As in `fashion run`.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document, for programs.")


class Command(click.Command):
    """Prints the errors that a user can fix in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FashionError as error:
            click.echo(f"fashion: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("fashion: stopped; give the same command again to finish", err=True)
            sys.exit(130)


def shared_options(*decorators: Callable[..., Any]) -> Callable[..., Any]:
    """Combines options that several commands share into one decorator; help lists them in this order."""

    def combined(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return combined


def grid(rows: Sequence[Sequence[str]], right: Collection[int] = (), gap: str = "  ") -> list[str]:
    """Aligns rows of texts, the columns `right` at their right edges; returns a line for each."""
    from rich.cells import cell_len

    columns = []
    for place, column in enumerate(zip(*rows, strict=True)):
        width = max(map(cell_len, column))
        padded = [(text, " " * (width - cell_len(text))) for text in column]
        columns.append([space + text if place in right else text + space for text, space in padded])
    return [gap.join(cells).rstrip() for cells in zip(*columns, strict=True)]
