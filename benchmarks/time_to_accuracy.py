"""How long it takes to the same accuracy, beside the usual notebook; the notebook is in `benchmarks/notebook.py`.

    python -m benchmarks.time_to_accuracy [--data archive.zip] [--recipe six_class] [--set KEY=VALUE ...]
                                          [--epochs 100] [--rounds 3]

All fit a head on the same frozen EfficientNet-Lite0 with the same weights, on the same products, and see the same eval
split after each epoch. The usual notebook runs the frozen network in every epoch; with cached features it runs it once,
as we do. Training is timed to the accuracy on that split that every run has reached, and to its own end. The whole is a
notebook from unpacking to the saved model, and `fashion run` from catalogue to published model: with the checks, the
report, and the trial in a server that the notebook does not have. Each round has a seed of its own; a cell is the
median, with the least and the most of several rounds in parentheses.
"""

import re
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from benchmarks.measure import (
    Cost,
    apart,
    command,
    gigabytes,
    parser_of,
    percent,
    ratio,
    said,
    scratch,
    show,
    take_turns,
)
from benchmarks.notebook import Outcome, choose_pictures, run_notebook
from benchmarks.stages import SETTINGS, Task, Training, add_task, examples_of, task_of, train_once
from components.ingest.labels import taxonomy_of

_HEAD_ONLY = "train.finetune=null"
_NOTEBOOK, _CACHED = "the usual notebook", "the same, features cached"
_TRAINING, _RUN = "our training", "fashion run"


def seconds_to(accuracy: float, epochs: Sequence[tuple[float, float]]) -> float:
    """The seconds until an accuracy was first reached; infinite if it never was.

    Args:
        accuracy: the least.
        epochs: seconds since the beginning, and accuracy, at the end of each.
    """
    return next((seconds for seconds, reached in epochs if reached >= accuracy), float("inf"))


def common_accuracy(runs: Sequence[Sequence[tuple[float, float]]]) -> float:
    """The best accuracy that every run has reached."""
    return min(max(accuracy for _, accuracy in epochs) for epochs in runs)


def whole_run(task: Task, data: Path, folder: Path, seed: int) -> tuple[float, Cost]:
    """Runs the recipe as a user would; returns the accuracy on the test split, and the cost."""
    told = (*SETTINGS, *task.settings, _HEAD_ONLY, f"train.seed={seed}")
    settings = [part for setting in told for part in ("--set", setting)]
    text, cost = command("run", "--recipe", task.name, "--data", data, "--root", mkdtemp(dir=folder), *settings)
    found = re.search(r"accuracy ([\d.]+) %", text)
    if not found:
        raise RuntimeError(f"fashion run did not say how accurate its model is:\n{text}")
    return float(found[1]) / 100, cost


def rows_of(
    notebook: Sequence[Outcome],
    cached: Sequence[Outcome],
    training: Sequence[Training],
    run: Sequence[tuple[float, Cost]],
) -> list[list[str]]:
    """The rows of the table, from what each round gave."""
    sides = (notebook, cached, training)
    accuracy = common_accuracy([each.epochs for side in sides for each in side])
    epochs = [f"{statistics.median(len(each.epochs) for each in side):.0f}" for side in sides]
    notebooks = [[each.training for each in side] for side in (notebook, cached)]
    wholes = [*([each.whole for each in side] for side in (notebook, cached)), [cost for _, cost in run]]
    tested = [*([each.accuracy for each in side] for side in (notebook, cached)), [found for found, _ in run]]
    return [
        _timed(
            f"training to {percent(accuracy)} on the eval split",
            [[seconds_to(accuracy, each.epochs) for each in side] for side in sides],
            "≥ 10 ×",
        ),
        _timed("training to its end", [*notebooks, [each.cost.seconds for each in training]]),
        ["epochs", *epochs, "", "", ""],
        _timed("whole", [[cost.seconds for cost in costs] for costs in wholes], "≥ 3 ×"),
        ["accuracy on the test split", *(_spread(shares, percent) for shares in tested), "", "", ""],
        _row("peak memory", [[cost.peak for cost in costs] for costs in wholes], gigabytes),
    ]


def _timed(what: str, sides: Sequence[Sequence[float]], target: str = "") -> list[str]:
    return _row(what, sides, lambda seconds: f"{seconds:.1f} s", target)


def _row(what: str, sides: Sequence[Sequence[float]], shown: Callable[[float], str], target: str = "") -> list[str]:
    usual, cached, ours = (statistics.median(values) for values in sides)
    return [what, *(_spread(values, shown) for values in sides), ratio(usual, ours), ratio(cached, ours), target]


def _spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """The median, and what it lies between: `112.0 s (98.1 s – 130.4 s)`."""
    middle = shown(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({shown(min(values))} – {shown(max(values))})"


def _with_seeds(case: Callable[[int], Any]) -> Callable[[], Any]:
    seeds = count(1)
    return lambda: case(next(seeds))


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=3)
    add_task(parser, "six_class")
    parser.add_argument("--epochs", type=int, help="of the notebook, at most [default: 100, quick: 3]")
    options = parser.parse_args()
    task, rounds = task_of(options), options.rounds or (1 if options.quick else 3)
    recipe = task.recipe(_HEAD_ONLY)
    epochs = options.epochs or (3 if options.quick else 100)
    with scratch() as folder:
        data = task.catalogue(folder)
        classes = len(taxonomy_of(recipe.labels, data).classes)
        pictures = apart(choose_pictures, recipe, data)
        examples = examples_of(recipe, data, folder)
        size, model = recipe.picture.size, recipe.model

        def new() -> Path:
            return Path(mkdtemp(dir=folder))

        def notebook(cached: bool) -> Callable[[int], Outcome]:
            return lambda seed: apart(run_notebook, data, pictures, classes, size, model, epochs, new(), seed, cached)

        def training(seed: int) -> Training:
            return apart(train_once, model, recipe.train.model_copy(update={"seed": seed}), size, examples, new())

        cases: dict[str, Callable[[int], Any]] = {
            _NOTEBOOK: notebook(cached=False),
            _CACHED: notebook(cached=True),
            _TRAINING: training,
            _RUN: partial(whole_run, task, data, folder),
        }
        taken = take_turns({name: _with_seeds(case) for name, case in cases.items()}, rounds)
    show(
        f"{task.name}: time to the same accuracy: {said(rounds)}",
        ("what", "notebook", "features cached", "fashion", "notebook / fashion", "cached / fashion", "target"),
        rows_of(taken[_NOTEBOOK], taken[_CACHED], taken[_TRAINING], taken[_RUN]),
    )


if __name__ == "__main__":
    main()
