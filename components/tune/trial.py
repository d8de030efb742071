"""One trial of the search: a training that leaves figures and no model."""

import contextlib
import dataclasses
import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from pydantic import ValidationError

from components.errors import RecipeError
from components.evaluate.figures import figures
from components.reading import explain
from components.train.fit import Diverged, answers_of, fit, fit_head
from components.train.job import Job
from components.train.trainer import TrainerConfig, digest_of, features_name, make_job, work_folder
from components.tune.space import Tune, Value, with_values
from serving.disk import replacing

FIGURES = ("accuracy", "macro_f1", "macro_auprc", "loss")


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    values: Mapping[str, Value]  # path of a setting to what it was tried with
    figures: Mapping[str, float]  # name of `FIGURES` to its value on the split `eval`; empty where the trial failed
    reason: str  # why it failed; "" if it did not
    seconds: float  # how long it took, without a try that was killed


@dataclass(frozen=True)
class Trials:
    """The trials of one search. Each outcome is kept in a file: what has ended is never done again."""

    config: TrainerConfig  # what the Trainer is told, but for what is searched
    tune: Tune
    train_files: tuple[str, ...]  # patterns of files with transformed examples; likewise `eval_files`
    eval_files: tuple[str, ...]
    strategy: tf.distribute.Strategy  # from `make_strategy`
    work: Path  # folder that survives a kill

    def outcome(self, values: Mapping[str, Value], title: str) -> Outcome:
        """Tries values out, by the path of each setting; at once, if that was done before. `title` is for progress."""
        name = digest_of(json.dumps(dict(sorted(values.items()))))
        file, folder = self.work / f"{name}.json", self.work / name
        if file.exists():
            return Outcome(**json.loads(file.read_text(encoding="utf-8")))
        began = time.monotonic()
        reached: Mapping[str, float] = {}
        reason = ""
        try:
            reached = self._figures(values, folder, title)
        except ValidationError as error:
            reason = explain(error, TrainerConfig, "")
        except RecipeError as error:
            reason = str(error)
        except tf.errors.ResourceExhaustedError as error:
            reason = f"out of memory: {str(error).splitlines()[0]}"
        outcome = Outcome(values, reached, reason, time.monotonic() - began)
        with replacing(file) as content:
            content.write(json.dumps(dataclasses.asdict(outcome)).encode())
        shutil.rmtree(folder, ignore_errors=True)
        keras.backend.clear_session()  # a network of each trial would stay in memory
        return outcome

    def keep_features_of(self, values: Mapping[str, Value]) -> None:
        """Puts the features that a training with these values will use into its own folder, where no other looks."""
        config = with_values(self.config, values)
        folder = work_folder(config, self._files)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Where trials had none, or another run trains just so already, there is nothing to do.
        with contextlib.suppress(OSError):
            (self.work / features_name(config, self._files)).rename(folder)

    def _figures(self, values: Mapping[str, Value], folder: Path, title: str) -> dict[str, float]:
        config = with_values(self.config, values)
        trial = config.model_copy(update={"train": self.tune.trial_of(config.train), "work": str(folder)})
        job = make_job(trial, self.train_files, self.eval_files, self.strategy)
        shared = self.work / features_name(config, self._files)
        job = dataclasses.replace(job, work=folder, features=shared, title=title, decide=None)
        probabilities = _probabilities(job)
        overall = figures(job.eval_pictures.labels, probabilities[:, : job.classes], job.classes).overall
        if not np.isfinite(probabilities).all() or not all(math.isfinite(overall[name]) for name in FIGURES):
            raise Diverged("its answers are not numbers; lower the learning rate")
        return {name: overall[name] for name in FIGURES}

    @property
    def _files(self) -> list[str]:
        return [*self.train_files, *self.eval_files]


def _probabilities(job: Job) -> np.ndarray:
    """What the best network of a training makes of the eval split: float32 [n, k]."""
    if job.train.finetune is None:
        return fit_head(job)
    return answers_of(fit(job), job.eval_pictures)
