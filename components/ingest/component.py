"""The ExampleGen of a catalogue."""

import dataclasses
import json
import posixpath
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx.components.util import examples_utils
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples

from components.artifacts import Quarantine
from components.digest import code_digest
from components.errors import CatalogueError
from components.ingest.catalogue import open_catalogue
from components.ingest.chunks import Ingest, JudgeAndWrite, ReadRows
from components.ingest.corrections import read_corrections, settle
from components.ingest.judge import IngestSettings, is_outside
from components.ingest.outsiders import draw
from components.ingest.settings import DRAFT
from components.ingest.shards import SUMMARY_FILE, Divide, WriteShard
from components.ingest.split import check_split
from components.settings import SPLITS, with_outside
from components.transform.taxonomy import Taxonomy


def ingest_node(data: Path, digest: str, settings: IngestSettings, taxonomy: Taxonomy) -> BaseNode:
    """Makes the graph's node `ingest`, see `CatalogueExampleGen`."""
    return CatalogueExampleGen(
        data=str(data), digest=digest, settings=settings.as_json(), taxonomy=taxonomy.as_json(),
        code=code_digest(__name__),
    ).with_id("ingest")  # fmt: skip


@component(use_beam=True)
def CatalogueExampleGen(
    examples: OutputArtifact[Examples], quarantine: OutputArtifact[Quarantine], data: Parameter[str],
    digest: Parameter[str], settings: Parameter[str], taxonomy: Parameter[str], code: Parameter[str] = "",
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:  # fmt: skip
    """Turns a catalogue into examples; stock ExampleGens fail on one bad row and do not read pictures.

    Args:
        examples: splits train, eval and test, and `OUTSIDE_SPLITS` where the settings have `outside`; features as
            `components.features` lists them.
        quarantine: the rows left out, all counts, and the members of the splits.
        data: path of the catalogue's folder or zip, readable by every Beam worker.
        digest: the catalogue's `digest()`; a changed catalogue is a changed parameter, which the cache sees. "" where
            nobody could read it before.
        settings: JSON of `IngestSettings`.
        taxonomy: JSON of the taxonomy.
        code: digest of the sources that matter here, for the cache.
        beam_pipeline: made by TFX from the pipeline's Beam arguments.

    Raises:
        CatalogueError: the catalogue as a whole cannot be read, it has changed since its digest was read, or none of
            its rows became an example.
        RecipeError: the recipe wants a split that the catalogue does not have, or names a kind that it does not have.
    """
    rules, chosen = Taxonomy.model_validate_json(taxonomy), IngestSettings.model_validate_json(settings)
    catalogue = open_catalogue(data, chosen.catalogue)
    check_split(chosen.split, catalogue)
    digest = digest or catalogue.digest()
    splits = with_outside(*SPLITS, outside=chosen.outside is not None)
    _describe(examples, digest, splits)
    split_folders = {split: artifact_utils.get_split_uri([examples], split) for split in splits}
    scratch = posixpath.join(examples.uri, "scratch")
    for folder in (*split_folders.values(), scratch, quarantine.uri):
        fileio.makedirs(folder)
    job = Ingest(catalogue, rules, chosen, split_folders, scratch, quarantine.uri, rows=0)
    if chosen.corrections:
        given = read_corrections(Path(chosen.corrections))
        job = dataclasses.replace(job, corrections=settle(given, job.table(), rules))
    job = _with_counts(job)
    if not job.rows:
        raise CatalogueError(f"{data}: {catalogue.tables()[0]} has a header and no rows. Add a row for each product.")
    with beam_pipeline as pipeline:
        _ingest(pipeline, job)
    fileio.rmtree(scratch)
    # Opened again: a zip that is open stays the file it was, whatever lies there by now.
    if open_catalogue(data, chosen.catalogue).digest() != digest:
        raise CatalogueError(
            f"{data} has changed since its digest was read at the start of the run. Run again when nobody writes to it."
        )
    with fileio.open(posixpath.join(quarantine.uri, SUMMARY_FILE)) as file:
        summary = json.load(file)
    _check(summary, data)


def _with_counts(job: Ingest) -> Ingest:
    """Reads the table once before Beam does, which wraps what workers raise: faults of the whole are said plainly."""
    passed, outside = Counter[str](), job.settings.outside
    rows, outsiders = 0, []
    for row in job.table(passed):
        rows += 1
        if outside and is_outside(row, job.taxonomy):
            outsiders.append((row.id, row.fields.get(outside.kind, "")))
    drawn = draw(outsiders, outside) if outside else None
    return dataclasses.replace(job, rows=rows, passed=passed, drawn=drawn)


def _ingest(pipeline: beam.Pipeline, job: Ingest) -> None:
    (
        pipeline
        | "Start" >> beam.Create([job.rows])
        | "ReadRows" >> beam.ParDo(ReadRows(job))
        # Without it runners fuse reading and judging, and one worker gets all the chunks.
        | "Spread" >> beam.Reshuffle()
        | "JudgeAndWrite" >> beam.ParDo(JudgeAndWrite(job))
        | "Gather" >> beam.GroupBy(lambda _: 0)
        | "Divide" >> beam.ParDo(Divide(job))
        | "SpreadShards" >> beam.Reshuffle()
        | "WriteShards" >> beam.ParDo(WriteShard(job))
    )


def _describe(examples: Examples, digest: str, splits: list[str]) -> None:
    """Sets the properties that stock ExampleGens set, and stock components read."""
    examples.split_names = artifact_utils.encode_split_names(splits)
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    examples.set_int_custom_property("span", 0)
    examples.set_int_custom_property("version", 0)
    examples.set_string_custom_property("input_fingerprint", digest)


def _check(summary: dict[str, Any], data: str) -> None:
    if not any(summary["examples"].values()):
        reasons = summary["quarantined"] | ({"unmapped": n} if (n := sum(summary["unmapped"].values())) else {})
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        raise CatalogueError(
            f"{data}: none of its {summary['rows']:,} rows became an example ({listed}). "
            f"Correct the catalogue, or choose a taxonomy that fits it. {DRAFT}"
        )
