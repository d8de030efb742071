"""The options of commands that log answers."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from pipeline.commands import PATH

_OPTIONS = (
    click.option("--log-answers", "folder", type=PATH, help="Log answers, for fashion monitor."),
    click.option("--sample", type=click.FloatRange(0, 1), default=0.1, help="Share of them to log."),
    click.option("--log-pictures", "pictures", is_flag=True, help="Keep their pictures too."),
    click.option("--keep-days", type=click.IntRange(min=1), default=30, help="Days until a log is deleted."),
)


def logs_answers(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command; it gets `log_answers`, the arguments of an `AnswerLog`, or None."""

    @wraps(command)
    def with_log(*, folder: Path | None, sample: float, pictures: bool, keep_days: int, **given: Any) -> None:
        log = {"folder": folder and folder.absolute(), "sample": sample, "pictures": pictures, "keep_days": keep_days}
        command(log_answers=log if folder else None, **given)

    for option in reversed(_OPTIONS):
        with_log = option(with_log)
    return with_log
