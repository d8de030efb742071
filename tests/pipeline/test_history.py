"""Runs are found again by name, listed with what they came to, and reported as far as they came."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.report.facts import RunFacts, from_json
from components.report.facts.verdict import Use
from components.transform.taxonomy import load_taxonomy
from pipeline.commands.report import report, runs
from pipeline.experiment import Experiment
from pipeline.history import History, UnknownRun, open_history, put_record
from pipeline.paths import Paths
from pipeline.recipe import Recipe, load_recipe
from pipeline.reporting import sources_of, summary_of, write_report
from pipeline.runs import Run

COMPLETE, CACHED, FAILED, RUNNING = (
    getattr(mlmd.Execution, name) for name in ("COMPLETE", "CACHED", "FAILED", "RUNNING")
)
TAXONOMY = load_taxonomy("six_class")
INGEST = {"data": "/shop", "digest": "d1"}


@dataclass
class Database:
    """ML Metadata as TFX leaves it, without the TFX."""

    root: Path
    artifacts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(self.root / "metadata.sqlite")
        config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = MetadataStore(config)

    def run(self, run_id: str, pipeline: str = "six_class-abc") -> "Database":
        self._run, self._pipeline = run_id, pipeline
        return self

    def note(self, recipe: Recipe, data: str = "/shop", digest: str = "d1") -> "Database":
        """Has the run remember its experiment."""
        experiment = Experiment(recipe, Paths(Path(data), self.root), TAXONOMY, digest, Path(), "", "")
        context = self._context("pipeline_run", self._run)
        put_record(context, experiment.record())
        self._store.put_contexts([context])
        return self

    def history(self) -> History:
        return History(Paths(self.root, self.root).metadata)

    def stage(
        self,
        name: str,
        state: int = COMPLETE,
        told: Mapping[str, str] | None = None,
        takes: Mapping[str, str] | None = None,
        makes: Mapping[str, str] | None = None,
        properties: Mapping[str, str | int] | None = None,
    ) -> "Database":
        """Adds a stage to the run; `takes` and `makes` map names of inputs and outputs to URIs."""
        execution = mlmd.Execution(type_id=self._type("execution", f"{name}.Component"), last_known_state=state)
        _set(execution, told or {})
        pairs = []
        for kind, ports in ((mlmd.Event.INPUT, takes or {}), (mlmd.Event.OUTPUT, makes or {})):
            for key, uri in ports.items():
                pairs.append((self._artifact(uri, key, properties or {}), _event(kind, key)))
        contexts = [
            self._context("pipeline", self._pipeline),
            self._context("pipeline_run", self._run),
            self._context("node", f"{self._pipeline}.{name}"),
        ]
        self._store.put_execution(execution, pairs, contexts, reuse_context_if_already_exist=True)
        for artifact in self._store.get_artifacts():
            self.artifacts[artifact.uri] = artifact.id
        return self

    def _artifact(self, uri: str, key: str, properties: Mapping[str, str | int]) -> mlmd.Artifact:
        artifact = mlmd.Artifact(type_id=self._type("artifact", key.title()), uri=uri)
        if uri in self.artifacts:
            artifact.id = self.artifacts[uri]
        else:
            _set(artifact, properties)
        return artifact

    def _context(self, kind: str, name: str) -> mlmd.Context:
        return mlmd.Context(type_id=self._type("context", kind), name=name)

    def _type(self, of: str, name: str) -> int:
        made = {"execution": mlmd.ExecutionType, "artifact": mlmd.ArtifactType, "context": mlmd.ContextType}[of]
        return getattr(self._store, f"put_{of}_type")(made(name=name))


def _set(thing: mlmd.Execution | mlmd.Artifact, values: Mapping[str, str | int]) -> None:
    for key, value in values.items():
        if isinstance(value, int):
            thing.custom_properties[key].int_value = value
        else:
            thing.custom_properties[key].string_value = value


def _event(kind: int, key: str) -> mlmd.Event:
    event = mlmd.Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def database(root: Path) -> Database:
    return Database(root)


def history(root: Path) -> History:
    return open_history(Paths(root, root).metadata)


def finished(database: Database, run_id: str, **pushed: str | int) -> None:
    """A run that came to its end, with just enough of it to be told apart."""
    database.run(run_id).note(load_recipe("six_class"))
    database.stage("ingest", told=INGEST, makes={"examples": f"/{run_id}/examples"})
    database.stage("publish", makes={"pushed_model": f"/{run_id}/pushed"}, properties=pushed)


def reported(root: Path, run_id: str) -> RunFacts:
    memory = history(root)
    page, _ = write_report(memory, memory.find(run_id), Paths(root, root))
    return from_json((page.parent / "facts.json").read_bytes())


def refused(database: Database, run_id: str) -> None:
    """A run whose data the gate refused."""
    lists, anomalies = database.root / "quarantine", database.root / "anomalies"
    lists.mkdir()
    counts = {"train": 90, "eval": 5, "test": 5}
    (lists / "summary.json").write_text(
        json.dumps(
            {
                "rows": 200, "examples": counts, "classes": dict.fromkeys(TAXONOMY.classes, counts),
                "quarantined": {"broken picture": 100}, "unmapped": {}, "repaired": {},
            }
        )
    )  # fmt: skip
    (lists / "quarantine.csv").write_text("row,id,reason,detail\n2,5,broken picture,it ends early\n")
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["season"].description = "Examples contain values missing from the schema"
    (anomalies / "Split-train").mkdir(parents=True)
    (anomalies / "Split-train" / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    recipe = load_recipe("six_class", ["validation={quarantine: 0.1, class_minimum: 5}"])
    database.run(run_id).note(recipe).stage("ingest", told=INGEST, makes={"quarantine": str(lists)})
    database.stage("validate", makes={"anomalies": str(anomalies)})
    database.stage("gate", FAILED, takes={"quarantine": str(lists), "anomalies": str(anomalies)})


@pytest.mark.parametrize("name", ["2026-11-21T05-00-00-bbbbbb", "2026-11-21T05", "latest"])
def test_a_run_is_found_by_its_id_by_the_beginning_of_one_and_as_the_latest(database, root, name):
    finished(database, "2026-11-21T04-00-00-aaaaaa", pushed=1)
    finished(database, "2026-11-21T05-00-00-bbbbbb", pushed=1)
    assert history(root).find(name).id == "2026-11-21T05-00-00-bbbbbb"


def test_a_whole_id_means_that_run_even_where_others_begin_with_it(database, root):
    finished(database, "a", pushed=1)
    finished(database, "ab", pushed=1)
    assert history(root).find("a").id == "a"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("2026", "2 runs begin so: 2026-b, 2026-a. Give more"),
        ("2025", "there are 2026-b, 2026-a"),
        ("", "there is none"),
    ],
)
def test_an_unknown_or_ambiguous_run_is_refused_and_the_runs_that_there_are_named(database, root, name, said):
    finished(database, "2026-a", pushed=1)
    finished(database, "2026-b", pushed=1)
    with pytest.raises(UnknownRun, match=said):
        history(root).find(name)


def test_an_empty_root_says_how_to_start_a_run_and_is_left_empty(root):
    with pytest.raises(UnknownRun, match=r"there are no runs yet[.] Start one with `fashion run`"):
        history(root)
    assert not list(root.iterdir())


def test_a_stage_has_its_state_its_parameters_and_its_artifacts(database, root):
    database.run("r").stage("ingest", CACHED, INGEST, makes={"examples": "/e"}, properties={"span": 0})
    database.stage("train", RUNNING, takes={"examples": "/e"})
    run = history(root).find("r")
    ingest, train = run.stages["ingest"], run.stages["train"]
    assert (run.name, list(run.stages)) == ("six_class", ["ingest", "train"])
    assert (ingest.state, ingest.parameters["data"], ingest.outputs["examples"][0].uri) == ("cached", "/shop", "/e")
    assert (train.state, train.seconds) == ("running", None)
    assert train.inputs["examples"][0] == ingest.outputs["examples"][0]
    assert run.seconds is None


def test_a_stage_that_was_tried_again_is_told_by_its_last_try(database, root):
    database.run("r").stage("train", FAILED).stage("train", COMPLETE)
    assert history(root).find("r").stages["train"].state == "complete"


def test_a_stage_that_a_run_left_out_is_told_by_the_run_that_made_what_it_took_over(database, root):
    database.run("whole").stage("ingest", told=INGEST, makes={"examples": "/e"})
    database.run("from train").stage("ingest", CACHED, makes={"examples": "/e"}).stage("train")
    assert history(root).find("from train").stage("ingest").parameters == INGEST


def test_earlier_data_are_other_data_of_the_same_pipeline(database, root):
    for run_id, pipeline, uri in (
        ("monday", "six_class-abc", "/1"), ("else", "other-abc", "/2"), ("tuesday", "six_class-abc", "/3"),
        ("cached", "six_class-abc", "/3"),
    ):  # fmt: skip
        database.run(run_id, pipeline).stage("statistics", makes={"statistics": uri})
    of = history(root)
    earlier = of.earlier(of.find("cached"), "statistics", "statistics")
    assert earlier is not None
    assert (earlier[0].id, earlier[1].uri) == ("monday", "/1")
    assert of.earlier(of.find("monday"), "statistics", "statistics") is None


def test_lineage_says_who_takes_and_makes_what_and_where_it_lies_below_the_root(database, root):
    made = {"examples": f"{root}/artifacts/e", "quarantine": "/else/q"}
    database.run("r").stage("ingest", told=INGEST, makes=made)
    database.stage("train", takes={"examples": f"{root}/artifacts/e"}, makes={"model": "/m"})
    assert sources_of(history(root).find("r"), root).lineage == (
        Use("ingest", "makes", "Examples", "artifacts/e"),
        Use("ingest", "makes", "Quarantine", "/else/q"),
        Use("train", "takes", "Examples", "artifacts/e"),
        Use("train", "makes", "Model", "/m"),
    )


def test_a_run_that_failed_early_is_reported_with_its_reason_and_its_recipe(database, root, monkeypatch):
    monkeypatch.chdir(root)
    recipe = load_recipe("six_class")
    database.run("r").note(recipe, f"{root}/shop")
    database.stage("ingest", FAILED, told={"error": "styles.csv: there is no column id"})
    facts = reported(root, "r")
    assert [reason.sentence for reason in facts.verdict.reasons] == ["styles.csv: there is no column id"]
    assert facts.provenance is not None
    assert facts.provenance.recipe == recipe.as_yaml() == (root / "reports" / "r" / "recipe.yaml").read_text()
    assert facts.provenance.command == "fashion run --recipe reports/r/recipe.yaml --data shop"
    assert facts.provenance.data == "shop"


def test_refused_data_are_reported_with_the_gates_own_reasons(database, root):
    refused(database, "r")
    facts = reported(root, "r")
    assert facts.verdict.outcome == "data refused"
    assert "season does not fit the schema" in facts.verdict.reasons[0].sentence
    assert "100 of 200 rows (50 %) are quarantined" in facts.verdict.reasons[1].sentence
    assert facts.data is not None
    assert facts.data.quarantined[0].samples[0].detail == "it ends early"
    assert facts.data.anomalies[0].feature == "season"
    assert (facts.training, facts.quality, facts.pictures) == (None, None, None)
    assert {gap.section for gap in facts.gaps} >= {"data", "training", "quality"}
    assert {stage.name: stage.state for stage in facts.provenance.stages}["train"] == "waiting"


def test_a_run_in_which_nothing_changed_has_the_report_of_the_run_before(database, root):
    for run_id, version in (("a", "7"), ("b", "7"), ("c", "8")):
        state = COMPLETE if run_id == "a" else CACHED
        database.run(run_id).note(load_recipe("six_class")).stage("ingest", state, makes={"examples": "/e"})
        made = {"pushed": 1, "pushed_version": version}
        database.stage("publish", makes={"pushed_model": f"/{run_id}"}, properties=made)
    paths, memory = Paths(root, root), history(root)
    written = [write_report(memory, memory.read(run_id), paths) for run_id in "abc"]
    assert [(page.parent.name, fresh) for page, fresh in written] == [("a", True), ("a", False), ("c", True)]
    assert [summary_of(memory, memory.read(run_id), paths)["version"] for run_id in "abc"] == [7, 7, 8]


def test_of_two_processes_of_a_run_the_first_says_what_was_read(database, root):
    database.run("r").stage("ingest")
    memory = database.history()
    for record in ('{"catalogue": "d1"}', '{"catalogue": "d2"}'):
        memory.remember("r", record)
    assert memory.record("r") == '{"catalogue": "d1"}'
    assert memory.record("another") == ""


@pytest.mark.parametrize(
    ("state", "pushed", "verdict", "version"),
    [
        (COMPLETE, {"pushed": 1, "pushed_version": "7"}, "published", 7),
        (COMPLETE, {"pushed": 0}, "model refused", None),
        (FAILED, {}, "failed", None),
        (RUNNING, {}, "unfinished", None),
    ],
)
def test_the_list_says_what_every_run_came_to(database, root, state, pushed, verdict, version):
    makes = {"pushed_model": "/pushed"} if pushed else {}
    database.run("r").stage("ingest", told=INGEST).stage("publish", state, makes=makes, properties=pushed)
    [row] = json.loads(CliRunner().invoke(runs, ["--root", str(root), "--json"], catch_exceptions=False).stdout)
    assert (row["run"], row["recipe"], row["verdict"], row["version"]) == ("r", "six_class", verdict, version)


def test_the_list_begins_with_the_latest_run_and_keeps_each_on_one_line(database, root):
    finished(database, "2026-11-21T04-00-00-aaaaaa", pushed=1, pushed_version="1795243284")
    finished(database, "2026-11-21T05-00-00-bbbbbb", pushed=0)
    lines = CliRunner().invoke(runs, ["--root", str(root)], catch_exceptions=False).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "2026-11-21T05-00-00-bbbbbb", "2026-11-21T04-00-00-aaaaaa"]
    assert "1795243284" in lines[2]


@pytest.mark.parametrize("command", [[report, ["nothing"]], [report, ["--compare", "r", "nothing"]]])
def test_the_command_names_a_run_that_is_not_there_without_a_traceback(database, root, command):
    finished(database, "r", pushed=1)
    called, arguments = command
    done = CliRunner().invoke(called, [*arguments, "--root", str(root)])
    assert done.exit_code == UnknownRun.exit_code
    assert "run 'nothing': there is none" in done.output


def test_a_run_without_any_stage_is_read_as_one():
    assert Run("r", "", 1.0, {}).seconds is None
