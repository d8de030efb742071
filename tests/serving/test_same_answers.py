"""The same catalogue has the same answers from batch, predict, REST and gRPC, whatever the formats of its pictures."""

import csv
import json
from pathlib import Path

import fashion_client
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import features

from pipeline.cli import main
from serving.local_model import LocalModel
from tests.contract.endpoint import ServerProcess
from tests.data.faults import draw, encode, good_rows, write_catalogue
from tests.serving.serving_model import LABELS, SIZE, write_model

pytestmark = pytest.mark.slow

FORMS = ("JPEG", "PNG", "WEBP", *(["AVIF"] if features.check("avif") else []))
NAMES = ("Röcke", "Apparel > Tops, Tees", "连衣裙", "Women's (Plus)", "أحذية", "👗 Dresses")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two products for each format, larger than what ingest keeps, and a model whose classes have any names."""
    folder = tmp_path_factory.mktemp("shop")
    write_catalogue(folder / "shop", good_rows(2 * len(FORMS)), {})
    for number in range(2 * len(FORMS)):
        form = FORMS[number % len(FORMS)]
        picture = draw(size=(600, 800), seed=number)
        (folder / "shop" / "images" / f"{1000 + number}.{form.lower()}").write_bytes(encode(picture, form))
    assert len(NAMES) == len(LABELS)
    write_model(folder / "models" / "tiny" / "7", labels=NAMES, decides=True)
    return folder


def command(*arguments: object) -> None:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def read(file: Path) -> dict[str, tuple[str, str, str]]:
    """Product to label, decision and label set."""
    with file.open(encoding="utf-8", newline="") as lines:
        return {row["id"]: (row["label"], row["decision"], row["label_set"]) for row in csv.DictReader(lines)}


def numbers(file: Path) -> dict[str, tuple[float, float]]:
    """Product to confidence, and how foreign it is, which here is its brightness."""
    with file.open(encoding="utf-8", newline="") as lines:
        return {row["id"]: (float(row["confidence"]), float(row["outside"]) / 255) for row in csv.DictReader(lines)}


def test_batch_predict_and_rest_answer_alike_for_every_format(shop: Path) -> None:
    data, model = shop / "shop", shop / "models" / "tiny" / "7"
    command("predict", "--data", data, "--model", model, "--out", shop / "predicted.csv")
    command("batch", "--data", data, "--model", model, "--out", shop / "batch")
    predicted = read(shop / "predicted.csv")
    assert len(predicted) == 2 * len(FORMS)
    assert {label for label, *_ in predicted.values()} <= set(NAMES)
    scores = numbers(shop / "predicted.csv")
    assert len(set(scores.values())) > len(FORMS), "the model tells the pictures apart"
    [file] = (shop / "batch").glob("*.csv")
    assert read(file) == predicted
    assert numbers(file) == scores

    server = ServerProcess("--model-path", shop / "models" / "tiny", "--model-name", "tiny")
    paths, maps = sorted((data / "images").iterdir()), list[np.ndarray]()
    try:
        for address in (server.rest, f"grpc://{server.grpc}"):
            with fashion_client.connect(address, "tiny") as client:
                answers, explained = client.predict(paths), client.explain(paths)
            asked = {path.stem: each for path, each in zip(paths, answers, strict=True)}
            assert predicted == {
                name: (each.label, each.decision, " | ".join(each.label_set)) for name, each in asked.items()
            }
            for name, pair in scores.items():
                assert (asked[name].confidence, asked[name].outside / 255) == pytest.approx(pair, abs=1e-5)
            for why, plain in zip(explained, answers, strict=True):
                assert (why.source, why.label, why.decision) == (plain.source, plain.label, plain.decision)
            maps.append(np.array([each.explanation for each in explained]))
    finally:
        server.end()
    with LocalModel(model) as own:
        maps.append(np.array([each.explanation for each in own.explain(paths)]))
    assert maps[0].shape == (len(paths), SIZE, SIZE)
    assert np.ptp(maps[0], axis=(1, 2)).min() > 0
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=1e-4)


def test_every_file_of_answers_holds_the_names_of_the_classes_as_they_are(shop: Path) -> None:
    for form in ("csv", "jsonl", "parquet"):
        out = shop / f"as_{form}"
        command(
            "batch", "--data", shop / "shop", "--model", shop / "models" / "tiny" / "7", "--out", out, "--format", form
        )
        [file] = out.glob(f"predictions-*.{form}")
        if form == "csv":
            with file.open(encoding="utf-8", newline="") as lines:
                found = [
                    [row["label"], *(row[f"label_{place}"] for place in range(2, 6))] for row in csv.DictReader(lines)
                ]
        elif form == "jsonl":
            rows = map(json.loads, file.read_text(encoding="utf-8").split("\n")[:-1])
            found = [[each["label"] for each in row["top"]] for row in rows]
        else:
            from pyarrow import parquet

            found = [[each["label"] for each in row["top"]] for row in parquet.read_table(file).to_pylist()]
        assert len(found) == 2 * len(FORMS)
        assert {name for names in found for name in names} <= set(NAMES)
        assert all(len(set(names)) == 5 for names in found)
