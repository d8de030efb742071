"""Where the seconds of a small run go: `fashion run` on the drawn catalogue, and once more when nothing has changed.

    python -m benchmarks.fixed_costs [--rounds 3]

Each first run starts in an empty folder, so it draws the catalogue too. Imports are timed in fresh processes; a run
pays for them once. With --quick runs end after Transform.
"""

import importlib
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.measure import apart, command, parser_of, ratio, said, scratch, show, take_turns

_IMPORTS = ("tensorflow", "tfx.components", "pipeline.graph")
_RUN, _HELP, _OUTSIDE = "fashion run", "fashion --help", "outside the stages"
_TARGETS = {_RUN: ("≤ 90 s", "≤ 20 s")}  # of a whole run, and of one in which nothing has changed
_QUICK = ("--to", "transform")

Times = Mapping[str, float]  # what to seconds


def import_seconds(module: str) -> float:
    """How long the import of a module takes, with all that it imports."""
    began = time.perf_counter()
    importlib.import_module(module)
    return time.perf_counter() - began


def run_twice(folder: Path, *options: str) -> tuple[Times, Times]:
    """Runs the default recipe in a new root, and again; returns the seconds of all stages, of the rest and in all."""
    root = Path(mkdtemp(dir=folder))
    walls = [command("run", "--root", root, *options)[1].seconds for _ in range(2)]
    first, again = apart(stage_seconds, root)
    return with_rest(first, walls[0]), with_rest(again, walls[1])


def stage_seconds(root: Path) -> list[dict[str, float]]:
    """What the metadata say of every run below a root: the seconds of its stages."""
    from pipeline.history import open_history
    from pipeline.paths import Paths

    history = open_history(Paths(root, root).metadata)
    runs = [history.read(run) for run in history.ids]
    return [{name: stage.seconds or 0.0 for name, stage in run.stages.items()} for run in runs]


def with_rest(stages: Times, whole: float) -> Times:
    """Adds to the seconds of the stages those outside of them, and those of the whole run."""
    return {**stages, _OUTSIDE: whole - sum(stages.values()), _RUN: whole}


def median_times(runs: list[Times]) -> dict[str, float]:
    """The median of each entry, over runs that have the same ones."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def rows_of(
    alone: Times, first: Times, again: Times, targets: Mapping[str, tuple[str, str]] = _TARGETS
) -> list[list[str]]:
    """The rows of the table.

    Args:
        alone: what was timed by itself.
        first: stages of a first run, the rest, and all.
        again: likewise of the second.
        targets: of both, by the name of the row.
    """
    whole = first[_RUN]
    rows = [[name, f"{seconds:.1f}", ratio(seconds, whole), "", "", "", ""] for name, seconds in alone.items()]
    for name, seconds in first.items():
        target, target_again = targets.get(name, ("", ""))
        rows.append([
            name, f"{seconds:.1f}", ratio(seconds, whole), target,
            f"{again[name]:.1f}", ratio(again[name], seconds), target_again,
        ])  # fmt: skip
    return rows


def main() -> None:
    """Prints the table."""
    options = parser_of(__doc__, rounds=3).parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    how, targets = (_QUICK, {}) if options.quick else ((), _TARGETS)
    with scratch() as folder:
        alone: dict[str, Callable[[], float]] = {_HELP: lambda: command("--help")[1].seconds}
        alone |= {f"import {module}": partial(apart, import_seconds, module) for module in _IMPORTS}
        cases: dict[str, Callable[[], float | tuple[Times, Times]]] = {**alone, _RUN: lambda: run_twice(folder, *how)}
        taken = take_turns(cases, rounds)
    runs = [each for each in taken.pop(_RUN) if isinstance(each, tuple)]
    seconds = {
        name: statistics.median(each for each in values if isinstance(each, float)) for name, values in taken.items()
    }
    show(
        f"Fixed costs{' up to Transform' if options.quick else ''}: {said(rounds)}",
        ("what", "s", "of the run", "target", "again, s", "of the first", "target"),
        rows_of(
            seconds, median_times([first for first, _ in runs]), median_times([again for _, again in runs]), targets
        ),
        f"{_OUTSIDE}: imports, drawing the catalogue, reading the cache, the summary.",
    )


if __name__ == "__main__":
    main()
