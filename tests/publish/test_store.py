"""The serving folder: a version is seen whole or not at all, and once only, whatever goes wrong meanwhile."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.errors import PublishError
from components.publish import store as module
from components.publish.store import latest, model_digest, publish, read_extras, serving_version, versions
from serving.config_file import CONFIG
from tests import HOUSE
from tests.publish.serving_folder import hidden, put
from tests.publish.serving_folder import model as model
from tests.publish.serving_folder import serving as serving
from tests.publish.toy import LABELS_TXT


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_published_version_is_the_model_with_its_extras(model, serving):
    model_dir = model()
    before = int(time.time())
    published = put(model_dir, serving, provenance={"code": "abc"})
    copied = contents(published.path)
    extras = read_extras(published.path)
    assert published.path == serving / str(published.version)
    assert before <= published.version == latest(serving)
    assert {name: copied[name] for name in contents(model_dir)} == contents(model_dir)
    assert extras["labels.txt"].decode() == LABELS_TXT
    assert model_digest(model_dir).encode() in extras["provenance.json"]
    assert b'"code": "abc"' in extras["provenance.json"]
    assert hidden(serving) == []


def test_other_users_can_read_a_version(model, serving):
    model_dir = model()
    model_dir.chmod(0o700)
    before = os.umask(0o022)
    try:
        path = put(model_dir, serving).path
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o055 == 0o055
    assert (path / "saved_model.pb").stat().st_mode & 0o044 == 0o044


def test_half_copied_version_is_never_visible(model, serving, monkeypatch):
    models = [model(seed) for seed in range(3)]
    expected = {*contents(models[0]), "assets.extra/labels.txt", "assets.extra/provenance.json"}
    copy, done, looks, torn = shutil.copyfile, threading.Event(), [], []
    monkeypatch.setattr(shutil, "copyfile", lambda *paths: (time.sleep(0.02), copy(*paths)))

    def watch():
        while not done.is_set():
            seen = versions(serving)
            looks.append(len(seen))
            torn.extend(path for path in seen.values() if set(contents(path)) != expected)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number, model_dir in enumerate(models, 1):
            put(model_dir, serving)
            until = time.monotonic() + 10
            while number not in looks and time.monotonic() < until:
                time.sleep(0.01)
    finally:
        done.set()
        watcher.join()
    assert torn == []
    assert set(looks) >= {1, 2, 3}


def test_version_is_whole_before_it_is_visible(model, serving, monkeypatch):
    seen, rename = [], os.rename
    monkeypatch.setattr(
        os, "rename", lambda *paths: (seen.append((versions(serving), set(contents(paths[0])))), rename(*paths))
    )
    put(model(), serving)
    names = {"saved_model.pb", "variables/variables.index", "assets.extra/labels.txt", "assets.extra/provenance.json"}
    assert seen == [({}, names)]


def test_same_model_is_published_once(model, serving):
    model_dir = model()
    first = put(model_dir, serving)
    before = contents(serving)
    again = put(model_dir, serving)
    assert (again.version, again.path, again.already, again.removed) == (first.version, first.path, True, ())
    assert contents(serving) == before


def test_model_published_again_after_another_serves_again(model, serving):
    one, other = model(0), model(1)
    first, second, third = put(one, serving), put(other, serving), put(one, serving)
    assert first.version < second.version < third.version == serving_version(serving)
    assert not third.already
    assert put(one, serving).version == third.version


def test_model_that_serves_is_not_published_again_behind_one_that_waits(model, serving):
    one, other = model(0), model(1)
    first = put(one, serving)
    entry = f'name: "m" base_path: "{serving}" version_labels {{ key: "stable" value: {first.version} }}'
    only = f"model_version_policy {{ specific {{ versions: {first.version} }} }}"
    (serving.parent / CONFIG).write_text(f"model_config_list {{ config {{ {entry} {only} }} }}")
    waiting = put(other, serving)
    assert serving_version(serving) == first.version < waiting.version
    again = put(one, serving)
    assert (again.version, again.already) == (first.version, True)


def test_versions_rise_whatever_the_clock_says(model, serving, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_000.9)
    assert [put(model(seed), serving).version for seed in range(3)] == [1000, 1001, 1002]
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert put(model(3), serving).version == 1003


def test_versions_are_what_a_server_takes_for_them(serving):
    for name in ("7", "0012", "²", ".staging-9", "v3", "-4", "9" * 19, "tmp"):
        (serving / name).mkdir(parents=True)
    (serving / "99").write_text("a file")
    assert versions(serving) == {7: serving / "7", 12: serving / "0012"}
    assert versions(serving / "nowhere") == {}
    assert latest(serving / "nowhere") is None


@pytest.mark.parametrize(
    ("keep", "labelled", "left", "removed"),
    [
        (5, (), (10, 11, 12, 13), ()),
        (2, (), (12, 13), (10, 11)),
        (2, (10,), (10, 12, 13), (11,)),
        (1, (10, 12), (10, 12, 13), (11,)),
        (0, (), (12, 13), (10, 11)),
    ],
)
def test_newest_and_labelled_versions_are_kept(model, serving, monkeypatch, keep, labelled, left, removed):
    monkeypatch.setattr(time, "time", lambda: 10.0)
    for seed in range(3):
        put(model(seed), serving)
    labels = "".join(f'version_labels {{ key: "l{version}" value: {version} }} ' for version in labelled)
    entry = f'config {{ name: "m" base_path: "{serving}" model_platform: "tensorflow" {labels} }}'
    (serving.parent / CONFIG).write_text(f"model_config_list {{ {entry} }}")
    assert put(model(3), serving, keep=keep).removed == removed
    assert tuple(versions(serving)) == left
    assert hidden(serving) == []


def test_no_version_is_removed_while_nobody_can_tell_which_are_labelled(model, serving):
    for seed in range(3):
        put(model(seed), serving)
    (serving.parent / CONFIG).write_text("model_config_list {")
    assert put(model(3), serving, keep=1).removed == ()
    assert len(versions(serving)) == 4


def test_version_is_out_of_sight_before_it_is_deleted(model, serving, monkeypatch):
    for seed in (0, 2):
        put(model(seed), serving)
    deleted, rmtree = [], shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **more: (deleted.append(path), rmtree(path, **more)))
    put(model(1), serving, keep=1)
    assert any(path.name.startswith(".removed-") for path in deleted)
    assert not any(path.name.isdecimal() for path in deleted)


def test_version_that_cannot_be_removed_does_not_stop_the_new_one(model, serving, monkeypatch, caplog):
    old, served = (put(model(seed), serving).version for seed in (0, 2))
    rename = os.rename

    def refuse_removal(source, target):
        if ".removed-" in str(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_removal)
    published = put(model(1), serving, keep=1)
    assert published.removed == ()
    assert list(versions(serving)) == [old, served, published.version]
    assert f"version {old} is to be removed" in caplog.text


def full_disk(*paths):
    raise OSError(errno.ENOSPC, "No space left on device", str(paths[1]))


def other_device(*paths):
    raise OSError(errno.EXDEV, "Invalid cross-device link", str(paths[0]))


def read_only(*paths, **more):
    raise OSError(errno.EROFS, "Read-only file system", str(paths[0]))


@pytest.mark.parametrize(
    ("owner", "name", "fault", "answer"),
    [
        (shutil, "copyfile", full_disk, r"saved_model.pb: No space left on device. Free some space"),
        (os, "rename", other_device, r"Invalid cross-device link. Put the whole serving folder .* on one file system"),
        (os, "mkdir", read_only, r"Read-only file system. Give this user the right to write there"),
        (os, "fsync", read_only, r"Read-only file system. Give this user"),
    ],
)
def test_fault_of_the_file_system_leaves_nothing_half_made(model, serving, monkeypatch, owner, name, fault, answer):
    first = put(model(0), serving)
    model_dir = model(1)
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, fault)
        with pytest.raises(PublishError, match=f"{answer}.*Version {first.version} serves"):
            put(model_dir, serving)
    assert list(versions(serving)) == [first.version]
    assert hidden(serving) == []
    assert put(model_dir, serving).version == latest(serving) > first.version


@pytest.mark.parametrize("below", ["", "six_class"])
def test_file_in_the_way_is_named(model, tmp_path, below):
    (tmp_path / "serving").write_text("a file")
    with pytest.raises(PublishError, match=r"serving.*Move the file that is in the way.*Nothing was published"):
        put(model(), tmp_path / "serving" / below)


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(PublishError, match=r"is not a SavedModel: it has no saved_model\.pb"):
        model_digest(tmp_path)


def test_model_changed_since_it_was_tried_is_refused(model, serving):
    model_dir = model()
    tried = model_digest(model_dir)
    (model_dir / "variables" / "variables.index").write_bytes(b"other weights")
    with pytest.raises(PublishError, match=f"{model_dir} is not the model that was tried in a server"):
        publish(model_dir, serving, tried, {}, 5)
    assert versions(serving) == {}
    assert hidden(serving) == []


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_digest_tells_models_apart(model, change):
    model_dir = model()
    before = model_digest(model_dir)
    index = model_dir / "variables" / "variables.index"
    if change == "content":
        index.write_bytes(b"weights 1")
    elif change == "name":
        index.rename(index.with_name("other.index"))
    else:
        (model_dir / "assets").mkdir()
        (model_dir / "assets" / "vocabulary").write_bytes(b"")
    assert model_digest(model_dir) != before


def test_digest_does_not_depend_on_the_place(model, tmp_path):
    model_dir = model()
    assert model_digest(Path(shutil.copytree(model_dir, tmp_path / "elsewhere"))) == model_digest(model_dir)


def test_publishers_wait_for_one_another(model, serving, monkeypatch):
    models = [model(seed) for seed in (0, 1, 2, 3)]
    inside, most, copy = [], [], module._copy

    def copy_slowly(*given):
        inside.append(given)
        most.append(len(inside))
        copy(*given)
        time.sleep(0.05)
        inside.remove(given)

    monkeypatch.setattr(module, "_copy", copy_slowly)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda model_dir: put(model_dir, serving, keep=8), models * 2))
    assert set(most) == {1}
    assert len(most) == sum(not result.already for result in results) >= 4
    for model_dir, result in zip(models * 2, results, strict=True):
        assert contents(model_dir).items() <= contents(result.path).items()


def test_killed_publisher_leaves_the_way_free(model, serving):
    model_dir = model()
    script = (
        "import os, sys, time; from pathlib import Path; from components.publish.store import model_digest, publish;"
        "model, store = map(Path, sys.argv[1:]);"
        "os.rename = lambda *paths: (print('staged', flush=True), time.sleep(60));"
        "publish(model, store, model_digest(model), {}, 5)"
    )
    command = [sys.executable, "-c", script, str(model_dir), str(serving)]
    with subprocess.Popen(command, cwd=HOUSE, stdout=subprocess.PIPE, text=True) as publisher:
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == "staged\n"
        publisher.send_signal(signal.SIGKILL)
    assert versions(serving) == {}
    assert hidden(serving) == [f"{module._STAGING}{publisher.pid}"]
    published = put(model_dir, serving)
    assert not published.already
    assert list(versions(serving)) == [published.version]
    assert hidden(serving) == []
