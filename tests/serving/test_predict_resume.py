"""`fashion predict` and `fashion embed`: files survive whatever ends the command, and it goes on where it was."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path

import numpy as np
import pytest

from components.answers.files import Lines, Vectors
from components.answers.rows import Format
from components.errors import AnswerError
from pipeline.asking import Choice, identify
from tests.serving import fake_server
from tests.serving.commands import ENVIRONMENT, asked, rows_of, shop, started

pytestmark = pytest.mark.usefixtures("elsewhere")

NAMES = Format("csv", ("picture",), ())
ANSWERED = {"model": "tiny/3", "reason": None, "error": None}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.5, 0.77, 1.0])
def test_a_stopped_command_goes_on_where_it_was(server, behaviour, form, keep):
    names = shop(20, bad=[3])
    out = Path(f"out.{form}")
    assert asked("predict", "shop", *server, "--out", out).exit_code == 1
    whole = out.read_bytes()
    out.write_bytes(whole[: int(len(whole) * keep)])
    answered = [line for line in out.read_bytes().splitlines(keepends=True)[form == "csv" :] if line.endswith(b"\n")]
    left = 20 - sum(b"this is not a picture" not in line for line in answered)
    behaviour.asked.clear()
    again = asked("predict", "shop", *server, "--out", out)
    assert again.exit_code == 1
    assert out.read_bytes() == whole
    assert sum(len(pictures) for _, pictures in behaviour.asked) == left
    assert f"{out}: {left} picture" in again.stderr
    assert len(names) == 20


def test_nothing_is_asked_where_all_is_answered(server, behaviour):
    shop(3)
    asked("predict", "shop", *server, "--out", "out.csv")
    behaviour.asked.clear()
    again = asked("predict", "shop", *server, "--out", "out.csv")
    assert (again.exit_code, behaviour.asked) == (0, [])
    assert "out.csv: 0 pictures in" in again.stderr
    assert "3 were answered before" in again.stderr


FORMS = {"out.csv": "predict", "out.jsonl": "predict", "vectors.jsonl": "embed", "vectors.npy": "embed"}


def outputs(out):
    return [path.read_bytes() for path in (Path(out), Path(out).with_suffix(".pictures.csv")) if path.exists()]


@pytest.mark.parametrize(("out", "command"), FORMS.items())
@pytest.mark.parametrize("bad", [[0], [1, 3], range(5)], ids=["first", "some", "all"])
def test_pictures_that_had_an_error_are_asked_again_and_take_their_place(server, behaviour, out, command, bad):
    shop(5)
    assert asked(command, "shop", *server, "--out", "fresh" + out).exit_code == 0
    shop(5, bad)
    assert asked(command, "shop", *server, "--out", out).exit_code == 1
    shop(5)
    behaviour.asked.clear()
    assert asked(command, "shop", *server, "--out", out).exit_code == 0
    assert sum(len(pictures) for _, pictures in behaviour.asked) == len(bad)
    assert outputs(out) == outputs("fresh" + out)


@pytest.mark.parametrize(("out", "command"), FORMS.items())
def test_answers_of_two_versions_are_never_mixed(server, behaviour, monkeypatch, out, command):
    names = shop(4)
    asked(command, *names[:2], *server, "--out", out)
    before = outputs(out)
    monkeypatch.setitem(fake_server.SPEC, "version", 4)
    for pictures in (names, names[:2]):  # also where all is answered
        refused = asked(command, *pictures, *server, "--out", out)
        assert refused.exit_code == 10
        assert "holds answers of tiny/3, and now tiny/4 answers. Ask the former again, with --model-version" in (
            refused.stderr
        )
    assert outputs(out) == before


def test_one_version_answers_all_whatever_is_published_meanwhile(server, tmp_path):
    newest = Choice(server[1], "tiny", Path(), None, "canary", 32, 5.0)
    assert identify(newest) == (dataclasses.replace(newest, version=3, label=None), "tiny/3")
    for version in ("1", "2"):
        (tmp_path / "tiny" / version).mkdir(parents=True)
        (tmp_path / "tiny" / version / "saved_model.pb").write_bytes(version.encode())
    here = Choice(None, None, tmp_path, None, None, 32, 5.0)
    pinned, name = identify(here)
    assert pinned.model == tmp_path / "tiny" / "2"
    assert name.startswith("tiny/2@")
    (tmp_path / "tiny" / "2" / "saved_model.pb").write_bytes(b"other")
    assert identify(here)[1] != name


@pytest.mark.parametrize("form", ["csv", "jsonl", "npy"])
def test_kill_loses_nothing_that_was_written_and_repeats_nothing(server, behaviour, form):
    names = shop(120)
    behaviour.delay = 0.05
    out = Path(f"out.{form}")
    listed = out.with_suffix(".pictures.csv") if form == "npy" else out
    command = ("embed" if form == "npy" else "predict", "shop", *server, "--out", out, "--batch-size", "4")
    process = started(*command)
    try:
        deadline = time.monotonic() + 30
        while not (listed.exists() and listed.read_bytes().count(b"\n") > 12):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = listed.read_bytes()
    assert before.count(b"\n") < len(names)
    behaviour.delay = 0
    assert asked(*command).exit_code == 0
    after = listed.read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    pictures = [json.loads(line)["picture"] for line in after.splitlines()] if form == "jsonl" else None
    assert (pictures or [row["picture"] for row in rows_of(str(listed))]) == names
    if form == "npy":
        assert np.load(out)[:, 1].tolist() == [len(Path(name).read_bytes()) for name in names]


def test_server_that_fails_midway_leaves_what_was_answered(server, behaviour):
    shop(12)
    behaviour.faults = ["", "", "", "internal"]
    command = ("predict", "shop", *server, "--out", "out.csv", "--batch-size", "2")
    shown = asked(*command)
    assert shown.exit_code == 10
    assert shown.stderr.count("\n") == 1
    assert "it is internal. Look into the server's log. " in shown.stderr
    assert "of 12 pictures were answered before. Give the same command again to go on." in shown.stderr
    assert 0 < len(rows_of("out.csv")) < 12
    assert asked(*command).exit_code == 0
    assert [row["label"] for row in rows_of("out.csv")] == [f"class{number}" for number in range(12)]


@pytest.mark.parametrize("bad", [range(6), range(3), [5], []], ids=["all bad", "first bad", "last bad", "none bad"])
@pytest.mark.parametrize("rows", [0, 2, 4, 6])
def test_a_stopped_matrix_goes_on_where_it_was(server, bad, rows):
    shop(6, bad)
    asked("embed", "shop", *server, "--out", "vectors.npy")
    whole, names = Path("vectors.npy").read_bytes(), Path("vectors.pictures.csv").read_bytes()
    # As a kill leaves it: one vector more than names, and half of the next.
    Path("vectors.pictures.csv").write_bytes(b"".join(names.splitlines(keepends=True)[: 1 + rows]) + b"shop/0")
    if len(bad) < 6 and rows < 6:
        Path("vectors.npy").write_bytes(whole[: 128 + 12 * (rows + 1)] + b"12345")
    asked("embed", "shop", *server, "--out", "vectors.npy")
    assert Path("vectors.npy").read_bytes() == whole
    assert Path("vectors.pictures.csv").read_bytes() == names
    assert len(np.load("vectors.npy")) == 6


def test_two_commands_do_not_write_one_file(tmp_path):
    first = Lines(tmp_path / "out.csv", NAMES, "tiny/3")
    with pytest.raises(AnswerError, match=rf"another command is writing it \(process {os.getpid()} on "):
        Lines(tmp_path / "out.csv", NAMES, "tiny/3")
    first.close()
    Lines(tmp_path / "out.csv", NAMES, "tiny/3").close()


def test_matrix_and_names_that_do_not_belong_together_are_refused(server):
    shop(3)
    asked("embed", "shop", *server, "--out", "vectors.npy")
    Path("vectors.npy").write_bytes(b"")
    with pytest.raises(AnswerError, match=r"fewer vectors than vectors\.pictures\.csv has pictures"):
        Vectors(Path("vectors.npy"), NAMES, "tiny/3")


def test_names_that_are_no_text_of_one_line_are_kept_apart_and_found_again(server, behaviour):
    folder = Path("odd")
    folder.mkdir()
    for name in (b"a\nb.jpg", b"\xff.jpg", b'quo"te,.jpg', "Schön.jpg".encode()):
        (Path(os.fsdecode(b"odd/" + name))).write_bytes(b"shoes")
    for form in ("csv", "jsonl"):
        for _ in range(2):
            assert asked("predict", "odd", *server, "--out", f"out.{form}").exit_code == 0
    assert {row["picture"] for row in rows_of("out.csv")} == {
        "odd/a\\nb.jpg", "odd/\\udcff.jpg", 'odd/quo"te,.jpg', "odd/Schön.jpg",
    }  # fmt: skip
    assert sum(len(pictures) for _, pictures in behaviour.asked) == 8


def test_full_disk_is_told_and_loses_nothing(server):
    shop(200)
    size = 4096

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    program = "from pipeline.commands.predict import predict; predict()"
    command = [sys.executable, "-B", "-c", program, "shop", *server, "--out", "out.csv"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, preexec_fn=small_disk)
    assert done.returncode == 10
    assert "fashion: out.csv: cannot be written (File too large). What was written stays" in done.stderr
    assert "Traceback" not in done.stderr
    assert asked("predict", "shop", *server, "--out", "out.csv").exit_code == 0
    assert [row["label"] for row in rows_of("out.csv")] == [f"class{number}" for number in range(200)]


def test_vectors_of_another_length_are_refused_and_what_is_there_stays(tmp_path):
    path = tmp_path / "vectors.npy"
    first = Vectors(path, NAMES, "tiny/3")
    first.write(ANSWERED | {"picture": "a.jpg", "embedding": array("f", [1, 2, 3, 4])})
    first.close()
    again = Vectors(path, NAMES, "tiny/3")
    with pytest.raises(AnswerError, match=r"holds vectors of 4 numbers, not 2"):
        again.write(ANSWERED | {"picture": "b.jpg", "embedding": array("f", [1, 2])})
    again.close()
    assert np.load(path).tolist() == [[1, 2, 3, 4]]
