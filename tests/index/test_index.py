"""Making an index of a catalogue: what is in it, what is not embedded again, and what a fault or a kill leaves."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from components.answers.inputs import Products
from components.errors import AnswerError, CatalogueError, PublishError
from components.index.build import LEFT_OUT, build_index
from components.index.content import Change
from components.index.settings import Index as Settings
from components.index.summary import read_summary
from components.publish.store import model_digest, publish, recorded_digest, versions
from serving.search.index import PICTURE, VECTORS
from serving.search.query import Query, search
from tests import HOUSE
from tests.data.faults import draw, encode, good_rows, write_catalogue, write_faulty_catalogue, write_good_catalogue
from tests.serving.serving_model import write_model

pytestmark = pytest.mark.slow

SETTINGS = Settings(dimensions=8, colour=0.3)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = write_model(folder / "made", seed=3)
    return publish(made, folder / "serving" / "six", model_digest(made), {}, 5).path


def build(data, model, store, **more):
    return build_index(Products(data, model), model, store, SETTINGS, ["--runner=FnApiRunner"], **more)


def identities(index):
    return set(index.table["id"].to_pylist())


@pytest.fixture
def no_model(monkeypatch):
    """Has every attempt to load the model fail."""

    def refuse(*_):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("components.index.vectors.load_client", refuse)


def test_index_holds_every_product_that_the_model_can_see_and_lists_the_others(model, tmp_path):
    faults = write_faulty_catalogue(tmp_path / "shop")
    done = build(tmp_path / "shop", model, tmp_path / "indexes" / "six")
    facts = done.index.facts
    assert facts["model"]["digest"] == recorded_digest(model)
    assert len(done.index) == done.embedded == facts["products"]
    assert faults["truncated JPEG"] not in identities(done.index)
    listed = (done.index.folder / LEFT_OUT).read_text()
    assert faults["truncated JPEG"] in listed
    assert listed.count("\n") - 1 == sum(facts["left_out"].values()) > 5
    assert done.index.vectors([0]).shape == (1, 8)
    found = search(done.index, Query(where="gender = 'Men'", k=3), ids=[done.index.table["id"][0].as_py()])
    assert {match.attributes["gender"] for match in found} == {"Men"}


def test_only_changed_pictures_are_embedded_again(model, tmp_path, monkeypatch):
    data, store = write_good_catalogue(tmp_path / "shop", 12), tmp_path / "indexes" / "six"
    first = build(data, model, store)
    again = build(data, model, store)
    assert again.already
    assert again.index.folder == first.index.folder
    (data / "images" / "1003.jpg").write_bytes(encode(draw(seed=77)))
    second = build(data, model, store)
    assert (second.embedded, len(second.index)) == (1, 12)
    rows = [index.rows(["1003", "1004"]) for index in (first.index, second.index)]
    before, after = first.index.vectors(rows[0]), second.index.vectors(rows[1])
    assert np.array_equal(before[1], after[1])
    assert not np.allclose(before[0], after[0], atol=1e-3)


def test_changes_add_replace_and_remove_products_without_the_rest_of_the_catalogue(model, tmp_path):
    data, store = write_good_catalogue(tmp_path / "shop", 8), tmp_path / "indexes" / "six"
    build(data, model, store)
    pictures = {str(1006 + n): encode(draw(seed=90 + n)) for n in range(3)}
    drop = write_catalogue(tmp_path / "drop", good_rows(3, 1006), pictures)
    done = build(drop, model, store, change=Change(True, frozenset({"1000", "1008"})))
    assert identities(done.index) == {str(1001 + n) for n in range(7)}
    assert done.embedded == 2
    row = done.index.rows(["1006"])[0]
    assert done.index.table[PICTURE][row].as_py() == hashlib.sha256(pictures["1006"]).hexdigest()


def test_changes_need_an_index_of_the_same_model(model, tmp_path):
    data = write_good_catalogue(tmp_path / "shop", 3)
    with pytest.raises(AnswerError, match="without --update"):
        build(data, model, tmp_path / "indexes" / "six", change=Change(True))


def test_killed_job_goes_on_and_the_index_before_stays(model, tmp_path, monkeypatch, no_model):
    monkeypatch.setattr("components.batch.shards.PER_SHARD", 4)
    data, store = write_good_catalogue(tmp_path / "shop", 12), tmp_path / "indexes" / "six"
    with pytest.raises(Exception, match="the model was loaded"):
        build(data, model, store)
    assert versions(store) == {}
    monkeypatch.undo()
    monkeypatch.setattr("components.batch.shards.PER_SHARD", 4)
    monkeypatch.setattr("components.index.build.gather", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(data, model, store)
    monkeypatch.undo()
    monkeypatch.setattr("components.batch.shards.PER_SHARD", 4)
    monkeypatch.setattr("components.index.vectors.load_client", lambda *_: pytest.fail("all shards were there"))
    done = build(data, model, store)
    assert list(versions(store).values()) == [done.index.folder]
    assert not (store / ".unfinished").exists()


def test_kill_before_any_step_on_the_disk_leaves_the_index_before_or_the_whole_new_one(model, tmp_path):
    data, store = write_good_catalogue(tmp_path / "shop", 6), tmp_path / "indexes" / "six"
    build(data, model, store)
    table = data / "styles.csv"
    table.write_text(table.read_text().replace("Blue", "Green"))
    run = subprocess.run(
        [sys.executable, "-m", "tests.index.killed", model, data, store],
        cwd=HOUSE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    answers = [answer for when, answer, *_ in lines if when == "killed"]
    assert answers == sorted(answers, reverse=True)
    assert min(answers.count("old"), answers.count("new")) > 3
    again = [line[1:] for line in lines if line[0] == "again"]
    assert again == [["new"]] * (len(answers) // 5)


def test_index_that_does_not_answer_in_a_fresh_process_is_not_published(model, tmp_path, monkeypatch):
    data, store = write_good_catalogue(tmp_path / "shop", 3), tmp_path / "indexes" / "six"
    import components.index.build as module

    write = module.write_index

    def harm(folder, *rest):
        write(folder, *rest)
        (folder / VECTORS).write_bytes(b"")

    monkeypatch.setattr(module, "write_index", harm)
    with pytest.raises(PublishError, match=r"vectors\.faiss is missing"):
        build(data, model, store)
    assert versions(store) == {}


def test_catalogue_without_a_picture_that_can_be_read_is_refused(model, tmp_path):
    data = write_catalogue(tmp_path / "shop", good_rows(2), {"1000": b"x", "1001": b""})
    with pytest.raises(CatalogueError, match="no product is left"):
        build(data, model, tmp_path / "indexes" / "six")


def test_model_that_was_not_published_has_no_index(tmp_path):
    data = write_good_catalogue(tmp_path / "shop", 1)
    with pytest.raises(AnswerError, match="was not published"):
        build(data, tmp_path / "six" / "1", tmp_path / "indexes" / "six")


def test_command_says_what_it_made(model, tmp_path, capfd):
    from pipeline.commands.search import index

    root = model.parents[2]
    write_faulty_catalogue(tmp_path / "shop")
    where = ("--data", str(tmp_path / "shop"), "--root", str(root), "--to", f"qdrant://{tmp_path}/database/shop")
    run = CliRunner().invoke(index, ["six", *where, "--set", "dimensions=4"])
    assert run.exit_code == 0, run.output
    said = capfd.readouterr().out
    assert "29 products, 29 embedded now" in said
    assert "2 broken picture" in said
    [folder] = versions(root / "indexes" / "six").values()
    assert json.loads((folder / "index.json").read_text())["dimensions"] == 4
    assert len(pq.read_table(folder / "products.parquet")) > 5
    assert f"shop → shop-{folder.name}-" in said


def run_node(store, version, data, settings=SETTINGS):
    """Runs the component as an orchestrator does; returns its artifact."""
    from tfx.types import standard_artifacts

    from components.artifacts import ProductIndex
    from components.index.component import Indexer

    pushed, artifact = standard_artifacts.PushedModel(), ProductIndex()
    artifact.uri = str(store.parent / "artifacts" / (version or "none"))
    pushed.set_string_custom_property("version", version)
    parameters = {"data": str(data), "catalogue": "", "store": str(store), "settings": settings.as_json()}
    parameters |= {"beam": '["--runner=FnApiRunner"]', "code": ""}
    executor = Indexer.EXECUTOR_SPEC.executor_class()
    executor.Do({"pushed_model": [pushed]}, {"index": [artifact]}, parameters)
    return artifact


def test_second_command_on_one_store_is_refused(tmp_path, model):
    from serving.disk import locked

    data, store = write_good_catalogue(tmp_path / "shop", 2), tmp_path / "indexes" / "six"
    with locked(store / ".lock-index"), pytest.raises(PublishError, match="another command makes an index"):
        build(data, model, store)


def test_node_makes_the_index_of_the_version_that_serves(model, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(model.parent, root / "serving" / "six")
    data = write_good_catalogue(tmp_path / "shop", 6)
    artifact = run_node(root / "serving" / "six", model.name, data)
    [folder] = versions(root / "indexes" / "six").values()
    summary = read_summary(Path(artifact.uri))
    assert (summary.version, summary.products, summary.recall) == (folder.name, 6, None)
    assert read_summary(Path(run_node(root / "serving" / "six", "", data).uri)) is None
    strict = SETTINGS.model_copy(update={"least": {"articleType": 0.5}})
    with pytest.raises(PublishError, match="articleType cannot be measured"):
        run_node(root / "serving" / "six", model.name, data, strict)
    assert list(versions(root / "indexes" / "six").values()) == [folder]


@pytest.mark.parametrize("order", ["faiss, tensorflow", "tensorflow, faiss"])
def test_faiss_and_tensorflow_work_in_one_process_whichever_comes_first(order):
    program = f"""
import {order}
import numpy as np
vectors = np.random.default_rng(0).normal(size=(500, 64)).astype("float32")
index = faiss.IndexFlatIP(64)
index.add(vectors)
for _ in range(20):
    product = tensorflow.linalg.matmul(vectors[:8], vectors, transpose_b=True).numpy()
    assert (index.search(vectors[:8], 1)[1][:, 0] == product.argmax(axis=1)).all()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
