"""`fashion schedule`: there is one schedule of a name, changed without a gap and never at a run's cost."""

import threading

import pytest

from pipeline.commands.schedule import schedule
from pipeline.kubeflow.package import read_package
from tests.kubeflow.kfp_commands import CRON, refused
from tests.kubeflow.kfp_commands import fashion as fashion
from tests.kubeflow.kfp_commands import next_package as next_package
from tests.kubeflow.kfp_commands import package as package
from tests.kubeflow.kfp_commands import server as server
from tests.kubeflow.kfp_server import Fault, KfpServer


@pytest.fixture
def the_schedule(server: KfpServer, fashion) -> dict:
    """One schedule is there, and what was asked for it is forgotten."""
    assert fashion(schedule, *CRON).exit_code == 0
    server.asked.clear()
    server.balance.clear()
    return next(iter(server.recurring.values()))


def settled(server: KfpServer) -> dict:
    """The one schedule there is, which is on; on the way there were never two on, nor none at all."""
    (only,) = server.recurring.values()
    assert only["mode"] == "ENABLE"
    assert all(on <= 1 <= there for there, on in server.balance)
    return only


def test_a_schedule_runs_one_at_a_time_and_makes_up_for_none(server, fashion) -> None:
    result = fashion(schedule, *CRON)
    (made,), (version,) = server.recurring.values(), server.versions.values()
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (made["max_concurrency"], made["no_catchup"], made["mode"]) == ("1", True, "ENABLE")
    assert made["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert made["runtime_config"]["parameters"] == {"data": "/shop"}
    assert f"scheduled six-class: {version['display_name']} by 0 3 * * * UTC" in result.stdout
    assert f"{server.url}/#/recurringrun/details/{made['recurring_run_id']}" in result.stdout


def test_the_same_command_again_changes_nothing(server, fashion, the_schedule) -> None:
    result = fashion(schedule, *CRON)
    assert (result.exit_code, server.changes()) == (0, [])
    assert result.stdout.startswith("unchanged six-class: ")


@pytest.mark.parametrize(
    "changed",
    [
        ("--cron", "30 4 * * 1-5"),
        (*CRON, "--param", "data=/shop", "--param", "epochs=9"),
        (*CRON, "--experiment", "nightly"),
        (*CRON, "--service-account", "trainer"),
    ],
    ids=lambda changed: changed[-1],
)
def test_whatever_changes_replaces_the_schedule(server, fashion, the_schedule, changed) -> None:
    assert fashion(schedule, *changed).exit_code == 0
    assert settled(server)["recurring_run_id"] != the_schedule["recurring_run_id"]


def test_a_new_package_takes_the_schedule_over(server, fashion, the_schedule, next_package) -> None:
    result = fashion(schedule, *CRON, "--package", next_package)
    newest = [*server.versions.values()][-1]
    assert settled(server)["pipeline_version_reference"]["pipeline_version_id"] == newest["pipeline_version_id"]
    assert "replaced  six-class: " in result.stdout
    assert not result.stderr


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("passed", range(5), ids=["upload", "create", "disable old", "enable new", "delete old"])
def test_a_replacement_cut_short_anywhere_is_finished_by_the_same_command(
    server, fashion, the_schedule, next_package, passed: int, late: bool
) -> None:
    command = (schedule, *CRON, "--package", next_package)
    server.faults = [Fault("^(POST|DELETE)", None, late=late, after=passed)]
    assert fashion(*command).exit_code == 9
    server.faults = []
    assert len(server.recurring) in (1, 2)
    result = fashion(*command)
    assert result.exit_code == 0, result.output
    assert settled(server)["pipeline_version_reference"]["pipeline_version_id"] == [*server.versions][-1]


def test_a_run_under_way_is_neither_lost_nor_run_beside(server, fashion, the_schedule, next_package) -> None:
    run = server.start_scheduled(the_schedule["recurring_run_id"])
    for arguments in ((*CRON, "--package", next_package), ("--delete", "six-class")):
        refused(fashion(schedule, *arguments), 9, "six-class: its run Run of six-class is under way and would be lost")
    assert [*server.recurring.values()] == [the_schedule]
    ends = threading.Timer(0.2, lambda: server.runs[run].update(state="FAILED"))
    ends.start()
    result = fashion(schedule, *CRON, "--package", next_package, "--wait")
    ends.join()
    assert result.exit_code == 0, result.output
    assert result.stdout.count("waiting   for Run of six-class to end") == 1
    assert settled(server)["recurring_run_id"] != the_schedule["recurring_run_id"]
    assert server.lost == []


def test_a_run_that_starts_during_a_replacement_is_not_lost(server, fashion, the_schedule, next_package) -> None:
    switch = server.switch_recurring

    def started_just_before(_: object, recurring_run_id: str, verb: str) -> object:
        if verb == "disable":
            server.start_scheduled(recurring_run_id)
        return switch(_, recurring_run_id, verb)

    server.switch_recurring = started_just_before  # type: ignore[method-assign]
    refused(fashion(schedule, *CRON, "--package", next_package), 9, "is under way and would be lost")
    assert server.lost == []
    assert the_schedule["mode"] == "ENABLE"
    assert all(on <= 1 <= there for there, on in server.balance)


def test_a_schedule_that_was_switched_off_stays_off(server, fashion, the_schedule, next_package) -> None:
    assert fashion(schedule, "--disable", "six-class").stdout == "disabled  six-class\n"
    assert "it is off, --enable six-class switches it on" in fashion(schedule, *CRON).stdout
    assert "it is off, as the old one was" in fashion(schedule, *CRON, "--package", next_package).stdout
    assert [each["mode"] for each in server.recurring.values()] == ["DISABLE"]
    assert fashion(schedule, "--enable", "six-class").exit_code == 0
    settled(server)


def test_half_a_replacement_is_not_enabled(server, fashion, the_schedule, next_package) -> None:
    server.faults = [Fault("enable$", 500)]
    fashion(schedule, *CRON, "--package", next_package)
    server.faults = []
    refused(fashion(schedule, "--enable", "six-class"), 9, "finish with `fashion schedule --cron`")
    assert fashion(schedule, "--disable", "six-class").exit_code == 0
    assert [each["mode"] for each in server.recurring.values()] == ["DISABLE", "DISABLE"]


def test_list_shows_every_schedule_made_here_and_no_other(server, fashion, package) -> None:
    for number in range(5):
        fashion(schedule, "--cron", f"{number} 3 * * *", "--name", f"shop-{number}")
    fashion(schedule, "--disable", "shop-3")
    server.recurring["0"] = {
        **next(iter(server.recurring.values())),
        "display_name": "theirs",
        "description": "by hand",
    }
    version = read_package(package).version
    assert fashion(schedule, "list").stdout.splitlines() == [
        f"shop-{number}  {'off' if number == 3 else 'on '}  {number} 3 * * * UTC  {version}" for number in range(5)
    ]


def test_what_somebody_made_by_hand_is_not_touched(server, fashion, the_schedule) -> None:
    the_schedule["description"] = "by hand"
    refused(fashion(schedule, "--delete", "six-class"), 9, "has no schedule six-class; it has none")
    assert fashion(schedule, *CRON).exit_code == 0
    assert the_schedule in server.recurring.values()
    assert len(server.recurring) == 2


def test_delete_removes_one_schedule_by_name(server, fashion, the_schedule) -> None:
    fashion(schedule, *CRON, "--name", "other")
    refused(fashion(schedule, "--delete", "six-clas"), 9, "has no schedule six-clas; did you mean 'six-class'? known:")
    assert fashion(schedule, "--delete", "six-class").stdout == "deleted   six-class\n"
    assert [each["display_name"] for each in server.recurring.values()] == ["other"]
