"""Makes an index of a catalogue and publishes it: embedded, written, asked in a fresh process, renamed into place."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import faiss
import pyarrow.parquet as pq

from components import children
from components.answers.inputs import Products
from components.digest import code_digest
from components.errors import AnswerError, CatalogueError, PublishError
from components.index.content import Change, Content, gather, make_searchable
from components.index.figures import Judges, measure, shortfalls
from components.index.settings import Index as Settings
from components.index.vectors import Vectors
from components.publish.store import place
from components.spreadsheet import csv_lines
from serving.disk import locked
from serving.search.index import FACTS, FORMAT, PRODUCTS, VECTORS, Index, file_digests
from serving.search.indexes import choose
from serving.versions import recorded_digest

LEFT_OUT = "left_out.csv"

_ALL = Change()


@dataclass(frozen=True)
class Outcome:
    """What became of a catalogue."""

    index: Index  # as it is published
    embedded: int  # products whose pictures the model was asked about now
    already: bool  # whether that very index was there before


def build_index(
    data: Products,
    model: Path,
    store: Path,
    settings: Settings,
    beam_args: Sequence[str],
    change: Change = _ALL,
) -> Outcome:
    """Makes an index of a catalogue, the newest version of a store.

    A try that was stopped goes on where it was. A picture that is in the index before, of the same model and settings,
    is not embedded again.

    Args:
        data: the catalogue.
        model: a published version, `<serving>/<model>/<version>`.
        store: `<indexes>/<model>`.
        settings: of the recipe.
        beam_args: options of the Beam pipeline.
        change: whether the catalogue is all there is, or changes to it.

    Raises:
        CatalogueError: the catalogue cannot be read, changed meanwhile, or has no product that can be indexed.
        AnswerError: the model is none that was published, or cannot be asked.
        PublishError: the index cannot be written, or does not answer in a fresh process.
    """
    digest = recorded_digest(model)
    if digest is None:
        raise AnswerError(f"{model}: was not published by this project, so no index can be bound to it. Publish it.")
    job: dict[str, Any] = {
        "inputs": data.digest(),
        "settings": settings.model_dump(mode="json"),
        "update": change.update,
        "removed": sorted(change.removed),
        "code": code_digest(__name__),
        "vectors": code_digest("serving.search.colour", "components.index.projection"),
    }

    def refuse(holder: str) -> None:
        raise PublishError(f"{store}: another command makes an index there ({holder}). Wait for it, and try again.")

    store.mkdir(parents=True, exist_ok=True)
    folder = store.absolute() / ".unfinished"
    with locked(store / ".lock-index", refuse):
        latest = choose(store, digest, prefer_stable=False)
        if latest and latest.facts["job"] == job:
            shutil.rmtree(folder, ignore_errors=True)  # of a command that was killed after it had published
            return Outcome(latest, 0, already=True)
        count = sum(1 for _ in data)
        earlier = _reusable(latest, job, count)
        if change.update and not earlier:
            raise AnswerError(
                f"{store}: there is no index of this model with these settings to be changed. Give the whole "
                "catalogue, without --update."
            )
        shards = Vectors(
            data, count, folder, model.absolute(), earlier.folder if earlier else None, settings.colour > 0
        )
        _embed(shards, {**job, "model": digest, "earlier": str(shards.earlier)}, beam_args)
        embedded = _make(shards, earlier, settings, change, {"digest": digest, "job": job})
        _verify(folder / "index", digest)
        published = place(store, settings.keep, lambda _: False, lambda staging: os.rename(folder / "index", staging))
        shutil.rmtree(folder)
    return Outcome(Index(published.path, digest), embedded, already=False)


def _embed(shards: Vectors, job: dict[str, Any], beam_args: Sequence[str]) -> None:
    from components.batch.job import begin, run_shards

    begin(shards.folder, job)
    run_shards(shards, beam_args)
    if shards.inputs.digest() != job["inputs"]:
        raise CatalogueError(f"{shards.inputs}: changed while it was read. Run again when nobody writes to it.")


def _make(shards: Vectors, earlier: Index | None, settings: Settings, change: Change, known: dict[str, Any]) -> int:
    """Writes the index beside its shards; returns for how many products the model was asked."""
    judges, ids, model = Judges(shards.model_dir), [str(each.name[1]) for each in shards.inputs], shards.model_dir
    content = gather(shards, earlier, settings, change, list(compress(ids, judges.tested(ids))))
    figures = measure(content.vectors, content.table, judges, dict.fromkeys([*settings.relevance, *settings.least]))
    if said := shortfalls(figures, settings.least):
        raise PublishError(f"{model.parent.name}: {'; '.join(said)}. Nothing was published; the index before goes on.")
    about = {
        "model": {"name": model.parent.name, "version": int(model.name), "digest": known["digest"]},
        "figures": figures,
        "data": shards.inputs.reading,
        "job": known["job"],
    }
    write_index(shards.folder / "index", content, settings, about)
    return content.embedded


def _reusable(latest: Index | None, job: Mapping[str, Any], count: int) -> Index | None:
    """The index before, if its vectors are as new ones would be; its projection serves until products have doubled."""
    if latest is None:
        return None
    before = latest.facts["job"]
    same = all(before["settings"][key] == job["settings"][key] for key in ("dimensions", "colour", "alike"))
    return latest if same and before["vectors"] == job["vectors"] and 2 * latest.facts["fitted"] >= count else None


def write_index(folder: Path, content: Content, settings: Settings, about: dict[str, Any]) -> None:
    """Writes an index as a folder; `about` is what `index.json` says besides."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    searchable, probes, recall = make_searchable(content, settings)
    faiss.write_index(searchable, str(folder / VECTORS))
    pq.write_table(content.table, folder / PRODUCTS)
    rows = zip(*content.left_out.to_pydict().values(), strict=True)
    lines = csv_lines([("id", "reason", "detail"), *rows])
    (folder / LEFT_OUT).write_text("".join(lines), encoding="utf-8")
    facts = {
        "format": FORMAT,
        **about,
        "products": len(content.table),
        "left_out": content.reasons,
        "dimensions": content.vectors.shape[1],
        "fitted": content.fitted,
        "colour": settings.colour,
        "duplicate": settings.duplicate,
        "family": settings.family,
        "goes_with": settings.goes_with.model_dump(mode="json"),
        "probes": probes,
        "recall": recall,
        "files": file_digests(folder),
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _verify(folder: Path, digest: str) -> None:
    """Has a fresh process open the index and ask it, as a server would."""
    if said := children.run("serving.search.index", str(folder), digest):
        raise PublishError(f"{folder}: the index does not answer in a fresh process: it {said}. Nothing was published.")
