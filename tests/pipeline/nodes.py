"""Nodes as processes of their own: a root that runs share, and the first nodes of some."""

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from components.transform.taxonomy import load_taxonomy
from pipeline.commands import kubeflow
from pipeline.metadata import connection
from pipeline.synthetic import write_catalogue

RECIPE = """
name: tiny
labels: {taxonomy: names.yaml}
split: {train: 70, eval: 10, test: 20}
picture: {size: 64}
validation: {quarantine: 0.05, class_minimum: 5}
model: {backbone: efficientnet_lite0, weights: imagenet}
train:
  head: {epochs: 20, learning_rate: 3.0e-3, views: 1, patience: 20}
  finetune: {epochs: 8, unfreeze_from: block7}
gate: {accuracy: 0.4, recall: 0, regression: 1, class_regression: 1}
"""
# Names as shops give them, for those of six_class.
NAMES = {
    "topwear": "Röcke",
    "shoes": "Apparel > Tops, Tees",
    "underwear": "连衣裙",
    "jewelry": "Women's (Plus)",
    "fragrances": "أحذية",
    "eyewear": "👗 Dresses",
}
# A process forked from one that has imported TFX begins at once, and shares nothing that was done since.
FORKED = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Ended:
    """What a process came to."""

    code: int
    out: str
    err: str


def fashion(folder: Path, files: tuple[Path, Path], commands: Sequence[Sequence[str]]) -> None:
    """Runs commands one after the other in a process of their own; it ends as the first that fails, or the last."""
    os.chdir(folder)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    for name, *arguments in commands:
        getattr(kubeflow, name).main(arguments, standalone_mode=False)


@dataclass(frozen=True)
class Running:
    """A process under way."""

    process: "multiprocessing.process.BaseProcess"
    files: tuple[Path, Path]

    def end(self) -> Ended:
        self.process.join(600)
        out, err = (file.read_text() for file in self.files)
        return Ended(self.process.exitcode, out, err)


@dataclass(frozen=True)
class House:
    """One root, shared by runs on several catalogues with recipes of one name."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "runs"

    @property
    def store(self) -> Path:
        return self.root / "serving" / "tiny"

    def recipe(self, name: str, change: tuple[str, str] = ("", "")) -> str:
        """Writes a recipe with one change."""
        path = self.folder / name / "tiny.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(RECIPE.replace(*change))
        return f"{name}/tiny.yaml"

    def start(self, run_id: str, *nodes: str, data: str = "one", recipe: str = "usual/tiny.yaml") -> Running:
        """Starts one process for some nodes of a run, or for its verdict."""
        given = ["--run-id", run_id, "--recipe", recipe, "--data", data, "--root", "runs"]
        commands = [("node", "--node", node, *given) for node in nodes] or [("verdict", *given)]
        number = len(list(self.folder.glob("*.out")))
        files = self.folder / f"{number}.out", self.folder / f"{number}.err"
        process = FORKED.Process(target=fashion, args=(self.folder, files, commands))
        files[0].touch()
        process.start()
        return Running(process, files)

    def run(self, run_id: str, *nodes: str, **given: str) -> Ended:
        return self.start(run_id, *nodes, **given).end()

    def lineage(self, run_id: str) -> dict[str, dict[str, set[str]]]:
        """Node of a run to the addresses of what went in and what came out."""
        from ml_metadata.metadata_store.metadata_store import MetadataStore
        from ml_metadata.proto import metadata_store_pb2 as mlmd

        store = MetadataStore(connection(f"sqlite:///{self.root / 'metadata.sqlite'}"))
        found: dict[str, dict[str, set[str]]] = {}
        for execution in store.get_executions_by_context(store.get_context_by_type_and_name("pipeline_run", run_id).id):
            [node] = [
                c.name.rpartition(".")[2] for c in store.get_contexts_by_execution(execution.id) if c.type == "node"
            ]
            events = store.get_events_by_execution_ids([execution.id])
            uris = {each.id: each.uri for each in store.get_artifacts_by_id([event.artifact_id for event in events])}
            ways = found.setdefault(node, {"in": set(), "out": set()})
            for event in events:
                ways["in" if event.type == mlmd.Event.INPUT else "out"].add(uris[event.artifact_id])
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    FORKED.set_forkserver_preload(["pipeline.local", "pipeline.summary"])
    house = House(tmp_path_factory.mktemp("house"))
    house.recipe("usual")
    taxonomy = load_taxonomy("six_class").model_dump(mode="json", by_alias=True, exclude_none=True)
    taxonomy["classes"] = list(NAMES.values())
    for rule in taxonomy["rules"]:
        rule["class"] = NAMES.get(rule["class"], rule["class"])
    (house.folder / "names.yaml").write_text(yaml.safe_dump(taxonomy, allow_unicode=True), encoding="utf-8")
    for name, seed in (("one", 3), ("two", 4)):
        write_catalogue(house.folder / name, 300, seed=seed)
    return house


@pytest.fixture(scope="module")
def beginnings(house: House) -> dict[tuple[str, str], Ended]:
    """The first nodes of runs on two catalogues, side by side on one database that is not there before."""
    results = {}
    catalogues = {"monday": "one", "tuesday": "two", "wednesday": "two"}
    for node, runs in (("ingest", catalogues), ("schema", ("monday", "tuesday")), ("statistics", ("monday",))):
        running = {(node, run): house.start(run, node, data=catalogues[run]) for run in runs}
        results |= {key: process.end() for key, process in running.items()}
    return results
