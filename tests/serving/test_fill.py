"""A table comes back with its empty cells filled, and with nothing else changed."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fashion_client import Prediction, Tag

from components.answers.ask import _columns
from components.answers.inputs import Products
from components.answers.rows import PREDICTION, Format
from components.answers.settings import ModelSettings
from components.batch.fill import fill_table
from components.batch.job import run_batch
from components.errors import AnswerError
from components.ingest.catalogue import open_catalogue
from components.ingest.settings import Labels, Layout
from tests.data.faults import draw, encode, write_good_catalogue

THERE, FALL = ("", "table", ""), ("0.500000", "six/7@ab", "accept")
COLUMNS = {"articleType": "", "gender": "gender_", "season": "season_"}


def answer(row: int, label: str, gender: str, decision: str = "accept") -> dict[str, Any]:
    return {
        "row": row, "model": "six/7@ab", "label": label, "confidence": 0.9, "decision": decision,
        "gender_label": gender, "gender_confidence": 0.7, "gender_decision": decision and "unsure",
        "season_label": "Fall", "season_confidence": "0.5", "season_decision": decision,
    }  # fmt: skip


def filled(folder: Path, table: bytes, answers: Sequence[dict[str, Any]]) -> tuple[list[list[str]], dict[str, int]]:
    (folder / "styles.csv").write_bytes(table)
    (folder / "images").mkdir()
    (folder / "images" / "1.jpg").write_bytes(encode(draw()))
    file = io.BytesIO()
    counts = fill_table(open_catalogue(str(folder), Layout()), answers, COLUMNS, file)
    separator = ";" if b";" in table else ","
    return list(csv.reader(io.StringIO(file.getvalue().decode(), newline=""), delimiter=separator)), counts


def test_empty_cells_are_filled_each_with_confidence_source_and_decision(tmp_path: Path) -> None:
    table = b'id,gender,articleType,note\n1,,Shirts,a\n2,Men,,"b, c"\n3,NA,, d \n'
    answers = [answer(2, "Tops", "Women"), answer(3, "Heels", "Women"), answer(4, "Belts", "Boys", "outside")]
    answers[2]["gender_decision"] = "outside"
    (header, *rows), counts = filled(tmp_path, table, answers)
    assert header == [
        "id", "gender", "articleType", "note", "season",
        *(f"{name}_{what}" for name in COLUMNS for what in ("confidence", "source", "decision")),
    ]  # fmt: skip
    assert rows == [
        ["1", "Women", "Shirts", "a", "Fall", *THERE, "0.700000", "six/7@ab", "unsure", *FALL],
        ["2", "Men", "Heels", "b, c", "Fall", "0.900000", "six/7@ab", "accept", *THERE, *FALL],
        ["3", "NA", "", " d ", "", *3 * ["", "", "outside"]],
    ]  # fmt: skip
    assert counts == {"gender": 1, "articleType": 1, "season": 2}


def test_what_was_there_stays_as_it_was_under_the_shops_own_names_and_separator(tmp_path: Path) -> None:
    table = 'Artikelnummer;Geschlecht;Produktart;Preis\n1; Damen ;"=1+1";"9,90"\n2;;Röcke;\n2;;;5\n'.encode("cp1252")
    (header, *rows), _ = filled(tmp_path, table, [answer(2, "Tops", "Men"), answer(3, "Tops", "Men")])
    assert header[:6] == ["Artikelnummer", "Geschlecht", "Produktart", "Preis", "season", "Produktart_confidence"]
    assert [row[:4] for row in rows] == [
        ["1", " Damen ", "=1+1", "9,90"], ["2", "Men", "Röcke", ""], ["2", "", "", "5"]
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_answers_of_a_batch_fill_it_whatever_their_format(tmp_path: Path, form: str) -> None:
    settings = ModelSettings(labels=Labels(columns={"articleType": {}, "gender": {}, "season": {}}))
    assert settings.answered == COLUMNS
    tags = {"gender": Tag("Men", 0.7, "unsure"), "season": Tag("Fall", 0.5, "accept")}
    good = Prediction("1", "Tops", 0.9, (("Tops", 0.9),), None, "accept", 0.5, ("Tops",), tags)
    read = Format(form, ("row", "id"), (*PREDICTION, *settings.keys))
    answers = [
        {"row": n, "id": str(n), "model": "six/7@ab", **_columns(given), "reason": given.error, "error": given.error}
        for n, given in ((2, good), (3, Prediction("2", error="no picture")))
    ]
    with (tmp_path / "answers").open("wb") as file:
        read.write(file, answers)
    table = b"id,gender,articleType\n1,,\n2,,\n"
    (_, first, second), _ = filled(tmp_path, table, list(read.read(tmp_path / "answers")))
    assert first == [
        "1",
        "Men",
        "Tops",
        "Fall",
        "0.900000",
        "six/7@ab",
        "accept",
        "0.700000",
        "six/7@ab",
        "unsure",
        *FALL,
    ]
    assert second == ["2", *[""] * 12]


def test_a_model_that_answers_no_column_fills_nothing_and_is_refused(tmp_path: Path) -> None:
    write_good_catalogue(tmp_path / "shop", 3)
    (tmp_path / "model").mkdir()
    with pytest.raises(AnswerError, match="have no column in common"):
        run_batch(Products(tmp_path / "shop"), tmp_path / "model", tmp_path / "out", "csv", [], fill=tmp_path / "f.csv")


@pytest.mark.parametrize("row", ["1,Men", "1,Men,Shirts,a,b"])
def test_a_row_that_cannot_be_read_stays_as_it_is(tmp_path: Path, row: str) -> None:
    table = f"id,gender,articleType,note\n{row}\n2,,Tops,x\n".encode()
    fault = {"row": 2, "label": None, "reason": "bad row"}
    (_, first, second), _ = filled(tmp_path, table, [fault, answer(3, "Tops", "Men")])
    assert first[: len(row.split(","))] == row.split(",")
    assert second[:4] == ["2", "Men", "Tops", "x"]


def test_a_product_with_its_name_is_one_example_in_a_format_that_the_model_reads(tmp_path: Path) -> None:
    import tensorflow as tf

    write_good_catalogue(tmp_path, 2)
    plain = Products(tmp_path)
    [row, *_] = plain
    example = tf.train.Example.FromString(plain.with_names().read(row.item)).features.feature
    assert example["image_bytes"].bytes_list.value == [plain.read(row.item)]
    assert example["productDisplayName"].bytes_list.value == [row.item.fields["productDisplayName"].encode()]
    assert plain.digest() == plain.with_names().digest()
