"""From a run that the metadata remember to its report."""

import dataclasses
import datetime
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.report.collect import FACTS_FILE, RECIPE_FILE, collect, command_of, shown
from components.report.facts import Gap, RunFacts, from_json, to_json
from components.report.reading import PREDICTIONS_FILE, Reading
from components.report.sources import Sources
from components.report.statistics import drift_between
from components.report.training import seconds_of
from components.report.verdict import verdict_facts
from pipeline.history import History, Run
from pipeline.paths import Paths, short
from pipeline.sources import folder_of, sources_of


def write_report(history: History, name: str, paths: Paths) -> Path:
    """Writes the report of a run, as far as it came; returns the page.

    The folder is `<root>/reports/<run>/`: `index.html`, `card.md`, `facts.json`, `predictions.npz`, `recipe.yaml`.

    Raises:
        UnknownRun: see `History.find`.
    """
    run = history.find(name)
    from components.report.page import write_page

    folder = _reports(paths) / run.id
    return write_page(run_facts(history, run, folder, paths.root), folder)


def write_comparison(history: History, one: str, other: str, paths: Paths) -> Path:
    """Writes a page that sets two runs side by side; returns it.

    Raises:
        UnknownRun: see `History.find`.
    """
    runs = history.find(one), history.find(other)
    from components.report.page import write_comparison as write

    reports = _reports(paths)
    of_one, of_other = (run_facts(history, run, reports / run.id, paths.root) for run in runs)
    file = reports / f"{runs[0].id}-against-{runs[1].id}.html"
    write(of_one, of_other, file)
    return file


def summary_of(run: Run, paths: Paths) -> dict[str, Any]:
    """One line on a run: what it came to, and on which figures.

    Returns:
        `run`, `recipe`, `began` (UTC, ISO 8601), `verdict`, `accuracy`, `macro_f1`, `lowest_recall`,
        `lowest_recall_class`, `version` and `minutes`; what a run did not come to is None.
    """
    verdict = _written_verdict(run, paths)
    if verdict is None:
        sources = sources_of(run, paths.root)
        reading = Reading(sources, _reports(paths) / run.id)
        verdict = vars(verdict_facts(sources, reading.verdict, reading.problems))
    began = datetime.datetime.fromtimestamp(run.began, datetime.UTC)
    figures = ("accuracy", "macro_f1", "lowest_recall", "lowest_recall_class", "version")
    return {
        "run": run.id,
        "recipe": run.recipe,
        "began": began.isoformat(timespec="seconds"),
        "verdict": verdict["outcome"],
        **{figure: verdict[figure] for figure in figures},
        "minutes": None if run.seconds is None else round(run.seconds / 60, 2),
    }


def _written_verdict(run: Run, paths: Paths) -> Mapping[str, Any] | None:
    """The verdict as a report holds it; reading it from an evaluation takes seconds."""
    if "publish" not in run.stages or any(stage.state == "running" for stage in run.stages.values()):
        return None
    for folder in (folder_of(run, "report", "report"), _reports(paths) / run.id):
        try:
            if folder:
                return json.loads((folder / FACTS_FILE).read_bytes())["verdict"]
        except (OSError, ValueError, KeyError):
            continue
    return None


def _reports(paths: Paths) -> Path:
    return paths.root / "reports"


def run_facts(history: History, run: Run, folder: Path, root: Path) -> RunFacts:
    """The facts of a run: those of its own report, completed with what the metadata know, or collected now.

    Args:
        history: where the run is remembered.
        run: which.
        folder: receives `facts.json`, `predictions.npz` and `recipe.yaml`.
        root: of the run; what lies below it is told from it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = sources_of(run, root, history.earlier(run, "statistics", "statistics"))
    facts = _reported(run, folder)
    if facts is None:
        facts = collect(sources, _with_answers_of(folder, sources.folders.model))
    else:
        facts = completed(facts, sources, folder)
    (folder / FACTS_FILE).write_bytes(to_json(facts))
    return facts


def _reported(run: Run, folder: Path) -> RunFacts | None:
    """What the run's own report says; None if it has none, or one of another version of this project."""
    report = folder_of(run, "report", "report")
    if report is None:
        return None
    try:
        facts = from_json((report / FACTS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    for name in (PREDICTIONS_FILE, RECIPE_FILE):
        if (report / name).exists():
            shutil.copyfile(report / name, folder / name)
    return facts


def completed(facts: RunFacts, sources: Sources, folder: Path) -> RunFacts:
    """Adds to the facts of a run's own report what a stage of the run cannot know.

    Args:
        facts: of the report.
        sources: the run, from the metadata.
        folder: where its recipe lies now.
    """
    gaps = [gap for gap in facts.gaps if gap.part not in ("drift", "lineage")]
    data, training, provenance = facts.data, facts.training, facts.provenance
    before, now = sources.folders.earlier, sources.folders.statistics
    if data and before and now:
        data = dataclasses.replace(data, drift=drift_between(before, now, sources.earlier_run))
    elif data:
        gaps.append(Gap("data", "drift", "There are no earlier data of this recipe to compare with."))
    if training:
        training = dataclasses.replace(training, seconds=seconds_of(sources.stages))
    if provenance:
        provenance = dataclasses.replace(
            provenance,
            stages=sources.stages,
            lineage=sources.lineage,
            command=command_of(short(folder / RECIPE_FILE), sources.told.data),
            data=shown(sources.told.data),
            code_digest=sources.told.code_digest,
        )
    return dataclasses.replace(
        facts,
        run=sources.run,
        began=sources.began,
        seconds=sources.seconds,
        data=data,
        training=training,
        provenance=provenance,
        gaps=tuple(gaps),
    )


def _with_answers_of(folder: Path, model: Path | None) -> Path:
    """The folder, without a model's answers that another model gave."""
    note, answers = folder / "predictions.model", folder / PREDICTIONS_FILE
    if answers.exists() and (not note.exists() or note.read_text(encoding="utf-8") != str(model)):
        answers.unlink()
    note.write_text(str(model), encoding="utf-8")
    return folder
