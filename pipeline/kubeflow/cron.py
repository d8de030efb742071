"""Cron expressions as Kubeflow Pipelines takes them."""

import re

from croniter import CroniterBadDateError, croniter

from components.errors import RecipeError

_FIELDS = ("second", "minute", "hour", "day of the month", "month", "day of the week")
# Kubeflow knows neither croniter's L, W, # and H nor a range that runs backwards.
_ITEM = re.compile(r"(?:[*?]|(\d+|[a-z]{3})(?:-(\d+|[a-z]{3}))?)(?:/\d+)?", re.IGNORECASE)


class _Cron(croniter):
    # croniter reads a 7 as Sunday; Kubeflow refuses it.
    LOWMAP: tuple[dict[int, int], ...] = ({},) * len(croniter.LOWMAP)


def kubeflow_cron(text: str) -> str:
    """Checks a cron expression and gives it the six fields of Kubeflow Pipelines, seconds first.

    Kubeflow would take five fields for second to month, and so run at a wrong time.

    Raises:
        RecipeError: it is malformed, or never comes.
    """
    fields = text.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != len(_FIELDS):
        raise RecipeError(
            f"--cron {text!r}: give five fields, minute hour day month weekday, e.g. '0 3 * * *' for 3 o'clock UTC "
            "each day; or six, with seconds first"
        )
    for position, field in enumerate(fields):
        for item in field.split(","):
            _check(text, item, position)
    try:
        _Cron(" ".join(fields).replace("?", "*"), second_at_beginning=True).get_next()
    except CroniterBadDateError:
        raise RecipeError(f"--cron {text!r}: never comes: no such month has a day {fields[3]}") from None
    return " ".join(fields)


def _check(text: str, item: str, position: int) -> None:
    index = (position - 1) % len(_FIELDS)  # croniter counts the seconds last
    low, high = croniter.RANGES[index]
    names = [name for name in croniter.ALPHACONV[index] if len(name) > 1]
    try:
        words = _ITEM.fullmatch(item).groups()  # type: ignore[union-attr]
        bounds = [_values(word, index)[0] for word in words if word]
        if bounds != sorted(bounds):
            raise ValueError
        _values(item.replace("?", "*"), index)
    except (AttributeError, ValueError):
        also = f" or {names[0]}-{names[-1]}" if names else ""
        raise RecipeError(
            f"--cron {text!r}: {_FIELDS[position]} {item!r}: give *, a number {low}-{high}{also}, a range a-b, a step "
            "*/n, or several with commas between"
        ) from None


def _values(item: str, index: int) -> list[int]:
    fields = ["*"] * len(_FIELDS)
    fields[index] = item
    values: list[int] = _Cron.expand(" ".join(fields))[0][index]
    return values
