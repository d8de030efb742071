"""One run as a person meets it: what is about to happen, how far it is, what came of it."""

import datetime
import os
import time
from pathlib import Path

from rich.console import Console

from components.errors import CatalogueError, FashionError, ModelRefused
from components.ingest.source import open_catalogue
from components.progress import listen
from components.transform.taxonomy import load_taxonomy
from pipeline.paths import Paths
from pipeline.recipe import Recipe
from pipeline.view import RunView, quiet

EMBEDDED_PRODUCTS, EMBEDDED_SEED = 900, 1


def run_recipe(
    recipe: Recipe, data: Path | None, root: Path, from_node: str | None = None, to_node: str | None = None
) -> None:
    """Runs a recipe on a catalogue, with progress, and says what came of it.

    Args:
        recipe: the experiment.
        data: folder or zip; None draws the embedded catalogue.
        root: everything that is written lies below it.
        from_node: first stage to run.
        to_node: last stage to run.

    Raises:
        ModelRefused: the model was trained and is not good enough; nothing was published.
        FashionError: anything else that the user can mend.
    """
    root = root.absolute()
    load_taxonomy(recipe.labels.taxonomy)  # like a wrong path, refused before the heavy imports
    paths = Paths(_catalogue(root) if data is None else data.absolute(), root)
    open_catalogue(str(paths.data))
    _make_root(root)
    run_id = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    log = paths.logs / f"{run_id}.log"
    with quiet(log) as console:
        console.print(f"[bold]{recipe.name}[/] · {paths.data.name} · log {_short(log)}\n")
        try:
            _run(recipe, paths, log, console, from_node, to_node)
        except FashionError:
            console.print(f"\nlog       {_short(log)}")
            raise
        except Exception:
            console.print(f"\nThis is a bug in the pipeline. What led to it is in {_short(log)}.")
            raise


def _run(recipe: Recipe, paths: Paths, log: Path, console: Console, from_node: str | None, to_node: str | None) -> None:
    with RunView(console) as view:
        began = time.monotonic()
        view.started("start")
        from pipeline import summary
        from pipeline.graph import create_pipeline
        from pipeline.local import NodeResult, run_pipeline

        pipeline = create_pipeline(recipe, paths)
        view.expect([node.id for node in pipeline.components])
        view.finished("start", "TFX and TensorFlow are loaded", time.monotonic() - began)
        running = ""

        def started(node: str) -> None:
            nonlocal running
            running = node
            view.started(node)

        def finished(result: NodeResult) -> None:
            cached = result.state == "cached"
            text = summary.describe(result, recipe)
            view.finished(result.node, " · ".join(filter(None, (text, "cached" if cached else ""))), result.seconds)

        try:
            with listen(view.progress):
                results = run_pipeline(
                    pipeline,
                    log.stem,
                    started,
                    finished,
                    [from_node] if from_node else [],
                    [to_node] if to_node else [],
                )
        except Exception:
            view.finished(running, "failed", None, failed=True)
            raise
    refusal = summary.conclude(console, results, recipe, paths, log)
    if refusal:
        raise ModelRefused(refusal)


def _catalogue(root: Path) -> Path:
    """The embedded catalogue, drawn once."""
    from pipeline.synthetic.catalogue import write_catalogue

    folder = root / f"catalogue-{EMBEDDED_PRODUCTS}-{EMBEDDED_SEED}"
    if not folder.exists():
        _make_root(root)
        write_catalogue(folder, EMBEDDED_PRODUCTS, EMBEDDED_SEED)
    return folder


def _make_root(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not os.access(root, os.W_OK):
            raise PermissionError("not writable")
    except OSError as error:
        raise CatalogueError(
            f"{root}: cannot write here ({error.strerror or error}); name another folder with --root"
        ) from None


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
