"""Says what came of a run whose nodes were processes of their own; the last task of a run on Kubeflow."""

import io
from typing import TYPE_CHECKING

from rich.console import Console

from components.errors import FashionError
from components.publish.store import versions
from pipeline.metadata import check
from pipeline.node import check_run_id, log_of
from pipeline.paths import Paths, short
from pipeline.recipe import Recipe
from pipeline.run import explained, make_root, set_up_logging

if TYPE_CHECKING:
    from pipeline.record import RunRecord


def tell_verdict(recipe: Recipe, paths: Paths, run_id: str) -> None:
    """Prints what each node did and what the run came to, and keeps it in `logs/<run id>/verdict.txt`.

    A run that did not come as far as its report is reported here: no task follows one that failed.

    Raises:
        ModelRefused: the model was not good enough; nothing was published.
        FashionError: a node failed, with its error and exit code; or the run did not come to its end.
    """
    check_run_id(run_id)
    make_root(paths.root)
    check(paths.metadata)
    log = log_of(paths, run_id, "verdict")
    with explained(log) as console:
        set_up_logging()
        record = _read(recipe, paths, run_id)
        text, error = _verdict(recipe, paths, run_id, record)
        console.print(text, end="")
        log.with_suffix(".txt").write_text(f"{text}{error or ''}\n".lstrip(), encoding="utf-8")
        if record.results["report"].state == "waiting":
            _report(console, paths, run_id)
        if error:
            raise error


def _read(recipe: Recipe, paths: Paths, run_id: str) -> "RunRecord":
    from pipeline.graph import create_pipeline
    from pipeline.local import compile_run
    from pipeline.record import read_run

    return read_run(compile_run(create_pipeline(recipe, paths, to_run=()), run_id))


def _verdict(recipe: Recipe, paths: Paths, run_id: str, record: "RunRecord") -> tuple[str, FashionError | None]:
    from pipeline.summary import conclude, describe

    page = io.StringIO()
    console = Console(file=page, width=100, highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print(f"{recipe.name} · run {run_id} · logs {short(log_of(paths, run_id, 'verdict').parent)}\n")
    width = max(map(len, record.results))
    for node, result in record.results.items():
        done = result.state in ("complete", "cached")
        said = [describe(result, recipe, paths) if done else "", "" if result.state == "complete" else result.state]
        took = f"  {result.seconds:.0f} s" if result.state != "waiting" else ""
        console.print(f"  {node:<{width}}  {' · '.join(filter(None, said)) or 'done'}{took}")
    held = [version for version in versions(paths.serving / recipe.name) if version < record.began]
    refused = conclude(console, record.results, recipe, paths, held)
    return page.getvalue(), _failure(record) or refused or _unfinished(record, run_id)


def _failure(record: "RunRecord") -> FashionError | None:
    for node, failure in record.failures.items():
        error = FashionError(f"{node} failed: {failure.said}")
        error.exit_code = failure.exit_code
        return error
    return None


def _unfinished(record: "RunRecord", run_id: str) -> FashionError | None:
    for node, result in record.results.items():
        if result.state not in ("complete", "cached"):
            return FashionError(f"run {run_id} did not finish: {node} is {result.state}")
    return None


def _report(console: Console, paths: Paths, run_id: str) -> None:
    from pipeline.history import History, UnknownRun
    from pipeline.reporting import write_report

    try:
        console.print(f"report      {short(write_report(History(paths.metadata), run_id, paths))}")
    except UnknownRun:
        console.print("There is no report: the run did not come as far as the metadata.")
