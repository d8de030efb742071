"""From an answer to the decision to train again: serve, ask, log, judge, hold late labels against it, decide."""

import csv
import hashlib
import io
import json
from pathlib import Path

import fashion_client
import pytest
from PIL import Image
from pyarrow import parquet

from components.transform.taxonomy import load_taxonomy
from pipeline.synthetic import write_catalogue
from tests.conftest import Place
from tests.contract.endpoint import ServerProcess
from tests.pipeline.nodes import RECIPE

pytestmark = pytest.mark.slow

SECONDS = 1800


@pytest.fixture(scope="module")
def data(shared_place: Place) -> Path:
    """The catalogue of a shop, on which a model has been trained and published."""
    shared_place.environment()
    recipe = RECIPE.replace("names.yaml", "six_class").replace("{epochs: 8, unfreeze_from: block7}", "null")
    (shared_place.work / "tiny.yaml").write_text(recipe)
    catalogue = shared_place.folder / "shop"
    write_catalogue(catalogue, products=900, seed=5)
    done = shared_place.fashion("run", "--recipe", "tiny.yaml", "--data", catalogue, timeout=SECONDS)
    assert (done.code, done.err) == (0, "")
    return catalogue


def ask(runs: Path, answers: Path, pictures: list[bytes]) -> None:
    """Asks a server that logs, by a real client, and stops it."""
    server = ServerProcess(
        "--model-base", runs / "serving", "--log-answers", answers, "--sample", "1", "--log-pictures"
    )
    with fashion_client.connect(f"grpc://{server.grpc}", "tiny") as client:
        for answer in client.predict_each(pictures):
            assert answer.error is None
    assert server.end() == 0, server.log()


def darker(picture: bytes) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").point(lambda value: value // 2).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def decide(place: Place, data: Path) -> tuple[int, str]:
    done = place.fashion(
        "retrain", "--if-drift", "--only-decide", "--recipe", "tiny.yaml", "--data", data, "--production",
        "runs/monitor", timeout=SECONDS,
    )  # fmt: skip
    return done.code, " ".join(done.out.split())


def test_what_moves_in_production_is_named_counted_and_trained_for(shared_place: Place, data: Path) -> None:
    runs, answers = shared_place.work / "runs", shared_place.work / "answers"
    taxonomy = load_taxonomy("six_class")
    with (data / "styles.csv").open(encoding="utf-8", newline="") as lines:
        known = [row["id"] for row in csv.DictReader(lines) if taxonomy.class_of(row)]  # others would be something new
    files = [data / "images" / f"{product}.jpg" for product in known]
    plain = [file.read_bytes() for file in files if file.exists()]
    plain = [picture for picture in plain if picture.startswith(b"\xff\xd8") and picture.endswith(b"\xff\xd9")]
    ask(runs, answers, plain[:150])
    quiet = shared_place.fashion("monitor", "answers", timeout=SECONDS)
    assert (quiet.code, "nothing moved" in quiet.out) == (0, True), quiet.out + quiet.err
    assert decide(shared_place, data)[0] == 11

    [baseline] = (runs / "baselines").glob("tiny-*.parquet")
    truths = {row["product"]: row["truth"] for row in parquet.read_table(baseline).to_pylist()}
    dark = {darker((data / "images" / f"{product}.jpg").read_bytes()): truth for product, truth in truths.items()}
    ask(runs, answers, [*dark])
    moved = shared_place.fashion("monitor", "answers", timeout=SECONDS)
    assert (moved.code, "pictures are darker" in moved.out) == (12, True), moved.out + moved.err
    assert "pictures are darker" in (runs / "monitor" / "index.html").read_text()

    labels = [f"{hashlib.sha256(picture).hexdigest()[:32]},{truth}" for picture, truth in dark.items()]
    (shared_place.work / "late.csv").write_text("\n".join(["digest,label", *labels, ""]))
    told = shared_place.fashion("feedback", "answers", "late.csv", "--json", "--corrections", "corrections.csv")
    assert (told.code, told.err) == (0, "")
    late = json.loads(told.out)
    assert late["accuracy"]["count"] == len(dark)
    assert late["expected"]["low"] <= 1
    wrong = (shared_place.work / "corrections.csv").read_text().splitlines()[1:]
    assert len(wrong) == round(len(dark) * (1 - late["accuracy"]["value"]))

    code, text = decide(shared_place, data)
    assert (code, "production has moved: another camera or light: pictures are darker" in text) == (0, True), text
