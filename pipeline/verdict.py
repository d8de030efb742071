"""Says what a run came to whose nodes were processes of their own, and reports on it; the exit task on Kubeflow."""

import io
from typing import TYPE_CHECKING

from rich.console import Console

from components.errors import FashionError
from components.publish.store import versions
from pipeline.node import experiment_of, log_of
from pipeline.paths import Paths, short
from pipeline.recipe import Recipe
from pipeline.run import explained, set_up_logging

if TYPE_CHECKING:
    from pipeline.local import CompiledRun
    from pipeline.runs import Run


def tell_verdict(recipe: Recipe, paths: Paths, run_id: str) -> None:
    """Prints what each node did and what the run came to, keeps it in `logs/<run id>/verdict.txt`, and reports.

    Raises:
        ModelRefused: the model was not good enough; nothing was published.
        FashionError: a node failed, with its error and exit code; or the run did not come to its end.
    """
    experiment = experiment_of(recipe, paths, run_id)
    log = log_of(paths, run_id, "verdict")
    with explained(log) as console:
        set_up_logging()
        from pipeline.local import compile_run

        compiled = compile_run(experiment, run_id)
        run = compiled.read()
        text, error = _verdict(compiled, run)
        console.print(text, end="")
        log.with_suffix(".txt").write_text(f"{text}{error or ''}\n".lstrip(), encoding="utf-8")
        if run.stages:
            from pipeline.reporting import write_report

            console.print(f"report      {short(write_report(compiled.history, run, paths)[0])}")
        else:
            console.print("There is no report: the run did not come as far as the metadata.")
        if error:
            raise error


def _verdict(compiled: "CompiledRun", run: "Run") -> tuple[str, FashionError | None]:
    from pipeline.summary import conclude, describe

    experiment = compiled.experiment
    page = io.StringIO()
    console = Console(file=page, width=100, highlight=False, markup=False, emoji=False, soft_wrap=True)
    logs = short(log_of(experiment.paths, run.id, "verdict").parent)
    console.print(f"{experiment.recipe.name} · run {run.id} · logs {logs}\n")
    width = max(map(len, compiled.nodes()))
    for node in compiled.nodes():
        stage = run.stage(node)
        took = "" if stage.seconds is None else f"  {stage.seconds:.0f} s"
        console.print(f"  {node:<{width}}  {describe(stage, experiment) or 'done'}{took}")
    held = [version for version in versions(experiment.store) if version < run.began]
    refused = conclude(console, run, experiment, held)
    return page.getvalue(), _failure(run) or refused or _unfinished(compiled, run)


def _failure(run: "Run") -> FashionError | None:
    if run.failed is None:
        return None
    error = FashionError(f"{run.failed.name} failed: {run.failed.error or 'the log says why'}")
    error.exit_code = run.failed.exit_code
    return error


def _unfinished(compiled: "CompiledRun", run: "Run") -> FashionError | None:
    for node in compiled.nodes():
        if not (stage := run.stage(node)).succeeded:
            return FashionError(f"run {run.id} did not finish: {node} is {stage.state}")
    return None
