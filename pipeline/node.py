"""Runs one node of the graph as a process of its own; all processes of a run are given the same run id.

Its inputs are what the same run's earlier nodes have left, whatever other runs do meanwhile. A process that was killed
is started again with the same arguments: a node that had finished stays as it is, any other starts anew, and the
Trainer goes on where it was.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from components.errors import FashionError, RecipeError
from components.progress import listen
from components.publish.store import versions
from components.reading import choices
from pipeline.experiment import Experiment, check_experiment, read_experiment
from pipeline.history import History
from pipeline.metadata import check
from pipeline.paths import Paths, short
from pipeline.recipe import Recipe
from pipeline.run import explained, make_root, set_up_logging
from pipeline.stages import stages_of
from pipeline.view import RunView, quiet

if TYPE_CHECKING:
    from pipeline.local import CompiledRun
    from pipeline.runs import StageRun


def run_node(recipe: Recipe, paths: Paths, node: str, run_id: str, retries: int = 0, shown: bool = False) -> None:
    """Runs one node of a run, with progress, and says what it did; `paths` are the same for all nodes of it.

    When it fails, it is started again `retries` times, whatever it failed of. With `shown` the libraries' log is shown.

    Raises:
        ModelRefused: the node publishes, and the model was not approved.
        FashionError: anything else that the user can fix.
    """
    if node not in (stages := stages_of(recipe)):
        raise RecipeError(f"--node {node}: there is no such stage; {choices(node, stages)}")
    _check_run_id(run_id)
    log = log_of(paths, run_id, node)
    with _said_again(log.with_suffix(""), retries):
        experiment = experiment_of(recipe, paths, run_id)
        held = versions(experiment.store)
        refused: FashionError | None = None
        with explained(log, shown) as console:
            console.print(Text.assemble((recipe.name, "bold"), f" · run {run_id} · log {short(log)}\n"))
            with RunView(console) as view:
                run, stage = _run(experiment, node, run_id, view)
            if stage.output("pushed_model"):
                from pipeline.summary import conclude

                refused = conclude(console, run.read(), experiment, held)
        if refused:
            raise refused


@contextmanager
def _said_again(file: Path, retries: int) -> Iterator[None]:
    """Says an error that a person has to fix again, in place of the work, each time the cluster starts it again.

    Kubeflow does not look at exit codes. After its last try the error is forgotten, and a retry by hand does the work.
    """
    if retries and (left := sorted(file.parent.glob(f"{file.name}.error-*"))):
        said, exit_code = json.loads(left[0].read_text(encoding="utf-8"))
        left[0].unlink()
        again = FashionError(f"{said} (said again; nothing was tried)")
        again.exit_code = exit_code
        raise again
    try:
        yield
    except FashionError as error:
        with suppress(OSError):  # which may be the error
            for number in () if error.passing else range(retries):
                file.parent.mkdir(parents=True, exist_ok=True)
                told = json.dumps([str(error), error.exit_code])
                file.with_name(f"{file.name}.error-{number}").write_text(told, encoding="utf-8")
        raise


def experiment_of(recipe: Recipe, paths: Paths, run_id: str) -> Experiment:
    """Reads the experiment of a run, as its first process read it.

    Raises:
        FashionError: it cannot be read, or the run id cannot name a folder.
    """
    _check_run_id(run_id)
    check_experiment(recipe)
    make_root(paths.root)
    check(paths.metadata)
    with quiet(log_of(paths, run_id, "experiment")):  # the database's client has things to say
        record = History(paths.metadata).record(run_id)
    return read_experiment(recipe, paths, record)


def _check_run_id(run_id: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run_id):
        raise RecipeError(f"--run-id {run_id!r}: give letters, digits, dots, dashes and underscores, e.g. 2026-11-21-a")


def log_of(paths: Paths, run_id: str, name: str) -> Path:
    """Where the libraries are heard while a node of a run, or the report on it, is at work."""
    return paths.logs / run_id / f"{name}.log"


def _run(experiment: Experiment, node: str, run_id: str, view: RunView) -> tuple["CompiledRun", "StageRun"]:
    view.started("start")
    set_up_logging()
    from pipeline.local import compile_run
    from pipeline.summary import describe

    run = compile_run(experiment, run_id)
    view.finished("start", "TFX and TensorFlow are loaded")
    view.started(node)
    with listen(view.progress):
        stage = _launch_once(run, node)
    view.finished(node, describe(stage, experiment), stage.seconds or 0.0)
    return run, stage


def _launch_once(run: "CompiledRun", node: str) -> "StageRun":
    """Launches a node unless an earlier process of the same run has finished it."""
    from pipeline.local import launch

    stages = run.read().stages
    for before in run.nodes()[node].upstream_nodes:
        if before not in stages or not stages[before].succeeded:
            raise RecipeError(f"--node {node}: {before} comes before it, and is not finished in run {run.run_id}")
    for stage in run.history.tries(run.run_id, run.pipeline, node):
        # A second execution of a resolver would give the nodes after it two of each.
        if stage.succeeded:
            return stage
        _clear(run, node, stage.execution)
    return launch(run, node)


def _clear(run: "CompiledRun", node: str, execution_id: int) -> None:
    """Removes what a killed process left where TFX, which takes its execution up again, will write."""
    folder = Path(run.ir.runtime_spec.pipeline_root.field_value.string_value) / node
    outputs: Mapping[str, object] = run.nodes()[node].outputs.outputs
    for name in (*outputs, ".system/executor_execution"):
        shutil.rmtree(folder / name / str(execution_id), ignore_errors=True)
