"""What finished runs have reached, as the rows of one table: read from their metadata and reports, never by hand."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from components.ingest.settings import Split
from components.report.collect import FACTS_FILE
from pipeline.footprint import Footprint, read_footprint
from pipeline.history import History, open_history
from pipeline.paths import Paths
from pipeline.recipe import load_recipe, recipe_names
from pipeline.reporting import report_folder
from pipeline.runs import Run, StageRun

# What is said elsewhere in a recipe changes no figure.
_OF_RESULTS = ("labels", "split", "picture", "validation", "balance", "outside", "decide", "model", "train", "tune")
_OF_SPLIT = {f"split.{name}" for name in Split.model_fields}
_SEED = "train.seed"

Settings = Mapping[str, Any]  # path of a setting to its value


@dataclass(frozen=True)
class Result:
    """What one run has reached on the test split; shares in 0 … 1, None where a figure could not be computed."""

    run: str
    began: float  # seconds since 1970
    recipe: str
    settings: Settings  # the recipe's that results depend on, by path
    data: str  # name of the catalogue, of which `digest` is
    digest: str
    refused: bool  # whether the recipe's gate refused the model
    examples: int
    accuracy: float | None
    macro_f1: float | None
    macro_auprc: float | None
    worst: float | None  # the lowest recall of all classes, which is that of `worst_class`
    worst_class: str
    # Of all its stages; of one taken from the cache, what it took when it ran. None where that is unknown.
    seconds: float | None
    peak_memory: int | None  # of the stage that took most, bytes; None where it was not recorded
    footprint: Footprint | None  # where the model was trained; None likewise
    # What the model's decisions are worth: share accepted, accuracy among these, share of foreign pictures accepted, of
    # kinds that training has seen and has not. None where it decides nothing, or nothing foreign was asked.
    accepted: float | None = None
    accepted_accuracy: float | None = None
    outsiders: float | None = None
    unseen_outsiders: float | None = None
    tags: Mapping[str, float] = field(default_factory=dict)  # accuracy of each further column

    @property
    def tested_anew(self) -> bool:
        """Whether a run of today would be tested on the same products; those given or of odd years are not dealt."""
        # A run that did not know a setting of the split was dealt its products in another way.
        return self.settings["split.by"] != "picture" or self.settings.keys() >= _OF_SPLIT

    @property
    def seed(self) -> int:
        """That of the training."""
        return int(self.settings[_SEED])


@dataclass(frozen=True)
class Row:
    """Runs that differ in their seeds alone, one for each seed, ascending; or none, and why.

    `changes` are settings that the recipe as it comes with the project has otherwise. `reason` is "" where there are
    runs, and where none was tried.
    """

    recipe: str
    changes: Settings
    results: tuple[Result, ...] = ()
    reason: str = ""

    @property
    def tested_anew(self) -> bool:
        """See `Result`; a row without runs waits for one of today."""
        return all(result.tested_anew for result in self.results)


@dataclass(frozen=True)
class Records:
    """What is remembered: of finished runs, and of each recipe whose latest failed run failed why, as a sentence."""

    results: tuple[Result, ...]
    failures: Mapping[str, str]

    def __or__(self, newer: Self) -> Self:
        """Both; of what both remember, what the newer does."""
        results = {result.run: result for result in (*self.results, *newer.results)}
        return type(self)(tuple(results.values()), {**self.failures, **newer.failures})


def read_records(places: Iterable[Paths]) -> Records:
    """Reads all runs.

    Raises:
        UnknownRun: there are no runs in one of the places.
        MetadataError: a database cannot be read.
    """
    results: dict[str, Result] = {}
    failures: dict[str, str] = {}
    for paths in places:
        history = open_history(paths.metadata)
        runs = [history.read(run_id) for run_id in history.ids]
        makers = _makers(runs)
        for run in runs:
            if result := _result(run, _facts(history, run, paths), makers):
                results[run.id] = result
            for stage in run.stages.values():
                if stage.error:
                    failures[run.name] = _sentence(stage.error)
    return Records(tuple(results.values()), failures)


def rows(records: Records) -> list[Row]:
    """Puts runs together that differ in their seeds alone, and adds what has not been run.

    The latest of several runs with one seed counts. Every recipe of the project has a row as it comes.
    """
    shipped = recipe_names()
    groups: dict[str, dict[str, list[Result]]] = {name: {} for name in shipped}
    for result in sorted(records.results, key=lambda result: result.began):
        settings = {key: value for key, value in result.settings.items() if key != _SEED}
        key = json.dumps([settings, result.data, result.digest, result.tested_anew], sort_keys=True)
        groups.setdefault(result.recipe, {}).setdefault(key, []).append(result)
    table: list[Row] = []
    for name, variants in groups.items():
        own = settings_of(load_recipe(name).model_dump(mode="json")) if name in shipped else None
        of_recipe = [_row(name, variant, own) for variant in variants.values()]
        if own is not None and all(row.changes or not row.tested_anew for row in of_recipe):
            of_recipe.insert(0, Row(name, {}, reason=records.failures.get(name, "")))
        table += sorted(of_recipe, key=lambda row: len(row.changes))
    return table


def settings_of(recipe: Mapping[str, Any]) -> Settings:
    """The settings of a recipe, with every default, that results depend on."""
    return {path: value for part in _OF_RESULTS for path, value in _leaves(part, recipe.get(part))}


def _row(name: str, results: Sequence[Result], own: Settings | None) -> Row:
    by_seed = {result.seed: result for result in results}
    latest = results[-1].settings
    reference = latest if own is None else own
    # What the run's recipe does not speak of, it did not know yet: it is now a setting with a default.
    changes = {
        path: value
        for path, value in latest.items()
        if path != _SEED and (path not in reference or value != reference[path])
    }
    return Row(name, changes, tuple(by_seed[seed] for seed in sorted(by_seed)))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves(f"{path}.{key}", below)
    elif path.startswith("tune.") and value in (None, False):
        return  # an end of a range that it does not have
    else:
        yield path, value


def _result(run: Run, facts: Mapping[str, Any] | None, makers: Mapping[int, StageRun]) -> Result | None:
    """What a run has reached; None if it did not come to an end with figures."""
    if not facts or not facts.get("quality") or not run.recipe:
        return None
    quality = facts["quality"]
    of_class = [(each["recall"], each["name"]) for each in quality["classes"] if each["recall"] is not None]
    worst, worst_class = min(of_class, default=(None, ""))
    stages = [_maker(stage, makers) for stage in run.stages.values()]
    footprints = [footprint for stage in stages if stage and (footprint := read_footprint(stage.parameters))]
    peaks = [footprint.peak_memory for footprint in footprints if footprint.peak_memory]
    trained = _maker(run.stages["train"], makers)
    return Result(
        run=run.id, began=run.began, recipe=run.name, settings=settings_of(run.recipe),
        data=Path(run.experiment["data"]).name, digest=run.experiment["catalogue"],
        refused=facts["verdict"]["outcome"] == "model refused", examples=quality["examples"],
        accuracy=quality["accuracy"], macro_f1=quality["macro_f1"], macro_auprc=quality["macro_auprc"], worst=worst,
        worst_class=worst_class, seconds=_total(stages), peak_memory=max(peaks, default=None),
        footprint=read_footprint(trained.parameters) if trained else None, **_decided(facts),
    )  # fmt: skip


def _decided(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What `Result` says of decisions and further columns."""
    assessed = (facts.get("outside") or {}).get("assessment", {})
    shares = {
        "accepted": assessed.get("accepted"), "accepted_accuracy": assessed.get("accuracy"),
        "outsiders": (assessed.get("shown") or {}).get("accepted"),
        "unseen_outsiders": (assessed.get("unseen") or {}).get("accepted"),
    }  # fmt: skip
    tags = {tag["column"]: tag["right"]["share"] for tag in assessed.get("tags", ())}
    return {name: share and share["share"] for name, share in shares.items()} | {"tags": tags}


def _facts(history: History, run: Run, paths: Paths) -> Mapping[str, Any] | None:
    """What the report of a finished run says."""
    if "publish" not in run.stages or any(stage.state == "running" for stage in run.stages.values()):
        return None
    folder = report_folder(history, run, paths)
    return json.loads((folder / FACTS_FILE).read_bytes()) if folder else None


def _maker(stage: StageRun, makers: Mapping[int, StageRun]) -> StageRun | None:
    """The stage itself, or the one that made what it took from the cache; None where that is not remembered."""
    if stage.state == "complete":
        return stage
    artifacts = (artifact.id for artifacts in stage.outputs.values() for artifact in artifacts)
    return next((makers[artifact] for artifact in artifacts if artifact in makers), None)


def _makers(runs: Iterable[Run]) -> Mapping[int, StageRun]:
    """The stage that made each artifact."""
    makers: dict[int, StageRun] = {}
    for stage in (stage for run in runs for stage in run.stages.values() if stage.state == "complete"):
        for artifact in (artifact for artifacts in stage.outputs.values() for artifact in artifacts):
            makers.setdefault(artifact.id, stage)  # later ones have but found it, as the baseline is found
    return makers


def _sentence(error: str) -> str:
    """The first sentence, on one line."""
    return " ".join(error.split()).partition(". ")[0].rstrip(".")


def _total(stages: Iterable[StageRun | None]) -> float | None:
    times = [stage.seconds if stage else None for stage in stages]
    known = [seconds for seconds in times if seconds is not None]
    return sum(known) if len(known) == len(times) else None
