"""The stage that trains: the stock Trainer."""

from tfx.components import Trainer
from tfx.dsl.components.base.base_node import BaseNode
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types import BaseChannel

from components.settings import with_outside
from components.train.trainer import TrainerConfig


def train_node(
    examples: BaseChannel, transform_graph: BaseChannel, hyperparameters: BaseChannel | None, config: TrainerConfig
) -> BaseNode:
    """Makes the graph's node `train`, on transformed examples, with those of no class where the config has `outside`.

    `hyperparameters` are the best of a search; None where there was none.
    """
    return Trainer(
        run_fn="components.train.trainer.run_fn", examples=examples, transform_graph=transform_graph,
        hyperparameters=hyperparameters, train_args=TrainArgs(splits=with_outside("train", outside=config.outside)),
        eval_args=EvalArgs(splits=with_outside("eval", outside=config.outside)),
        custom_config={"config": config.as_json()},
    ).with_id("train")  # fmt: skip
