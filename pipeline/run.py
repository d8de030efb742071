"""One run as a person meets it: what is about to happen, how far it is, what it came to."""

import datetime
import logging
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from components.errors import CatalogueError, FashionError, RecipeError
from components.progress import Progress, listen
from components.publish.store import versions
from pipeline.experiment import Experiment, check_experiment, read_experiment
from pipeline.metadata import check
from pipeline.paths import Paths, short
from pipeline.recipe import Recipe
from pipeline.stages import stages_between, stages_of
from pipeline.view import RunView, quiet

if TYPE_CHECKING:
    from pipeline.local import CompiledRun
    from pipeline.runs import StageRun

_COPY_SECONDS = 0.5
EMBEDDED_PRODUCTS, EMBEDDED_SEED = 900, 1


def run_recipe(
    recipe: Recipe, data: Path | None, root: Path, first: str | None = None, last: str | None = None,
    database: str | None = None,
) -> str:  # fmt: skip
    """Runs a recipe on a catalogue, with progress, and says what it came to; returns the id of the run.

    Without `data` the embedded catalogue is drawn. Everything that is written lies below `root`, but for the metadata
    of a `database`. What lies before the stage `first` is taken from the latest run.

    Raises:
        ModelRefused: the model was trained and is not good enough; nothing was published.
        FashionError: anything else that the user can fix.
    """
    # What can be wrong with what was given is found before anything heavy is imported.
    stages = stages_between(first, last, stages_of(recipe))
    check_experiment(recipe)
    root = root.absolute()
    drawn = root / f"catalogue-{EMBEDDED_PRODUCTS}-{EMBEDDED_SEED}"
    paths = Paths(drawn if data is None else data.absolute(), root, database)
    experiment = read_experiment(recipe, paths) if data is not None else None
    make_root(root)
    check(paths.metadata)
    held = versions(paths.serving / recipe.name)
    # Two runs may begin in the same second.
    run_id = f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}-{secrets.token_hex(3)}"
    log = paths.logs / f"{run_id}.log"
    with explained(log) as console:
        console.print(Text.assemble((recipe.name, "bold"), f" · {paths.data.name} · log {short(log)}\n"))
        with RunView(console) as view:
            run = _begin(experiment, recipe, paths, run_id, stages, view)
            _run(run, stages, view)
            page = _report(run, view) if "publish" in stages else None
        from pipeline.summary import conclude

        refused = conclude(console, run.read(), run.experiment, held)
        if page:
            console.print(f"report      {short(page)}")
    if refused:
        raise refused
    return run_id


@contextmanager
def explained(log: Path, shown: bool = False) -> Iterator[Console]:
    """Keeps the libraries quiet, and says at the end where they are heard and whether it ended with a bug.

    With `shown` they are heard on the console too, where nobody can open the file.
    """
    with quiet(log) as console, _copied(log, console) if shown else nullcontext():
        try:
            yield console
        except FashionError:
            console.print(f"\nlog         {short(log)}")
            raise
        except Exception:
            console.print(f"\nThis is a bug in the pipeline. What led to it is in {short(log)}.")
            raise
        console.print(f"log         {short(log)}")


@contextmanager
def _copied(log: Path, console: Console) -> Iterator[None]:
    """Copies what is added to a log to the console, as it is added."""
    ended = threading.Event()

    def copy() -> None:
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(0, os.SEEK_END)
            ready.set()
            while not ended.wait(_COPY_SECONDS):
                console.file.write(file.read())
            console.file.write(file.read())
            console.file.flush()

    ready, thread = threading.Event(), threading.Thread(target=copy, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        ended.set()
        thread.join()


def set_up_logging() -> None:
    """Has what TFX and TensorFlow say written as lines with a time, from before their import on."""
    # By force: the check of the metadata has had absl set it up in its own way.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # it has hundreds of lines to say at import


def _begin(
    experiment: Experiment | None, recipe: Recipe, paths: Paths, run_id: str, stages: Sequence[str], view: RunView
) -> "CompiledRun":
    """Loads what is heavy and compiles the run; the embedded catalogue is read once it is drawn."""
    view.started("start")
    view.expect(stages)
    set_up_logging()
    with _drawing(paths.data, view) as drawn:
        from pipeline.local import compile_run
    run = compile_run(experiment or read_experiment(recipe, paths), run_id)
    view.finished("start", f"TFX and TensorFlow are loaded{drawn}")
    return run


def _run(run: "CompiledRun", stages: Sequence[str], view: RunView) -> None:
    from pipeline.local import run_pipeline
    from pipeline.summary import describe

    def finished(stage: "StageRun") -> None:
        view.finished(stage.name, describe(stage, run.experiment), stage.seconds or 0.0)

    with listen(view.progress):
        run_pipeline(run, view.started, finished, () if stages == stages_of(run.experiment.recipe) else stages)


def _report(run: "CompiledRun", view: RunView) -> Path:
    """Writes the report of the run, with progress; returns the page."""
    from pipeline.reporting import write_report

    view.started("report")
    with listen(view.progress):
        page, fresh = write_report(run.history, run.read(), run.experiment.paths)
    view.finished("report", "done" if fresh else "as before: nothing has changed")
    return page


@contextmanager
def _drawing(folder: Path, view: RunView) -> Iterator[str]:
    """Draws the embedded catalogue if it is not there, in other processes, while the caller does something else.

    Yields:
        What to say of it when it is done; empty where it was there.
    """
    if folder.exists():
        yield ""
        return
    from pipeline.synthetic.catalogue import write_catalogue

    def shown(done: int, total: int) -> None:
        view.progress(Progress("drawing the catalogue", done, total))

    with ThreadPoolExecutor(1) as beside:
        drawing = beside.submit(write_catalogue, folder, EMBEDDED_PRODUCTS, EMBEDDED_SEED, shown)
        yield f", {EMBEDDED_PRODUCTS:,} products are drawn"
        try:
            drawing.result()
        except CatalogueError:
            if not folder.exists():  # it does where another run has drawn the same meanwhile
                raise


def make_root(root: Path) -> None:
    """Makes the folder that everything is written below.

    Raises:
        RecipeError: it cannot be made, or not be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not os.access(root, os.W_OK):
            raise PermissionError("not writable")
    except OSError as error:
        raise RecipeError(
            f"{root}: cannot write here ({error.strerror or error}). Name another folder with --root"
        ) from None
