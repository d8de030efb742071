"""The tables in ../shared/cases, as real shops send them: each of the same 60 products."""

import csv
from collections import Counter
from collections.abc import Mapping

import pytest

from components.ingest.faults import VARIANT_ROWS, Fault, Reason
from components.ingest.table import Row, read_rows
from tests import HOUSE
from tests.data.tables import Tables

CASES = HOUSE.parent / "shared" / "cases" / "tables"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is not there")

# What the first product says; and of each table that says something else, what.
FIRST = {
    "gender": "Women", "masterCategory": "Apparel", "subCategory": "Innerwear", "articleType": "Briefs",
    "baseColour": "White", "season": "Summer", "usage": "Casual",
    "productDisplayName": "Harlune Women Signature White Briefs",
}  # fmt: skip
CHANGES: Mapping[str, Mapping[str, str | None]] = {
    "cp1252": {"productDisplayName": "Harlune Women Signature White Briefs – café"},
    "google_taxonomy": {"articleType": "Apparel & Accessories > Clothing > Briefs"},
    "only_id_and_type": dict.fromkeys(set(FIRST) - {"articleType"}),
    "other_shop_vocabulary": {"gender": "female", "masterCategory": "Mode", "season": "FS25", "usage": "Alltag"},
    "pandas_nan": {"subCategory": None, "articleType": None},
}
YEARS = {"only_id_and_type": None, "other_shop_vocabulary": 2025}
LABELS = {
    "german_labels": "Casual Schuhe für Kinder",
    "google_taxonomy": "Apparel & Accessories > Clothing > Casual Shoes",
}
WITHOUT_LABEL = {"pandas_nan"}
FAULTS = {"comma_in_colour": 2, "comma_in_subcategory": 2}
NAMES = [path.stem for path in sorted(CASES.glob("*.csv"))]


def truth() -> dict[str, str]:
    """Id to article type, read from a table that every program reads."""
    with open(CASES / "only_id_and_type.csv", newline="", encoding="utf-8") as file:
        return {row["id"]: row["articleType"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", NAMES)
def test_every_shops_table_gives_the_same_sixty_products(name):
    passed = Counter[str]()
    rows = list(read_rows(Tables((CASES / f"{name}.csv").read_bytes()), ["articleType"], passed=passed))
    prefix = "SKU-" if name == "sku_ids" else ""
    assert [row.id for row in rows] == [prefix + product for product in truth()]
    assert passed == ({VARIANT_ROWS: 180} if name == "shopify_variant_rows" else {})
    faults = [row for row in rows if isinstance(row, Fault)]
    assert [row.reason for row in faults] == [Reason.BAD_ROW] * FAULTS.get(name, 0)
    first, _, third = rows[:3]
    assert isinstance(first, Row)
    assert isinstance(third, Row)
    assert first.fields == {column: value for column, value in {**FIRST, **CHANGES.get(name, {})}.items() if value}
    assert (first.number, first.year, first.repaired) == (2, YEARS.get(name, 2012), ())
    assert first.picture == ("10003.jpg" if name == "file_names_as_ids" else None)
    assert third.fields["articleType"] == LABELS.get(name, "Casual Shoes")


@pytest.mark.parametrize("name", sorted({*NAMES} - {*LABELS, *WITHOUT_LABEL}))
def test_every_shops_labels_are_those_that_were_written(name):
    rows = read_rows(Tables((CASES / f"{name}.csv").read_bytes()), ["articleType"])
    labels = {row.id.removeprefix("SKU-"): row.fields["articleType"] for row in rows if isinstance(row, Row)}
    assert labels == {product: label for product, label in truth().items() if product in labels}
    assert len(labels) == 60 - FAULTS.get(name, 0)


def test_no_word_for_a_missing_value_becomes_a_class():
    rows = list(read_rows(Tables((CASES / "pandas_nan.csv").read_bytes()), ["articleType"]))
    labels = {row.fields.get("articleType") for row in rows}
    assert None in labels
    assert labels - {None} <= set(truth().values())


def test_umlauts_in_windows_1252_are_the_letters_they_were():
    rows = read_rows(Tables((CASES / "cp1252.csv").read_bytes()), ["articleType"])
    assert "Schuhe für Röcke" in {row.fields["subCategory"] for row in rows}
