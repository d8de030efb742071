"""Shops unlike Kaggle's, from their export to answers: inspected, drafted, trained, published and asked."""

import csv
import re
from pathlib import Path

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.slow

SECONDS = 600
PRODUCTS = 400


@pytest.mark.parametrize(
    ("shape", "table", "separator", "encoding", "key", "label", "classes"),
    [
        ("german", "products.csv", ";", "cp1252", "Artikelnummer", "Kategorie", 7),
        ("shopify", "products_export.csv", ",", "utf-8", "Handle", "Type", 6),
    ],
)
def test_a_shops_export_becomes_a_model_that_answers_by_the_shops_own_ids(
    place: Place, shape, table, separator, encoding, key, label, classes
):
    def done(*arguments: str | Path) -> str:
        ended = place.fashion(*arguments, timeout=SECONDS)
        assert ended.code == 0, ended.out + ended.err
        return ended.out

    done("catalogue", "--shape", shape, "--products", PRODUCTS, "--seed", 3, "--out", "shop")
    assert "mine/recipe.yaml" in done("inspect", "shop", "--draft", "mine")
    assert re.search("published|serves", done("run", "--recipe", "mine/recipe.yaml", "--data", "shop"))
    done("batch", "--data", "shop", "--model", "runs/serving/shop", "--out", "answers")

    asked = place.fashion(
        "predict", "--data", "shop", "--model", "runs/serving/shop", "--out", "predicted.csv", timeout=SECONDS
    )
    assert asked.code == 1, asked.err  # three pictures are missing, cut or empty

    with (place.work / "shop" / table).open(encoding=encoding, newline="") as file:
        products = {row[key]: row[label] for row in csv.DictReader(file, delimiter=separator) if row[label]}
    answers = labels_in(*(place.work / "answers").glob("*.csv"))
    assert answers == labels_in(place.work / "predicted.csv")
    assert answers.keys() == products.keys()
    learnt = set(answers.values()) - {""}
    assert len(learnt) == classes
    assert learnt <= set(products.values())
    known = [product for product, value in products.items() if value in learnt]
    right = sum(answers[product] == products[product] for product in known)
    assert right > 0.9 * len(known)


def labels_in(*files: Path) -> dict[str, str]:
    """Product to label, of files of answers."""
    answers: dict[str, str] = {}
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            answers |= {row["id"]: row["label"] for row in csv.DictReader(file)}
    return answers
