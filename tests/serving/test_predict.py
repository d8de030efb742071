"""`fashion predict` and `fashion embed`: what people see, what lands in files, and the same answer by every way."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import fashion_client
import numpy as np
import pytest
from PIL import Image

from components.errors import AnswerError
from tests.serving.commands import COMMANDS, ENVIRONMENT, asked, rows_of, shop

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_one_picture_is_answered_with_a_table(server):
    shop(1)
    shown = asked("predict", "shop/000.jpg", *server)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == "shop/000.jpg: class0, 75.0 % · accept"
    assert lines[1].split() == ["class0", "75.0", "%", "━" * 22]
    assert [line.split()[0] for line in lines[1:]] == ["class0", "other"]


def test_json_gives_one_object_a_line(server):
    names = shop(2, bad=[1])
    shown = asked("predict", *names, *server, "--json", "--top", "1")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [
        {
            "picture": names[0],
            "model": "tiny/3",
            "label": "class0",
            "confidence": 0.75,
            "decision": "accept",
            "outside": -2.5,
            "label_set": ["class0", "other"],
            "top": [{"label": "class0", "confidence": 0.75}],
            "reason": None,
            "error": None,
        },
        {
            "picture": names[1],
            "model": "tiny/3",
            "label": "",
            "confidence": 0.0,
            "decision": "",
            "outside": None,
            "label_set": [],
            "top": [],
            "reason": "refused by the model",
            "error": "this is not a picture",
        },
    ]


@pytest.mark.parametrize(("limits", "decision"), [
    ("confidence=0.8", "unsure"), ("clear=-3", "unsure"), ("outside=-3", "outside"),
    ("outside=0, confidence=0.7", "accept"),
])  # fmt: skip
def test_own_thresholds_take_the_place_of_the_models(server, limits, decision):
    [line] = asked("predict", *shop(1), *server, "--json", "--decide", limits).stdout.splitlines()
    row = json.loads(line)
    assert (row["decision"], row["label"], row["outside"]) == (decision, "class0", -2.5)
    assert row["model"] == f"tiny/3 decide {limits}"


@pytest.mark.parametrize("limits", ["0.9", "sure=1", "outside=high", "outside=1,outside", ""])
def test_limits_that_are_none_are_refused(server, limits):
    shown = asked("predict", *shop(1), *server, "--decide", limits)
    assert shown.exit_code == 2
    assert "give limits like outside=1.5,clear=0,confidence=0.9" in " ".join(shown.stderr.split())


def test_a_model_of_an_earlier_release_answers_without_decisions(server, behaviour):
    behaviour.faults = ["", "older model"]  # after the question which version answers
    [line] = asked("predict", *shop(1), *server, "--json").stdout.splitlines()
    row = json.loads(line)
    assert (row["label"], row["decision"], row["outside"], row["label_set"]) == ("class0", "", None, [])


def test_several_pictures_are_rows_on_the_screen_and_all_else_is_on_stderr(server):
    names = shop(3, bad=[1])
    Path("shop/styles.csv").write_text("id")
    shown = asked("predict", "shop", *server, "--top", "2")
    assert shown.exit_code == 1
    assert shown.stdout.splitlines() == [
        "picture,model,label,confidence,decision,outside,label_set,label_2,confidence_2,reason,error",
        f"{names[0]},tiny/3,class0,0.750000,accept,-2.500000,class0 | other,other,0.250000,,",
        f"{names[1]},tiny/3,,,,,,,,refused by the model,this is not a picture",
        f"{names[2]},tiny/3,class2,0.750000,accept,-2.500000,class2 | other,other,0.250000,,",
    ]
    said = shown.stderr.splitlines()
    assert said[0].startswith("3 pictures in ")
    assert said[0].endswith(" · 1 with an error")
    assert said[1:] == [
        f"  error: {names[1]}: this is not a picture",
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


def test_embeddings_become_a_matrix_and_the_names_of_its_rows(server):
    names = shop(4, bad=[0, 2])
    assert asked("embed", "shop", *server, "--out", "vectors.npy").exit_code == 1
    vectors = np.load("vectors.npy")
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, 3))
    assert vectors == pytest.approx(np.array([[0, 0, 0], [0.6, 6, -0.8], [0, 0, 0], [0.6, 6, -0.8]]))
    assert [row["picture"] for row in rows_of("vectors.pictures.csv")] == names
    assert [bool(row["error"]) for row in rows_of("vectors.pictures.csv")] == [True, False, True, False]


def test_embeddings_on_the_screen_keep_all_digits_of_float32(server):
    shop(1)
    (line,) = asked("embed", "shop/000.jpg", *server).stdout.splitlines()
    assert np.float32(json.loads(line)["embedding"]).tolist() == np.float32([0.6, 6, -0.8]).tolist()


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
    command = [sys.executable, "-c", program, "shop", *server, "--json"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
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
