"""The stages that find a baseline and judge a model against it: the stock Resolver and Evaluator."""

from collections.abc import Sequence

from tfx.components import Evaluator
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.types import BaseChannel, Channel
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing

from components.artifacts import Quarantine
from components.evaluate.baseline import LatestOtherBlessedModel
from components.evaluate.config import eval_config
from components.evaluate.settings import Gate


def baseline_node(candidate: BaseChannel, members: BaseChannel, most: float) -> BaseNode:
    """Makes the graph's node `baseline`, which looks among all models of the pipeline for `candidate`'s rival.

    By `members`, ingest's quarantine, it may have been trained on a share of `most` of what is tested on.
    """
    return Resolver(
        strategy_class=LatestOtherBlessedModel, config={"most": most}, model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing), infra_blessing=Channel(type=InfraBlessing), candidate=candidate,
        quarantine=Channel(type=Quarantine), members=members,
    ).with_id("baseline")  # fmt: skip


def evaluate_node(
    examples: BaseChannel, model: BaseChannel, baseline: BaseChannel, classes: Sequence[str], gate: Gate
) -> BaseNode:
    """Makes the graph's node `evaluate`, on the split test; `classes` are in the order of the labels."""
    return Evaluator(
        examples=examples, example_splits=["test"], model=model, baseline_model=baseline,
        eval_config=eval_config(classes, gate),
    ).with_id("evaluate")  # fmt: skip
