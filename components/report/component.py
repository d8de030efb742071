"""The last stage of the pipeline: the report of the run."""

import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import (
    ExampleAnomalies,
    Examples,
    ExampleStatistics,
    Model,
    ModelBlessing,
    ModelEvaluation,
    ModelRun,
    PushedModel,
)

from components.artifacts import DataVerdict, Quarantine, Report
from components.report.facts import to_json
from components.report.sources import Folders, Sources, told_by_recipe


@component
def Reporter(
    examples: InputArtifact[Examples],
    quarantine: InputArtifact[Quarantine],
    statistics: InputArtifact[ExampleStatistics],
    anomalies: InputArtifact[ExampleAnomalies],
    verdict: InputArtifact[DataVerdict],
    transformed: InputArtifact[Examples],
    model: InputArtifact[Model],
    history: InputArtifact[ModelRun],
    evaluation: InputArtifact[ModelEvaluation],
    blessing: InputArtifact[ModelBlessing],
    pushed_model: InputArtifact[PushedModel],
    report: OutputArtifact[Report],
    name: Parameter[str],
    recipe: Parameter[str],
    taxonomy: Parameter[str],
    data: Parameter[str],
    run: Parameter[str],
    code: Parameter[str] = "",
) -> None:
    """Writes the page that people read after a run; TFX has nothing of the kind, its parts are shown in notebooks.

    A part that cannot be computed does not fail the run: the page says why it is missing. What only the metadata
    know, a stage not being shown them, is added by `fashion report`: times, lineage, and drift against earlier data.

    Args:
        examples: ingest's.
        quarantine: ingest's lists and counts.
        statistics: of the examples.
        anomalies: what ExampleValidator found.
        verdict: of the data gate.
        transformed: Transform's examples.
        model: the trained model.
        history: the figures of its epochs.
        evaluation: the figures it was judged by.
        blessing: whether they were good enough.
        pushed_model: what became of it.
        report: receives the files that `components.artifacts.Report` lists.
        name: of the recipe.
        recipe: the experiment, as YAML text.
        taxonomy: the taxonomy, as JSON.
        data: path of the catalogue.
        run: id of the run.
        code: digest of the sources, for the cache to notice their change.
    """
    from components.report.collect import FACTS_FILE, collect
    from components.report.page import write_page

    folder = Path(report.uri)
    sources = Sources(
        run=run,
        recipe=name,
        began=time.time(),
        seconds=None,
        told=told_by_recipe(
            recipe,
            taxonomy=taxonomy,
            data=data,
            data_digest=examples.get_string_custom_property("input_fingerprint"),
        ),
        folders=Folders(
            examples=Path(examples.uri),
            quarantine=Path(quarantine.uri),
            statistics=Path(statistics.uri),
            anomalies=Path(anomalies.uri),
            transformed=Path(transformed.uri),
            model=Path(model.uri),
            history=Path(history.uri),
            evaluation=Path(evaluation.uri),
            blessing=Path(blessing.uri),
        ),
        stages=(),
        pushed={key: _property(pushed_model, key) for key in ("pushed", "pushed_version", "version", "unservable")},
    )
    facts = collect(sources, folder)
    (folder / FACTS_FILE).write_bytes(to_json(facts))
    write_page(facts, folder)


def _property(artifact: PushedModel, key: str) -> str | int:
    """A custom property, whichever of its two types it has; TFX gives "" or 0 for one of the other type."""
    return artifact.get_string_custom_property(key) or artifact.get_int_custom_property(key)
