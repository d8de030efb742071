"""How long it takes to the same accuracy, beside the usual notebook; the notebook is in `benchmarks/notebook.py`.

    python -m benchmarks.time_to_accuracy [--data archive.zip] [--recipe six_class] [--set KEY=VALUE ...]
                                          [--epochs 100]

Both sides fit a head on the same frozen EfficientNet-Lite0 with the same weights, on the same products, and see the
same eval split after each epoch. Training is timed to the accuracy on that split that every run has reached. The whole
is a notebook from unpacking to the saved model, and `fashion run` from catalogue to published model: with the checks,
the report, and the trial in a server that the notebook does not have.
"""

import re
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from benchmarks.measure import (
    Cost,
    apart,
    command,
    gigabytes,
    median_cost,
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
_NOTEBOOK, _TRAINING, _RUN = "the usual notebook", "our training", "fashion run"


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


def whole_run(task: Task, data: Path, folder: Path) -> tuple[float, Cost]:
    """Runs the recipe as a user would; returns the accuracy on the test split, and the cost."""
    settings = [part for setting in (*SETTINGS, *task.settings, _HEAD_ONLY) for part in ("--set", setting)]
    text, cost = command("run", "--recipe", task.name, "--data", data, "--root", mkdtemp(dir=folder), *settings)
    found = re.search(r"accuracy ([\d.]+) %", text)
    if not found:
        raise RuntimeError(f"fashion run did not say how accurate its model is:\n{text}")
    return float(found[1]) / 100, cost


def rows_of(
    notebook: Sequence[Outcome], training: Sequence[Training], run: Sequence[tuple[float, Cost]]
) -> list[list[str]]:
    """The rows of the table, from what each round gave."""
    accuracy = common_accuracy([*(each.epochs for each in notebook), *(each.epochs for each in training)])
    to_accuracy = [
        statistics.median(seconds_to(accuracy, each.epochs) for each in notebook),
        statistics.median(seconds_to(accuracy, each.epochs) for each in training),
    ]
    to_end = [
        statistics.median(each.training for each in notebook),
        statistics.median(each.cost.seconds for each in training),
    ]
    whole = [median_cost([each.whole for each in notebook]), median_cost([cost for _, cost in run])]
    tested = [statistics.median(each.accuracy for each in notebook), statistics.median(found for found, _ in run)]
    epochs = [statistics.median(len(each.epochs) for each in notebook),
              statistics.median(len(each.epochs) for each in training)]  # fmt: skip
    return [
        _timed(f"training to {percent(accuracy)} on the eval split", to_accuracy, "≥ 10 ×"),
        _timed(f"training to its end, {epochs[0]:.0f} and {epochs[1]:.0f} epochs", to_end),
        _timed("whole", [cost.seconds for cost in whole], "≥ 3 ×"),
        ["accuracy on the test split", *(percent(share) for share in tested), "", ""],
        ["peak memory", *(gigabytes(cost.peak) for cost in whole), ratio(whole[0].peak, whole[1].peak), ""],
    ]


def _timed(what: str, sides: Sequence[float], target: str = "") -> list[str]:
    return [what, *(f"{seconds:.1f} s" for seconds in sides), ratio(sides[0], sides[1]), target]


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=1)
    add_task(parser, "six_class")
    parser.add_argument("--epochs", type=int, help="of the notebook, at most [default: 100, quick: 3]")
    options = parser.parse_args()
    task, rounds = task_of(options), options.rounds or 1
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

        cases: dict[str, Callable[[], Any]] = {
            _NOTEBOOK: lambda: apart(run_notebook, data, pictures, classes, size, model, epochs, new()),
            _TRAINING: lambda: apart(train_once, model, recipe.train, size, examples, new()),
            _RUN: partial(whole_run, task, data, folder),
        }
        taken = take_turns(cases, rounds)
    show(
        f"{task.name}: time to the same accuracy: {said(rounds)}",
        ("what", "notebook", "fashion", "notebook / fashion", "target"),
        rows_of(taken[_NOTEBOOK], taken[_TRAINING], taken[_RUN]),
    )


if __name__ == "__main__":
    main()
