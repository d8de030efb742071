"""Spoiled labels, from the audit that finds them over a person's decisions to a run that is the better for them."""

import csv
import json
from pathlib import Path

import pytest

from components.ingest.corrections import COLUMNS
from components.transform.taxonomy import load_taxonomy
from pipeline.synthetic import write_catalogue
from tests.conftest import Place

pytestmark = pytest.mark.slow

SECONDS = 1200
SPOILED = 20
RECIPE = """
name: mended
labels: {taxonomy: six_class}
split: {train: 70, eval: 10, test: 20}
picture: {size: 96}
validation: {quarantine: 0.05, class_minimum: 5}
model: {backbone: efficientnet_lite0, weights: imagenet}
train:
  head: {epochs: 20, learning_rate: 3.0e-3, views: 1, patience: 20}
  finetune: null
gate: {accuracy: 0.5, recall: 0, regression: 1, class_regression: 1}
"""


def spoiled(data: Path) -> dict[str, str]:
    """Gives every so many products the labels of one of the next class; returns the class that each really has."""
    six, file = load_taxonomy("six_class"), data / "styles.csv"
    header, *rows = file.read_text(encoding="utf-8").splitlines()
    labels: dict[str, list[tuple[int, str]]] = {}
    for number, row in enumerate(rows):
        product, _, _, sub, article, _ = row.split(",", 5)
        name = six.class_of({"subCategory": sub, "articleType": article})
        if name and (data / "images" / f"{product}.jpg").is_file():
            labels.setdefault(name, []).append((number, product))
    truth, classes = {}, list(labels)
    for turn in range(SPOILED):
        name, other = classes[turn % len(classes)], classes[(turn + 1) % len(classes)]
        number, product = labels[name][3 + 4 * (turn // len(classes))]
        mine, theirs = (rows[place].split(",", 5) for place in (number, labels[other][0][0]))
        rows[number] = ",".join([*mine[:2], *theirs[2:5], mine[5]])
        truth[product] = name
    file.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return truth


def test_decisions_about_spoiled_labels_make_a_better_run(place: Place) -> None:
    def done(*arguments: str | Path) -> str:
        ended = place.fashion(*arguments, timeout=SECONDS)
        assert ended.code == 0, ended.out + ended.err
        return ended.out

    place.environment()
    write_catalogue(place.work / "shop", products=600, seed=5)
    truth = spoiled(place.work / "shop")
    (place.work / "mended.yaml").write_text(RECIPE)
    run = ("run", "--recipe", "mended.yaml", "--data", "shop")
    done(*run)
    done("audit", "--out", "audit")

    with (place.work / "audit" / "suspects.csv").open(encoding="utf-8", newline="") as file:
        suspects = {row["id"]: row for row in csv.DictReader(file)}
    found = truth.keys() & suspects.keys()
    assert len(found) >= 0.9 * SPOILED
    assert len(suspects) <= 2 * SPOILED
    # A person takes the right suggestions, and knows better about the others.
    decisions = [
        (product, row["label"], truth.get(product, row["label"]), "ann", "2026-11-25", row["reasons"])
        for product, row in suspects.items()
    ]
    decisions.append(("1", "shoes", "topwear", "ann", "2026-11-25", "of another catalogue"))
    with (place.work / "corrections.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *decisions])

    said = done(*run, "--set", "labels.corrections=corrections.csv")
    assert f"{len(found)} corrections applied" in said
    assert "1 corrections not applied" in said
    second, first = json.loads(done("runs", "--json"))
    assert second["accuracy"] > first["accuracy"]
    facts = json.loads((place.work / "runs" / "reports" / second["run"] / "facts.json").read_text(encoding="utf-8"))
    assert facts["quality"]["uncorrected"]["accuracy"] < second["accuracy"]
    assert facts["data"]["ignored"] == ["1, shoes to topwear, not applied: there is no readable row with this id"]
    # What a person has confirmed is not asked again.
    done("audit", "--out", "again")
    with (place.work / "again" / "suspects.csv").open(encoding="utf-8", newline="") as file:
        assert not suspects.keys() & {row["id"] for row in csv.DictReader(file)} - found
