"""One run as a person meets it: what is about to happen, how far it is, what came of it."""

import datetime
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from components.errors import FashionError, ModelRefused, RecipeError
from components.ingest.source import open_catalogue
from components.progress import Progress, listen
from components.publish.store import versions
from components.reading import choices
from components.transform.taxonomy import load_taxonomy
from pipeline.paths import Paths, short
from pipeline.recipe import Recipe
from pipeline.view import RunView, quiet

if TYPE_CHECKING:
    from pipeline.local import NodeResult

# The graph has them too, but takes seconds to import: too long to be told of a mistyped name.
STAGES = (
    "ingest", "schema", "statistics", "validate", "gate", "transform", "train", "baseline", "evaluate", "publish",
)  # fmt: skip

EMBEDDED_PRODUCTS, EMBEDDED_SEED = 900, 1


def run_recipe(
    recipe: Recipe, data: Path | None, root: Path, first: str | None = None, last: str | None = None
) -> None:
    """Runs a recipe on a catalogue, with progress, and says what came of it.

    Args:
        recipe: the experiment.
        data: folder or zip; None draws the embedded catalogue.
        root: everything that is written lies below it.
        first: stage to begin with; what lies before is taken from the latest run.
        last: stage to end with.

    Raises:
        ModelRefused: the model was trained and is not good enough; nothing was published.
        FashionError: anything else that the user can mend.
    """
    # What can be wrong with what was given is found before anything heavy is imported.
    stages = _between(first, last)
    load_taxonomy(recipe.labels.taxonomy)
    root = root.absolute()
    paths = Paths(root / f"catalogue-{EMBEDDED_PRODUCTS}-{EMBEDDED_SEED}" if data is None else data.absolute(), root)
    if data is not None:
        open_catalogue(str(paths.data))
    _make_root(root)
    held = versions(paths.serving / recipe.name)
    log = paths.logs / f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}.log"
    with quiet(log) as console:
        console.print(Text.assemble((recipe.name, "bold"), f" · {paths.data.name} · log {short(log)}\n"))
        try:
            with RunView(console) as view:
                if not paths.data.exists():
                    _draw_catalogue(paths.data, view)
                results = _run(recipe, paths, log.stem, stages, view)
            from pipeline.summary import conclude

            refused = conclude(console, results, recipe, paths, held)
        except FashionError:
            console.print(f"\nlog         {short(log)}")
            raise
        except Exception:
            console.print(f"\nThis is a bug in the pipeline. What led to it is in {short(log)}.")
            raise
        console.print(f"log         {short(log)}")
    if refused:
        raise ModelRefused(refused)


def _between(first: str | None, last: str | None) -> Sequence[str]:
    for option, name in (("--from", first), ("--to", last)):
        if name is not None and name not in STAGES:
            raise RecipeError(f"{option} {name}: there is no such stage; {choices(name, STAGES)}")
    begin, end = STAGES.index(first or STAGES[0]), STAGES.index(last or STAGES[-1])
    if begin > end:
        raise RecipeError(f"--from {first} --to {last}: {first} comes after {last}; the order is {', '.join(STAGES)}")
    return STAGES[begin : end + 1]


def _run(recipe: Recipe, paths: Paths, run_id: str, stages: Sequence[str], view: RunView) -> Mapping[str, "NodeResult"]:
    began = time.monotonic()
    view.started("start")
    view.expect(stages)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # it has hundreds of lines to say at import
    from pipeline.graph import create_pipeline
    from pipeline.local import run_pipeline
    from pipeline.summary import describe

    pipeline = create_pipeline(recipe, paths)
    view.finished("start", "TFX and TensorFlow are loaded", time.monotonic() - began)

    def finished(result: "NodeResult") -> None:
        cached = "cached" if result.state == "cached" else ""
        view.finished(result.node, " · ".join(filter(None, (describe(result, recipe), cached))), result.seconds)

    with listen(view.progress):
        return run_pipeline(pipeline, run_id, view.started, finished, () if stages == STAGES else stages)


def _draw_catalogue(folder: Path, view: RunView) -> None:
    from pipeline.synthetic.catalogue import write_catalogue

    began = time.monotonic()
    view.started("catalogue")
    write_catalogue(
        folder,
        EMBEDDED_PRODUCTS,
        EMBEDDED_SEED,
        lambda done, total: view.progress(Progress("drawing", done, total)),
    )
    view.finished("catalogue", f"{EMBEDDED_PRODUCTS:,} products drawn", time.monotonic() - began)


def _make_root(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not os.access(root, os.W_OK):
            raise PermissionError("not writable")
    except OSError as error:
        raise RecipeError(
            f"{root}: cannot write here ({error.strerror or error}). Name another folder with --root"
        ) from None
