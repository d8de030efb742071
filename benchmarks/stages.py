"""The pipeline's stages and trainings, run for their cost; each call is meant for a process of its own."""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import catalogues
from benchmarks.measure import Cost, add_data, apart, median_cost, peak_memory, reset_peak
from components.errors import RecipeError
from components.networks.settings import Model
from components.train.settings import Train
from pipeline.experiment import read_experiment
from pipeline.paths import Paths
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import make_root, set_up_logging
from pipeline.runs import StageRun
from pipeline.stages import STAGES

# The one network whose pretrained weights come with the packages. Every data set and every model passes: what is
# measured is the way, and a refused model would end it early.
SETTINGS = (
    "model.backbone=efficientnet_lite0",
    "validation={quarantine: 1.0, scarce: note}",
    "gate={accuracy: 0.0, recall: 0.0, regression: 1.0, class_regression: 1.0}",
)


_DRAWN, _QUICK_DRAWN = 3000, 300


@dataclass(frozen=True)
class Task:
    """What is trained, and on what.

    Attributes:
        name: of the recipe.
        settings: of the recipe's, `KEY=VALUE` each.
        data: the catalogue; None is a drawn one.
        rows: of a drawn one.
    """

    name: str
    settings: tuple[str, ...]
    data: Path | None
    rows: int

    def recipe(self, *overrides: str) -> Recipe:
        """The recipe as it is benchmarked."""
        return recipe_of(self.name, *self.settings, *overrides)

    def catalogue(self, folder: Path) -> Path:
        """The catalogue, drawn into a folder if none was given."""
        return self.data or catalogues.drawn(folder / "drawn.zip", self.rows)


def add_task(parser: argparse.ArgumentParser, usual: str) -> None:
    """Adds the options that say what is trained; `usual` is the recipe for a real catalogue."""
    add_data(parser)
    parser.add_argument("--recipe", help=f"[default: {usual} with --data, else quickstart]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe's")
    parser.set_defaults(usual=usual)


def task_of(options: argparse.Namespace) -> Task:
    """What the options of `add_task` say."""
    return Task(
        name=options.recipe or (options.usual if options.data else "quickstart"),
        settings=tuple(options.set),
        data=options.data and options.data.absolute(),
        rows=_QUICK_DRAWN if options.quick else _DRAWN,
    )


@dataclass(frozen=True)
class Stage:
    """What a stage took, and the folders of what it made by the names of its outputs."""

    cost: Cost
    folders: dict[str, Path]


@dataclass(frozen=True)
class Training:
    """What one training took and reached.

    Attributes:
        cost: from loading the weights to the trained network.
        epochs: for each epoch, the seconds from the beginning to its end, and its accuracy on the eval split.
        accuracy: of the network that is kept, on the eval split.
        macro_f1: likewise.
        lowest_recall: of its classes, likewise.
    """

    cost: Cost
    epochs: list[tuple[float, float]]
    accuracy: float
    macro_f1: float
    lowest_recall: float


def recipe_of(name: str, *overrides: str) -> Recipe:
    """A recipe as it is benchmarked: with `SETTINGS`.

    Raises:
        SystemExit: it, or an override, says something it may not.
    """
    try:
        return load_recipe(name, [*SETTINGS, *overrides])
    except RecipeError as error:
        raise SystemExit(f"error: {error}") from None


def run_stages(recipe: Recipe, data: Path, root: Path, last: str) -> dict[str, Stage]:
    """Runs the stages up to `last`; TFX is imported before the clock starts."""
    set_up_logging()
    from pipeline.local import compile_run, run_pipeline

    make_root(root)
    stages: dict[str, Stage] = {}

    def finished(stage: StageRun) -> None:
        folders = {name: Path(artifacts[0].uri) for name, artifacts in stage.outputs.items()}
        stages[stage.name] = Stage(Cost(stage.seconds or 0.0, peak_memory()), folders)

    run = compile_run(read_experiment(recipe, Paths(data, root)), "benchmark")
    run_pipeline(run, lambda _: reset_peak(), finished, STAGES[: STAGES.index(last) + 1])
    return stages


def examples_of(recipe: Recipe, data: Path, folder: Path) -> Path:
    """Runs the stages up to Transform in a process of their own; the folder of the splits that it has written."""
    stages = apart(run_stages, recipe, data, folder / "stages", "transform")
    return stages["transform"].folders["transformed_examples"]


def train_once(model: Model, train: Train, size: int, examples: Path, work: Path) -> Training:
    """Trains on transformed examples as the stage `train` does, without the export; TensorFlow is imported before.

    Args:
        model: the network.
        train: how it is trained.
        size: side of its input, pixels.
        examples: folder of the splits that Transform has written.
        work: empty folder for unfinished work.
    """
    import numpy as np

    from components.evaluate.figures import figures
    from components.networks.classifier import prior_shift
    from components.train.data import open_pictures
    from components.train.fit import answers_of, fit
    from components.train.history import read_history
    from components.train.job import Job
    from components.train.strategy import make_strategy

    strategy = make_strategy(train.strategy)
    files, held_out = ([str(examples / f"Split-{split}" / "*")] for split in ("train", "eval"))
    reset_peak()
    began = time.perf_counter()
    pictures = open_pictures(files, balanced=True, size=size)
    classes = int(np.max(pictures.natural)) + 1
    evaluated = open_pictures(held_out, balanced=False, size=size)
    network = fit(
        Job(
            model=model,
            train=train,
            shift=prior_shift(pictures.labels, pictures.natural, classes, train.prior),
            train_pictures=pictures,
            eval_pictures=evaluated,
            work=work,
            strategy=strategy,
        )
    )
    cost = Cost(time.perf_counter() - began, peak_memory())
    history = [epoch for stage in ("head", "finetune") for epoch in read_history(work / f"{stage}.csv")]
    reached = figures(evaluated.labels, answers_of(network, evaluated), classes)
    recalls = reached.classes["recall"][reached.classes["support"] > 0]
    return Training(
        cost=cost,
        epochs=with_clock(cost.seconds, [(epoch["seconds"], epoch["val_accuracy"]) for epoch in history]),
        accuracy=reached.overall["accuracy"],
        macro_f1=reached.overall["macro_f1"],
        lowest_recall=float(recalls.min()),
    )


def median_training(runs: Sequence[Training]) -> Training:
    """The median time and figures of several, with the epochs of the first."""
    cost = median_cost([run.cost for run in runs])
    accuracy, macro_f1, recall = (
        statistics.median(getattr(run, name) for run in runs) for name in ("accuracy", "macro_f1", "lowest_recall")
    )
    return Training(cost, runs[0].epochs, accuracy, macro_f1, recall)


def with_clock(seconds: float, epochs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Turns the seconds of each epoch into those since the beginning.

    Whatever is not an epoch (weights, features, tracing) counts before the first: never to one's own advantage.

    Args:
        seconds: of the whole training.
        epochs: seconds and accuracy of each.
    """
    clock = seconds - sum(took for took, _ in epochs)
    reached = []
    for took, accuracy in epochs:
        clock += took
        reached.append((clock, accuracy))
    return reached
