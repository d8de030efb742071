"""The two stages that the stock components leave open: which schema holds, and what happens when the data break it."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components import ExampleValidator, StatisticsGen
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.io import fileio
from tfx.types import BaseChannel, artifact_utils
from tfx.types.standard_artifacts import ExampleAnomalies, Schema

from components.artifacts import DataVerdict, Quarantine
from components.digest import code_digest
from components.errors import DataRefused, RecipeError
from components.ingest.members import MEMBERS_FILE, open_members
from components.settings import OUTSIDE_SPLITS
from components.train.earlier import MEMBERS
from components.validate.earlier import VERDICT_FILE, last_accepted
from components.validate.gate import Anomaly, judge, read_anomalies, with_start
from components.validate.settings import Validation
from components.validate.shares import Summary


def schema_node(file: Path, digest: str) -> BaseNode:
    """Makes the graph's node `schema`, see `ReviewedSchema`."""
    # All that the stock components after it make depends on TFDV.
    code = code_digest(__name__, "components.report.statistics")
    return ReviewedSchema(file=str(file), digest=digest, code=code).with_id("schema")


def statistics_node(examples: BaseChannel, schema: BaseChannel) -> BaseNode:
    """Makes the graph's node `statistics`, the stock component, for products of the classes."""
    splits = list(OUTSIDE_SPLITS)
    return StatisticsGen(examples=examples, schema=schema, exclude_splits=splits).with_id("statistics")


def validate_node(statistics: BaseChannel, schema: BaseChannel) -> BaseNode:
    """Makes the graph's node `validate`, the stock component."""
    return ExampleValidator(statistics=statistics, schema=schema).with_id("validate")


def gate_node(
    anomalies: BaseChannel, quarantine: BaseChannel, name: str, settings: Validation, classes: Sequence[str],
    used: Sequence[str], weights: str, weights_digest: str,
) -> BaseNode:  # fmt: skip
    """Makes the graph's node `gate`, see `DataGate`; `weights` are the recipe's, a folder where a model lies there."""
    return DataGate(
        anomalies=anomalies, quarantine=quarantine, name=name, settings=settings.as_json(), classes=json.dumps(classes),
        used=json.dumps(used), start=weights if Path(weights).is_dir() else "", start_digest=weights_digest,
        code=code_digest(__name__),
    ).with_id("gate")  # fmt: skip


@component
def ReviewedSchema(
    schema: OutputArtifact[Schema], file: Parameter[str], digest: Parameter[str], code: Parameter[str] = "",
) -> None:  # fmt: skip
    """Brings a schema into the run; for the cache of the stock ImportSchemaGen an edited file is still the old one.

    Args:
        schema: receives `schema.pbtxt`.
        file: path of the schema, a text proto.
        digest: digest of the file's content, for the cache to notice its change.
        code: digest of what the stages that take the schema depend on, likewise.

    Raises:
        RecipeError: the file is not a text proto of a Schema.
    """
    with fileio.open(file) as source:
        text = source.read()
    try:
        text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise RecipeError(f"{file}:{error} Its fields must be those of tensorflow_metadata's Schema.") from error
    with fileio.open(os.path.join(schema.uri, "schema.pbtxt"), "w") as copy:
        copy.write(text)


@component
def DataGate(
    anomalies: InputArtifact[ExampleAnomalies], quarantine: InputArtifact[Quarantine],
    verdict: OutputArtifact[DataVerdict], name: Parameter[str], settings: Parameter[str], classes: Parameter[str],
    used: Parameter[str], start: Parameter[str] = "", start_digest: Parameter[str] = "", code: Parameter[str] = "",
) -> None:  # fmt: skip
    """Stops the run on data unfit to train on; the stock ExampleValidator succeeds whatever it finds.

    Args:
        anomalies: ExampleValidator's findings.
        quarantine: ingest's lists and counts.
        verdict: receives `verdict.json`, see `gate.Verdict.as_json`, and the experiment's name.
        name: the experiment's; its last run is what shares are compared with.
        settings: `settings.Validation` as JSON.
        classes: the taxonomy's classes, a JSON list of names.
        used: the catalogue's columns that labels and splits depend on, a JSON list of names.
        start: folder of the published model that training starts from; "" for none.
        start_digest: of its content, for the cache to notice its change.
        code: digest of the sources, for the cache to notice their change.

    Raises:
        DataRefused: with every problem found, one a line.
    """
    with fileio.open(os.path.join(quarantine.uri, "summary.json")) as file:
        summary = Summary.model_validate_json(file.read())
    limits = Validation.model_validate_json(settings)
    earlier = last_accepted(os.path.dirname(verdict.uri.rstrip("/")), name)
    names, lists = json.loads(classes), quarantine.uri
    judgement = judge(_findings(anomalies), summary, limits, names, lists, earlier, json.loads(used))
    if start:
        ours, theirs = map(open_members, (os.path.join(lists, MEMBERS_FILE), os.path.join(start, MEMBERS)))
        judgement = with_start(judgement, ours, theirs, start, limits.seen)
    for note in judgement.notes:
        logging.warning("%s", note)
    if not judgement.ok:
        raise DataRefused("\n".join(judgement.problems))
    with fileio.open(os.path.join(verdict.uri, VERDICT_FILE), "w") as file:
        file.write(json.dumps({"name": name} | judgement.as_json(), indent=2))
    logging.info("The data are fit to train on: %s examples", f"{sum(summary.examples.values()):,}")


def _findings(artifact: ExampleAnomalies) -> Iterator[Anomaly]:
    """What ExampleValidator wrote, split by split."""
    for split in artifact_utils.decode_split_names(artifact.split_names):
        path = os.path.join(artifact_utils.get_split_uri([artifact], split), DEFAULT_FILE_NAME)
        with fileio.open(path, "rb") as file:
            yield from read_anomalies(split, file.read())
