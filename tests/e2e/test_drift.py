"""`fashion retrain --if-drift`, night after night: an unchanged catalogue, a shuffled one, one with another mix."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.publish.store import versions
from pipeline.synthetic import write_catalogue
from tests.conftest import Ended, Place
from tests.pipeline.nodes import RECIPE

pytestmark = pytest.mark.slow

SECONDS = 1800


def night(place: Place, data: Path) -> Ended:
    recipe = place.work / "tiny.yaml"
    return place.fashion("retrain", "--if-drift", "--recipe", recipe, "--data", data, timeout=SECONDS)


def published(place: Place) -> list[int]:
    return list(versions(place.work / "runs" / "serving" / "tiny"))


def decisions(place: Place) -> list[dict]:
    files = sorted((place.work / "runs" / "decisions").glob("*-tiny.json"))
    return [json.loads(file.read_text()) for file in files]


@pytest.fixture(scope="module")
def first(shared_place: Place) -> Path:
    """The catalogue of the first night, on which a model has been trained."""
    shared_place.environment()
    recipe = RECIPE.replace("names.yaml", "six_class").replace("{epochs: 8, unfreeze_from: block7}", "null")
    (shared_place.work / "tiny.yaml").write_text(recipe)
    data = shared_place.folder / "first"
    write_catalogue(data, products=600, seed=5)
    done = night(shared_place, data)
    assert (done.code, done.err) == (0, "")
    assert "train: no model of tiny is published yet" in done.out
    return data


def rewritten(data: Path, target: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    """A copy of a catalogue with other rows."""
    shutil.copytree(data, target)
    header, *rows = (data / "styles.csv").read_bytes().splitlines()
    (target / "styles.csv").write_bytes(b"\n".join([header, *change(rows), b""]))
    return target


def test_the_same_products_in_another_order_keep_the_model(shared_place: Place, first: Path, tmp_path: Path) -> None:
    before = published(shared_place)
    done = night(shared_place, rewritten(first, tmp_path / "second", lambda rows: rows[::-1]))
    assert (done.code, done.err) == (0, "")
    assert "no drift: " in done.out
    assert f"; model version {before[-1]} of tiny stays" in done.out
    assert published(shared_place) == before
    decision = decisions(shared_place)[-1]
    assert (decision["train"], decision["trained"]["version"]) == (False, before[-1])
    assert decision["trained"]["digest"] != decision["looked"]["digest"]


def test_another_mix_of_classes_takes_a_new_model(shared_place: Place, first: Path, tmp_path: Path) -> None:
    before = published(shared_place)

    def fewer_tops(rows: list[bytes]) -> list[bytes]:
        return [row for number, row in enumerate(rows) if b",Topwear," not in row or number % 3 == 0]

    done = night(shared_place, rewritten(first, tmp_path / "third", fewer_tops))
    assert (done.code, done.err) == (0, "")
    assert "labels moved by" in done.out
    assert "topwear" in done.out
    assert len(published(shared_place)) == len(before) + 1
    assert decisions(shared_place)[-1]["train"] is True
