"""Trains again on a new catalogue, or only if its data have drifted from those that the published model learnt from.

A span is a catalogue as it was when a run ingested it: the folder or zip that `--data` named, told from others by its
digest. TFX's own span numbers name input files by a pattern and are part of the cache's key, so that an unchanged
catalogue would be another one each night; the digest sees what really changed.
"""

import dataclasses
import datetime
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from components.ingest.catalogue import open_catalogue
from components.publish.store import versions
from pipeline.history import History
from pipeline.metadata import check
from pipeline.monitor.look import read_verdict
from pipeline.paths import Paths, short
from pipeline.recipe import Recipe
from pipeline.retrain.drift import Decision, Span, decide, read_span
from pipeline.run import explained, make_root, run_recipe
from pipeline.runs import Run
from pipeline.view import quiet

_LAST = "gate"  # of the stages that look at the data


@dataclass(frozen=True)
class Release:
    """The newest published version of a recipe, and the run that it came from."""

    version: int
    run: Run


def look(
    recipe: Recipe, data: Path, root: Path, database: str | None = None, production: Path | None = None
) -> Decision:
    """Runs the stages that look at the data, and decides whether a model is to be trained on them.

    The decision, by the recipe's part `drift`, is printed, logged, and kept as `<root>/decisions/<time>-<recipe>.json`.
    The earlier runs are looked for below the root, or in the database. `production` is a
    folder that `fashion monitor` wrote: what has moved in production counts too.

    Raises:
        DataRefused: the data are not fit to train on.
        FashionError: anything else that the user can fix.
    """
    open_catalogue(str(data))
    verdict = read_verdict(production) if production else None
    paths = Paths(data.absolute(), root.absolute(), database)
    make_root(paths.root)
    check(paths.metadata)
    stem = f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}-{recipe.name}"
    log = paths.logs / f"{stem}-retrain.log"
    with quiet(log):
        trained = last_published(recipe, paths)
    run_id = run_recipe(recipe, data, root, last=_LAST, database=database) if trained else None
    with explained(log) as console:
        run = History(paths.metadata).read(run_id) if run_id else None
        decision = heed(_compare(recipe, trained, run), verdict)
        file = paths.root / "decisions" / f"{stem}.json"
        file.parent.mkdir(exist_ok=True)
        record = {
            "recipe": recipe.name, "data": str(paths.data), "looked": run and _source(run),
            "trained": trained and {"version": trained.version, **_source(trained.run)}, **dataclasses.asdict(decision),
        }  # fmt: skip
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        logging.warning("retrain: %s", decision.reason)
        console.print(Text.assemble((_verdict(decision, recipe, trained), "bold")))
        console.print(f"decision    {short(file)}")
    return decision


def heed(decision: Decision, production: Mapping[str, Any] | None) -> Decision:
    """Trains again as well where production has moved, as `fashion monitor` judged it last."""
    if production is None or decision.train:
        return decision
    told = "; ".join(alarm["text"] for alarm in production["alarms"])
    if not production["drift"]:
        return dataclasses.replace(decision, reason=f"{decision.reason}; production: {told or 'nothing moved'}")
    return dataclasses.replace(decision, train=True, reason=f"production has moved: {told}")


def last_published(recipe: Recipe, paths: Paths) -> Release | None:
    """The newest published version that is still there, with the latest run that came to it; None if there is none."""
    there = versions(paths.serving / recipe.name)
    published = History(paths.metadata).published(recipe.name) if there else ()
    return next((Release(version, run) for version, run in published if version in there), None)


def _compare(recipe: Recipe, trained: Release | None, run: Run | None) -> Decision:
    if trained is None or run is None:
        return Decision(True, f"no model of {recipe.name} is published yet")
    schema, now, before = run.stage("schema").output("schema"), _span(run), _span(trained.run)
    if schema is None or now is None or before is None:
        return Decision(True, f"what version {trained.version} was trained on is gone: there is nothing to compare")
    return decide(before, now, recipe.drift, Path(schema.uri) / "schema.pbtxt")


def _span(run: Run) -> Span | None:
    """The data of a run; None if they are no longer there."""
    statistics, quarantine = run.stage("statistics").output("statistics"), run.stage("ingest").output("quarantine")
    if not statistics or not quarantine:
        return None
    try:
        return read_span(Path(statistics.uri), Path(quarantine.uri))
    except FileNotFoundError:
        return None


def _verdict(decision: Decision, recipe: Recipe, trained: Release | None) -> str:
    if trained is None or decision.train:
        return f"train: {decision.reason}"
    return f"{decision.reason}; model version {trained.version} of {recipe.name} stays"


def _source(run: Run) -> dict[str, str | None]:
    return {"run": run.id, "data": run.experiment.get("data"), "digest": run.experiment.get("catalogue")}
