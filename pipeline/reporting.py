"""From a run that the metadata remember to its report: facts, then the page and the card, made once."""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from components.digest import code_digest, content_digest
from components.report.collect import FACTS_FILE, collect
from components.report.facts import RunFacts, from_json, to_json
from components.report.facts.verdict import StageTime, Use
from components.report.reading import Reading
from components.report.sources import Folders, Plan, Sources, plan_of
from components.report.verdict_section import verdict_facts
from pipeline.history import History
from pipeline.paths import Paths
from pipeline.runs import Artifact, Run, StageRun
from pipeline.stages import STAGES

_TEMPLATES = Path(str(resources.files("components.report.page"))) / "templates"
# Those that a report reads, by their names there: stage and output.
_OUTPUTS = {
    "examples": ("ingest", "examples"), "quarantine": ("ingest", "quarantine"),
    "statistics": ("statistics", "statistics"), "anomalies": ("validate", "anomalies"),
    "transformed": ("transform", "transformed_examples"), "model": ("train", "model"),
    "history": ("train", "model_run"), "evaluation": ("evaluate", "evaluation"), "blessing": ("evaluate", "blessing"),
    "assessment": ("outside", "assessment"), "copies": ("export", "copies"),
    "index": ("index", "index"),
}  # fmt: skip
_PAGE, _INPUTS, _CODE = "index.html", "inputs.digest", "code.digest"


def write_report(history: History, run: Run, paths: Paths) -> tuple[Path, bool]:
    """Writes the report of a run, as far as it came, unless there is one of the same.

    The folder is `<root>/reports/<run>/`: `index.html`, `card.md`, `facts.json`, `predictions.npz`, `recipe.yaml`. A
    run in which nothing changed has the report of the run before it.

    Returns:
        The page, and whether it was written now.
    """
    code = code_digest(
        "components.report.collect", "components.report.page", "components.audit.doubts"
    ) + content_digest(_TEMPLATES)
    folder = report_folder(history, run, paths)
    if folder and (folder / _CODE).exists() and (folder / _CODE).read_text(encoding="utf-8") == code:
        return folder / _PAGE, False
    from components.audit.doubts import doubts
    from components.report.page import write_page

    folder = _reports(paths) / run.id
    earlier = history.earlier(run, "statistics", "statistics")
    facts = collect(sources_of(run, paths.root, earlier), folder, doubts)
    page = write_page(facts, folder)
    (folder / FACTS_FILE).write_bytes(to_json(facts))
    (folder / _INPUTS).write_text(inputs_digest(run), encoding="utf-8")
    (folder / _CODE).write_text(code, encoding="utf-8")
    return page, True


def write_comparison(history: History, one: Run, other: Run, paths: Paths) -> Path:
    """Writes a page that sets two runs side by side; returns it."""
    from components.report.page import write_comparison as write

    def facts_of(run: Run) -> RunFacts:
        page, _ = write_report(history, run, paths)
        facts = from_json((page.parent / FACTS_FILE).read_bytes())
        # It may be the report of a run before, in which the same came out.
        return dataclasses.replace(facts, run=run.id, began=run.began, seconds=run.seconds)

    file = _reports(paths) / f"{one.id}-against-{other.id}.html"
    write(facts_of(one), facts_of(other), file)
    return file


def report_folder(history: History, run: Run, paths: Paths) -> Path | None:
    """The folder of the report on a run, or on one before it that came to the very same; None if there is none."""
    digest, ids = inputs_digest(run), history.ids
    for run_id in reversed(ids[: ids.index(run.id) + 1]):
        folder = _reports(paths) / run_id
        note = folder / _INPUTS
        if note.exists() and note.read_text(encoding="utf-8") == digest and (folder / FACTS_FILE).exists():
            return folder
    return None


def summary_of(history: History, run: Run, paths: Paths) -> dict[str, Any]:
    """One line on a run: what it came to, and on which figures.

    Returns:
        `run`, `recipe`, `began` (UTC, ISO 8601), `verdict`, `accuracy`, `macro_f1`, `lowest_recall`,
        `lowest_recall_class`, `version` and `minutes`; what a run did not come to is None.
    """
    if folder := report_folder(history, run, paths):
        verdict: Mapping[str, Any] = json.loads((folder / FACTS_FILE).read_bytes())["verdict"]
    else:
        sources = sources_of(run, paths.root)
        reading = Reading(sources, _reports(paths) / run.id)
        verdict = vars(verdict_facts(sources, reading.verdict, reading.problems, reading.failures))
    began = datetime.datetime.fromtimestamp(run.began, datetime.UTC)
    figures = ("accuracy", "macro_f1", "lowest_recall", "lowest_recall_class", "version")
    return {
        "run": run.id, "recipe": run.name, "began": began.isoformat(timespec="seconds"), "verdict": verdict["outcome"],
        **{figure: verdict[figure] for figure in figures},
        "minutes": None if run.seconds is None else round(run.seconds / 60, 2),
    }  # fmt: skip


def inputs_digest(run: Run) -> str:
    """Returns a digest that is the same for runs of which a report would say the same, but for when they were."""

    def outcome(stage: StageRun) -> object:
        if stage.name == "publish":  # it publishes anew each time, and finds that the version is there
            pushed = stage.output("pushed_model")
            return pushed and {key: value for key, value in pushed.properties.items() if key.startswith("pushed")}
        # Not by the outputs' names: TFX records a resolver's finds under names that change from run to run.
        return sorted(artifact.id for artifacts in stage.outputs.values() for artifact in artifacts)

    stages = {name: [stage.succeeded, stage.error, outcome(stage)] for name, stage in run.stages.items()}
    inputs = json.dumps([run.experiment, stages], sort_keys=True, default=str)
    return hashlib.blake2b(inputs.encode(), digest_size=16).hexdigest()


def sources_of(run: Run, root: Path, earlier: tuple[Run, Artifact] | None = None) -> Sources:
    """Lists what a report of a run is made from; what lies below `root` is told from it.

    `earlier` are the statistics to compare its data with, and the run they are of.
    """
    pushed = run.stage("publish").output("pushed_model")
    return Sources(
        run=run.id,
        recipe=run.name,
        began=run.began,
        seconds=run.seconds,
        plan=_plan(run),
        folders=Folders(
            earlier=Path(earlier[1].uri) if earlier else None,
            **{name: run.stage(stage).folder(output) for name, (stage, output) in _OUTPUTS.items()},
        ),
        stages=_stage_times(run),
        pushed=pushed.properties if pushed else None,
        errors={name: stage.error for name, stage in run.stages.items() if stage.error},
        lineage=_lineage(run, root.absolute()),
        earlier_run=earlier[0].id if earlier else "",
    )


def _reports(paths: Paths) -> Path:
    return paths.root / "reports"


def _stage_times(run: Run) -> tuple[StageTime, ...]:
    ran = [StageTime(name, stage.state, stage.seconds) for name, stage in run.stages.items()]
    return (*ran, *(StageTime(name, "waiting", None) for name in STAGES if name not in run.stages))


def _plan(run: Run) -> Plan:
    if not run.experiment:
        return Plan()
    trainer = json.loads(json.loads(run.stage("train").parameters.get("custom_config", "{}")).get("config", "{}"))
    return plan_of(run.experiment, trainer.get("code"))


def _lineage(run: Run, root: Path) -> tuple[Use, ...]:
    ways: tuple[Literal["takes", "makes"], ...] = "takes", "makes"
    return tuple(
        Use(name, way, artifact.type, artifact.uri.removeprefix(f"{root}/"))
        for name, stage in run.stages.items()
        for way, ports in zip(ways, (stage.inputs, stage.outputs), strict=True)
        for artifacts in ports.values()
        for artifact in artifacts
    )
