"""The stages of a run by name, without the graph that they are the nodes of: importing that takes seconds."""

from collections.abc import Sequence

from components.errors import RecipeError
from components.reading import choices
from pipeline.recipe import Recipe

STAGES = (
    "ingest", "schema", "statistics", "validate", "gate", "transform", "train", "baseline", "evaluate", "outside",
    "infra", "publish",
)  # fmt: skip


def stages_of(recipe: Recipe) -> tuple[str, ...]:
    """The stages of a run, in order; those that only some recipes ask for are not among `STAGES`."""
    at = STAGES.index("train")
    after = [name for name, wanted in (("index", recipe.index), ("export", recipe.export)) if wanted]
    return (*STAGES[:at], *(["tune"] * bool(recipe.tune)), *STAGES[at:], *after)


def stages_between(first: str | None, last: str | None, stages: Sequence[str]) -> Sequence[str]:
    """The part of `stages` that `--from` and `--to` choose; None is the first and the last of all.

    Raises:
        RecipeError: there is no such stage, or the last one comes before the first.
    """
    for option, name in (("--from", first), ("--to", last)):
        if name is not None and name not in stages:
            raise RecipeError(f"{option} {name}: there is no such stage; {choices(name, stages)}")
    begin, end = stages.index(first or stages[0]), stages.index(last or stages[-1])
    if begin > end:
        raise RecipeError(f"--from {first} --to {last}: {first} comes after {last}; the order is {', '.join(stages)}")
    return stages[begin : end + 1]
