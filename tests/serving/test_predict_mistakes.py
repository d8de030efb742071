"""`fashion predict` and `fashion embed`: each mistake is named in one line, with an exit code of its own."""

from pathlib import Path

import pytest

from tests.serving.commands import asked, shop

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("none.jpg", 3, "none.jpg: there is no such file or folder"),
        ("empty", 3, "empty: nothing in it is a picture by its suffix"),
        ("texts", 3, "texts: none of the 1 files in it is a picture by its suffix"),
        ("broken.zip", 3, "broken.zip: is not a zip that can be read"),
        ("notes.txt", 1, "notes.txt: this is not a picture"),
        ("a.jpg --model none", 10, "none: no model is published there"),
        ("a.jpg", 10, "runs/serving: no model is published there. Publish one with 'fashion run'"),
        ("a.jpg --model two", 10, "two: there are several models: x, y. Name one with --model-name"),
        ("a.jpg --model two --model-name z", 10, "two: there is no model 'z'. Known: x, y"),
        ("a.jpg --model two/x --model-version 9", 10, "two/x: x has no version 9. Known: 1, 2"),
        ("a.jpg --server http://127.0.0.1:9 --model-name m", 10, "m at http://127.0.0.1:9: cannot be reached"),
        ("texts/a.txt a.jpg --json --out texts", 10, "texts: is not a file"),
        ("texts/a.txt a.jpg --out texts.csv", 10, "texts.csv: is not a file"),
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
        ("--server h:1 --model-name m", "'h:1' is not an address"),
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


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_told_in_one_line():
    shop(1)
    Path("runs/serving/tiny/3").mkdir(parents=True)
    Path("runs/serving/tiny/3/saved_model.pb").write_bytes(b"\xff\xff nothing")
    shown = asked("predict", "shop/000.jpg")
    assert shown.exit_code == 10
    assert shown.stderr.splitlines()[-1].startswith("fashion: runs/serving/tiny/3: cannot be loaded: ")
    assert len(shown.stderr.splitlines()) == 1
