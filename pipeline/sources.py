"""What a report is made from, out of what the metadata remember of a run."""

import json
from pathlib import Path
from typing import Any

from components.report.facts import Lineage, LineageNode, StageTime
from components.report.sources import Folders, Sources, Told, told_by_recipe
from pipeline.history import Made, Run, parsed
from pipeline.run import STAGES


def sources_of(run: Run, root: Path, earlier: tuple[Run, Made] | None = None) -> Sources:
    """What a report of a run is made from.

    Args:
        run: the run.
        root: what lies below it is told from it.
        earlier: the statistics to compare its data with, and the run they are of.
    """
    pushed = run.made("publish", "pushed_model")
    return Sources(
        run=run.id,
        recipe=run.recipe,
        began=run.began,
        seconds=run.seconds,
        told=_told(run),
        folders=Folders(
            examples=folder_of(run, "ingest", "examples"),
            quarantine=folder_of(run, "ingest", "quarantine"),
            statistics=folder_of(run, "statistics", "statistics"),
            earlier=Path(earlier[1].uri) if earlier else None,
            anomalies=folder_of(run, "validate", "anomalies"),
            transformed=folder_of(run, "transform", "transformed_examples"),
            model=folder_of(run, "train", "model"),
            history=folder_of(run, "train", "model_run"),
            evaluation=folder_of(run, "evaluate", "evaluation"),
            blessing=folder_of(run, "evaluate", "blessing"),
        ),
        stages=_stage_times(run),
        pushed=pushed.properties if pushed else None,
        errors={name: stage.error for name, stage in run.stages.items() if stage.error},
        lineage=_lineage(run, root.absolute()),
        earlier_run=earlier[0].id if earlier else "",
    )


def folder_of(run: Run, stage: str, output: str) -> Path | None:
    """Where an artifact of a run lies; None if it was not made, or is gone."""
    made = run.made(stage, output)
    path = Path(made.uri) if made else None
    return path if path and path.exists() else None


def _stage_times(run: Run) -> tuple[StageTime, ...]:
    ran = [StageTime(name, stage.state, stage.seconds) for name, stage in run.stages.items()]
    return (*ran, *(StageTime(name, "waiting", None) for name in STAGES if name not in run.stages))


def _told(run: Run) -> Told:
    """What the stages were told, each by its own parameters: a run need not have come to the end of its recipe."""
    ingest, transform, train = (run.told(stage) for stage in ("ingest", "transform", "train"))
    of_transform = parsed(transform, "custom_config") or {}
    of_train = parsed(parsed(train, "custom_config") or {}, "config") or {}
    recipe = run.experiment or run.told("publish").get("recipe")
    if recipe and "taxonomy" in ingest:
        return told_by_recipe(recipe, ingest["taxonomy"], ingest["data"], ingest.get("digest"), of_train.get("code"))
    settings: dict[str, Any] = {
        "recipe": recipe,
        "taxonomy": parsed(ingest, "taxonomy"),
        "picture": (parsed(ingest, "settings") or {}).get("picture"),
        "validation": parsed(run.told("gate"), "settings"),
        "balance": parsed(of_transform, "balance"),
        "model": of_train.get("model"),
        "train": of_train.get("train"),
        "data": ingest.get("data"),
        "data_digest": ingest.get("digest"),
        "code_digest": of_train.get("code"),
    }
    return Told.model_validate_json(json.dumps(settings))


def _lineage(run: Run, root: Path) -> Lineage:
    nodes: dict[str, LineageNode] = {}
    edges: list[tuple[str, str]] = []
    for name, stage in run.stages.items():
        nodes[f"stage {name}"] = LineageNode(f"stage {name}", "stage", name)
        edges += [(_add(nodes, artifact, root), f"stage {name}") for of in stage.inputs.values() for artifact in of]
        edges += [(f"stage {name}", _add(nodes, artifact, root)) for of in stage.outputs.values() for artifact in of]
    return Lineage(tuple(nodes.values()), tuple(dict.fromkeys(edges)))


def _add(nodes: dict[str, LineageNode], artifact: Made, root: Path) -> str:
    key = f"artifact {artifact.id}"
    nodes.setdefault(key, LineageNode(key, "artifact", artifact.type, artifact.uri.removeprefix(f"{root}/")))
    return key
