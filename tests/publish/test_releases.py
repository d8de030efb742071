"""Operating published versions: labels move without a gap, and nothing in use is removed."""

import json
import os
import random

import pytest
from click.testing import CliRunner

from components.publish.store import serving_version
from pipeline.commands.models import models
from serving.config_file import CONFIG, ReleaseError
from serving.releases import pinned
from tests.publish.released import MODEL, entry, run


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


@pytest.mark.parametrize(
    ("command", "code", "answer"),
    [
        (("promote", MODEL, 9), 1, "there is no version 9; there are 1, 2, 3, 4"),
        (("promote", "none", 1), 1, "there is no version of 'none'; there are: six_class"),
        (("promote", MODEL, "v3"), 2, "'v3' is not a version"),
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


LATEST = "model_version_policy {{ latest {{ num_versions: {} }} }}"
SPECIFIC = "model_version_policy {{ specific {{ {} }} }}"


@pytest.mark.parametrize(
    ("policy", "pruned", "published"),
    [
        (None, {4}, {4, 5}),
        ("", {4}, {4, 5}),
        ("model_version_policy { latest {} }", {4}, {4, 5}),
        (LATEST.format(3), {2, 3, 4}, {2, 3, 4, 5}),
        (LATEST.format(9), {1, 2, 3, 4}, {1, 2, 3, 4, 5}),
        ("model_version_policy { all {} }", {1, 2, 3, 4}, {1, 2, 3, 4, 5}),
        (SPECIFIC.format("versions: 1 versions: 3"), {1, 3, 4}, {1, 3, 5}),
        ('version_labels { key: "qa" value: 2 }', {2, 4}, {2, 4, 5}),
    ],
    ids=["no config", "no policy", "latest", "latest 3", "latest 9", "all", "specific", "label"],
)
def test_no_version_is_removed_that_a_server_can_have_loaded(serving, policy, pruned, published):
    """What is left with --keep 1, and what a publisher that keeps 1 leaves: servers come to its version later."""
    if policy is not None:
        entry = f'name: "{MODEL}" base_path: "/models/{MODEL}" {policy}'
        (serving / CONFIG).write_text(f"model_config_list {{ config {{ {entry} }} }}")
    (serving / MODEL / "5").mkdir()
    assert pinned(serving / MODEL, range(1, 6), 5) | {5} == published
    (serving / MODEL / "5").rmdir()
    run(serving, "prune", MODEL, "--keep", 1)
    assert {int(path.name) for path in (serving / MODEL).glob("[0-9]*")} == pruned


def test_publisher_can_ask_what_labels_hold(serving):
    for version in (1, 2, 2):
        run(serving, "promote", MODEL, version)
    assert pinned(serving / MODEL, [1, 2, 3, 4], 4) == {1, 2}
    for version in (4, 4):
        run(serving, "promote", MODEL, version)
    run(serving, "rollback", MODEL)
    assert pinned(serving / MODEL, [1, 2, 3, 4], 4) == {1, 2}
    assert pinned(serving / "other", [1, 2], 2) == set()  # servers that follow the config do not know it


def test_help_of_prune_says_what_it_cannot_know():
    said = " ".join(CliRunner().invoke(models, ["prune", "--help"]).output.split())
    assert "lets a server load: all of them, the latest n, or those listed; without it the highest" in said
    assert "not known here: those with another config, or ones that could not load a newer version" in said


@pytest.mark.parametrize(
    ("commands", "serves"),
    [([], 4), ([("promote", 1)], 1), ([("promote", 2), ("canary", 3), ("canary", 3)], 2)],
    ids=["no labels", "stable", "stable and canary"],
)
def test_version_that_serves_is_the_stable_one_or_the_highest(serving, commands, serves):
    for command, version in commands:
        run(serving, command, MODEL, version)
    assert serving_version(serving / MODEL) == serves


def test_unreadable_config_does_not_let_the_publisher_remove_versions(serving):
    (serving / CONFIG).write_text("half of")
    with pytest.raises(ReleaseError):
        pinned(serving / MODEL, [1, 2, 3, 4], 4)


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
