"""What a second of training buys: accuracy against time over picture size, unfrozen depth and augmented views.

    python -m benchmarks.pareto [--data archive.zip] [--recipe six_class] [--set KEY=VALUE ...] [--sizes 96 160]
                                [--depths none block6] [--views 1] [--cached 0 4]

Accuracy, macro-F1 and the lowest recall are those of the network that is kept, on the eval split, which such choices
are made on; the test split stays unseen. Time is that of the training, features included. A setting is on the front if
no other is as accurate in less time. The recipe's own settings are always among them. Weights are those of
EfficientNet-Lite0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.measure import apart, parser_of, percent, ratio, said, scratch, show, take_turns
from benchmarks.stages import Training, add_task, examples_of, median_training, task_of, train_once
from pipeline.recipe import Recipe

_NO_FINETUNING = "none"
_COLUMNS = (
    "size", "unfrozen from", "views", "cached", "s", "to shipped", "accuracy", "macro-F1", "lowest recall",
    "on the front", "shipped",
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Choice:
    """What is varied.

    Attributes:
        size: side of the pictures, pixels.
        depth: lowest part that is fine-tuned.
        views: of each picture, for the head.
        cached: views that the frozen part is run for once, for fine-tuning; 0 if it is run in each epoch.
    """

    size: int
    depth: str
    views: int
    cached: int

    def __str__(self) -> str:
        return f"{self.size} px, {self.depth}, {self.views} and {self.cached} views"


def own_choice(recipe: Recipe) -> Choice:
    """What a recipe chose itself."""
    head, finetune = recipe.train.head, recipe.train.finetune
    if head is None:
        raise SystemExit(f"{recipe.name}: it has no head phase, so there are no views to vary")
    depth, cached = (finetune.unfreeze_from, finetune.views or 0) if finetune else (_NO_FINETUNING, 0)
    return Choice(recipe.picture.size, depth, head.views, cached)


def overrides_of(choice: Choice) -> list[str]:
    """A choice as a recipe's settings."""
    finetune = (
        ["train.finetune=null"]
        if choice.depth == _NO_FINETUNING
        else [f"train.finetune.unfreeze_from={choice.depth}", f"train.finetune.views={choice.cached or 'null'}"]
    )
    return [f"picture.size={choice.size}", f"train.head.views={choice.views}", *finetune]


def front(points: Mapping[Choice, tuple[float, float]]) -> set[Choice]:
    """The choices that no other beats: none is as accurate in less time, or more accurate in the same.

    Args:
        points: choice to seconds and accuracy.
    """
    return {
        choice
        for choice, (seconds, accuracy) in points.items()
        if not any(s <= seconds and a >= accuracy and (s, a) != (seconds, accuracy) for s, a in points.values())
    }


def rows_of(trained: Mapping[Choice, Training], shipped: Choice) -> list[list[str]]:
    """The rows of the table, the fastest first."""
    best = front({choice: (each.cost.seconds, each.accuracy) for choice, each in trained.items()})
    return [
        [
            f"{choice.size} px", choice.depth, f"{choice.views}", f"{choice.cached or ''}",
            f"{each.cost.seconds:.1f}", ratio(each.cost.seconds, trained[shipped].cost.seconds),
            percent(each.accuracy), percent(each.macro_f1), percent(each.lowest_recall),
            "yes" if choice in best else "", "yes" if choice == shipped else "",
        ]
        for choice, each in sorted(trained.items(), key=lambda point: point[1].cost.seconds)
    ]  # fmt: skip


def choices_of(
    sizes: Sequence[int], depths: Sequence[str], views: Sequence[int], cached: Sequence[int], shipped: Choice
) -> list[Choice]:
    """All that are tried, the recipe's own among them."""
    varied = (
        Choice(size, depth, count, again if depth != _NO_FINETUNING else 0)
        for size, depth, count, again in product(sizes, depths, views, cached)
    )
    return sorted({shipped, *varied})


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=1)
    add_task(parser, "six_class")
    parser.add_argument("--sizes", type=int, nargs="+", help="[default: 96 160, quick: 96]")
    parser.add_argument("--depths", nargs="+", help="`none` is without fine-tuning [default: none block6, quick: none]")
    parser.add_argument("--views", type=int, nargs="+", help="for the head [default: 1]")
    parser.add_argument("--cached", type=int, nargs="+",
                        help="for fine-tuning; 0 changes pictures in each epoch [default: 0 4, quick: 0]")  # fmt: skip
    options = parser.parse_args()
    task, rounds, quick = task_of(options), options.rounds or 1, options.quick
    recipe = task.recipe()
    shipped = own_choice(recipe)
    choices = choices_of(
        options.sizes or ([96] if quick else [96, 160]),
        options.depths or ([_NO_FINETUNING] if quick else [_NO_FINETUNING, "block6"]),
        options.views or [1],
        options.cached or ([0] if quick else [0, 4]),
        shipped,
    )
    recipes = {choice: task.recipe(*overrides_of(choice)) for choice in choices}
    with scratch() as folder:
        examples = examples_of(recipe, task.catalogue(folder), folder)

        def training_of(choice: Choice) -> Training:
            tried = recipes[choice]
            work = Path(mkdtemp(dir=folder))
            return apart(train_once, tried.model, tried.train, tried.picture.size, examples, work)

        taken = take_turns({str(choice): partial(training_of, choice) for choice in choices}, rounds)
    trained = {choice: median_training(taken[str(choice)]) for choice in choices}
    show(
        f"{task.name}: accuracy and training time: {said(rounds)}",
        _COLUMNS,
        rows_of(trained, shipped),
    )


if __name__ == "__main__":
    main()
