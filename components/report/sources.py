"""What a report is made from: where a run's artifacts lie, and what its settings were."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from components.evaluate.settings import Gate
from components.ingest.settings import Layout, Picture
from components.networks.settings import Model
from components.report.facts.verdict import StageTime, Use
from components.settings import Settings
from components.train.settings import Train
from components.transform.settings import Balance
from components.transform.taxonomy import Taxonomy
from components.validate.settings import Validation


class Plan(Settings):
    """The settings of a run; None where they were not recorded.

    Attributes:
        recipe: the experiment as YAML.
        data: path of the catalogue.
        data_digest: of the catalogue.
        code_digest: of the sources of training.
    """

    recipe: str | None = None
    taxonomy: Taxonomy | None = None
    catalogue: Layout = Layout()
    picture: Picture | None = None
    validation: Validation | None = None
    balance: Balance | None = None
    model: Model | None = None
    train: Train | None = None
    gate: Gate | None = None
    data: str | None = None
    data_digest: str | None = None
    code_digest: str | None = None


@dataclass(frozen=True)
class Folders:
    """Where artifacts of a run lie; None for those it has not made.

    Attributes:
        examples: ingest's, with splits.
        quarantine: ingest's lists and counts.
        statistics: TFDV's, with splits.
        earlier: statistics of the latest other data of the same pipeline.
        anomalies: ExampleValidator's, with splits.
        transformed: Transform's examples, with splits.
        model: the Model, as the Trainer leaves it.
        history: the ModelRun, with the figures of every epoch.
        evaluation: the ModelEvaluation.
        blessing: the ModelBlessing of the evaluation.
        assessment: the OutsideAssessment.
    """

    examples: Path | None = None
    quarantine: Path | None = None
    statistics: Path | None = None
    earlier: Path | None = None
    anomalies: Path | None = None
    transformed: Path | None = None
    model: Path | None = None
    history: Path | None = None
    evaluation: Path | None = None
    blessing: Path | None = None
    assessment: Path | None = None


@dataclass(frozen=True)
class Sources:
    """One run, ready to be reported on.

    Attributes:
        run: its id.
        recipe: name of the experiment.
        began: seconds since 1970.
        seconds: how long it took; None where that is not known.
        plan: its settings.
        folders: what they made.
        stages: what became of them.
        pushed: the PushedModel's properties; None where publish did not end.
        errors: stage to what it said when it failed.
        lineage: what was made of what.
        earlier_run: the run that `folders.earlier` is of.
    """

    run: str
    recipe: str
    began: float
    seconds: float | None
    plan: Plan
    folders: Folders
    stages: tuple[StageTime, ...]
    pushed: Mapping[str, str | int | float] | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    lineage: tuple[Use, ...] = ()
    earlier_run: str = ""


def plan_of(experiment: Mapping[str, Any], code_digest: str | None) -> Plan:
    """Returns the settings of a run.

    Args:
        experiment: the run's record: `recipe` as YAML with every default written out, `taxonomy` as plain values,
            `data` the path of the catalogue and `catalogue` its digest.
        code_digest: of the sources of training.
    """
    recipe = yaml.safe_load(experiment["recipe"])
    return Plan(
        recipe=experiment["recipe"], taxonomy=Taxonomy.model_validate_json(json.dumps(experiment["taxonomy"])),
        catalogue=Layout.model_validate(recipe.get("catalogue", {})), data=experiment["data"],
        data_digest=experiment["catalogue"], code_digest=code_digest,
        **{name: recipe[name] for name in ("picture", "validation", "balance", "model", "train", "gate")},
    )  # fmt: skip
