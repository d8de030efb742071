"""`fashion predict` and `fashion embed`: what people see, what lands in files, and what survives a kill."""

import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import fashion_client
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from components.errors import AnswerError
from pipeline.answers import Lines, Vectors
from pipeline.commands.predict import embed, predict
from tests import HOUSE
from tests.serving.fake_server import Behaviour, rest_server

COMMANDS = {"predict": predict, "embed": embed}


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def server(behaviour: Behaviour) -> Iterator[list[str]]:
    """The options that name a server."""
    with rest_server(behaviour) as address:
        yield ["--server", address, "--model-name", "tiny"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def asked(name: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(COMMANDS[name], [*map(str, arguments)], terminal_width=100)


def started(name: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    program = f"from pipeline.commands.predict import {name} as command; command()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HOUSE), str(HOUSE / "serving")))}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], env=environment, **pipes)


def shop(count: int, bad: Sequence[int] = ()) -> list[str]:
    """A folder of pictures, as far as the server that needs no model is concerned; their names."""
    folder = Path("shop")
    folder.mkdir(exist_ok=True)
    names = [f"shop/{number:03}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        Path(name).write_bytes(b"bad" if number in bad else f"class{number}".encode())
    return names


def rows_of(path: str) -> list[Mapping[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_one_picture_is_answered_with_a_table(server):
    shop(1)
    shown = asked("predict", "shop/000.jpg", *server)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == "shop/000.jpg: class0, 75.0 %"
    assert lines[1].split() == ["class0", "75.0", "%", "━" * 22]
    assert [line.split()[0] for line in lines[1:]] == ["class0", "other"]


def test_json_gives_one_object_a_line(server):
    names = shop(2, bad=[1])
    shown = asked("predict", *names, *server, "--json", "--top", "1")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [
        {
            "picture": names[0],
            "label": "class0",
            "confidence": 0.75,
            "top": [{"label": "class0", "confidence": 0.75}],
            "error": None,
        },
        {"picture": names[1], "label": "", "confidence": 0.0, "top": [], "error": "this is no picture"},
    ]


def test_several_pictures_are_rows_on_the_screen_and_all_else_is_on_stderr(server):
    names = shop(3, bad=[1])
    Path("shop/styles.csv").write_text("id")
    shown = asked("predict", "shop", *server, "--top", "2")
    assert shown.exit_code == 1
    assert shown.stdout.splitlines() == [
        "picture,label,confidence,label_2,confidence_2,error",
        f"{names[0]},class0,0.750000,other,0.250000,",
        f"{names[1]},,,,,this is no picture",
        f"{names[2]},class2,0.750000,other,0.250000,",
    ]
    said = shown.stderr.splitlines()
    assert said[0].startswith("3 pictures in ")
    assert said[0].endswith(" · 1 with an error")
    assert said[1:] == [
        f"  error: {names[1]}: this is no picture",
        "  passed over, no picture by its suffix: shop/styles.csv",
    ]


def test_folder_zip_and_files_may_be_mixed_and_each_picture_is_asked_once(server, behaviour):
    names = shop(3)
    with zipfile.ZipFile("more.zip", "w") as archive:
        archive.writestr("in/a.png", "zipped")
    shown = asked("predict", names[2], "shop", "more.zip", names[0], *server, "--out", "out.jsonl")
    assert (shown.exit_code, shown.stdout) == (0, "")
    answers = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [answer["picture"] for answer in answers] == [names[2], names[0], names[1], "more.zip/in/a.png"]
    assert [answer["label"] for answer in answers] == ["class2", "class0", "class1", "zipped"]


def test_batch_size_is_kept(server, behaviour):
    shop(7)
    assert asked("predict", "shop", *server, "--batch-size", "3", "--out", "out.csv").exit_code == 0
    assert sorted(len(pictures) for _, pictures in behaviour.asked) == [1, 3, 3]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.5, 0.77, 1.0])
def test_a_stopped_command_goes_on_where_it_was(server, behaviour, form, keep):
    names = shop(20, bad=[3])
    out = Path(f"out.{form}")
    assert asked("predict", "shop", *server, "--out", out).exit_code == 1
    whole = out.read_bytes()
    out.write_bytes(whole[: int(len(whole) * keep)])
    left = 20 - max(out.read_bytes().count(b"\n") - (form == "csv"), 0)
    behaviour.asked.clear()
    again = asked("predict", "shop", *server, "--out", out)
    assert again.exit_code == 1  # also where the error was found earlier
    assert out.read_bytes() == whole
    assert sum(len(pictures) for _, pictures in behaviour.asked) == left
    assert f"{out}: {left} picture" in again.stderr
    assert len(names) == 20


def test_nothing_is_asked_where_all_is_answered(behaviour):
    shop(3)
    with rest_server(behaviour) as address:
        server = ["--server", address, "--model-name", "tiny"]
        asked("predict", "shop", *server, "--out", "out.csv")
    assert asked("predict", "shop", *server, "--out", "out.csv").exit_code == 0
    assert asked("predict", "shop", "--out", "out.csv", "--model", "none").exit_code == 0


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
    behaviour.faults = ["", "", "internal"]
    command = ("predict", "shop", *server, "--out", "out.csv", "--batch-size", "2")
    shown = asked(*command)
    assert shown.exit_code == 10
    assert shown.stderr.count("\n") == 1
    assert "it is internal. Look into the server's log. " in shown.stderr
    assert "of 12 pictures were answered before. Give the same command again to go on." in shown.stderr
    assert 0 < len(rows_of("out.csv")) < 12
    assert asked(*command).exit_code == 0
    assert [row["label"] for row in rows_of("out.csv")] == [f"class{number}" for number in range(12)]


def test_embeddings_become_a_matrix_and_the_names_of_its_rows(server):
    names = shop(4, bad=[0, 2])
    assert asked("embed", "shop", *server, "--out", "vectors.npy").exit_code == 1
    vectors = np.load("vectors.npy")
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, 3))
    assert vectors == pytest.approx(np.array([[0, 0, 0], [0.6, 6, -0.8], [0, 0, 0], [0.6, 6, -0.8]]))
    assert [row["picture"] for row in rows_of("vectors.pictures.csv")] == names
    assert [bool(row["error"]) for row in rows_of("vectors.pictures.csv")] == [True, False, True, False]


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


def test_embeddings_on_the_screen_keep_all_digits_of_float32(server):
    shop(1)
    (line,) = asked("embed", "shop/000.jpg", *server).stdout.splitlines()
    assert np.float32(json.loads(line)["embedding"]).tolist() == np.float32([0.6, 6, -0.8]).tolist()


NO_SERVER = ("--server", "http://127.0.0.1:9", "--model-name", "tiny")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("none.jpg", 3, "none.jpg: there is no such file or folder"),
        ("empty", 3, "empty: nothing in it is a picture by its suffix"),
        ("texts", 3, "texts: none of the 1 files in it is a picture by its suffix"),
        ("broken.zip", 3, "broken.zip: is no zip that can be read"),
        ("notes.txt", 1, "notes.txt: this is no picture"),
        ("a.jpg --model none", 10, "none: no model is published there"),
        ("a.jpg", 10, "runs/serving: no model is published there. Publish one with 'fashion run'"),
        ("a.jpg --model two", 10, "two: there are several models: x, y. Name one with --model-name"),
        ("a.jpg --model two --model-name z", 10, "two: there is no model 'z'. Known: x, y"),
        ("a.jpg --model two/x --model-version 9", 10, "two/x: x has no version 9. Known: 1, 2"),
        ("a.jpg --server http://127.0.0.1:9 --model-name m", 10, "m at http://127.0.0.1:9: cannot be reached"),
        ("texts/a.txt a.jpg --json --out texts", 10, "texts: is no file"),
        ("texts/a.txt a.jpg --out texts.csv", 10, "texts.csv: is no file"),
        ("texts/a.txt a.jpg --out notes.txt --format csv", 10, "notes.txt: holds something other than these answers"),
        ("texts/a.txt a.jpg --out other.csv", 10, "other.csv: holds something other than these answers"),
        ("texts/a.txt a.jpg --out notes.txt/out.csv", 10, "notes.txt/out.csv: cannot be written (File exists)"),
    ],
)
def test_each_mistake_is_answered_in_one_line(behaviour, server, arguments, code, said):
    for folder in ("empty", "texts", "texts.csv", "two/x/1", "two/x/2", "two/y/1"):
        Path(folder).mkdir(parents=True)
    Path("texts/a.txt").write_text("text")
    Path("broken.zip").write_text("no zip")
    Path("notes.txt").write_text("bad, not a picture\n")
    Path("other.csv").write_text("picture,colour\n1,red\n")
    Path("a.jpg").write_text("shoes")
    words = arguments.split()
    local = {"--model", "--server"} & set(words) or said.startswith("runs/")
    shown = asked("predict", *words, *([] if local else server))
    assert shown.exit_code == code
    assert said in shown.stderr
    assert shown.stdout == ""
    assert shown.stderr.startswith("fashion: ")
    assert len(shown.stderr.splitlines()) == 1
    assert Path("notes.txt").read_text() == "bad, not a picture\n"
    assert Path("other.csv").read_text() == "picture,colour\n1,red\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--server http://h:1", "say with --model-name which"),
        ("--server http://h:1 --model-name m --model d", "--server and --model: give one"),
        ("--server h:1 --model-name m", "'h:1' is no address"),
        ("--model-label canary", "only a server knows labels"),
        ("--server http://h:1 --model-name m --model-label a --model-version 1", "give a version or a label, not both"),
        ("--out out.txt", "end the name in .csv or .jsonl"),
        ("--top 6", "1<=x<=5"),
    ],
)
def test_wrong_options_are_named_and_have_exit_code_2(arguments, said):
    shop(1)
    shown = asked("predict", "shop/000.jpg", *arguments.split())
    assert shown.exit_code == 2
    assert said in shown.stderr


def test_two_commands_do_not_write_one_file(tmp_path):
    first = Lines(tmp_path / "out.csv", "csv", ("picture", "error"))
    with pytest.raises(AnswerError, match="another command is writing it"):
        Lines(tmp_path / "out.csv", "csv", ("picture", "error"))
    first.close()
    Lines(tmp_path / "out.csv", "csv", ("picture", "error")).close()


def test_matrix_and_names_that_do_not_belong_together_are_refused(server):
    shop(3)
    asked("embed", "shop", *server, "--out", "vectors.npy")
    Path("vectors.npy").write_bytes(b"")
    with pytest.raises(AnswerError, match=r"fewer vectors than vectors\.pictures\.csv has pictures"):
        Vectors(Path("vectors.npy"))


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
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HOUSE), str(HOUSE / "serving")))}
    command = [sys.executable, "-B", "-c", program, "shop", *server, "--out", "out.csv"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=small_disk)
    assert done.returncode == 10
    assert "fashion: out.csv: cannot be written (File too large). What was written stays" in done.stderr
    assert "Traceback" not in done.stderr
    assert asked("predict", "shop", *server, "--out", "out.csv").exit_code == 0
    assert [row["label"] for row in rows_of("out.csv")] == [f"class{number}" for number in range(200)]


def test_a_server_is_asked_without_tensorflow_or_numpy(server):
    shop(2)
    program = """
import sys
from pipeline.commands.predict import predict
try:
    predict()
finally:
    print(*{"tensorflow", "tfx", "numpy", "apache_beam"} & set(sys.modules), file=sys.stderr)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HOUSE), str(HOUSE / "serving")))}
    command = [sys.executable, "-c", program, "shop", *server, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.splitlines()[-1] == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_every_exit_code_and_fits_a_terminal(command):
    shown = asked(command, "--help").output
    assert f"fashion {command} shoe.jpg" in shown
    assert all(f"{code} " in shown.partition("Exit codes:")[2] for code in (0, 1, 2, 3, AnswerError.exit_code, 130))
    assert max(map(len, shown.splitlines())) <= 100


def drawn(number: int) -> bytes:
    random = np.random.default_rng(number)
    stream = io.BytesIO()
    picture = Image.fromarray(random.integers(0, 256, (8, 6, 3), np.uint8)).resize((60, 80))
    picture.save(stream, "PNG" if number % 2 else "JPEG")
    return stream.getvalue()


@pytest.mark.slow
def test_same_picture_has_the_same_answer_by_every_way(tmp_path):
    from serving.local_model import LocalModel
    from serving.server.config import Options
    from serving.server.limits import Limits
    from tests.contract.endpoint import running
    from tests.serving.serving_model import write_model

    version = write_model(tmp_path / "serving" / "tiny" / "1", seed=1)
    (tmp_path / "pictures").mkdir()
    contents = [*map(drawn, range(5)), b"no picture", drawn(0)[:200]]
    for number, content in enumerate(contents):
        (tmp_path / "pictures" / f"{number}.jpg").write_bytes(content)
    with running(tmp_path / "serving", Limits(), Options()) as endpoint, LocalModel(version) as local:
        expected, vectors = local.predict(contents), local.embed(contents)
        assert [answer.error is None for answer in expected] == [True] * 5 + [False] * 2
        assert len({answer.confidence for answer in expected[:5]}) == 5
        for address in (endpoint.rest, f"grpc://{endpoint.grpc}"):
            with fashion_client.connect(address, "tiny") as client:
                assert client.metadata() == local.metadata()
                assert client.status() == local.status()
                for mine, theirs in zip(expected, client.predict(contents), strict=True):
                    assert (mine.label, mine.error) == (theirs.label, theirs.error)
                    assert mine.confidence == pytest.approx(theirs.confidence, abs=1e-5)
                    assert [label for label, _ in mine.top] == [label for label, _ in theirs.top]
                    scores = [[score for _, score in answer.top] for answer in (mine, theirs)]
                    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
                for mine, theirs in zip(vectors, client.embed(contents), strict=True):
                    assert list(mine.vector) == pytest.approx(list(theirs.vector), abs=1e-5)
        server = ("--server", endpoint.rest, "--model-name", "tiny")
        for way in (server, ("--model", str(tmp_path / "serving")), ("--model", str(version))):
            assert asked("predict", "pictures", *way, "--out", "out.csv").exit_code == 1
            for mine, row in zip(expected, rows_of("out.csv"), strict=True):
                assert (row["label"], row["error"]) == (mine.label, mine.error or "")
                assert float(row["confidence"] or 0) == pytest.approx(mine.confidence, abs=1e-5)
            assert asked("embed", "pictures", *way, "--out", "out.npy").exit_code == 1
            matrix = [list(answer.vector) or [0.0] * 3 for answer in vectors]
            assert np.load("out.npy") == pytest.approx(np.array(matrix), abs=1e-5)
            for name in ("out.csv", "out.npy", "out.pictures.csv"):
                Path(name).unlink()


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_told_in_one_line():
    shop(1)
    Path("runs/serving/tiny/3").mkdir(parents=True)
    Path("runs/serving/tiny/3/saved_model.pb").write_bytes(b"\xff\xff nothing")
    shown = asked("predict", "shop/000.jpg")
    assert shown.exit_code == 10
    assert shown.stderr.splitlines()[-1].startswith("fashion: runs/serving/tiny/3: cannot be loaded: ")
    assert len(shown.stderr.splitlines()) == 1
