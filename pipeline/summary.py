"""What a run came to, in words and one table, read from the artifacts it left."""

import csv
import json
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.errors import FashionError, ModelRefused, PublishError
from components.evaluate.sentences import note_on_rare
from components.evaluate.verdict import Verdict, read_verdict, refusal
from components.export.copies import HEAD, read_copies, rows
from components.index import summary as similar
from components.index.summary import read_summary
from components.ingest.faults import PASSED
from components.outside.assessment import read_assessment
from components.outside.sentences import in_words
from components.publish.store import serving_version
from components.train.history import MONITOR, best_epoch, kept_phase, read_history
from pipeline.experiment import Experiment
from pipeline.paths import short
from pipeline.recipe import Recipe
from pipeline.runs import Artifact, Run, StageRun


def describe(stage: StageRun, experiment: Experiment) -> str:
    """One line on what a stage did, and on its state if that is not "complete"; empty where there is nothing to say."""
    did = _did(stage, experiment) if stage.succeeded else ""
    return " · ".join(filter(None, (did, "" if stage.state == "complete" else stage.state)))


def _did(stage: StageRun, experiment: Experiment) -> str:
    folders = _folders(stage)
    match stage.name:
        case "ingest":
            return ingested(_quarantine_summary(folders["quarantine"]))
        case "gate":
            return _accepted(folders["verdict"] / "verdict.json")
        case "tune":
            return _searched(folders["tuner_results"] / "trials.csv")
        case "train":
            return _trained(folders["model_run"])
        case "baseline":
            return "compared with the latest blessed model" if folders.get("model") else "no other blessed model yet"
        case "evaluate":
            verdict = _verdict(folders, experiment)
            return f"accuracy {percent(verdict.accuracy)}, macro-F1 {percent(verdict.macro_f1)}"
        case "outside":
            return in_words(read_assessment(folders["assessment"]), brief=True)
        case "infra":
            return _tried(stage.outputs["blessing"][0].properties, experiment.recipe)
        case "publish" | "index" | "export":
            return _placed(next(iter(stage.outputs.values()))[0])
    return ""


def _placed(artifact: Artifact) -> str:
    properties = artifact.properties
    if artifact.type == "ModelCopies":
        copies = read_copies(Path(artifact.uri))
        refused = [f"refused {copy.form}: {copy.parity.refused}" for copy in copies if not copy.path]
        return "; ".join([", ".join(copy.form for copy in copies if copy.path) or "nothing published", *refused])
    if artifact.type == "ProductIndex":
        summary = read_summary(Path(artifact.uri))
        return f"version {summary.version}, {summary}" if summary else "no model serves"
    return f"version {properties['pushed_version']}" if properties.get("pushed") else "nothing published"


def conclude(console: Console, run: Run, experiment: Experiment, held: Collection[int]) -> FashionError | None:
    """Prints the table, the verdict and where things are; `held` are the versions that were published before the run.

    Returns:
        Why nothing was published; None where something was.
    """
    store = experiment.store
    refused: FashionError | None = None
    reasons: list[str] = []
    console.print()
    if evaluated := _folders(run.stage("evaluate")):
        verdict = _verdict(evaluated, experiment)
        console.print(_table(verdict))
        console.print()
        if note := note_on_rare(verdict):
            console.print(f"{note}\n")
        reasons += verdict.reasons
    if assessed := _folders(run.stage("outside")):
        assessment = read_assessment(assessed["assessment"])
        # Between a number and its % no line ends.
        words = f"decisions   {in_words(assessment)}".replace(" %", "\N{NO-BREAK SPACE}%")
        lines = textwrap.fill(words, min(100, console.width), subsequent_indent=" " * 12)
        console.print(lines.replace("\N{NO-BREAK SPACE}", " ") + "\n")
        reasons += assessment.failures
    if reasons:
        refused = ModelRefused(refusal(store.name, reasons, serving_version(store)))
    if not refused and (pushed := run.stage("publish").output("pushed_model")):
        refused = _published(console, pushed, store, held)
    if (copied := _folders(run.stage("export"))) and (copies := read_copies(copied["copies"])):
        console.print()
        console.print(table_of(HEAD, rows(copies)))
        console.print()
    if (made := _folders(run.stage("index"))) and (index := read_summary(made["index"])) and index.figures:
        console.print()
        console.print(table_of(similar.HEAD, similar.rows(index)))
        console.print()
    if ingested := _folders(run.stage("ingest")):
        console.print(f"quarantine  {short(ingested['quarantine'] / 'quarantine.csv')}")
    return refused


def _published(console: Console, pushed: Artifact, store: Path, held: Collection[int]) -> FashionError | None:
    """Says under which version the model is found; returns why there is none, where the stage left it out."""
    serving = serving_version(store)
    if not pushed.properties["pushed"]:
        serves = "nothing serves yet" if serving is None else f"version {serving} still serves"
        if reason := pushed.properties.get("unservable"):
            return PublishError(
                f"{store.name} was approved, but fails in a server: {reason}. Nothing was published; {serves}."
            )
        return ModelRefused(
            f"{store.name} refused: its evaluation did not approve it. Nothing was published; {serves}."
        )
    version = int(pushed.properties["pushed_version"])
    if version not in held:
        said = ("published", "bold green"), f" as version {version}"
    else:
        said = ("published", "bold green"), f" before, as version {version}: the model is the same"
    console.print(Text.assemble(*said))
    if version != serving:
        console.print(
            f"{f'version {serving}' if serving else 'no version'} serves, as models.config has it, until you give:\n"
            f"  fashion models promote {store.name} {version}"
        )
    console.print(f"model       {short(store / str(version))}")
    return None


def _folders(stage: StageRun) -> dict[str, Path]:
    return {name: Path(artifacts[0].uri) for name, artifacts in stage.outputs.items()}


def percent(share: float | None) -> str:
    """0.9831 as `98.3 %`; what could not be computed as `–`."""
    return "–" if share is None else f"{100 * share:.1f} %"


def _quarantine_summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def ingested(summary: Mapping[str, Any]) -> str:
    """Returns one line on the counts of an ingest's `summary.json`."""
    examples, unmapped, bad = (sum(summary[key].values()) for key in ("examples", "unmapped", "quarantined"))
    parts = [f"{examples:,} products in {len(summary['classes'])} classes", f"{unmapped:,} outside"]
    if outside := summary.get("outside"):
        unseen = sum(kind in outside["unseen"] for kind in outside["kinds"])
        left = f", {outside['left']:,} rows left" if outside["left"] else ""
        parts[-1] += f" ({len(outside['kinds']) - unseen} kinds shown, {unseen} unseen{left})"
    corrected = summary.get("corrections", {})
    parts += [f"{count:,} corrections {outcome}" for outcome, count in corrected.items()]
    passed = [f"{count:,} {name.replace('_', ' ')}" for name in PASSED if (count := summary.get(name))]
    return ", ".join([*parts, f"{bad:,} quarantined", *passed])


def _tried(properties: Mapping[str, str | int | float], recipe: Recipe) -> str:
    if not properties["blessed"]:
        return str(properties["reason"])
    server = "the local server" if recipe.serving.runner == "local" else recipe.serving.image
    refused = f", {properties['refused']} of them refused" if properties.get("refused") else ""
    took = f"{properties['milliseconds']:.0f} ms each"
    return f"{server} answers about {properties['pictures']} real pictures{refused}, {took}"


def _accepted(verdict: Path) -> str:
    notes = len(json.loads(verdict.read_text(encoding="utf-8"))["notes"])
    return f"data accepted with {notes} note{'s'[: notes > 1]}: {short(verdict)}" if notes else "data accepted"


def _searched(file: Path) -> str:
    with file.open(encoding="utf-8", newline="") as lines:
        trials = list(csv.DictReader(lines))
    failed = sum(trial["state"] == "failed" for trial in trials)
    best = trials[0]
    chosen = ", ".join(f"{path} {_brief(value)}" for path, value in best.items() if "." in path)
    said = f"{len(trials)} trials" + (f", {failed} failed" if failed else "")
    accuracy, macro_f1 = (percent(float(best[name])) for name in ("accuracy", "macro_f1"))
    return f"{said}; best: accuracy {accuracy}, macro-F1 {macro_f1} with {chosen}"


def _brief(value: str) -> str:
    try:
        return f"{float(value):.3g}"
    except ValueError:
        return value


def _trained(folder: Path) -> str:
    """Names the epochs whose weights each phase has kept, and the phase that is in the model."""
    phases = {name: read_history(folder / f"{name}.csv") for name in ("head", "finetune")}
    losses = {name: [epoch[MONITOR] for epoch in epochs] for name, epochs in phases.items() if epochs}
    kept, said = kept_phase(losses), []
    for name, values in losses.items():
        best = best_epoch(values)
        if best is None:
            reached = f"{name} diverged: its loss was not a number in {len(values)} epoch{'s'[: len(values) > 1]}"
        else:
            accuracy = percent(phases[name][best]["val_accuracy"])
            reached = f"{name} {accuracy} at epoch {best + 1} of {len(values)}"
        if name == "finetune" and name != kept:
            reached += ": head kept"
        said.append(reached)
    return ", ".join(said)


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Makes a table without lines."""
    table = Table(*head, box=None, padding=(0, 2, 0, 0))
    for cells in rows:
        table.add_row(*cells)
    return table


def _verdict(outputs: Mapping[str, Path], experiment: Experiment) -> Verdict:
    blessed = (outputs["blessing"] / "BLESSED").exists()
    return read_verdict(outputs["evaluation"], blessed, experiment.taxonomy.classes, experiment.recipe.gate)


def _table(verdict: Verdict) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 3), show_footer=True)
    table.add_column("class", footer="all")
    for column, footer in (
        ("precision", percent(verdict.macro_precision)),
        ("recall", percent(verdict.macro_recall)),
        ("F1", percent(verdict.macro_f1)),
        ("support", f"{sum(figures.support for figures in verdict.classes):,}"),
    ):
        table.add_column(column, footer=footer, justify="right")
    for figures in verdict.classes:
        table.add_row(
            figures.name, percent(figures.precision), percent(figures.recall), percent(figures.f1),
            f"{figures.support:,}",
        )  # fmt: skip
    return table
