"""Operating published versions: labels move without a gap, nothing in use is removed, and no edit is lost."""

import json
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath

import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from pipeline.commands.models import models
from serving.releases import CONFIG, ReleaseError, Releases, pinned

MODEL = "six_class"


@pytest.fixture
def serving(tmp_path):
    """A serving folder with versions 1 to 4 of one model."""
    folder = tmp_path / "serving"
    for version in range(1, 5):
        extras = folder / MODEL / str(version) / "assets.extra"
        extras.mkdir(parents=True)
        (extras / "metrics.json").write_text(json.dumps({"accuracy": 0.9 + version / 100, "macro_f1": 0.8}))
    return folder


def run(serving, *arguments, code=0):
    result = CliRunner().invoke(models, [arguments[0], "--serving", str(serving), *map(str, arguments[1:])])
    assert result.exit_code == code, result.output
    return result.output


def config(serving):
    return text_format.Parse((serving / CONFIG).read_text(), ModelServerConfig())


def entry(serving):
    [only] = [each for each in config(serving).model_config_list.config if each.name == MODEL]
    return sorted(only.model_version_policy.specific.versions), dict(only.version_labels)


class Server:
    """TensorFlow Serving's rules for a config it reads again: labels first, and all or nothing; then the versions."""

    def __init__(self, serving):
        self.serving, self.refused = serving, 0
        versions, self.labels = entry(serving)
        self.available = set(versions)

    def poll(self):
        versions, labels = entry(self.serving)
        if not self.available.issuperset(labels.values()):
            self.refused += 1
            return
        self.labels, self.available = labels, set(versions)

    def answers(self, label):
        return self.labels[label] in self.available


def test_promotion_pins_the_stable_version(serving):
    run(serving, "promote", MODEL, 3)
    assert entry(serving) == ([3], {"stable": 3})


def test_new_version_waits_once_one_is_stable(serving):
    run(serving, "promote", MODEL, "latest")
    (serving / MODEL / "5").mkdir()
    [newest, stable, *_] = json.loads(run(serving, "list", "--json"))[MODEL]
    assert (newest["version"], newest["loaded"], newest["default"]) == (5, False, False)
    assert (stable["version"], stable["loaded"], stable["labels"]) == (4, True, ["stable"])


def test_version_is_loaded_before_it_is_labelled(serving):
    run(serving, "promote", MODEL, 3)
    assert "version 4 has to be loaded first; until then stable is 3" in run(serving, "promote", MODEL, 4)
    assert entry(serving) == ([3, 4], {"stable": 3})
    run(serving, "promote", MODEL, 4)
    assert entry(serving) == ([3, 4], {"stable": 4})


def test_promotion_again_unloads_the_version_before(serving):
    for version in (3, 4, 4, 4):
        run(serving, "promote", MODEL, version)
    assert entry(serving) == ([4], {"stable": 4})


def test_rollback_after_a_promotion_is_one_step_and_unloads_the_bad_version(serving):
    for version in (3, 4, 4):
        run(serving, "promote", MODEL, version)
    assert run(serving, "rollback", MODEL) == f"{MODEL}: stable is 3\n"
    assert entry(serving) == ([3], {"stable": 3})


def test_promotion_of_a_lower_version_unloads_the_higher_one_that_would_answer_by_default(serving):
    for version in (3, 4, 4, 3):
        run(serving, "promote", MODEL, version)
    assert entry(serving) == ([3], {"stable": 3})


def test_rollbacks_go_back_through_what_was_stable(serving):
    for version in (2, 1, 1, 4, 4):
        run(serving, "promote", MODEL, version)
    run(serving, "rollback", MODEL)
    assert entry(serving) == ([1], {"stable": 1})
    run(serving, "rollback", MODEL)
    run(serving, "rollback", MODEL)
    assert entry(serving) == ([1, 2], {"stable": 2})


def test_version_rolled_back_from_is_not_gone_back_to(serving):
    for version in (2, 3, 3, 4, 4, 3):
        run(serving, "promote", MODEL, version)
    assert "has to be loaded first" in run(serving, "rollback", MODEL)
    run(serving, "rollback", MODEL)
    assert entry(serving) == ([2], {"stable": 2})


def test_rollback_without_labels_takes_effect_at_once_for_those_who_ask_without(serving):
    (serving / CONFIG).write_text(f'model_config_list {{ config {{ name: "{MODEL}" base_path: "/models/{MODEL}" }} }}')
    said = run(serving, "rollback", MODEL)
    assert "until then there is no stable" in said
    assert entry(serving) == ([3], {})
    run(serving, *said.split("fashion models ")[1].split())
    assert entry(serving) == ([3], {"stable": 3})


def test_rollback_skips_versions_that_are_gone(serving):
    for version in (2, 3, 3, 4, 4):
        run(serving, "promote", MODEL, version)
    os.rename(serving / MODEL / "3", serving / "away")
    run(serving, "rollback", MODEL)
    run(serving, "rollback", MODEL)
    assert entry(serving)[1] == {"stable": 2}


def test_canary_is_loaded_beside_the_stable_version_until_it_ends(serving):
    run(serving, "promote", MODEL, 3)
    assert "until then there is no canary" in run(serving, "canary", MODEL, "latest")
    assert entry(serving) == ([3, 4], {"stable": 3})
    run(serving, "canary", MODEL, "latest")
    assert entry(serving) == ([3, 4], {"stable": 3, "canary": 4})
    run(serving, "canary", MODEL, "--end")
    assert entry(serving) == ([3], {"stable": 3})


def test_canary_does_not_take_the_quick_rollback_away(serving):
    for version in (2, 3, 3):
        run(serving, "promote", MODEL, version)
    for _ in range(2):
        run(serving, "canary", MODEL, 4)
    assert entry(serving) == ([2, 3, 4], {"stable": 3, "canary": 4})


@pytest.mark.parametrize("seed", range(20))
def test_no_sequence_of_moves_leaves_a_label_unanswered(serving, seed):
    chance = random.Random(seed)
    run(serving, "promote", MODEL, chance.randint(1, 4))
    server = Server(serving)
    for _ in range(12):
        command = chance.choice(["promote", "promote", "canary", "rollback"])
        version = [] if command == "rollback" else [chance.randint(1, 4)]
        result = CliRunner().invoke(models, [command, "--serving", str(serving), MODEL, *map(str, version)])
        assert result.exit_code == 0 or "no version before" in result.output
        server.poll()
        assert server.refused == 0
        assert all(server.answers(label) for label in server.labels)
        assert len(server.available) <= 4


def test_same_command_twice_writes_once(serving):
    run(serving, "promote", MODEL, 3)
    before = (serving / CONFIG).stat()
    assert "as before" in run(serving, "promote", MODEL, 3)
    assert (serving / CONFIG).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("command", [("promote", MODEL, 3), ("rollback", MODEL), ("prune", MODEL, "--keep", 1)])
def test_dry_run_changes_nothing(serving, command):
    before = sorted(path for path in serving.rglob("*") if path.name != ".lock")
    output = run(serving, *command, "--dry-run")
    assert "3" in output
    assert sorted(path for path in serving.rglob("*") if path.name != ".lock") == before


def test_first_use_enters_all_models_as_servers_see_them(serving):
    (serving / "other" / "7").mkdir(parents=True)
    (serving / "empty").mkdir()
    run(serving, "promote", MODEL, 3, "--mount", "/models")
    entries = config(serving).model_config_list.config
    assert {each.name: each.base_path for each in entries} == {"other": "/models/other", MODEL: f"/models/{MODEL}"}
    assert {each.model_platform for each in entries} == {"tensorflow"}


BY_HAND = """
# mine
model_config_list {
  config { name: "pets" base_path: "gs://bucket/pets" model_platform: "tensorflow"
           logging_config { sampling_config { sampling_rate: 0.5 } } }
  config { name: "fashion" base_path: "/models/six_class" model_platform: "tensorflow"
           model_version_policy { specific { versions: 2 versions: 1 } }
           version_labels { key: "stable" value: 2 } version_labels { key: "qa" value: 1 } }
}
"""


def test_entries_and_labels_made_by_hand_are_kept(serving):
    (serving / CONFIG).write_text(BY_HAND)
    run(serving, "promote", MODEL, 3)
    run(serving, "promote", MODEL, 3)
    before, after = text_format.Parse(BY_HAND, ModelServerConfig()), config(serving)
    assert after.model_config_list.config[0] == before.model_config_list.config[0]
    fashion = after.model_config_list.config[1]
    assert (fashion.name, fashion.base_path) == ("fashion", "/models/six_class")
    assert dict(fashion.version_labels) == {"stable": 3, "qa": 1}
    assert list(fashion.model_version_policy.specific.versions) == [1, 2, 3]


def test_policy_that_loads_every_version_is_kept(serving):
    policy = "model_version_policy { all {} }"
    (serving / CONFIG).write_text(
        f'model_config_list {{ config {{ name: "{MODEL}" base_path: "/m/{MODEL}" {policy} }} }}'
    )
    run(serving, "promote", MODEL, 2)
    [only] = config(serving).model_config_list.config
    assert only.model_version_policy.WhichOneof("policy_choice") == "all"
    assert dict(only.version_labels) == {"stable": 2}


def test_config_stays_readable_for_the_server(serving):
    run(serving, "promote", MODEL, 3)
    (serving / CONFIG).chmod(0o604)
    run(serving, "promote", MODEL, 4)
    assert (serving / CONFIG).stat().st_mode & 0o777 == 0o604


def test_reader_never_sees_half_a_config(serving):
    run(serving, "promote", MODEL, 3)
    done, faults = threading.Event(), []

    def watch():
        while not done.is_set():
            try:
                assert entry(serving)[1]
            except Exception as error:  # noqa: BLE001  anything a reader could stumble over
                faults.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for version in [4, 3] * 20:
        run(serving, "promote", MODEL, version)
    done.set()
    watcher.join()
    assert faults == []


def test_operators_at_once_do_not_undo_each_other(serving):
    names = [f"model_{number}" for number in range(8)]
    for name in names:
        (serving / name / "1").mkdir(parents=True)
    run(serving, "promote", MODEL, 1)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: _promote(serving, name), names))
    labels = {each.name: dict(each.version_labels) for each in config(serving).model_config_list.config}
    assert labels == {name: {"stable": 1} for name in (*names, MODEL)}


def _promote(serving, name):
    from pipeline.releasing import Move, Servers, move

    move(serving, name, Move("promote", 1), Servers(), lambda line: None, dry_run=False)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("model_config_list { config { name: 'six", "half of one"),
        ("model_config_list { config { nam: 'six' } }", 'no field named "nam"'),
        ("custom_model_config { }", "List the models in a model_config_list"),
        ("model_config_list { config { base_path: '/a/x' } config { base_path: '/b/x' } }", "ends in 'x'"),
    ],
)
@pytest.mark.parametrize("command", [("promote", MODEL, 3), ("list",), ("prune", MODEL)])
def test_config_that_cannot_be_understood_is_named_and_left_alone(serving, content, answer, command):
    (serving / CONFIG).write_text(content)
    output = run(serving, *command, code=1)
    assert output.startswith(f"fashion: {serving / CONFIG}: ")
    assert answer in output
    assert (serving / CONFIG).read_text() == content
    assert len(list((serving / MODEL).glob("[0-9]*"))) == 4


@pytest.mark.parametrize(
    ("command", "code", "answer"),
    [
        (("promote", MODEL, 9), 1, "there is no version 9; there are 1, 2, 3, 4"),
        (("promote", "none", 1), 1, "there is no version of 'none'; there are: six_class"),
        (("promote", MODEL, "v3"), 2, "'v3' is no version"),
        (("canary", MODEL, 3), 1, "no version is stable yet"),
        (("canary", MODEL), 2, "Give either a version or --end"),
        (("list", "none"), 1, "there is no version of 'none'"),
    ],
)
def test_mistake_is_named_with_its_remedy(serving, command, code, answer):
    assert answer in run(serving, *command, code=code)
    assert not (serving / CONFIG).exists()


def test_rollback_of_the_only_version_says_so(tmp_path):
    (tmp_path / MODEL / "1").mkdir(parents=True)
    assert "there is no version before 1" in run(tmp_path, "rollback", MODEL, code=1)


def test_missing_serving_folder_is_named(tmp_path):
    assert "there is no serving folder" in run(tmp_path / "nowhere", "list", code=1)


def test_full_disk_leaves_the_config_as_it_was(serving, monkeypatch):
    run(serving, "promote", MODEL, 3)
    before = (serving / CONFIG).read_text()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in run(serving, "promote", MODEL, 4, code=1)
    assert (serving / CONFIG).read_text() == before
    assert [path.name for path in serving.glob(".models*")] == []


@pytest.mark.parametrize(
    ("commands", "left"),
    [
        ([], {3, 4}),
        ([("promote", 1)], {1, 3, 4}),
        ([("promote", 2), ("canary", 1), ("canary", 1)], {1, 2, 3, 4}),
        ([("promote", 1), ("promote", 4), ("promote", 4), ("promote", 4)], {1, 3, 4}),
    ],
    ids=["no labels", "stable", "stable and canary", "rollback's target"],
)
def test_pruning_keeps_the_newest_and_all_in_use(serving, commands, left):
    for command, version in commands:
        run(serving, command, MODEL, version)
    run(serving, "prune", MODEL, "--keep", 2)
    assert {int(path.name) for path in (serving / MODEL).glob("[0-9]*")} == left


def test_publisher_can_ask_what_to_keep(serving):
    assert pinned(serving / MODEL) == set()
    for version in (1, 2, 2):
        run(serving, "promote", MODEL, version)
    assert pinned(serving / MODEL) == {1, 2}
    for version in (4, 4):
        run(serving, "promote", MODEL, version)
    run(serving, "rollback", MODEL)
    assert pinned(serving / MODEL) == {1, 2}
    assert pinned(serving / "other") == set()


def test_unreadable_config_does_not_let_the_publisher_remove_versions(serving):
    (serving / CONFIG).write_text("half of")
    with pytest.raises(ReleaseError):
        pinned(serving / MODEL)


def test_list_shows_dates_figures_and_roles(serving):
    (serving / MODEL / "1795237860" / "assets.extra").mkdir(parents=True)
    run(serving, "promote", MODEL, 3)
    run(serving, "canary", MODEL, 1795237860)
    run(serving, "canary", MODEL, 1795237860)
    os.rename(serving / MODEL / "3", serving / "away")
    lines = run(serving, "list").splitlines()
    assert lines[0] == MODEL
    assert lines[2].split() == ["1795237860", "2026-11-21", "05:11:00", "canary", "·", "by", "default"]
    assert "94.00%" in lines[3]
    assert lines[4].split(maxsplit=1) == ["3", "stable · MISSING: its folder is gone"]


class _Status(BaseHTTPRequestHandler):
    """Answers what a server says of a version, one state after the other."""

    states: list[str]
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        state = self.states.pop(0)
        error = {"error_code": "UNKNOWN", "error_message": "bad files"} if state == "END" else {}
        body = json.dumps({"model_version_status": [{"version": "4", "state": state, "status": error}]}).encode()
        self.send_response(404 if state == "HTTP 404" else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Says nothing."""


@pytest.fixture
def server(monkeypatch):
    """Starts a server that gives these states in turn; returns its address and what it was asked."""
    monkeypatch.setattr("pipeline.releasing._SECONDS_BETWEEN_LOOKS", 0.01)
    running = []

    def start(*states):
        handler = type("Handler", (_Status,), {"states": list(states), "asked": []})
        running.append(HTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{running[-1].server_port}", handler.asked

    yield start
    for each in running:
        each.shutdown()
        each.server_close()


def test_promotion_waits_for_the_server_and_finishes(serving, server):
    run(serving, "promote", MODEL, 3)
    url, asked = server("HTTP 404", "LOADING", "AVAILABLE")
    assert run(serving, "promote", MODEL, 4, "--server", url).endswith(f"{MODEL}: stable is 4\n")
    assert asked == [f"/v1/models/{MODEL}/versions/4"] * 3
    assert entry(serving) == ([3, 4], {"stable": 4})


@pytest.mark.parametrize(
    ("states", "answer"), [(["LOADING", "END"], "bad files"), (["HTTP 404"] * 1000, "not AVAILABLE within 1 s")]
)
def test_version_that_cannot_be_loaded_never_becomes_stable(serving, server, states, answer):
    run(serving, "promote", MODEL, 3)
    url, _ = server(*states)
    assert answer in run(serving, "promote", MODEL, 4, "--server", url, "--timeout", 1, code=1)
    assert entry(serving)[1] == {"stable": 3}


def test_relative_serving_folder_is_entered_whole(serving, monkeypatch):
    monkeypatch.chdir(serving.parent)
    releases = Releases(Path("serving"))
    releases.add(MODEL, None)
    releases.promote(MODEL, 3, [3])
    releases.write()
    [only] = config(serving).model_config_list.config
    assert PurePosixPath(only.base_path) == serving / MODEL
