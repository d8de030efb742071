"""Suspects: in which order, why, and as files."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageFilter

from components.audit.evidence import gather
from components.audit.label_studio import CONFIG_FILE, TASKS_FILE, corrections_of, write_tasks
from components.audit.pictures import oddity
from components.audit.suspects import Products, as_csv, contradictions, rank
from components.errors import RecipeError
from components.ingest.corrections import Correction, read_corrections
from pipeline.cli import main
from tests.audit.drawn_audit import CLASSES, drawn_audit
from tests.audit.test_evidence import drawn
from tests.data.faults import draw, encode

NAMES = ("Flats", "Heels", "Röcke", "Shirts")


@pytest.fixture(scope="module")
def products() -> Products:
    _, said, labels, _ = drawn(names=True)
    ids = [f"p{row}" for row in range(len(labels))]
    return Products(ids, said, ["train"] * len(labels), labels, np.arange(len(labels)))


def test_the_surest_come_first_with_what_speaks_against_their_label(products: Products) -> None:
    features, said, labels, wrong = drawn(names=True)
    suspects = rank(products, gather(features, said, labels, 4), NAMES, {})
    assert {suspect.id for suspect in suspects[:24]} == {f"p{row}" for row in wrong}
    for suspect in suspects[:24]:
        row = int(suspect.id[1:])
        assert suspect.label == NAMES[labels[row]]
        assert suspect.suggestion == NAMES[(labels[row] - 1) % 4]
        assert suspect.sure > 0.5
        assert any("its name says “" in reason for reason in suspect.reasons)


def test_what_shows_nothing_comes_first_and_what_a_person_has_kept_not_at_all(products: Products) -> None:
    features, said, labels, wrong = drawn(names=True)
    kept = f"p{wrong[0]}"
    suspects = rank(products, gather(features, said, labels, 4), NAMES, {5: "its picture is blank"}, {kept})
    assert (suspects[0].id, suspects[0].suggestion, suspects[0].reasons) == ("p5", "none", ("its picture is blank",))
    assert kept not in {suspect.id for suspect in suspects}
    assert len({suspect.id for suspect in suspects}) == len(suspects)


def test_twins_with_another_label_are_suspects_however_likely_their_labels_are(products: Products) -> None:
    features, said, labels, wrong = drawn(names=True)
    right = np.setdiff1d(np.arange(len(labels)), wrong)
    one, other = right[labels[right] == 0][0], right[labels[right] == 1][0]
    pictures = np.arange(len(labels))
    pictures[other] = pictures[one]
    twins = Products(products.ids, said, products.splits, labels, pictures)
    suspects = {suspect.id: suspect for suspect in rank(twins, gather(features, said, labels, 4), NAMES, {})}
    assert f"its picture is also that of p{other} (Heels)" in suspects[f"p{one}"].reasons
    assert f"its picture is also that of p{one} (Flats)" in suspects[f"p{other}"].reasons


def test_contradictions_name_the_twins_of_the_other_class() -> None:
    found = contradictions(np.array([0, 1, 0, 2, 2]), np.array([7, 7, 7, 3, 3]))
    assert found == {0: [1], 1: [0, 2], 2: [1]}
    assert contradictions(np.zeros(0, np.int64), np.zeros(0, np.intp)) == {}


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (draw(size=(120, 160), seed=3), ""),
        (Image.new("RGB", (60, 80), (250, 250, 248)), "its picture is blank"),
        (draw(size=(120, 160), seed=3).point(lambda value: value // 8), "its picture is dark"),
        (draw(size=(120, 160), seed=3).filter(ImageFilter.GaussianBlur(24)), "its picture is blurred"),
    ],
    ids=["drawn", "blank", "dark", "blurred"],
)
def test_pictures_that_show_nothing_are_told(picture: Image.Image, said: str) -> None:
    assert oddity(encode(picture)) == said


def test_the_list_opens_in_a_spreadsheet_without_running_anything() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(drawn_audit().suspects))))
    assert lines[-1]["id"] == "'=1+1"
    assert lines[0]["reasons"] == "17 of the 20 pictures most like its own are others"


def test_decisions_of_label_studio_are_corrections(tmp_path: Path) -> None:
    audit = drawn_audit()
    write_tasks(audit, tmp_path)
    tasks = json.loads((tmp_path / TASKS_FILE).read_text(encoding="utf-8"))
    assert all(f'value="{name}"' in (tmp_path / CONFIG_FILE).read_text(encoding="utf-8") for name in CLASSES[:3])
    assert tasks[0]["predictions"][0]["result"][0]["value"] == {"choices": ["Heels"]}

    def annotation(choice: str, when: str, cancelled: bool = False) -> dict[str, object]:
        result = [{**tasks[0]["predictions"][0]["result"][0], "value": {"choices": [choice]}}]
        by = {"id": 1, "email": "ann@shop.example"}
        return {"result": result, "was_cancelled": cancelled, "updated_at": when, "completed_by": by}

    early, late = "2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z"
    tasks[0]["annotations"] = [annotation("Heels", late), annotation("Röcke", early)]
    tasks[1]["annotations"] = [annotation("Flats", late, cancelled=True)]
    tasks[-1]["annotations"] = [annotation("none", late)]
    for task in tasks[2:-1]:
        task["annotations"] = []
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    asked = ["audit", "--from-label-studio", str(tmp_path / "export.json"), "--out", str(tmp_path)]
    assert CliRunner().invoke(main, asked).output == f"{tmp_path / 'corrections.csv'}\n"
    assert read_corrections(tmp_path / "corrections.csv") == [
        Correction("100", "Flats", "Heels", "ann@shop.example", late, "Label Studio"),
        Correction("=1+1", "Flats", "none", "ann@shop.example", late, "Label Studio"),
    ]


@pytest.mark.parametrize("content", ["", "7", '[{"id": 1, "class": "Heels"}]', '[{"annotations": [{"result": 3}]}]'])
def test_another_export_is_refused_with_the_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "export.json").write_text(content)
    with pytest.raises(RecipeError, match="Export the project's tasks as JSON, not as JSON-MIN"):
        corrections_of(tmp_path / "export.json")
