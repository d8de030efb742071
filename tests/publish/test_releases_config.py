"""The config of released versions: never half written, never lost, and what was written by hand stays."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.config_file import CONFIG
from serving.releases import Releases
from tests.publish.released import MODEL, config, entry, run


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


def test_full_disk_leaves_the_config_as_it_was(serving, monkeypatch):
    run(serving, "promote", MODEL, 3)
    before = (serving / CONFIG).read_text()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in run(serving, "promote", MODEL, 4, code=1)
    assert (serving / CONFIG).read_text() == before
    assert [path.name for path in serving.glob(".models*")] == []


def test_relative_serving_folder_is_entered_whole(serving, monkeypatch):
    monkeypatch.chdir(serving.parent)
    releases = Releases(Path("serving"))
    releases.add(MODEL, None)
    releases.promote(MODEL, 3, [3])
    releases.write()
    [only] = config(serving).model_config_list.config
    assert PurePosixPath(only.base_path) == serving / MODEL
