"""The pipeline: the only place where components meet."""

import hashlib
import json
from pathlib import Path

# Nothing is imported from tfx.v1: that loads the clients of Google Cloud's AI Platform too, for seconds, in every
# run and every task.
from tfx.components import Evaluator, ExampleValidator, StatisticsGen, Trainer, Transform
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.proto.transform_pb2 import SplitsConfig
from tfx.types.channel import Channel
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing

from components.artifacts import Quarantine
from components.digest import code_digest
from components.evaluate.baseline import LatestOtherBlessedModel
from components.evaluate.config import eval_config
from components.features import YEAR
from components.infra.component import ServingValidator
from components.ingest.component import CatalogueExampleGen
from components.ingest.judge import IngestSettings
from components.publish.component import Publisher
from components.train.trainer import TrainerConfig
from components.transform.taxonomy import Taxonomy
from components.tune.component import HyperparameterSearch, TunerConfig
from components.validate.component import DataGate, ReviewedSchema
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
        pipeline_name=_pipeline_name(recipe, experiment.taxonomy),
        pipeline_root=str(paths.artifacts),
        components=_nodes(experiment),
        metadata_connection_config=connection(paths.metadata),
        enable_cache=True,
        beam_pipeline_args=beam_args(recipe.beam),
    )


def _pipeline_name(recipe: Recipe, taxonomy: Taxonomy) -> str:
    """Baselines are looked for within a pipeline's name: models of other classes cannot be compared."""
    return f"{recipe.name}-{hashlib.blake2b(json.dumps(taxonomy.classes).encode(), digest_size=3).hexdigest()}"


def _nodes(experiment: Experiment) -> list[BaseNode]:
    recipe, taxonomy, paths = experiment.recipe, experiment.taxonomy, experiment.paths
    classes = json.dumps(taxonomy.classes)
    ingest = CatalogueExampleGen(
        data=str(paths.data),
        digest=experiment.catalogue,
        settings=IngestSettings(
            catalogue=recipe.catalogue, picture=recipe.picture, split=recipe.split
        ).model_dump_json(),
        taxonomy=taxonomy.model_dump_json(),
        code=code_digest("components.ingest.component"),
    ).with_id("ingest")
    schema = ReviewedSchema(
        file=str(experiment.schema),
        digest=experiment.schema_digest,
        # All that the stock components after it make depends on TFDV.
        code=code_digest("components.validate.component", "components.report.statistics"),
    ).with_id("schema")
    statistics = StatisticsGen(
        examples=ingest.outputs["examples"],
        schema=schema.outputs["schema"],
    ).with_id("statistics")
    validate = ExampleValidator(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
    ).with_id("validate")
    gate = DataGate(
        anomalies=validate.outputs["anomalies"],
        quarantine=ingest.outputs["quarantine"],
        name=recipe.name,
        settings=recipe.validation.model_dump_json(),
        classes=classes,
        used=json.dumps([*taxonomy.fields, *recipe.split.together, *([YEAR] if recipe.split.by == "year" else [])]),
        start=recipe.model.weights if Path(recipe.model.weights).is_dir() else "",
        start_digest=experiment.weights,
        code=code_digest("components.validate.component"),
    ).with_id("gate")
    transform = Transform(
        examples=ingest.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        custom_config={
            "taxonomy": taxonomy.model_dump_json(),
            "balance": recipe.balance.model_dump_json(),
            "code": code_digest("components.transform.preprocessing"),
        },
        splits_config=SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        disable_statistics=True,
    ).with_id("transform")
    transform.add_upstream_node(gate)
    tune = _search(experiment, transform)
    train = Trainer(
        run_fn="components.train.trainer.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        hyperparameters=tune.outputs["best_hyperparameters"] if tune else None,
        train_args=TrainArgs(splits=["train"]),
        eval_args=EvalArgs(splits=["eval"]),
        custom_config={"config": _trainer_config(experiment).model_dump_json()},
    ).with_id("train")
    baseline = Resolver(
        strategy_class=LatestOtherBlessedModel,
        config={"most": recipe.validation.seen},
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
        infra_blessing=Channel(type=InfraBlessing),
        candidate=train.outputs["model"],
        quarantine=Channel(type=Quarantine),
        members=ingest.outputs["quarantine"],
    ).with_id("baseline")
    evaluate = Evaluator(
        examples=ingest.outputs["examples"],
        example_splits=["test"],
        model=train.outputs["model"],
        baseline_model=baseline.outputs["model"],
        eval_config=eval_config(taxonomy.classes, recipe.gate),
    ).with_id("evaluate")
    infra = ServingValidator(
        model=train.outputs["model"],
        model_blessing=evaluate.outputs["blessing"],
        examples=ingest.outputs["examples"],
        name=recipe.name,
        taxonomy=taxonomy,
        accuracy=recipe.gate.accuracy,
        settings=recipe.serving,
        code=code_digest("components.infra.component", "components.infra.server"),
    ).with_id("infra")
    publish = Publisher(
        model=train.outputs["model"],
        blessing=evaluate.outputs["blessing"],
        infra_blessing=infra.outputs["blessing"],
        evaluation=evaluate.outputs["evaluation"],
        history=train.outputs["model_run"],
        quarantine=ingest.outputs["quarantine"],
        serving_dir=str(paths.serving),
        name=recipe.name,
        keep=recipe.publish.keep,
        classes=classes,
        gate=recipe.gate.model_dump_json(),
        recipe=recipe.as_yaml(),
        code=code_digest("components.publish.component", "serving.verify"),
    ).with_id("publish")
    before = [ingest, schema, statistics, validate, gate, transform, *([tune] if tune else [])]
    return [*before, train, baseline, evaluate, infra, publish]


def _search(experiment: Experiment, transform: BaseNode) -> BaseNode | None:
    """The search for better settings; None where the recipe asks for none."""
    if experiment.recipe.tune is None:
        return None
    config = TunerConfig(
        trainer=_trainer_config(experiment), tune=experiment.recipe.tune, code=code_digest("components.tune.component")
    )
    return HyperparameterSearch(
        tuner_fn="components.tune.component.tuner_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=TrainArgs(splits=["train"]),
        eval_args=EvalArgs(splits=["eval"]),
        custom_config={"config": config.model_dump_json()},
    ).with_id("tune")


def _trainer_config(experiment: Experiment) -> TrainerConfig:
    recipe = experiment.recipe
    return TrainerConfig(
        picture=recipe.picture,
        model=recipe.model,
        train=recipe.train,
        decode_bytes=recipe.serving.decode_bytes,
        classes=experiment.taxonomy.classes,
        work=str(experiment.paths.work),
        code=code_digest("components.train.trainer"),
        start=experiment.weights,
    )
