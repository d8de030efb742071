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
    """The settings of a run; None where they were not recorded."""

    recipe: str | None = None  # the experiment as YAML
    taxonomy: Taxonomy | None = None
    catalogue: Layout = Layout()
    picture: Picture | None = None
    validation: Validation | None = None
    balance: Balance | None = None
    model: Model | None = None
    train: Train | None = None
    gate: Gate | None = None
    data: str | None = None  # path of the catalogue
    data_digest: str | None = None  # of the catalogue
    code_digest: str | None = None  # of the sources of training


@dataclass(frozen=True)
class Folders:
    """Where artifacts of a run lie; None for those it has not made."""

    examples: Path | None = None  # ingest's, with splits
    quarantine: Path | None = None  # ingest's lists and counts
    statistics: Path | None = None  # TFDV's, with splits
    earlier: Path | None = None  # statistics of the latest other data of the same pipeline
    anomalies: Path | None = None  # ExampleValidator's, with splits
    transformed: Path | None = None  # Transform's examples, with splits
    model: Path | None = None  # the Model, as the Trainer leaves it
    history: Path | None = None  # the ModelRun, with the figures of every epoch
    evaluation: Path | None = None  # the ModelEvaluation
    blessing: Path | None = None  # the ModelBlessing of the evaluation
    assessment: Path | None = None  # the OutsideAssessment
    copies: Path | None = None  # the ModelCopies
    index: Path | None = None  # the ProductIndex


@dataclass(frozen=True)
class Sources:
    """One run, ready to be reported on."""

    run: str  # its id
    recipe: str  # name of the experiment
    began: float  # seconds since 1970
    seconds: float | None  # how long it took; None where that is not known
    plan: Plan  # its settings
    folders: Folders  # what they made
    stages: tuple[StageTime, ...]  # what became of them
    # The PushedModel's properties; None where publish did not end.
    pushed: Mapping[str, str | int | float] | None = None
    errors: Mapping[str, str] = field(default_factory=dict)  # stage to what it said when it failed
    lineage: tuple[Use, ...] = ()  # what was made of what
    earlier_run: str = ""  # the run that `folders.earlier` is of


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
