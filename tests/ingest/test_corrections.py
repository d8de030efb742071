"""Decisions about single labels: read, applied to rows, and listed where they no longer fit."""

from pathlib import Path

import pytest

from components.errors import RecipeError
from components.ingest.corrections import (
    APPLIED,
    KEPT,
    LEFT_OUT,
    Correction,
    Corrections,
    read_corrections,
    settle,
)
from components.ingest.faults import Fault, Reason
from components.ingest.table import Row
from components.transform.taxonomy import Taxonomy, load_taxonomy
from pipeline.experiment import check_experiment
from pipeline.kubeflow.packing import pack, unpack
from pipeline.recipe import load_recipe

TYPES = Taxonomy(
    name="articleType", classes=("Flats", "Heels"), column="articleType",
    values={"Flats": "Flats", "Heels": "Heels", "High Heels": "Heels"},
)  # fmt: skip
ROWS = [
    Row(1, "1", {"articleType": "Flats", "gender": "Women"}, 2012, ()),
    Row(2, "2", {"articleType": "High Heels"}, None, ()),
    Row(3, "3", {"articleType": "Heels"}, None, ()),
    Row(4, "4", {"articleType": "Heels"}, None, ()),
    Row(5, "5", {"articleType": "Watches"}, None, ()),
    Fault(6, "6", Reason.BAD_ROW, "has 3 values"),
]


def outcome_of(corrections: Corrections) -> list[str]:
    return [outcome for _, outcome in corrections.outcomes]


def fields_of(corrections: Corrections) -> dict[str, dict[str, str]]:
    return {row.id: row.fields for row in corrections.apply(ROWS) if isinstance(row, Row)}


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [
        (Correction("1", "Flats", "Heels"), APPLIED),
        (Correction("5", "none", "Flats"), APPLIED),
        (Correction("1", "Flats", "none"), LEFT_OUT),
        (Correction("1", "Flats", "Flats"), KEPT),
        (Correction("1", "Heels", "Flats"), "not applied: the product is Flats by now, not Heels"),
        (Correction("9", "Heels", "Flats"), "not applied: there is no readable row with this id"),
        (Correction("6", "Heels", "Flats"), "not applied: there is no readable row with this id"),
        (
            Correction("1", "Flats", "Heel"),
            "not applied: there is no class 'Heel'; did you mean 'Heels'? known: Flats, Heels, none",
        ),
    ],
    ids=lambda value: "-".join((value.id, value.old, value.new)) if isinstance(value, Correction) else "",
)
def test_a_decision_is_applied_or_it_is_said_why_not(decision: Correction, outcome: str) -> None:
    assert outcome_of(settle([decision], ROWS, TYPES)) == [outcome]


def test_a_corrected_row_has_the_most_frequent_value_of_its_new_class_and_keeps_the_rest() -> None:
    rows = fields_of(settle([Correction("1", "Flats", "Heels")], ROWS, TYPES))
    assert rows["1"] == {"articleType": "Heels", "gender": "Women"}
    assert rows["2"] == {"articleType": "High Heels"}


def test_what_shows_no_product_is_left_out_and_faults_stay() -> None:
    corrections = settle([Correction("3", "Heels", "none")], ROWS, TYPES)
    assert [row.id for row in corrections.apply(ROWS)] == ["1", "2", "4", "5", "6"]
    assert corrections.counts() == {LEFT_OUT: 1}


def test_a_later_decision_finds_what_an_earlier_one_made() -> None:
    decisions = [Correction("1", "Flats", "Heels"), Correction("1", "Heels", "Flats"), Correction("1", "Heels", "none")]
    corrections = settle(decisions, ROWS, TYPES)
    assert outcome_of(corrections) == [APPLIED, APPLIED, "not applied: the product is Flats by now, not Heels"]
    assert fields_of(corrections)["1"]["articleType"] == "Flats"


def test_the_order_of_the_table_does_not_matter() -> None:
    decisions = [Correction("1", "Flats", "Heels")]
    assert settle(decisions, ROWS[::-1], TYPES).changes == settle(decisions, ROWS, TYPES).changes


def test_rules_are_met_by_what_other_products_of_the_class_have_and_a_name_that_decides_is_not_changed() -> None:
    six = load_taxonomy("six_class")
    rows = [
        Row(1, "shirt", {"subCategory": "Topwear", "articleType": "Shirts"}, None, ()),
        Row(2, "shoe", {"subCategory": "Shoes", "articleType": "Casual Shoes"}, None, ()),
        Row(3, "scent", {"productDisplayName": "Eau de Toilette"}, None, ()),
    ]
    corrections = settle(
        [Correction("shirt", "topwear", "shoes"), Correction("scent", "fragrances", "eyewear")], rows, six
    )
    shirt = next(row for row in corrections.apply(rows) if row.id == "shirt")
    assert isinstance(shirt, Row)
    assert six.class_of(shirt.fields) == "shoes"
    assert outcome_of(corrections)[0] == APPLIED
    assert outcome_of(corrections)[1].startswith("not applied: its name decides its class")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,old\n1,Flats\n", "has no column 'new'. The columns are id, old, new, by, when, reason"),
        (b"id,old,new\n1,Flats,Heels\n2,,Heels\n", "line 3: old is empty. Write none for no class"),
        (b"id,old,new\n1,R\xf6cke,Heels\n", "cannot be read as CSV in UTF-8"),
        (b'id,old,new\n"1,Flats,Heels\n', "cannot be read as CSV in UTF-8"),
    ],
    ids=["column", "value", "encoding", "quotes"],
)
def test_a_file_that_is_no_list_of_decisions_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "corrections.csv"
    file.write_bytes(content)
    with pytest.raises(RecipeError) as refused:
        read_corrections(file)
    assert f"labels.corrections {file}" in str(refused.value)
    assert said in str(refused.value)


def test_the_list_of_outcomes_is_a_file_of_decisions_again(tmp_path: Path) -> None:
    decisions = [
        Correction("=1+1", "Flats", "Heels", "-ann", "2026-11-25", "heel, 7 cm"),
        Correction("1", "Flats", "none"),
    ]
    file = tmp_path / "corrections.csv"
    file.write_text(settle(decisions, ROWS, TYPES).as_csv(), encoding="utf-8")
    assert read_corrections(file) == decisions


def test_a_recipe_names_the_file_beside_it_and_a_package_takes_it_along(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("labels: {column: articleType, corrections: mine.csv}")
    (tmp_path / "mine.csv").write_text("id,old,new\n1,Flats,Heels\n")
    recipe = load_recipe(str(tmp_path / "recipe.yaml"))
    assert recipe.labels.corrections == str(tmp_path / "mine.csv")
    kept = unpack(pack(recipe), tmp_path / "kept").labels.corrections
    assert read_corrections(Path(str(kept))) == [Correction("1", "Flats", "Heels")]


def test_a_missing_file_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"labels\.corrections .*gone\.csv"):
        check_experiment(load_recipe("quickstart", [f"labels.corrections={tmp_path}/gone.csv"]))
