"""`fashion doctor`: what a machine can do, told without TensorFlow, with a remedy for what it cannot."""

import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline import cli, doctor
from tests.conftest import Place


def examined(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["doctor", *arguments], catch_exceptions=False)


def test_doctor_loads_no_tensorflow_and_leaves_nothing_behind(place: Place) -> None:
    environment = place.environment()
    probe = "import sys; from pipeline.cli import main; main(['doctor'], standalone_mode=False); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe], env=environment, cwd=place.work, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    report, _, modules = run.stdout.rpartition("\n\nThe main job can run here.\n")
    assert not {"tensorflow", "tfx", "apache_beam"} & set(modules.split())
    assert max(map(len, report.splitlines())) <= 80
    assert [*place.work.iterdir()] == []


FAULTS = {
    "another machine": (("machine", "aarch64"), (), "bad   system", "use the project's image"),
    "another Python": (("python_version", "3.12.1"), (), "bad   Python", "make install PYTHON="),
    "an old C library": (("libc_ver", ("glibc", "2.36")), (), "bad   C library", "make install brings one"),
    "another C library": (("libc_ver", ("", "")), (), "bad   C library", "The wheels need glibc 2.38"),
    "a file for a folder": ((), ("--root", "file/runs"), "bad   writing", "Name another folder with --root."),
    "no such database": ((), ("--metadata", "sqlite:////none/x"), "bad   metadata", "Make it, or give another path."),
    "no such server": ((), ("--metadata", "mysql://me@localhost:9/x"), "bad   metadata", "Check that a mysql server"),
}


@pytest.mark.parametrize(("change", "given", "line", "remedy"), FAULTS.values(), ids=FAULTS)
def test_what_keeps_a_run_from_working_ends_with_1_and_a_remedy(
    change: tuple[str, object], given: tuple[str, ...], line: str, remedy: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    if change:
        monkeypatch.setattr(platform, change[0], lambda *_: change[1])
    ended = examined(*given)
    assert ended.exit_code == 1
    assert line in ended.output
    assert remedy in " ".join(ended.output.split())
    assert ended.output.endswith(f"A run cannot work here: {line.removeprefix('bad   ')}.\n")


@pytest.mark.parametrize(("thing", "free", "state"), [("memory", 1, "bad"), ("memory", 3, "note"), ("disk", 9, "ok")])
def test_room_is_judged_by_what_runs_take(thing: str, free: int, state: str) -> None:
    least, enough = {"memory": (doctor.MEMORY, doctor.MEMORY_OF_ALL), "disk": (doctor.DISK, doctor.DISK_OF_ALL)}[thing]
    finding = doctor._room(thing, free * doctor.GIB, least, enough, "Make room.")
    assert ("bad" if finding.needed else "note" if finding.remedy else "ok") == state


def test_what_is_beside_the_main_job_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor, "PORTS", {port: "--rest-port"})
        ended = examined("--root", str(tmp_path))
    assert ended.exit_code == 0
    assert f"note  port {port}      is taken" in ended.output
    assert "fashion serve --rest-port 0" in ended.output


def test_a_package_of_another_version_than_asked_for_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda name: "0.1" if name == "tfx" else "999")
    finding = doctor._packages()
    assert "tfx" in finding.said
    assert (finding.remedy, finding.needed) == ("make install", True)


def test_shells_complete_the_names_of_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FASHION_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "fashion run --recipe six")
    monkeypatch.setenv("COMP_CWORD", "3")
    shown = CliRunner().invoke(cli.main, [], prog_name="fashion").output
    assert shown.split() == ["plain,six_class", "plain,six_class_published"]
