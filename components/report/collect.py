"""Gathers the facts of a run from its artifacts: whatever there is, and of the rest why it is missing."""

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.evaluate.figures import figures
from components.ingest.duplicates import same_picture
from components.paths import short
from components.report import data, quality, training
from components.report.environment import checkout, machine, versions
from components.report.examples import Table, pictures_of
from components.report.facts import (
    DataFacts,
    DriftFacts,
    Duplicates,
    Network,
    PictureFacts,
    ProvenanceFacts,
    QualityFacts,
    RunFacts,
    Scaling,
    Shown,
    TrainingFacts,
)
from components.report.predictions import Predictions
from components.report.reading import TEST, Reading
from components.report.selection import Selection, select
from components.report.show import confused_pairs, picture_facts, shown_products
from components.report.sources import Plan, Sources
from components.report.statistics import anomaly_facts, drift_between
from components.report.thumbnail import thumbnail
from components.report.verdict import quality_of_answers, quality_of_verdict, verdict_facts
from components.train.calibration import read_calibration
from components.train.settings import Train

if TYPE_CHECKING:
    from components.ingest.source import Catalogue

RECIPE_FILE, FACTS_FILE = "recipe.yaml", "facts.json"

_EXPLAINED_AT_ONCE = 8


def collect(sources: Sources, folder: Path) -> RunFacts:
    """Gathers all that is to be said of a run. What fails is left out, logged, and told among the gaps.

    Args:
        sources: the run.
        folder: receives `predictions.npz` and `recipe.yaml`; predictions that lie there are taken as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reading = Reading(sources, folder)
    of_quality, of_pictures = quality_facts(reading)
    parts = {
        "verdict": verdict_facts(sources, reading.verdict, reading.problems),
        "data": data_facts(reading),
        "training": training_facts(reading),
        "quality": of_quality,
        "pictures": of_pictures,
        "provenance": provenance_facts(reading, folder),
    }
    return RunFacts(
        run=sources.run,
        recipe=sources.recipe,
        began=sources.began,
        seconds=sources.seconds,
        classes=reading.classes,
        gaps=tuple(dict.fromkeys(reading.gaps)),
        **parts,  # type: ignore[arg-type]
    )


def data_facts(reading: Reading) -> DataFacts | None:
    """The section on the data."""
    folder = reading.folders.quarantine
    if folder is None:
        reading.miss("data", "everything", "The run ended before ingest did.")
        return None
    picture_of = _catalogue_pictures(reading)
    facts = reading.attempt("data", "counts", lambda: data.from_quarantine(folder, reading.classes, picture_of))
    if facts is None:
        return None
    uses, anomalies = reading.uses, reading.anomalies
    if uses is not None:
        balanced = zip(facts.classes, uses.tolist(), strict=True)
        facts = dataclasses.replace(
            facts, classes=tuple(dataclasses.replace(counts, balanced=used) for counts, used in balanced)
        )
    with_table = _with_table(reading, facts)
    return dataclasses.replace(
        with_table,
        anomalies=None if anomalies is None else anomaly_facts(anomalies),
        drift=_drift(reading),
        notes=reading.judgement.notes if reading.judgement else (),
    )


def training_facts(reading: Reading) -> TrainingFacts | None:
    """The section on training."""
    folder, train = reading.folders.history, reading.plan.train
    if folder is None or train is None:
        reading.miss("training", "everything", "The run ended before train did.")
        return None
    pictures = None if reading.uses is None else int(reading.uses.sum())
    stages = reading.attempt("training", "epochs", lambda: training.read_stages(folder, train, pictures)) or ()
    if not any(stage.seconds for stage in stages):
        reading.miss("training", "throughput", "Training did not record how long its epochs took.")
    dropped = any(stage.name == "finetune" and not stage.kept for stage in stages)
    kept = train.model_copy(update={"finetune": None}) if dropped else train
    scaled = reading.attempt("training", "calibration", lambda: read_calibration(folder))
    return TrainingFacts(
        stages,
        _network(reading, kept),
        training.seconds_of(reading.sources.stages),
        train.calibrate,
        Scaling(**scaled.model_dump()) if scaled else None,
    )


def quality_facts(reading: Reading) -> tuple[QualityFacts | None, PictureFacts | None]:
    """The sections on quality and pictures."""
    verdict, table, answers = reading.verdict, reading.table, reading.predictions
    facts = quality_of_verdict(verdict) if verdict else None
    if table is None or answers is None:
        return facts, None
    test = table.take(table.rows_of(TEST))
    if not np.array_equal(test.ids, answers.ids):
        reading.miss(
            "quality", "answers of the model", "They are not of this run's test split. Remove predictions.npz."
        )
        return facts, None
    known = facts or quality_of_answers(
        figures(test.labels, answers.probabilities, len(reading.classes)),
        reading.classes,
        _confusion(test.labels, answers.probabilities),
    )
    facts = reading.attempt("quality", "curves", lambda: _with_answers(known, test, answers, reading.classes)) or known
    if reading.members:
        seen = reading.members.seen[table.rows_of(TEST)]
        right = answers.probabilities.argmax(axis=1) == test.labels
        facts = dataclasses.replace(facts, unseen=quality.slice_of("picture", "new to training", right[~seen]))
    selection = select(test.labels, answers.probabilities, answers.embeddings, test.hashes, facts.confusion)
    shown = reading.attempt("pictures", "everything", lambda: _shown(reading, selection, test, answers))
    if shown is None:
        return facts, None
    return dataclasses.replace(facts, pairs=confused_pairs(selection, reading.classes, shown)), picture_facts(
        selection, shown
    )


def provenance_facts(reading: Reading, folder: Path) -> ProvenanceFacts:
    """The section on where it all comes from; writes the recipe into `folder`."""
    plan, sources = reading.plan, reading.sources
    recipe = sources.recipe
    if plan.recipe is None:
        reading.miss("provenance", "recipe", "The run ended before its recipe was recorded.")
    else:
        (folder / RECIPE_FILE).write_text(plan.recipe, encoding="utf-8")
        recipe = short(folder / RECIPE_FILE)
    commit, modified = checkout()
    return ProvenanceFacts(
        recipe=plan.recipe,
        command=command_of(recipe, plan.data),
        data=shown(plan.data),
        data_digest=plan.data_digest,
        code_digest=plan.code_digest,
        commit=commit,
        modified=modified,
        versions=versions(),
        machine=machine(),
        stages=sources.stages,
        lineage=sources.lineage,
    )


def command_of(recipe: str, data: str | None) -> str:
    """What starts the same run, for a POSIX shell in this working directory."""
    return shlex.join(["fashion", "run", "--recipe", recipe, *(["--data", str(shown(data))] if data else [])])


def shown(data: str | None) -> str | None:
    """The path of a catalogue as the page has it."""
    return short(Path(data)) if data else None


def _catalogue_pictures(reading: Reading) -> data.Pictures:
    """Looks up thumbnails in the catalogue, which may be gone by now, or another one."""
    catalogue = reading.attempt("data", "pictures in quarantine", lambda: _same_catalogue(reading.plan))

    def picture_of(product: str) -> bytes | None:
        if catalogue is None or not (product.isascii() and product.isdecimal()):
            return None
        try:
            found = catalogue.read_picture(product)
        except OSError:  # it may lie in quarantine for that very reason
            return None
        return thumbnail(found) if found else None

    return picture_of


def _same_catalogue(plan: Plan) -> "Catalogue | None":
    from components.errors import CatalogueError
    from components.ingest.catalogue import open_catalogue

    if plan.data is None:
        return None
    catalogue = open_catalogue(plan.data)
    if catalogue.digest() != plan.data_digest:
        raise CatalogueError("The catalogue has changed since the run.")
    return catalogue


def _with_table(reading: Reading, facts: DataFacts) -> DataFacts:
    table = reading.table
    if table is None:
        return facts
    return dataclasses.replace(
        facts,
        columns=data.columns_of(table),
        histograms=data.histograms_of(table),
        sizes=data.sizes_of(table),
        duplicates=_duplicates(reading, table),
    )


def _duplicates(reading: Reading, table: Table) -> Duplicates | None:
    members, folder = reading.members, reading.folders.examples
    if members is None or folder is None:
        return None
    groups = data.duplicate_rows(table, same_picture(members.signatures))
    pictures = pictures_of(folder, {str(table.ids[rows[0]]) for rows in data.shown_duplicates(groups)})
    return data.duplicates_of(table, groups, reading.classes, lambda product: thumbnail(pictures[product]))


def _drift(reading: Reading) -> DriftFacts | None:
    before, now = reading.folders.earlier, reading.folders.statistics
    if before is None or now is None:
        reading.miss("data", "drift", "There are no earlier data of this recipe to compare with.")
        return None
    return reading.attempt("data", "drift", lambda: drift_between(before, now, reading.sources.earlier_run))


def _network(reading: Reading, train: Train) -> Network | None:
    network, model, picture = reading.network, reading.plan.model, reading.plan.picture
    if network is None or model is None or picture is None:
        return None
    return reading.attempt(
        "training", "network", lambda: training.network_of(network.shapes, model, picture, train, network.features)
    )


def _with_answers(facts: QualityFacts, test: Table, answers: Predictions, classes: tuple[str, ...]) -> QualityFacts:
    labels, probabilities = test.labels, answers.probabilities
    return dataclasses.replace(
        facts,
        curves=quality.curves_of(labels, probabilities, classes),
        calibration=quality.calibration_of(labels, probabilities),
        coverage=quality.coverage_of(labels, probabilities),
        slices=quality.slices_of(probabilities.argmax(axis=1) == labels, test.texts),
    )


def _shown(reading: Reading, selection: Selection, test: Table, answers: Predictions) -> dict[int, Shown]:
    folder = reading.folders.examples
    assert folder is not None
    rows = selection.rows()
    pictures = pictures_of(folder, {str(test.ids[row]) for row in rows}, (TEST,))
    explained = sorted(
        {*selection.sure, *selection.edge, *selection.worst, *(r for *_, of in selection.pairs for r in of)}
    )
    heat = reading.attempt("pictures", "Grad-CAM", lambda: _heat(reading, explained, test, pictures)) or {}
    return shown_products(rows, test, answers.probabilities, reading.classes, pictures, heat)


def _heat(reading: Reading, rows: list[int], test: Table, pictures: dict[str, bytes]) -> dict[int, NDArray[np.float32]]:
    if reading.network is None:
        return {}
    heat: dict[int, NDArray[np.float32]] = {}
    for start in range(0, len(rows), _EXPLAINED_AT_ONCE):
        batch = rows[start : start + _EXPLAINED_AT_ONCE]
        maps = reading.network.explain([pictures[str(test.ids[row])] for row in batch])
        heat.update(zip(batch, maps, strict=True))
    return heat


def _confusion(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> tuple[tuple[int, ...], ...]:
    classes = probabilities.shape[1]
    counts = np.bincount(labels * classes + probabilities.argmax(axis=1), minlength=classes**2)
    return tuple(map(tuple, counts.reshape(classes, classes).tolist()))
