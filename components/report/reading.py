"""The artifacts of one run, each read once, however many sections of the report need it."""

import json
import logging
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from components.errors import FashionError
from components.export.copies import Copy, read_copies
from components.index.summary import IndexSummary, read_summary
from components.ingest.members import MEMBERS_FILE, Members, read_members
from components.outside.assessment import Assessment, read_assessment
from components.report.examples import Table, read_table, uses_by_label
from components.report.facts import Gap, Section
from components.report.predictions import Predictions, load_predictions, predict
from components.report.sources import Sources
from components.report.statistics import anomalies_of
from components.tune.space import read_values, with_values
from components.validate.gate import Anomaly, judge
from components.validate.gate import Verdict as Judgement
from components.validate.shares import Summary

if TYPE_CHECKING:
    from components.evaluate.verdict import Verdict
    from components.report.network import ExportedNetwork

Part = TypeVar("Part")

PREDICTIONS_FILE = "predictions.npz"
TEST = "test"


class Reading:
    """What is read of a run; None for what it has not made or what cannot be read, with the reason among `gaps`.

    Attributes:
        sources: the run.
        classes: in the order of their labels; empty if not even these are known.
        gaps: what is missing, as far as it was asked for.
    """

    def __init__(self, sources: Sources, folder: Path) -> None:
        """Reads nothing yet.

        Args:
            sources: the run.
            folder: where the model's answers are kept; those that lie there are taken as they are.
        """
        self.sources, self.plan, self.folders = sources, sources.plan, sources.folders
        if self.folders.history and (values := read_values(self.folders.history)):
            self.plan = with_values(self.plan, values)  # by a search, in place of the recipe's
        self.classes = self.plan.taxonomy.classes if self.plan.taxonomy else ()
        self.gaps: list[Gap] = []
        self._folder = folder

    def attempt(self, section: Section, part: str, make: Callable[[], Part]) -> Part | None:
        """Makes a part of the report; if that fails, it is a gap."""
        try:
            return make()
        except Exception as error:
            logging.exception("report: %s", part)
            kind = "" if isinstance(error, FashionError) else f"{type(error).__name__}: "
            self.miss(section, part, f"{kind}{error}")
            return None

    def miss(self, section: Section, part: str, reason: str) -> None:
        """Notes why a part is not there."""
        self.gaps.append(Gap(section, part, reason))

    @cached_property
    def summary(self) -> Summary | None:
        """Ingest's counts."""
        folder = self.folders.quarantine
        if folder is None:
            return None
        read = lambda: Summary.model_validate(json.loads((folder / "summary.json").read_bytes()))  # noqa: E731
        return self.attempt("data", "counts", read)

    @cached_property
    def table(self) -> Table | None:
        """All examples."""
        folder, taxonomy, summary = self.folders.examples, self.plan.taxonomy, self.summary
        if folder is None or taxonomy is None or summary is None:
            return None
        count = sum(summary.examples.values())
        return self.attempt("data", "columns and pictures", lambda: read_table(folder, taxonomy, count))

    @cached_property
    def members(self) -> Members | None:
        """Who is in which split, in the order of `table`; None where ingest kept no such record."""
        folder, table = self.folders.quarantine, self.table
        if folder is None or table is None or not (folder / MEMBERS_FILE).exists():
            return None
        read = lambda: read_members((folder / MEMBERS_FILE).read_bytes()).select(table.ids.tolist())  # noqa: E731
        return self.attempt("data", "near-identical pictures", read)

    def _read(
        self, section: Section, part: str, stage: str, folder: Path | None, read: Callable[[Path], Part]
    ) -> Part | None:
        """Reads what a stage has left in a folder; None and a gap where it was not reached."""
        if folder is None:
            self.miss(section, part, f"The run ended before {stage} did.")
            return None
        return self.attempt(section, part, lambda: read(folder))

    @cached_property
    def uses(self) -> NDArray[np.int64] | None:
        """How often training uses examples of each class in an epoch."""
        read = partial(uses_by_label, classes=len(self.classes))
        return self._read("data", "classes after balancing", "transform", self.folders.transformed, read)

    @cached_property
    def anomalies(self) -> list[Anomaly] | None:
        """What ExampleValidator found."""
        return self._read("data", "anomalies", "validate", self.folders.anomalies, anomalies_of)

    @cached_property
    def judgement(self) -> Judgement | None:
        """What the data gate says of the data, by its own rules; it leaves nothing behind when it refuses them."""
        found, summary, limits = self.anomalies, self.summary, self.plan.validation
        if found is None or summary is None or limits is None:
            return None
        lists = str(self.folders.quarantine)
        return self.attempt(
            "data", "data gate", lambda: judge(found, summary, limits, self.classes, lists, self._last_accepted())
        )

    def _last_accepted(self) -> Summary | None:
        """What the data gate compares with."""
        from components.validate.earlier import last_accepted

        if self.folders.quarantine is None:
            return None
        # Stages write side by side, each run into a folder of its own: ingest/quarantine/7, gate/verdict/9.
        verdicts = self.folders.quarantine.parents[2] / "gate" / "verdict"
        return last_accepted(str(verdicts), self.sources.recipe)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the data gate refuses the data."""
        return self.judgement.problems if self.judgement else ()

    @cached_property
    def verdict(self) -> "Verdict | None":
        """What the evaluation came to."""
        folders, gate = self.folders, self.plan.gate
        if folders.evaluation is None or folders.blessing is None or gate is None:
            self.miss("quality", "figures of the gate", "The run did not come to an evaluation.")
            return None
        from components.evaluate.verdict import read_verdict

        evaluation, blessed = folders.evaluation, (folders.blessing / "BLESSED").exists()
        return self.attempt(
            "quality", "figures of the gate", lambda: read_verdict(str(evaluation), blessed, self.classes, gate)
        )

    @cached_property
    def assessment(self) -> Assessment | None:
        """How the model's decisions fared."""
        return self._read("outside", "everything", "outside", self.folders.assessment, read_assessment)

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the gate refuses these."""
        return self.assessment.failures if self.assessment else ()

    @property
    def copies(self) -> tuple[Copy, ...]:
        """The model in other formats; none where the recipe asks for none."""
        folder = self.folders.copies
        return self.attempt("verdict", "copies", lambda: read_copies(folder)) or () if folder else ()

    @property
    def index(self) -> IndexSummary | None:
        """What the index of similar products came to; None where the recipe asks for none."""
        folder = self.folders.index
        return self.attempt("verdict", "similar products", lambda: read_summary(folder)) if folder else None

    @cached_property
    def network(self) -> "ExportedNetwork | None":
        """The model, opened."""
        return self._read("quality", "answers of the model", "train", self.folders.model, _open_network)

    @cached_property
    def predictions(self) -> Predictions | None:
        """What the model answers for the test split."""
        file, examples = self._folder / PREDICTIONS_FILE, self.folders.examples
        if file.exists():
            return self.attempt("quality", "answers of the model", lambda: load_predictions(file))
        network, table = self.network, self.table
        if network is None or examples is None or table is None:
            return None
        count = len(table.rows_of(TEST))
        answers = self.attempt("quality", "answers of the model", lambda: predict(network, examples, TEST, count))
        if answers is not None:
            answers.save(file)
        return answers


def _open_network(folder: Path) -> "ExportedNetwork":
    from components.report.network import ExportedNetwork

    return ExportedNetwork(folder / "Format-Serving")
