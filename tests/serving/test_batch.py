"""Batch inference: one line for every row, the answers of the published model, and no work lost or done twice."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from fashion_client import Thresholds

from components.answers.ask import REFUSED
from components.answers.inputs import Products
from components.answers.rows import Format
from components.errors import AnswerError, CatalogueError, RecipeError
from serving.disk import locked
from tests import HOUSE
from tests.data.faults import (
    draw,
    encode,
    good_rows,
    pictures,
    write_catalogue,
    write_faulty_catalogue,
    write_good_catalogue,
    zipped,
)
from tests.serving.serving_model import LABELS, write_model

pytestmark = pytest.mark.slow

COMMAND = "from pipeline.commands.batch import batch; batch()"
LOCAL = ["--runner=FnApiRunner"]

# Why a fault of the catalogue has no label; every other row has one.
REASONS = {
    "missing picture": "missing picture",
    "zero bytes": "empty picture",
    "text": "not a picture",
    "truncated JPEG": "broken picture",
    "JPEG without its end, padded": "broken picture",
    "animated GIF": "animated picture",
    "1x1": "small picture",
    "12,000x12,000 PNG": "large picture",
    "too few values": "bad row",
    "id with ../": "bad id",
    "duplicate id": "duplicate id",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "six_class" / "7", seed=3, decides=True)


def run(data: Path, model: Path, out: Path, form: str = "jsonl", slices=(), **more):
    from components.batch.job import run_batch

    return run_batch(Products(data, model).with_slices(slices), model, out, form, LOCAL, **more)


def lines(out: Path, form: str = "jsonl"):
    """All answers, as JSON lines hold them."""
    rows = []
    for path in sorted(out.glob(f"predictions-*.{form}")):
        if form == "jsonl":
            rows += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        elif form == "csv":
            with open(path, encoding="utf-8", newline="") as file:
                rows += [_typed(row) for row in csv.DictReader(file)]
        else:
            import pyarrow.parquet

            rows += pyarrow.parquet.read_table(path).to_pylist()
    return rows


def _typed(row):
    typed = {name: row[name] or None for name in ("reason", "error")} | {"row": int(row["row"])}
    names = [("label", "confidence"), *((f"label_{place}", f"confidence_{place}") for place in range(2, 6))]
    top = [{"label": row[label], "confidence": float(row[score])} for label, score in names if row[label]]
    known = {name: row[name] for name in ("id", "model", "label", "decision")}
    known |= {"outside": float(row["outside"]) if row["outside"] else None}
    known |= {"label_set": row["label_set"].split(" | ") if row["label_set"] else []}
    return typed | known | {"confidence": float(row["confidence"] or 0), "top": top}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory, model):
    """What came of a catalogue with every fault: fault to id, the answers, the outcome, the catalogue."""
    folder = tmp_path_factory.mktemp("faulty")
    identities = write_faulty_catalogue(folder / "shop")
    outcome = run(folder / "shop", model, folder / "out")
    return identities, lines(folder / "out"), outcome, folder


def test_every_row_has_its_line_in_the_tables_order(faulty):
    identities, answers, outcome, _ = faulty
    assert [answer["row"] for answer in answers] == list(range(2, 2 + outcome.rows))
    assert {answer["id"] for answer in answers} >= {identity for identity in identities.values() if identity.isdigit()}
    assert all(tuple(answer) == Format("jsonl", ("row", "id")).columns for answer in answers)


def test_a_batch_logs_its_answers_by_product_and_slice(tmp_path, model):
    write_good_catalogue(tmp_path / "shop", 12)
    outcome = run(tmp_path / "shop", model, tmp_path / "out", slices=["gender"], log={"folder": tmp_path / "log"})
    rows = pyarrow.parquet.read_table(tmp_path / "log").to_pylist()
    assert len(rows) == sum(outcome.labels.values())
    answers = {answer["id"]: answer["label"] for answer in lines(tmp_path / "out") if not answer["reason"]}
    assert {row["product"]: row["label"] for row in rows} == answers
    assert {(row["model"], row["version"]) for row in rows} == {("six_class", 7)}
    assert {str(row["slices"]) for row in rows} <= {f"['gender={name}']" for name in ("Men", "Women", "Unisex")}
    assert all(len(row["projection"] or ()) in (0, 64) for row in rows)


@pytest.mark.parametrize("fault", [*pictures(), "unmapped", "empty label", *REASONS])
def test_row_has_a_label_or_the_reason_why_not(faulty, fault):
    identities, answers, _, _ = faulty
    answer = [answer for answer in answers if answer["id"] == identities[fault]][-1]
    assert answer["reason"] == REASONS.get(fault)
    if answer["reason"]:
        assert answer["error"].startswith(f"styles.csv, row {answer['row']}")
        assert (answer["label"], answer["confidence"], answer["top"]) == ("", 0.0, [])
    else:
        assert answer["top"][0] == {"label": answer["label"], "confidence": answer["confidence"]}
        assert answer["confidence"] > 0
        assert {each["label"] for each in answer["top"]} < set(LABELS)


def test_counts_are_those_of_the_lines(faulty):
    _, answers, outcome, folder = faulty
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert summary["rows"] == outcome.rows == len(answers)
    assert sum(outcome.labels.values()) + sum(outcome.reasons.values()) == len(answers)
    for name, number in (*outcome.labels.items(), *outcome.reasons.items()):
        assert number == sum(name in (answer["label"], answer["reason"]) for answer in answers)
    assert (summary["labels"], summary["reasons"]) == (outcome.labels, outcome.reasons)
    assert outcome.decisions == Counter(answer["decision"] for answer in answers if answer["decision"])
    assert sum(outcome.decisions.values()) == sum(outcome.labels.values())


def test_review_lists_what_was_not_accepted_the_most_valuable_first(faulty, model):
    _, answers, _, folder = faulty
    strict = Thresholds(outside=135.0, clear=120.0, confidence=0.5)
    for form in ("jsonl", "csv"):
        look = folder / f"look-{form}.csv"
        run(folder / "shop", model, folder / f"strict-{form}", form, thresholds=strict, look=look)
        run(folder / "shop", model, folder / f"strict-{form}", form, thresholds=strict, look=folder / "again.csv")
        assert (folder / "again.csv").read_bytes() == look.read_bytes()
        with open(look, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        kept = [each for each in answers if each["label"]]
        decided = {each["id"]: strict.decide(each["outside"], each["confidence"]) for each in kept}
        assert {row["id"]: row["decision"] for row in rows} == {
            identity: decision for identity, decision in decided.items() if decision != "accept"
        }
        assert {row["decision"] for row in rows} == {"unsure", "outside"}


def test_answers_are_those_of_the_model_in_process(faulty, model):
    import tensorflow as tf

    _, answers, _, folder = faulty
    ask = tf.saved_model.load(str(model)).signatures["serving_default"]
    asked = 0
    for answer in answers:
        data = (folder / "shop" / "images" / f"{answer['id']}.jpg").read_bytes() if answer["label"] else b""
        if not data.startswith((b"\xff\xd8", b"\x89PNG")):
            continue
        alone = {name: value.numpy()[0] for name, value in ask(image_bytes=tf.constant([data])).items()}
        assert answer["label"] == alone["label"].decode()
        assert [each["label"] for each in answer["top"]] == [name.decode() for name in alone["top_labels"]]
        scores = [each["confidence"] for each in answer["top"]]
        np.testing.assert_allclose(scores, alone["top_scores"], rtol=0, atol=1e-5)
        asked += 1
    assert asked >= 20


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_all_formats_say_the_same(faulty, model, form):
    _, answers, _, folder = faulty
    run(folder / "shop", model, folder / form, form)
    for left, right in zip(lines(folder / form, form), answers, strict=True):
        assert left == right | {
            "confidence": pytest.approx(right["confidence"], abs=1e-6),
            "outside": right["outside"] and pytest.approx(right["outside"], rel=1e-6),
            "top": [each | {"confidence": pytest.approx(each["confidence"], abs=1e-6)} for each in right["top"]],
        }


def test_shards_and_zip_change_nothing_but_the_files(faulty, model, tmp_path, monkeypatch):
    _, answers, _, folder = faulty
    monkeypatch.setattr("components.batch.shards.PER_SHARD", 7)
    run(zipped(folder / "shop", tmp_path / "shop.zip", "nested/"), model, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    shards = -(-len(answers) // 7)
    assert names == [*(f"predictions-{n:05d}-of-{shards:05d}.jsonl" for n in range(shards)), "summary.json"]
    found = lines(tmp_path / "out")  # errors name the table, which lies in a folder
    assert [row | {"error": row["error"] and row["error"].removeprefix("nested/")} for row in found] == answers


def test_picture_that_only_the_model_refuses_says_so(model, tmp_path):
    images = {"1000": encode(draw(size=(1200, 1200))), "1001": encode(draw())}
    outcome = run(write_catalogue(tmp_path / "shop", good_rows(2), images), model, tmp_path / "out")
    refused, fine = lines(tmp_path / "out")
    assert outcome.reasons == {REFUSED: 1}
    assert "1200 x 1200 pixels" in refused["error"]
    assert fine["label"]


def test_only_the_id_has_to_be_in_the_table(model, tmp_path):
    run(write_catalogue(tmp_path / "shop", ["5"], {"5": encode(draw())}, header="id"), model, tmp_path / "out")
    assert [answer["reason"] for answer in lines(tmp_path / "out")] == [None]


def test_limits_for_pictures_are_those_of_the_models_recipe(model, tmp_path):
    strict = write_model(tmp_path / "strict" / "1")
    (strict / "assets.extra" / "recipe.yaml").write_text("picture: {min_side: 70}\n")
    outcome = run(write_good_catalogue(tmp_path / "shop", 3), strict, tmp_path / "out")
    assert outcome.reasons == {"small picture": 3}


def test_a_shops_catalogue_is_read_as_the_models_recipe_says_or_as_one_is_told(model, tmp_path):
    data = write_good_catalogue(tmp_path / "shop", 3)
    (data / "styles.csv").write_text((data / "styles.csv").read_text().replace("id,", "which one,", 1))
    with pytest.raises(CatalogueError, match="id"):
        run(data, model, tmp_path / "no")
    trained = write_model(tmp_path / "trained" / "1")
    (trained / "assets.extra" / "recipe.yaml").write_text("catalogue: {columns: {id: which one}}\n")
    assert run(data, trained, tmp_path / "out").labels.keys() <= set(LABELS)
    (tmp_path / "catalogue.yaml").write_text("columns: {id: which one}\n")
    arguments = [
        "--catalogue",
        tmp_path / "catalogue.yaml",
        "--data",
        data,
        "--model",
        model,
        "--out",
        tmp_path / "told",
    ]
    ended = subprocess.run([sys.executable, "-c", COMMAND, *map(str, arguments)], cwd=HOUSE, check=False)
    assert ended.returncode == 0
    assert [row["label"] for row in lines(tmp_path / "told", "csv")]


def test_stopped_batch_goes_on_where_it_was(model, tmp_path, monkeypatch):
    from components.batch import shards

    data, asked = write_good_catalogue(tmp_path / "shop", 20), []
    monkeypatch.setattr(shards, "PER_SHARD", 5)
    write = Format.write

    def stop_at_the_third(form, file, answers):
        asked.append(answers[0]["row"])
        if len(asked) == 3:
            raise OSError(28, "No space left on device", file.name)
        write(form, file, answers)

    with monkeypatch.context() as broken:
        broken.setattr(Format, "write", stop_at_the_third)
        with pytest.raises(AnswerError, match=r"No space left on device\)\. What was written stays; .* again to go on"):
            run(data, model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    asked.clear()
    monkeypatch.setattr(Format, "write", lambda *given: (asked.append(given[2][0]["row"]), write(*given)))
    outcome = run(data, model, tmp_path / "out")
    assert (outcome.rows, outcome.resumed, len(asked)) == (20, 10, 2)
    assert [answer["row"] for answer in lines(tmp_path / "out")] == list(range(2, 22))
    assert sum(outcome.labels.values()) == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "shop"]


@pytest.mark.parametrize("change", ["model", "catalogue", "format"])
def test_what_another_job_left_is_not_taken_over(model, tmp_path, monkeypatch, change):
    data = write_good_catalogue(tmp_path / "shop", 6)
    with monkeypatch.context() as broken:
        broken.setattr(Format, "write", lambda form, file, rows: file.write(b"of another job"))
        broken.setattr("components.batch.job._outcome", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(data, model, tmp_path / "out", "csv")
    if change == "model":
        model = write_model(tmp_path / "other" / "1", seed=9)
    if change == "catalogue":
        (data / "images" / "1000.jpg").write_bytes(encode(draw(seed=99)))
    form = "jsonl" if change == "format" else "csv"
    outcome = run(data, model, tmp_path / "out", form)
    assert outcome.resumed == 0
    assert len(lines(tmp_path / "out", form)) == 6


def test_same_batch_again_does_nothing(model, tmp_path):
    data = write_good_catalogue(tmp_path / "shop", 3)
    first = run(data, model, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = run(data, model, tmp_path / "out")
    assert again.resumed == again.rows
    assert (again.rows, again.labels) == (first.rows, first.labels)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_other_answers_are_replaced_only_when_asked(model, tmp_path):
    data = write_good_catalogue(tmp_path / "shop", 3)
    run(data, model, tmp_path / "out", "csv")
    with pytest.raises(Exception, match="Give --overwrite, or another --out"):
        run(data, model, tmp_path / "out", "jsonl")
    assert len(lines(tmp_path / "out", "csv")) == 3
    run(data, model, tmp_path / "out", "jsonl", overwrite=True)
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".json", ".jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "shop"]


def test_two_batches_do_not_write_to_one_place(model, tmp_path):
    data = write_good_catalogue(tmp_path / "shop", 1)
    taken = pytest.raises(AnswerError, match=rf"another command is writing it \(process {os.getpid()} on ")
    with locked(tmp_path / ".out.lock"), taken:
        run(data, model, tmp_path / "out")


def test_catalogue_that_changes_meanwhile_is_refused(model, tmp_path, monkeypatch):
    from components.batch import job

    data, infer = write_good_catalogue(tmp_path / "shop", 3), job.infer

    def infer_and_change(pipeline, batch):
        infer(pipeline, batch)
        with open(data / "styles.csv", "a") as table:
            table.write(good_rows(1, start=3000)[0] + "\n")

    monkeypatch.setattr(job, "infer", infer_and_change)
    with pytest.raises(CatalogueError, match="changed while it was read"):
        run(data, model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_model_that_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"not a graph")
    with pytest.raises(AnswerError, match=r"model: cannot be loaded: .+\. Give a model that was published"):
        run(write_good_catalogue(tmp_path / "shop", 1), tmp_path / "model", tmp_path / "out")


def test_empty_table_and_foreign_folder_are_refused(model, tmp_path):
    with pytest.raises(CatalogueError, match="has a header and no rows"):
        run(write_catalogue(tmp_path / "empty", [], {"0": b""}), model, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(Exception, match="holds no batch of answers"):
        run(write_good_catalogue(tmp_path / "shop", 1), model, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(("labelled", "version"), [(None, "9"), ("7", "7")])
def test_models_folder_stands_for_its_stable_or_highest_version(model, tmp_path, labelled, version):
    from pipeline.asking import find_model
    from serving.releases import Releases

    for name in ("7", "9"):
        (tmp_path / "six_class" / name).mkdir(parents=True)
    if labelled:
        releases = Releases(tmp_path)
        releases.add("six_class", None)
        releases.promote("six_class", int(labelled), [7, 9])
        releases.write()
    assert find_model(tmp_path / "six_class", None, None) == tmp_path / "six_class" / version
    assert find_model(tmp_path, None, None) == tmp_path / "six_class" / version
    assert find_model(model, None, None) == model


def test_command_shows_what_came_of_it(model, tmp_path):
    work = tmp_path / "work"
    write_good_catalogue(work / "shop", 4)
    (work / "shop" / "images" / "1001.jpg").unlink()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "--data", "shop", "--model", str(model.parent), "--out", "labels"],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(HOUSE), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 rows → 3 labelled, 1 without a label" in done.stdout
    assert "1  missing picture" in done.stdout
    assert len(lines(work / "labels", "csv")) == 4
    assert sorted(path.name for path in work.iterdir()) == ["labels", "labels.log", "shop"]


@pytest.mark.parametrize("out", [".", ".."])
def test_folder_that_is_there_is_refused_whatever_it_is_called(model, tmp_path, out):
    work = tmp_path / "place" / "work"
    write_good_catalogue(work / "shop", 1)
    before = sorted(work.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "--data", "shop", "--model", str(model), "--out", out, "--overwrite"],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(HOUSE), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == AnswerError.exit_code
    assert "holds no batch of answers. Give another --out." in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(work.rglob("*")) == before


@pytest.mark.parametrize(
    ("beam", "answer"),
    [
        ("{runner: flnk}", "--beam: runner: 'flnk' should be 'local', 'flink'"),
        ("{runner: flink}", "--beam: runner flink needs options.flink_master or options.job_endpoint"),
        ("{options: {flink_mastr: x}}", "Beam has no such option; did you mean 'flink_master'?"),
        ("[", "--beam, line 1: not valid YAML"),
    ],
)
def test_a_wrong_place_to_run_is_refused_by_name(beam, answer):
    from pipeline.commands.batch import batch

    done = CliRunner().invoke(batch, ["--data", "shop", "--model", "model", "--out", "out", "--beam", beam])
    assert done.exit_code == RecipeError.exit_code
    assert answer in done.stderr
