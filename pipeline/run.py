"""One run as a person meets it: what is about to happen, how far it is, what came of it."""

import datetime
import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from components.errors import FashionError, RecipeError
from components.ingest.labels import taxonomy_of
from components.ingest.source import open_catalogue
from components.ingest.split import check_split
from components.progress import Progress, listen
from components.publish.store import versions
from components.reading import choices
from components.train.earlier import check_earlier
from components.validate.reviewed import find_schema
from pipeline.beam import beam_args
from pipeline.metadata import check
from pipeline.paths import Paths, short
from pipeline.recipe import Recipe
from pipeline.view import RunView, quiet

if TYPE_CHECKING:
    from pipeline.record import NodeResult

# The graph has them too, but takes seconds to import: too long to be told of a mistyped name.
STAGES = (
    "ingest", "schema", "statistics", "validate", "gate", "transform", "train", "baseline", "evaluate", "infra",
    "publish", "report",
)  # fmt: skip

EMBEDDED_PRODUCTS, EMBEDDED_SEED = 900, 1


def stages_of(recipe: Recipe) -> tuple[str, ...]:
    """The stages of a run, in order; those that only some recipes ask for are not among `STAGES`."""
    if recipe.tune is None:
        return STAGES
    at = STAGES.index("train")
    return (*STAGES[:at], "tune", *STAGES[at:])


def run_recipe(
    recipe: Recipe,
    data: Path | None,
    root: Path,
    first: str | None = None,
    last: str | None = None,
    database: str | None = None,
) -> str:
    """Runs a recipe on a catalogue, with progress, and says what came of it.

    Args:
        recipe: the experiment.
        data: folder or zip; None draws the embedded catalogue.
        root: everything that is written lies below it.
        first: stage to begin with; what lies before is taken from the latest run.
        last: stage to end with.
        database: URL of the metadata; None is a SQLite file below the root.

    Returns:
        The id of the run.

    Raises:
        ModelRefused: the model was trained and is not good enough; nothing was published.
        FashionError: anything else that the user can mend.
    """
    # What can be wrong with what was given is found before anything heavy is imported.
    stages = _between(first, last, stages_of(recipe))
    beam_args(recipe.beam)
    find_schema(recipe.validation.schema_file)
    check_earlier(recipe.model, recipe.split)
    root = root.absolute()
    drawn = root / f"catalogue-{EMBEDDED_PRODUCTS}-{EMBEDDED_SEED}"
    paths = Paths(drawn if data is None else data.absolute(), root, database)
    if data is not None:
        check_split(recipe.split, open_catalogue(str(paths.data)))
    if recipe.labels.taxonomy or data is not None:
        taxonomy_of(recipe.labels, paths.data)
    make_root(root)
    check(paths.metadata)
    held = versions(paths.serving / recipe.name)
    log = paths.logs / f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}.log"
    with explained(log) as console:
        console.print(Text.assemble((recipe.name, "bold"), f" · {paths.data.name} · log {short(log)}\n"))
        with RunView(console) as view:
            # Runs of several machines on one database may begin in the same second.
            run_id = f"{log.stem}-{secrets.token_hex(3)}"
            results = _run(recipe, paths, run_id, stages, view)
        from pipeline.summary import conclude

        refused = conclude(console, results, recipe, paths, held)
        if results["report"].outputs:
            from pipeline.history import History
            from pipeline.reporting import write_report

            console.print(f"report      {short(write_report(History(paths.metadata), run_id, paths))}")
    if refused:
        raise refused
    return run_id


@contextmanager
def explained(log: Path) -> Iterator[Console]:
    """Keeps the libraries quiet, and says at the end where they are heard and whether it ended with a bug."""
    with quiet(log) as console:
        try:
            yield console
        except FashionError:
            console.print(f"\nlog         {short(log)}")
            raise
        except Exception:
            console.print(f"\nThis is a bug in the pipeline. What led to it is in {short(log)}.")
            raise
        console.print(f"log         {short(log)}")


def set_up_logging() -> None:
    """Has what TFX and TensorFlow say written as lines with a time, from before their import on."""
    # By force: the check of the metadata has had absl set it up in its own way.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # it has hundreds of lines to say at import


def _between(first: str | None, last: str | None, stages: Sequence[str]) -> Sequence[str]:
    for option, name in (("--from", first), ("--to", last)):
        if name is not None and name not in stages:
            raise RecipeError(f"{option} {name}: there is no such stage; {choices(name, stages)}")
    begin, end = stages.index(first or stages[0]), stages.index(last or stages[-1])
    if begin > end:
        raise RecipeError(f"--from {first} --to {last}: {first} comes after {last}; the order is {', '.join(stages)}")
    return stages[begin : end + 1]


def _run(recipe: Recipe, paths: Paths, run_id: str, stages: Sequence[str], view: RunView) -> Mapping[str, "NodeResult"]:
    began = time.monotonic()
    view.started("start")
    view.expect(stages)
    set_up_logging()
    with _drawing(paths.data, view) as drawn:
        from pipeline.graph import create_pipeline
        from pipeline.local import run_pipeline
        from pipeline.summary import describe

    pipeline = create_pipeline(recipe, paths)
    view.finished("start", f"TFX and TensorFlow are loaded{drawn}", time.monotonic() - began)

    def finished(result: "NodeResult") -> None:
        cached = "cached" if result.state == "cached" else ""
        view.finished(result.node, " · ".join(filter(None, (describe(result, recipe, paths), cached))), result.seconds)

    with listen(view.progress):
        return run_pipeline(pipeline, run_id, view.started, finished, () if stages == stages_of(recipe) else stages)


@contextmanager
def _drawing(folder: Path, view: RunView) -> Iterator[str]:
    """Draws the embedded catalogue if it is not there, in other processes, while the caller does something else.

    Yields:
        What to tell of it when it is done; empty where it was there.
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
        drawing.result()


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
