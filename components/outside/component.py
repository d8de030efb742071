"""The stage that asks an exported model about foreign pictures too; TFMA takes no example without a label."""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from pydantic import TypeAdapter
from tfx.components.evaluator import constants
from tfx.components.util.model_utils import is_model_blessed
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.io import fileio
from tfx.types import BaseChannel, artifact_utils
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing
from tfx.utils import io_utils
from tfx.utils.path_utils import serving_model_path

from components.artifacts import OutsideAssessment, Quarantine
from components.digest import code_digest
from components.evaluate.figures import SLICES
from components.evaluate.settings import Gate
from components.examples import example_of, picture_of, read_batches, texts_of
from components.features import ID, IMAGE_BYTES, NAME
from components.ingest.settings import Labels
from components.outside.assessment import ASSESSMENT_FILE, Answers, Assessment, assess
from components.outside.sentences import failures_of
from components.outside.shares import Column
from components.progress import report
from components.settings import OUTSIDE_SPLITS
from components.transform.taxonomy import Taxonomy

_ASKED = ("probabilities", "outside", "decision", "label_set")
_BATCH = 64


def outside_node(
    taxonomy: Taxonomy,
    tags: Sequence[Taxonomy],
    labels: Labels,
    gate: Gate,
    coverage: float,
    text: str | None,
    **channels: BaseChannel,
) -> BaseNode:
    """Makes the graph's node `outside`, see `OutsideGate`; `channels` are its input artifacts."""
    return OutsideGate(
        taxonomy=taxonomy.as_json(), tags=json.dumps([tag.model_dump(mode="json") for tag in tags]),
        labels=labels.as_json(), gate=gate.model_dump_json(), coverage=coverage, text=text or "",
        code=code_digest(__name__), **channels,
    ).with_id("outside")  # fmt: skip


@component
def OutsideGate(
    examples: InputArtifact[Examples], quarantine: InputArtifact[Quarantine], model: InputArtifact[Model],
    evaluated: InputArtifact[ModelBlessing], assessment: OutputArtifact[OutsideAssessment],
    blessing: OutputArtifact[ModelBlessing], taxonomy: Parameter[str], tags: Parameter[str], labels: Parameter[str],
    gate: Parameter[str], coverage: Parameter[float], text: Parameter[str] = "", code: Parameter[str] = "",
) -> None:  # fmt: skip
    """Judges the decisions of a model on what is tested on, of the classes and of none.

    Args:
        examples: ingest's.
        quarantine: ingest's counts, which say what kinds training never saw.
        model: the trained one; one that gives no decisions passes, unless the gate asks for some.
        evaluated: whether the evaluation approved it.
        assessment: receives `outside.json`, an `Assessment`.
        blessing: whether both did, in the words of TFX's own.
        taxonomy: JSON of the taxonomy.
        tags: JSON of those of further columns.
        labels: JSON of `Labels`, with the gates of these.
        gate: JSON of `Gate`.
        coverage: how often a label set shall hold the true class.
        text: the column that the model reads beside pictures; "" for none.
        code: digest of the sources, for the cache to notice their change.
    """
    rules = [Taxonomy.model_validate_json(taxonomy), *TypeAdapter(list[Taxonomy]).validate_json(tags)]
    result = _assessment(examples, quarantine, serving_model_path(model.uri), rules, coverage, text)
    gates = {str(column): tag for column, tag in Labels.model_validate_json(labels).columns.items()}
    failures = failures_of(result, Gate.model_validate_json(gate), gates)
    result = result.model_copy(update={"failures": failures})
    io_utils.write_string_file(os.path.join(assessment.uri, ASSESSMENT_FILE), result.model_dump_json(indent=1))
    blessed = is_model_blessed(evaluated) and not result.failures
    io_utils.write_string_file(os.path.join(blessing.uri, "BLESSED" if blessed else "NOT_BLESSED"), "")
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))


def _assessment(
    examples: Examples,
    quarantine: Quarantine,
    folder: str,
    taxonomies: Sequence[Taxonomy],
    coverage: float,
    text: str,
) -> Assessment:
    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures["examples"]
    if not signature.structured_outputs.keys() >= set(_ASKED):
        return Assessment()
    with fileio.open(os.path.join(quarantine.uri, "summary.json")) as file:
        outside = json.load(file).get("outside", {"column": "", "unseen": []})
    there = artifact_utils.decode_split_names(examples.split_names)
    inside, foreign = (
        _answers(signature, artifact_utils.get_split_uri([examples], split) if split in there else None, taxonomies,
                 outside["column"], text)
        for split in ("test", OUTSIDE_SPLITS[-1])
    )  # fmt: skip
    return assess(taxonomies[0].classes, inside, foreign, outside["unseen"], coverage)


def _answers(signature: Any, folder: str | None, taxonomies: Sequence[Taxonomy], kind: str, text: str) -> Answers:
    """Asks about one split, a few pictures at a time."""
    taxonomy, *tags = taxonomies
    labels = ["label", *(f"{tag.name}_label" for tag in tags)]
    asked = [*_ASKED, *(f"{tag.name}_{what}" for what in ("label", "decision") for tag in tags)]
    products: list[tuple[str, ...]] = []
    nothing = [np.zeros((0, len(taxonomy.classes)), np.float32), np.zeros(0, np.float32)]
    parts = [[*nothing, *[np.zeros(0, object)] * (len(asked) + len(labels) - len(nothing))]]
    for records in read_batches(folder, _BATCH) if folder else ():
        for record in records:
            fields = texts_of(record)
            truth = taxonomy.class_of(fields) or fields.get(kind, "")
            further = (*(fields.get(name, "") for name in SLICES), *(tag.class_of(fields) or "" for tag in tags))
            products.append((fields[ID], fields.get(NAME, ""), truth, *further))
        answer = signature(examples=tf.constant(records))
        alone = [example_of({IMAGE_BYTES: picture_of(record)}) for record in records] if text else []
        bare = signature(examples=tf.constant(alone)) if text else answer
        parts.append([*(answer[name].numpy() for name in asked), *(bare[name].numpy() for name in labels)])
        report("pictures asked about", len(products))
    probabilities, scores, *texts = map(np.concatenate, zip(*parts, strict=True))
    decisions, sets, *tagged = (np.array([text.decode() for text in column], np.str_) for column in texts)
    known = np.array(products, np.str_).reshape(-1, 3 + len(SLICES) + len(tags)).T
    (ids, names, truths), sliced, values = np.split(known, (3, 3 + len(SLICES)))
    slices, count = dict(zip(SLICES, sliced, strict=True)), len(tags)
    without, *bare = tagged[2 * count :] if text else [None] * (1 + count)
    columns = [Column(*each) for each in zip(values, tagged[:count], tagged[count : 2 * count], bare, strict=True)]
    columns_of = dict(zip((tag.name for tag in tags), columns, strict=True))
    if text:  # or the main column has its figures elsewhere
        answered = np.array([*taxonomy.classes, ""])[probabilities.argmax(axis=1)] if len(ids) else truths
        columns_of = {taxonomy.name: Column(truths, answered, decisions, without), **columns_of}
    return Answers(ids, names, truths, probabilities, scores, decisions, sets, columns_of, slices)
