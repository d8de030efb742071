"""The `fashion` command before anything heavy is loaded: help, listings, and what it says to mistaken users."""

import functools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from components import errors
from components.errors import AnswerError, ClusterError, ExportError, FashionError
from pipeline import cli
from pipeline.recipe import recipe_names
from pipeline.stages import STAGES
from tests.conftest import Place

HEAVY = {"apache_beam", "keras", "numpy", "pandas", "PIL", "pydantic", "rich", "tensorflow", "tfx"}
ELSEWHERE = (AnswerError, ClusterError, ExportError)  # raised by other commands than `run`


def test_help_answers_in_a_second_and_imports_nothing_it_does_not_need() -> None:
    probe = "import sys; from pipeline.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    began = time.monotonic()
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert time.monotonic() - began < 1
    assert all(name in run.stdout for name in cli.main.commands)
    assert not HEAVY & set(run.stdout.split())


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_every_command_has_help_that_fits_a_terminal(name: str) -> None:
    shown = CliRunner().invoke(cli.main, [name, "--help"], terminal_width=80)
    assert shown.exit_code == 0
    assert "--help" in shown.output
    assert max(map(len, shown.output.splitlines())) <= 80


def groups(group, *path):
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from groups(command, *path, name)


@pytest.mark.parametrize("path", groups(cli.main), ids=" ".join)
def test_no_summary_is_cut_at_80_columns(path) -> None:
    shown = CliRunner().invoke(cli.main, [*path, "--help"], terminal_width=80)
    lines = [line.strip() for line in shown.output.splitlines()]
    group = functools.reduce(lambda found, name: found.commands[name], path, cli.main)
    for name, command in group.commands.items():
        [summary] = [line.removeprefix(f"{name} ").strip() for line in lines if line.startswith(f"{name}  ")]
        sentence = " ".join(command.help.split()).partition(". ")[0].rstrip(".")
        assert summary == f"{sentence}."


def test_help_of_run_names_the_stages_in_order_and_every_exit_code() -> None:
    shown = CliRunner().invoke(cli.main, ["run", "--help"]).output
    assert ", ".join(STAGES) in " ".join(shown.split())
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FashionError)]
    codes = {kind.exit_code for kind in kinds if kind not in (FashionError, *ELSEWHERE)}
    assert codes == {2, 3, 4, 5, 6, 7, 8}
    assert all(f"{code} " in shown.partition("Exit codes:")[2] for code in (0, *codes, 130))


def test_recipes_lists_each_with_what_it_is_about() -> None:
    lines = CliRunner().invoke(cli.main, ["recipes"]).output.splitlines()
    named = [line.split() for line in lines if not line.startswith(" ")]
    assert [name for name, *_ in named] == recipe_names()
    assert all(len(said) > 2 for _, *said in named)
    assert max(map(len, lines)) <= 80


MISTAKES = [
    ("--recipe six_clas", 2, "recipe 'six_clas': there is none; did you mean 'six_class'?"),
    ("--recipe mine.yaml", 2, "recipe mine.yaml: there is no such file"),
    ("--set picture.sise=96", 2, "quickstart.yaml: picture.sise: unknown key; did you mean 'size'?"),
    ("--set model.weights=no_images", 6, "model.weights: no_images is not a published model"),
    ("--set picture.size=big", 2, "quickstart.yaml: picture.size: 'big' should be a valid integer"),
    ("--set gate.recall=95", 2, "quickstart.yaml: gate.recall: 95 should be less than or equal to 1"),
    ("--set gate.recall", 2, "--set gate.recall: give it as key=value"),
    ("--set labels.taxonomy=none_such", 2, "taxonomy 'none_such': there is none"),
    ("--from trian", 2, "--from trian: there is no such stage; did you mean 'train'? known: ingest, schema"),
    ("--to the_end", 2, "--to the_end: there is no such stage; known: ingest, schema"),
    ("--from train --to gate", 2, "--from train --to gate: train comes after gate; the order is ingest, schema"),
    ("--root file/below", 2, "file/below: cannot write here (Not a directory). Name another folder with --root"),
    ("--root file", 2, "file: cannot write here (File exists). Name another folder with --root"),
    ("--data nowhere", 3, "nowhere: there is no such file or folder."),
    ("--data file", 3, "file: cannot be read as a zip (File is not a zip file)."),
    ("--data no_table", 3, "no_table: there is no styles.csv and no other table in it."),
    ("--data no_images", 3, "no_images: there is styles.csv, but no picture."),
]
# One process imports what every command needs; each mistake is made in a fork of it.
FORKS = """
import json, os, sys
import pipeline.run
from pipeline.cli import main
for number, words in enumerate(json.loads(sys.argv[1])):
    if not os.fork():
        for descriptor, name in enumerate(("out", "err"), start=1):
            os.dup2(os.open(f"../{number}.{name}", os.O_WRONLY | os.O_CREAT), descriptor)
        code = 1
        try:
            main(["run", *words])
        except SystemExit as end:
            code = end.code
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(100 if {"tensorflow", "tfx"} & set(sys.modules) else code)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory) -> tuple[Path, dict[str, tuple[int, str, str]]]:
    """Makes all mistakes: where, and for each the exit code and what was printed for people and as errors."""
    place = Place(tmp_path_factory.mktemp("mistakes"))
    environment = place.environment()
    (place.work / "file").write_text("no zip")
    for folder in ("no_table/images", "no_images", "catalogue/images"):
        (place.work / folder).mkdir(parents=True)
    (place.work / "catalogue" / "images" / "1.jpg").touch()
    for folder in ("no_images", "catalogue"):
        (place.work / folder / "styles.csv").write_text("id,subCategory,articleType,productDisplayName\n")
    given = [each.split() for each, *_ in MISTAKES]
    words = json.dumps([[*each, *([] if "--data" in each else ["--data", "catalogue"])] for each in given])
    run = subprocess.run(
        [sys.executable, "-c", FORKS, words],
        cwd=place.work,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = [[(place.folder / f"{n}.{name}").read_text() for name in ("out", "err")] for n in range(len(MISTAKES))]
    codes = map(int, run.stdout.split())
    return place.work, {row[0]: (code, *each) for row, code, each in zip(MISTAKES, codes, printed, strict=True)}


@pytest.mark.parametrize(("arguments", "code", "said"), MISTAKES)
def test_a_mistake_is_told_in_one_line_before_tfx_is_loaded(mistakes, arguments: str, code: int, said: str) -> None:
    folder, ends = mistakes
    ended, out, err = ends[arguments]
    assert (ended, out) == (code, "")
    assert err.count("\n") == 1
    assert err.startswith("fashion: ")
    assert said in err
    assert not (folder / "runs").exists()


def test_all_mistakes_in_a_recipe_are_told_at_once(place) -> None:
    run = place.fashion("run", "--set", "gate.recall=2", "--set", "picture.sise=3")
    assert run.code == 2
    assert [word in run.err for word in ("gate.recall", "picture.sise")] == [True, True]
    assert "Traceback" not in run.err


def test_a_mistyped_option_or_command_is_refused(place) -> None:
    for arguments in (["run", "--recip", "six_class"], ["runn"], ["catalogue", "--out", "x", "--products", "0"]):
        run = place.fashion(*arguments)
        assert (run.code, run.out) == (2, "")
        assert "Error: " in run.err
        assert "Traceback" not in run.err


def test_catalogue_is_drawn_and_counted(place) -> None:
    run = place.fashion("catalogue", "--out", "drawn", "--products", "12", "--seed", "4")
    assert (run.code, run.err) == (0, "")
    assert run.out == "drawn: 12 products, 12 pictures\n"
    assert len(list((place.work / "drawn" / "images").iterdir())) == 12


def test_catalogue_does_not_write_into_a_folder_that_is_not_empty(place) -> None:
    place.environment()
    (place.work / "full").mkdir()
    (place.work / "full" / "mine.txt").write_text("keep")
    run = place.fashion("catalogue", "--out", "full", "--products", "5")
    assert (run.code, run.out) == (3, "")
    assert run.err.endswith("full is not an empty folder. Remove it, or name another with --out.\n")
    assert [path.name for path in (place.work / "full").iterdir()] == ["mine.txt"]


def test_ctrl_c_is_answered_in_one_line_and_leaves_nothing_half_made(place) -> None:
    running = place.start("catalogue", "--out", "drawn", "--products", "100000", stderr=subprocess.PIPE)
    while not list(place.work.rglob("*.jpg")) and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    try:
        _, err = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 130
    assert err == "fashion: stopped; give the same command again to finish\n"
    assert list(place.work.iterdir()) == []


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[str]:
        raise ZeroDivisionError

    monkeypatch.setattr("pipeline.recipe.recipe_names", broken)
    assert isinstance(CliRunner().invoke(cli.main, ["recipes"]).exception, ZeroDivisionError)
