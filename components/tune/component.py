"""The stage that searches: TFX's Tuner around KerasTuner."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.base_tuner import BaseTuner
from tfx.components import Tuner
from tfx.components.tuner import executor
from tfx.components.tuner.component import TunerFnResult
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_node import BaseNode
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types import BaseChannel, artifact_utils
from tfx.types.standard_component_specs import TUNER_RESULTS_KEY

from components.digest import code_digest
from components.errors import RecipeError
from components.progress import report
from components.settings import Settings, with_outside
from components.spreadsheet import csv_lines
from components.train.strategy import make_strategy
from components.train.trainer import TrainerConfig, data_digest, digest_of
from components.train.workers import in_cluster
from components.tune.space import Tune, Value, current_value
from components.tune.trial import FIGURES, Outcome, Trials

TRIALS_FILE = "trials.csv"
DONE, FAILED = "done", "failed"


class TunerConfig(Settings):
    """What the Tuner is given as `custom_config={"config": <JSON of this>}`."""

    trainer: TrainerConfig
    tune: Tune
    code: str  # digest of the sources, so that an edit searches again


class Oracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """Chooses what is tried next: first the recipe's own values, where they lie in the space.

    What is found is then no worse than those. Then come random values, three for each dimension, then those of a
    Gaussian process: Snoek et al. 2012, https://arxiv.org/abs/1206.2944. From the same outcomes it chooses the same.
    """

    def __init__(self, own: dict[str, Value], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._own = own

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next trial."""
        return super().populate_space(trial_id) if self.trials else {"status": "RUNNING", "values": self._own}


class Search(BaseTuner):
    """Runs the trials. KerasTuner's own state is started anew each time: all it needs are the outcomes, kept beside."""

    def __init__(self, trials: Trials) -> None:
        config, tune = trials.config, trials.tune
        space = keras_tuner.HyperParameters()
        for path in tune.space:
            _declare(space, path, tune, config)
        direction = "min" if tune.objective == "loss" else "max"
        oracle = Oracle(
            {each.name: each.default for each in space.space},
            objective=keras_tuner.Objective(tune.objective, direction),
            max_trials=tune.trials,
            hyperparameters=space,
            seed=abs(config.train.seed) + 1,  # KerasTuner takes 0 for none
            max_consecutive_failed_trials=tune.trials + 1,
        )
        oracle.verbose = 0
        super().__init__(oracle, directory=str(trials.work), project_name="oracle", overwrite=True)
        self._trials = trials
        self._outcomes: list[Outcome] = []

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Returns the objective that a trial reaches.

        Raises:
            FailedTrialError: its settings do not work; the search goes on.
            FatalError: anything else, from which it does not.
        """
        tune, tried, number = self._trials.tune, trial.hyperparameters.values, len(self._outcomes) + 1
        report("trials", number - 1, tune.trials, self._best_so_far())
        try:
            # KerasTuner gives some as NumPy's numbers, which are no JSON.
            values = {path: value.item() if isinstance(value, np.generic) else value for path, value in tried.items()}
            outcome = self._trials.outcome(values, f"trial {number}/{tune.trials} ")
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error
        self._outcomes.append(outcome)
        if outcome.reason:
            raise keras_tuner.errors.FailedTrialError(outcome.reason)
        return {tune.objective: outcome.figures[tune.objective]}

    def on_search_end(self) -> None:
        """Refuses a search that found nothing.

        Raises:
            RecipeError: every trial failed.
        """
        report("trials", len(self._outcomes), len(self._outcomes), self._best_so_far())
        if all(outcome.reason for outcome in self._outcomes):
            raise RecipeError(
                f"tune: none of {len(self._outcomes)} trials came to figures; the first: {self._outcomes[0].reason}"
            )

    def ranked(self) -> Sequence[tuple[int, Outcome]]:
        """All trials with their numbers, the best first and those that failed last."""
        objective, sign = self._trials.tune.objective, 1 if self.oracle.objective.direction == "min" else -1
        numbered = enumerate(self._outcomes, start=1)
        return sorted(numbered, key=lambda each: (bool(each[1].reason), sign * each[1].figures.get(objective, 0)))

    def finish(self, folder: Path) -> None:
        """Writes `trials.csv` into `folder`, a line for each trial, the best first.

        It removes the unfinished work, but for what the Trainer can use.
        """
        paths = tuple(self._trials.tune.space)
        table: list[tuple[object, ...]] = [("trial", "state", *FIGURES, "seconds", *paths, "reason")]
        for number, outcome in self.ranked():
            reached = [outcome.figures.get(name, "") for name in FIGURES]
            values = [outcome.values[path] for path in paths]
            state = FAILED if outcome.reason else DONE
            table.append((number, state, *reached, round(outcome.seconds, 1), *values, outcome.reason))
        with (folder / TRIALS_FILE).open("w", encoding="utf-8", newline="") as file:
            file.writelines(csv_lines(table))
        self._trials.keep_features_of(self.get_best_hyperparameters()[0].values)
        shutil.rmtree(self._trials.work)

    def _best_so_far(self) -> str:
        objective = self._trials.tune.objective
        reached = [outcome.figures[objective] for outcome in self._outcomes if not outcome.reason]
        return f"best {objective} {min(reached) if objective == 'loss' else max(reached):.4f}" if reached else ""


def _declare(space: keras_tuner.HyperParameters, path: str, tune: Tune, config: TrainerConfig) -> None:
    """Adds a dimension, of the type that the setting has; its default is the recipe's own value, if it lies within."""
    dimension, own = tune.space[path], current_value(config, path)
    if dimension.values is not None:
        values = [float(value) if isinstance(own, float) else value for value in dimension.values]
        space.Choice(path, values, default=own if own in values else None)
        return
    declare = space.Int if isinstance(own, int) else space.Float
    within = dimension.edges[0] <= own <= dimension.edges[1]
    declare(path, *dimension.edges, sampling="log" if dimension.log else "linear", default=own if within else None)


def tuner_fn(fn_args: Any) -> TunerFnResult:
    """What to search with; called by TFX, whose custom_config holds a `TunerConfig` as JSON.

    Raises:
        RecipeError: this process is one of several workers.
    """
    config = TunerConfig.model_validate_json(fn_args.custom_config["config"])
    if in_cluster():
        raise RecipeError("tune: trials run in one process, and TF_CONFIG names several workers; search without it")
    strategy = make_strategy(config.trainer.train.strategy)
    files = tuple(fn_args.train_files), tuple(fn_args.eval_files)
    settings = config.model_dump_json(exclude={"trainer": {"work"}})
    work = Path(config.trainer.work) / f"tune-{digest_of(settings, data_digest([*files[0], *files[1]]))}"
    work.mkdir(parents=True, exist_ok=True)
    search = Search(Trials(config.trainer, config.tune, *files, strategy, work))
    return TunerFnResult(tuner=search, fit_kwargs={})


class Executor(executor.Executor):
    """TFX's, but its table holds the trials that failed too, and what they failed of."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Searches, and writes what was found.

        Raises:
            RecipeError: every trial failed.
        """
        # Its unfinished work lies where it survives a kill, in no folder of this execution.
        search = executor.search(input_dict, exec_properties, working_dir="", print_tuning_summary=False)
        executor.write_best_hyperparameters(search, output_dict)
        search.finish(Path(artifact_utils.get_single_uri(output_dict[TUNER_RESULTS_KEY])))


class HyperparameterSearch(Tuner):
    """TFX's Tuner, whose executor leaves a table of all trials: `trials.csv` in the artifact `tuner_results`."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def tune_node(examples: BaseChannel, transform_graph: BaseChannel, tune: Tune, trainer: TrainerConfig) -> BaseNode:
    """Makes the graph's node `tune`: what to search for by `tune`, on transformed examples; else `trainer` holds."""
    config = TunerConfig(trainer=trainer, tune=tune, code=code_digest(__name__))
    return HyperparameterSearch(
        tuner_fn=f"{__name__}.tuner_fn",
        examples=examples,
        transform_graph=transform_graph,
        train_args=TrainArgs(splits=with_outside("train", outside=trainer.outside)),
        eval_args=EvalArgs(splits=with_outside("eval", outside=trainer.outside)),
        custom_config={"config": config.as_json()},
    ).with_id("tune")
