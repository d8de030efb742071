"""The table of results holds what runs recorded, joins seeds, and says of a recipe that was not run why."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.errors import RecipeError
from pipeline import footprint
from pipeline.commands.results import results
from pipeline.footprint import Footprint, read_footprint
from pipeline.recipe import load_recipe, recipe_names
from pipeline.reporting import inputs_digest
from pipeline.results.rows import settings_of
from pipeline.results.table import BEGIN, END, write_between_marks
from tests import HOUSE
from tests.pipeline.test_history import CACHED, COMPLETE, FAILED, Database

TRAINED = Footprint(
    peak_memory=3 * 2**30, processor="Some CPU", cores=2, accelerators="none", commit="abcdef0123", modified=False
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path)


def run(
    database: Database,
    run_id: str,
    overrides: tuple[str, ...] = (),
    accuracy: float = 0.98,
    worst: tuple[str, float] = ("jewelry", 0.96),
    recipe: str = "six_class",
    outcome: str = "published",
    cached: tuple[str, ...] = (),
    made_by: str = "",
    taken: Footprint | None = TRAINED,
    data: tuple[str, str] = ("/home/me/small.zip", "d1"),
    decides: bool = False,
) -> None:
    """A run that came to its end; what is cached was made by the run `made_by`."""
    report = database.root / "reports" / run_id
    report.mkdir(parents=True)
    classes = [
        {"name": "shoes", "recall": 0.999},
        {"name": worst[0], "recall": worst[1]},
        {"name": "n", "recall": None},
    ]
    quality = {"examples": 2652, "accuracy": accuracy, "macro_f1": 0.97, "macro_auprc": 0.98765, "classes": classes}
    share = {
        name: {"share": value} for name, value in (("in", 0.93), ("right", 0.998), ("shown", 0.009), ("new", 0.036))
    }
    decided = {
        "accepted": share["in"], "accuracy": share["right"], "shown": {"accepted": share["shown"]},
        "unseen": {"accepted": share["new"]}, "tags": [{"column": "gender", "right": {"share": 0.92}}],
    }  # fmt: skip
    facts = {"quality": quality, "verdict": {"outcome": outcome}}
    facts |= {"outside": {"assessment": decided}} if decides else {}
    (report / "facts.json").write_text(json.dumps(facts))
    database.run(run_id).note(load_recipe(recipe, overrides), *data)
    for stage, output in (("ingest", "examples"), ("train", "model"), ("publish", "pushed_model")):
        kept = {footprint.PROPERTY: taken.as_json()} if taken and stage == "train" else {}
        uri = f"/{made_by if stage in cached else run_id}/{output}"
        state = CACHED if stage in cached else COMPLETE
        database.stage(stage, state, {} if stage in cached else kept, makes={output: uri})
    (report / "inputs.digest").write_text(inputs_digest(database.history().read(run_id)))


def table(*roots: Path) -> list[dict[str, str]]:
    """The rows that the command prints, by the names of their columns."""
    options = [option for root in roots for option in ("--root", str(root))]
    printed = CliRunner().invoke(results, options, catch_exceptions=False).stdout
    lines = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in printed.splitlines() if line.startswith("|")
    ]
    names = [name.strip(" |") for name in lines[0]]
    return [dict(zip(names, [cell.strip(" |") for cell in line], strict=False)) for line in lines[2:]]


def row(of: list[dict[str, str]], recipe: str) -> dict[str, str]:
    [found] = [each for each in of if each["recipe"] == recipe]
    return found


def test_a_row_tells_what_decisions_and_further_columns_are_worth(database, tmp_path):
    run(database, "r", decides=True)
    found = row(table(tmp_path), "`six_class`")
    assert found["accuracy"] == "98.0 % of 2,652<br>gender 92.0 %"
    assert (found["accepted"], found["foreign accepted"]) == ("93.0 %, 99.8 % right", "0.9 %, 3.6 %")


def test_a_row_holds_what_the_run_recorded(database, tmp_path):
    run(database, "r", accuracy=0.98765)
    assert row(table(tmp_path), "`six_class`") == {
        "recipe": "`six_class`",
        "data": "small.zip",
        "split": "picture 80/10/10",
        "seed": "1",
        "accuracy": "98.8 % of 2,652",
        "macro-F1": "97.0 %",
        "macro-AUPRC": "0.9877",
        "worst class": "96.0 % jewelry",
        "accepted": "–",
        "foreign accepted": "–",
        "time": "0:00",
        "memory": "3.0 GiB",
        "machine": "Some CPU, 2 cores",
        "commit": "abcdef0",
    }


def test_seeds_share_a_row_with_mean_and_spread_and_the_latest_run_of_a_seed_counts(database, tmp_path):
    run(database, "a", ("train.seed=2",), accuracy=0.5)
    run(database, "b", ("train.seed=2",), accuracy=0.97, worst=("shoes", 0.95))
    run(database, "c", ("train.seed=1",), accuracy=0.99)
    run(database, "d", ("train.seed=3",), accuracy=0.98)
    found = row(table(tmp_path), "`six_class`")
    assert found["seed"] == "1, 2, 3"
    assert found["accuracy"] == "98.0 ± 1.0 % of 2,652"
    assert found["worst class"] == "95.7 ± 0.6 % jewelry, shoes"


def test_what_a_run_changed_of_the_recipe_is_named_and_the_recipe_itself_counts_as_not_run(database, tmp_path):
    run(database, "r", ("model.backbone=efficientnet_lite0", "train.finetune=null", "gate.recall=0.1"))
    found = [each for each in table(tmp_path) if "`six_class`" in each["recipe"]]
    assert [each["recipe"] for each in found] == [
        "`six_class`",
        "`six_class`<br>`model.backbone=efficientnet_lite0`<br>`train.finetune=null`",
    ]
    assert found[0]["data"] == "not run here: no run of it has come to its end"


def test_a_recipe_whose_run_failed_says_why_and_every_shipped_recipe_has_a_row(database, tmp_path):
    run(database, "r")
    database.run("q", "quickstart-abc").stage("ingest")
    database.stage("train", FAILED, {"error": "weights 'imagenet' could not be\nfetched (no route). Give a file."})
    found = table(tmp_path)
    assert row(found, "`quickstart`")["data"] == "not run here: weights 'imagenet' could not be fetched (no route)"
    assert {each["recipe"].strip("`") for each in found} >= set(recipe_names())


def test_a_refused_model_is_marked_and_what_was_not_recorded_is_left_open(database, tmp_path):
    run(database, "r", outcome="model refused", taken=None)
    found = row(table(tmp_path), "`six_class`<br>refused by its gate")
    assert (found["memory"], found["machine"], found["commit"]) == ("–", "–", "–")
    assert found["accuracy"] == "98.0 % of 2,652"


def test_time_and_machine_of_a_cached_stage_are_those_of_when_it_ran(database, tmp_path, monkeypatch):
    from pipeline import history

    run(database, "first", taken=Footprint(None, "Old CPU", 8, "GPU", "1111111", True))
    run(database, "again", ("gate.recall=0.1",), cached=("ingest", "train"), made_by="first", taken=None)
    real = history._stage_run

    def slow(name: str, execution: Any, *rest: Any) -> Any:
        stage = real(name, execution, *rest)
        return dataclasses.replace(stage, seconds={"complete": 30.0, "cached": 0.0}[stage.state])

    monkeypatch.setattr(history, "_stage_run", slow)
    found = row(table(tmp_path), "`six_class`")
    assert found["time"] == "1:30"
    assert (found["machine"], found["commit"]) == ("Old CPU, 8 cores, GPU", "1111111+")


@pytest.mark.parametrize(("by", "tables"), [("picture", 2), ("year", 1)])
def test_runs_of_an_earlier_split_are_no_seeds_of_todays_and_stand_in_a_table_of_their_own(tmp_path, by, tables):
    record, text = tmp_path / "results.jsonl", ""
    for name, seed, accuracy in (("one", 1, 0.99), ("two", 2, 0.97)):
        (tmp_path / name).mkdir()
        run(Database(tmp_path / name), name, (f"split.by={by}", f"train.seed={seed}"), accuracy)
        text = written(tmp_path / name, record)
        record.write_text(record.read_text().replace('"split.together":[],', ""))  # as before there was this setting
    today, *earlier = text.split("Of an earlier split")
    assert len(earlier) + 1 == tables
    assert "97.0 % of" in today
    assert ("99.0 % of" in today) is (tables == 1)  # products of odd years are not dealt
    assert ("99.0 % of" in "".join(earlier)) is (tables == 2)


def test_runs_of_several_roots_make_one_table(tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        run(Database(tmp_path / name), name, (f"train.seed={seed}",))
    assert row(table(tmp_path / "one", tmp_path / "two"), "`six_class`")["seed"] == "1, 2"


def test_other_data_are_another_row(database, tmp_path):
    run(database, "r")
    (tmp_path / "other").mkdir()
    other = Database(tmp_path / "other")
    run(other, "s", data=("/large.zip", "d2"))
    found = [each["data"] for each in table(tmp_path, tmp_path / "other") if each["recipe"] == "`six_class`"]
    assert sorted(found) == ["large.zip", "small.zip"]


def test_the_table_is_put_between_the_marks_and_nothing_else_is_touched(database, tmp_path):
    run(database, "r")
    file = tmp_path / "results.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        done = CliRunner().invoke(results, ["--root", str(tmp_path), "--write", str(file)], catch_exceptions=False)
        assert done.exit_code == 0
    text = file.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| recipe | data |")
    assert text.endswith(f"{END}\nafter\n")
    assert (text.count("| `six_class` |"), text.count("old")) == (1, 0)


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n"])
def test_a_file_without_one_place_for_the_table_is_refused_and_left_as_it_is(tmp_path, text):
    file = tmp_path / "results.md"
    file.write_text(text)
    with pytest.raises(RecipeError, match="the table has no place there; write these two lines"):
        write_between_marks("| new |\n", file)
    assert file.read_text() == text


def written(root: Path, record: Path) -> str:
    """The table that the command prints with a record."""
    options = ["--root", str(root), "--record", str(record)]
    return CliRunner().invoke(results, options, catch_exceptions=False).stdout


def test_a_record_keeps_what_runs_have_reached_when_they_are_gone(tmp_path):
    for name, overrides in (("one", ("train.seed=1",)), ("two", ("train.seed=2",))):
        (tmp_path / name).mkdir()
        run(Database(tmp_path / name), name, overrides, accuracy=0.98765)
    one, two, record = tmp_path / "one", tmp_path / "two", tmp_path / "results.jsonl"
    alone = written(one, record)
    assert alone == CliRunner().invoke(results, ["--root", str(one)]).stdout
    joined = written(two, record)
    assert "| `six_class` | small.zip | picture 80/10/10 | 1, 2 | 98.8 ± 0.0 % of 2,652 |" in joined
    assert written(two, record) == joined
    assert joined == CliRunner().invoke(results, ["--root", str(one), "--root", str(two)]).stdout


def test_a_record_holds_one_run_for_each_seed_the_latest_and_why_a_recipe_has_none(database, tmp_path):
    record = tmp_path / "results.jsonl"
    run(database, "a", accuracy=0.5)
    database.run("q", "quickstart-abc").stage("train", FAILED, {"error": "no weights. Give a file."})
    written(tmp_path, record)
    run(database, "b", accuracy=0.97)
    written(tmp_path, record)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["run"] for line in lines if "run" in line] == ["b"]
    assert [line for line in lines if "reason" in line] == [{"recipe": "quickstart", "reason": "no weights"}]


def test_a_row_of_a_record_names_what_the_recipe_has_otherwise_by_now(database, tmp_path):
    record = tmp_path / "results.jsonl"
    run(database, "r")
    written(tmp_path, record)
    record.write_text(record.read_text().replace('"picture.size":160', '"picture.size":96'))
    (tmp_path / "other").mkdir()
    run(Database(tmp_path / "other"), "s", recipe="quickstart")
    assert "| `six_class`<br>`picture.size=96` |" in written(tmp_path / "other", record)


def test_the_projects_table_is_that_of_its_record_in_the_words_of_todays_recipes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there are no runs
    record = tmp_path / "results.jsonl"
    record.write_bytes((HOUSE / "docs" / "results.jsonl").read_bytes())
    printed = CliRunner().invoke(results, ["--record", str(record)], catch_exceptions=False).stdout
    table = (HOUSE / "docs" / "results.md").read_text().partition(f"{BEGIN}\n")[2].partition(END)[0]
    assert table.splitlines() == printed.splitlines()
    assert record.read_bytes() == (HOUSE / "docs" / "results.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("half a li", "it is not a JSON object"),
        ("[1]", "it is not a JSON object"),
        ('{"run": "r"}', "began: Field required"),
    ],
)
def test_a_wrong_line_of_a_record_is_named_and_nothing_is_written(database, tmp_path, line, problem):
    record = tmp_path / "results.jsonl"
    run(database, "r")
    written(tmp_path, record)
    text = record.read_text() + line
    record.write_text(text)
    done = CliRunner().invoke(results, ["--root", str(tmp_path), "--record", str(record)])
    assert done.exit_code == RecipeError.exit_code
    number = len(text.splitlines())
    assert f"line {number}: no result of a run: {problem}; `fashion results` writes one a line" in done.stderr
    assert record.read_text() == text


# In a process of its own: where much has been imported, what is freed may stay with the process.
STAGES_IN_TURN = """
from pipeline import footprint

footprint.begin()
print(footprint.taken().peak_memory)
held = bytearray(b"x" * 200_000_000)
print(footprint.taken().peak_memory)
del held
footprint.begin()
print(footprint.taken().peak_memory)
"""


def test_the_peak_of_memory_is_that_of_the_stage_alone():
    done = subprocess.run([sys.executable, "-c", STAGES_IN_TURN], cwd=HOUSE, capture_output=True, text=True, check=True)
    before, peak, after = map(int, done.stdout.split())
    assert peak - before > 150_000_000
    assert peak - after > 150_000_000


def test_a_footprint_is_read_as_it_was_kept():
    peak = footprint.taken()
    assert read_footprint({footprint.PROPERTY: peak.as_json()}) == peak
    assert read_footprint({}) is None


def test_of_a_search_only_what_it_says_is_told():
    recipe = load_recipe("six_class", ["tune={trials: 2, space: {model.dropout: {values: [0.1, 0.2]}}}"])
    told = {path for path in settings_of(recipe.model_dump(mode="json")) if path.startswith("tune.space")}
    assert told == {"tune.space.model.dropout.values"}
