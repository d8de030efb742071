"""Runs one node of the graph as a process of its own; all processes of a run are given the same run id.

Its inputs are what the same run's earlier nodes have left, whatever other runs do meanwhile. A process that was killed
is started again with the same arguments: a node that had finished stays as it is, any other starts anew, and the
Trainer goes on where it was.
"""

import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from components.errors import FashionError, RecipeError
from components.progress import listen
from components.publish.store import versions
from components.reading import choices
from components.train.earlier import check_earlier
from pipeline.metadata import check
from pipeline.paths import Paths, short
from pipeline.recipe import Recipe
from pipeline.run import explained, make_root, set_up_logging, stages_of
from pipeline.view import RunView

if TYPE_CHECKING:
    from pipeline.record import CompiledRun, NodeResult


def run_node(recipe: Recipe, paths: Paths, node: str, run_id: str) -> None:
    """Runs one node, with progress, and says what came of it.

    Args:
        recipe: the experiment.
        paths: where it reads from and writes to; the same for all nodes of a run.
        node: its id, e.g. "train".
        run_id: names the run.

    Raises:
        ModelRefused: the node publishes, and the model was not approved.
        FashionError: anything else that the user can mend.
    """
    if node not in (stages := stages_of(recipe)):
        raise RecipeError(f"--node {node}: there is no such stage; {choices(node, stages)}")
    check_run_id(run_id)
    check_earlier(recipe.model, recipe.split)
    make_root(paths.root)
    check(paths.metadata)
    held = versions(paths.serving / recipe.name)
    log = log_of(paths, run_id, node)
    refused: FashionError | None = None
    with explained(log) as console:
        console.print(Text.assemble((recipe.name, "bold"), f" · run {run_id} · log {short(log)}\n"))
        with RunView(console) as view:
            run, result = _run(recipe, paths, node, run_id, view)
        if "pushed_model" in result.outputs:
            from pipeline.record import read_run
            from pipeline.summary import conclude

            refused = conclude(console, read_run(run).results, recipe, paths, held)
    if refused:
        raise refused


def check_run_id(run_id: str) -> None:
    """Raises RecipeError where a run id cannot name a folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run_id):
        raise RecipeError(f"--run-id {run_id!r}: give letters, digits, dots, dashes and underscores, e.g. 2026-11-21-a")


def log_of(paths: Paths, run_id: str, name: str) -> Path:
    """Where the libraries are heard while a node of a run, or the report on it, is at work."""
    return paths.logs / run_id / f"{name}.log"


def _run(recipe: Recipe, paths: Paths, node: str, run_id: str, view: RunView) -> tuple["CompiledRun", "NodeResult"]:
    began = time.monotonic()
    view.started("start")
    set_up_logging()
    from pipeline.graph import create_pipeline
    from pipeline.local import compile_run
    from pipeline.summary import describe

    run = compile_run(create_pipeline(recipe, paths, to_run=(node,)), run_id)
    view.finished("start", "TFX and TensorFlow are loaded", time.monotonic() - began)
    view.started(node)
    with listen(view.progress):
        result = _launch_once(run, node)
    cached = "cached" if result.state == "cached" else ""
    view.finished(node, " · ".join(filter(None, (describe(result, recipe, paths), cached))), result.seconds)
    return run, result


def _launch_once(run: "CompiledRun", node: str) -> "NodeResult":
    """Launches a node unless an earlier process of the same run has finished it."""
    from tfx.orchestration import metadata
    from tfx.orchestration.portable.mlmd.execution_lib import is_execution_successful

    from pipeline.local import launch
    from pipeline.record import executions_of, finished_nodes, read_result

    with metadata.Metadata(run.connection) as handle:
        done = finished_nodes(handle, run)
        if missing := [before for before in run.nodes()[node].upstream_nodes if before not in done]:
            raise RecipeError(f"--node {node}: {missing[0]} comes before it, and is not finished in run {run.run_id}")
        for execution in executions_of(handle, run, node):
            # A second execution of a resolver would give the nodes after it two of each.
            if is_execution_successful(execution):
                return read_result(handle, node, execution)
            _clear(run, node, execution.id)
    return launch(run, node)


def _clear(run: "CompiledRun", node: str, execution_id: int) -> None:
    """Removes what a killed process left where TFX, which takes its execution up again, will write."""
    folder = Path(run.ir.runtime_spec.pipeline_root.field_value.string_value) / node
    outputs: Mapping[str, object] = run.nodes()[node].outputs.outputs
    for made in (*outputs, ".system/executor_execution"):
        shutil.rmtree(folder / made / str(execution_id), ignore_errors=True)
