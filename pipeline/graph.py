"""The pipeline: the only place where components meet."""

import hashlib
import json

# Nothing is imported from tfx.v1, here or in a component: that loads the clients of Google Cloud's AI Platform too, for
# seconds, in every run and every task.
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline

from components.evaluate.component import baseline_node, evaluate_node
from components.export.component import export_node
from components.features import YEAR
from components.index.component import index_node
from components.infra.component import infra_node
from components.ingest.component import ingest_node
from components.ingest.judge import IngestSettings
from components.outside.component import outside_node
from components.publish.component import publish_node
from components.train.component import train_node
from components.train.settings import Column
from components.train.trainer import TrainerConfig
from components.transform.component import transform_node
from components.transform.taxonomy import Taxonomy
from components.tune.component import tune_node
from components.validate.component import gate_node, schema_node, statistics_node, validate_node
from pipeline.beam import beam_args
from pipeline.experiment import Experiment
from pipeline.metadata import connection
from pipeline.recipe import Recipe


def create_pipeline(experiment: Experiment) -> Pipeline:
    """Puts the components together for one experiment.

    Every stage is given the part of the recipe that it depends on and no more, so that a changed gate does not
    train again and a changed learning rate does not read the catalogue again.
    """
    recipe, paths = experiment.recipe, experiment.paths
    return Pipeline(
        pipeline_name=_pipeline_name(recipe, experiment.taxonomy), pipeline_root=str(paths.artifacts),
        components=_nodes(experiment), metadata_connection_config=connection(paths.metadata), enable_cache=True,
        beam_pipeline_args=beam_args(recipe.beam),
    )  # fmt: skip


def _pipeline_name(recipe: Recipe, taxonomy: Taxonomy) -> str:
    """Baselines are looked for within a pipeline's name: models of other classes cannot be compared."""
    return f"{recipe.name}-{hashlib.blake2b(json.dumps(taxonomy.classes).encode(), digest_size=3).hexdigest()}"


def _nodes(experiment: Experiment) -> list[BaseNode]:
    recipe, paths = experiment.recipe, experiment.paths
    taxonomy, classes = experiment.taxonomy, experiment.taxonomy.classes
    settings = IngestSettings(
        catalogue=recipe.catalogue, picture=recipe.picture, split=recipe.split, outside=recipe.outside,
        corrections=recipe.labels.corrections, corrections_digest=experiment.corrections,
    )  # fmt: skip
    ingest = ingest_node(paths.data, experiment.catalogue, settings, taxonomy)
    examples, quarantine = ingest.outputs["examples"], ingest.outputs["quarantine"]
    schema = schema_node(experiment.schema, experiment.schema_digest)
    reviewed = schema.outputs["schema"]
    statistics = statistics_node(examples, reviewed)
    validate = validate_node(statistics.outputs["statistics"], reviewed)
    used = [
        *taxonomy.fields,
        *recipe.labels.columns,
        *recipe.split.together,
        *([YEAR] if recipe.split.by == "year" else []),
    ]
    gate = gate_node(
        validate.outputs["anomalies"], quarantine, recipe.name, recipe.validation, classes, used,
        recipe.model.weights, experiment.weights,
    )  # fmt: skip
    transform = transform_node(
        examples, reviewed, taxonomy, experiment.tags, recipe.balance, recipe.outside, recipe.model.text
    )
    transform.add_upstream_node(gate)
    transformed = transform.outputs["transformed_examples"], transform.outputs["transform_graph"]
    config = _trainer_config(experiment)
    tune = tune_node(*transformed, recipe.tune, config) if recipe.tune else None
    train = train_node(*transformed, tune.outputs["best_hyperparameters"] if tune else None, config)
    model = train.outputs["model"]
    baseline = baseline_node(model, quarantine, recipe.validation.seen)
    evaluate = evaluate_node(examples, model, baseline.outputs["model"], classes, recipe.gate)
    outside = outside_node(
        taxonomy, experiment.tags, recipe.labels, recipe.gate, recipe.decide.coverage, recipe.model.text,
        examples=examples, quarantine=quarantine, model=model, evaluated=evaluate.outputs["blessing"],
    )  # fmt: skip
    blessing = outside.outputs["blessing"]
    infra = infra_node(model, blessing, examples, recipe.name, taxonomy, recipe.gate.accuracy, recipe.serving)
    publish = publish_node(
        experiment.store, recipe.publish.keep, classes, recipe.gate, recipe.as_yaml(),
        model=model, blessing=blessing, infra_blessing=infra.outputs["blessing"],
        evaluation=evaluate.outputs["evaluation"], assessment=outside.outputs["assessment"],
        history=train.outputs["model_run"], quarantine=quarantine,
    )  # fmt: skip
    before = [ingest, schema, statistics, validate, gate, transform, *([tune] if tune else [])]
    after, pushed = [], publish.outputs["pushed_model"]
    if recipe.index:
        beam = beam_args(recipe.beam)
        after.append(index_node(paths.data, experiment.catalogue, experiment.store, recipe.index, beam, pushed))
    if recipe.export:
        after.append(export_node(experiment.store, recipe.export, pushed, examples))
    return [*before, train, baseline, evaluate, outside, infra, publish, *after]


def _trainer_config(experiment: Experiment) -> TrainerConfig:
    recipe = experiment.recipe
    settings = {
        str(name): tag.model_dump(include={"weight", "accepted"}) for name, tag in recipe.labels.columns.items()
    }
    columns = tuple(Column(name=tag.name, classes=tag.classes, **settings[tag.name]) for tag in experiment.tags)
    return TrainerConfig(
        picture=recipe.picture,
        model=recipe.model,
        train=recipe.train,
        decode_bytes=recipe.serving.decode_bytes,
        classes=experiment.taxonomy.classes,
        column=experiment.taxonomy.name,
        columns=columns,
        work=str(experiment.paths.work),
        outside=recipe.outside is not None,
        decide=recipe.decide,
        start=experiment.weights,
    )
