"""The section on where a run comes from, and how to get it again."""

import shlex
from pathlib import Path

from components.paths import short
from components.report.environment import checkout, machine, versions
from components.report.facts.verdict import ProvenanceFacts
from components.report.reading import Reading

RECIPE_FILE = "recipe.yaml"


def provenance_facts(reading: Reading, folder: Path) -> ProvenanceFacts:
    """Makes the section on where it all comes from, and writes the recipe into `folder`."""
    plan, sources = reading.plan, reading.sources
    recipe = sources.recipe
    if plan.recipe is None:
        reading.miss("provenance", "recipe", "The run ended before its recipe was recorded.")
    else:
        (folder / RECIPE_FILE).write_text(plan.recipe, encoding="utf-8")
        recipe = short(folder / RECIPE_FILE)
    commit, modified = checkout()
    return ProvenanceFacts(
        recipe=plan.recipe, command=command_of(recipe, plan.data), data=_place(plan.data), data_digest=plan.data_digest,
        code_digest=plan.code_digest, commit=commit, modified=modified, versions=versions(), machine=machine(),
        stages=sources.stages, lineage=sources.lineage,
    )  # fmt: skip


def command_of(recipe: str, data: str | None) -> str:
    """Returns what starts the same run, for a POSIX shell in this working directory."""
    return shlex.join(["fashion", "run", "--recipe", recipe, *(["--data", str(_place(data))] if data else [])])


def _place(data: str | None) -> str | None:
    return short(Path(data)) if data else None
