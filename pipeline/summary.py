"""What came of a run, in words and one table, read from the artifacts it left."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from components.evaluate.verdict import Verdict, read_verdict, refusal
from components.publish.store import latest
from components.transform.taxonomy import load_taxonomy
from pipeline.local import NodeResult
from pipeline.paths import Paths
from pipeline.recipe import Recipe


def describe(result: NodeResult, recipe: Recipe) -> str:
    """One line on what a finished stage did; empty where there is nothing to say."""
    outputs = {name: Path(uri) for name, uri in result.outputs.items()}
    match result.node:
        case "ingest":
            return _ingested(_quarantine_summary(outputs["quarantine"]))
        case "gate":
            return "data accepted"
        case "train":
            return _trained(outputs["model_run"])
        case "baseline":
            return "compared with the blessed model" if outputs else "no blessed model yet"
        case "evaluate":
            verdict = _verdict(outputs, recipe)
            return f"accuracy {percent(verdict.accuracy)}, macro-F1 {percent(verdict.macro_f1)}"
    return ""


def conclude(
    console: Console, results: Mapping[str, NodeResult], recipe: Recipe, paths: Paths, log: Path
) -> str | None:
    """Prints the table, the verdict and where everything is; returns the refusal of a refused model."""
    outputs = {node: {name: Path(uri) for name, uri in result.outputs.items()} for node, result in results.items()}
    refused = None
    console.print()
    if outputs.get("evaluate"):
        verdict = _verdict(outputs["evaluate"], recipe)
        console.print(_table(verdict))
        store = paths.serving / recipe.name
        if not verdict.blessed:
            refused = refusal(recipe.name, verdict, latest(store))
        elif outputs.get("publish"):
            console.print(f"\n[bold green]published[/] as version {latest(store)}")
            console.print(f"model       {short(store / str(latest(store)))}")
    if outputs.get("ingest"):
        console.print(f"quarantine  {short(outputs['ingest']['quarantine'] / 'quarantine.csv')}")
    console.print(f"log         {short(log)}")
    return refused


def percent(share: float | None) -> str:
    """0.9831 as `98.3 %`; what could not be computed as `–`."""
    return "–" if share is None else f"{100 * share:.1f} %"


def short(path: Path) -> str:
    """The path as seen from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _quarantine_summary(folder: Path) -> dict[str, dict[str, int]]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def _ingested(summary: Mapping[str, Mapping[str, int]]) -> str:
    examples, unmapped, bad = (sum(summary[key].values()) for key in ("examples", "unmapped", "quarantined"))
    rows = examples + unmapped + bad
    return (
        f"{rows:,} rows → {examples:,} products in {len(summary['classes'])} classes, "
        f"{unmapped:,} outside them, {bad:,} quarantined"
    )


def _trained(folder: Path) -> str:
    stages = []
    for file in sorted(folder.glob("*.csv"), reverse=True):  # head, then finetune
        with file.open(encoding="utf-8") as lines:
            accuracies = [float(row["val_accuracy"]) for row in csv.DictReader(lines)]
        if accuracies:
            best = max(accuracies)
            stages.append(f"{file.stem} {percent(best)} at epoch {accuracies.index(best) + 1} of {len(accuracies)}")
    return ", ".join(stages)


def _verdict(outputs: Mapping[str, Path], recipe: Recipe) -> Verdict:
    blessed = (outputs["blessing"] / "BLESSED").exists()
    classes = load_taxonomy(recipe.labels.taxonomy).classes
    return read_verdict(outputs["evaluation"], blessed, classes, recipe.gate)


def _table(verdict: Verdict) -> Table:
    table = Table(box=None, padding=(0, 2), show_footer=True)
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
            figures.name,
            percent(figures.precision),
            percent(figures.recall),
            percent(figures.f1),
            f"{figures.support:,}",
        )
    return table
