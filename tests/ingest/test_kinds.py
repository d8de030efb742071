"""Tables as shops, spreadsheets and programs write them: each says the same, and is read so."""

# ruff: noqa: E501 - a kind is a line

import csv
import datetime
import io
from collections import Counter
from collections.abc import Callable, Sequence

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import CatalogueError
from components.features import COLUMNS
from components.ingest.faults import TOTAL_ROWS, VARIANT_ROWS, Fault
from components.ingest.formats import open_tables
from components.ingest.table import Row, read_rows
from tests.data.tables import Tables

NEEDED = ("articleType",)
TYPES = ("Röcke", "Casual Shoes", "T-Shirts & Tops", "Mäntel", "Socken")
NAMES = ("Rock, blau, lang", 'Schuh 3.5" breit', "Shirt „Sonne“ – café", "Mantel; warm", "Socken\tdreifach")
ROWS = [
    {
        "id": str(10003 + 7 * n), "gender": "Women", "masterCategory": "Apparel", "subCategory": "Bottomwear",
        "articleType": TYPES[n % 5], "baseColour": "Weiß", "season": "Summer", "year": str(2010 + n % 4), "usage": "Casual",
        "productDisplayName": f"{NAMES[n % 5]} {n}",
    }
    for n in range(20)
]  # fmt: skip
PLAIN = [row | {"productDisplayName": f"Socken {number}"} for number, row in enumerate(ROWS)]


def written(
    rows: Sequence[dict[str, str]] = ROWS,
    separator: str = ",",
    end: str = "\n",
    header: Callable[[str], str] = str,
    quoting: int = csv.QUOTE_MINIMAL,
) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerow(map(header, rows[0]))
    writer.writerows(row.values() for row in rows)
    return text.getvalue()


def with_ids(shape: Callable[[str], str]) -> str:
    return written([row | {"id": shape(row["id"])} for row in ROWS])


def renamed(names: dict[str, str], **also: str) -> str:
    """The table with only these columns, under other names."""
    return written([{names[role]: row[role] for role in names} | also for row in ROWS])


def spaced(name: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter for letter in name).title()


def snake(name: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in name).lower()


def mixed_ends(text: str) -> str:
    ends = ("\n", "\r\n", "\n", "\r\n", "\r")
    return "".join(line + ends[number % 5] for number, line in enumerate(text.splitlines()))


KINDS: dict[str, bytes] = {
    "commas": written().encode(),
    "semicolons": written(separator=";").encode(),
    "tabs": written(separator="\t").encode(),
    "bars": written(separator="|").encode(),
    "carriage returns and line feeds": written(end="\r\n").encode(),
    "carriage returns alone": written(end="\r").encode(),
    "carriage returns alone, text of two lines": written(end="\r").replace("Mantel; warm", '"Mantel; warm"').encode(),
    "mixed line ends": mixed_ends(written(PLAIN)).encode(),
    "a separator line": b"sep=;\r\n" + written(separator=";", end="\r\n").encode(),
    "a separator line in quotes after a mark": "\ufeff\"sep=,\"\r\n".encode() + written(end="\r\n").encode(),
    "a byte order mark": written().encode("utf-8-sig"),
    "a byte order mark and quotes around everything": written(quoting=csv.QUOTE_ALL).encode("utf-8-sig"),
    "UTF-16 with a mark": written(separator="\t", end="\r\n").encode("utf-16"),
    "UTF-16, big-endian, with a mark": b"\xfe\xff" + written(separator="\t").encode("utf-16-be"),
    "UTF-16 without a mark": written(separator="\t").encode("utf-16-le"),
    "UTF-16, big-endian, without a mark": written(separator=";").encode("utf-16-be"),
    "Windows-1252": written(separator=";", end="\r\n").encode("cp1252"),
    "Mac Roman": written(separator=";", end="\r").encode("mac_roman"),
    "DOS": written([row | {"productDisplayName": "x"} for row in ROWS], ";", "\r\n").encode("cp850"),
    "capitals": written(header=str.upper).encode(),
    "spaces in the names of columns": written(header=spaced).encode(),
    "underscores": written(header=snake).encode(),
    "blanks around the names of columns": written(header=lambda name: f"\u00a0{name} ").encode(),
    "decimals": with_ids(lambda text: f"{text}.0").encode(),
    "decimal commas": written([row | {"id": row["id"] + ",0", "year": row["year"] + ",0"} for row in ROWS], ";").encode(),
    "groups of digits": with_ids(lambda text: f"{text[:-3]}.{text[-3:]}").encode(),
    "groups of digits, with commas": with_ids(lambda text: f"{text[:-3]},{text[-3:]}").encode(),
    "formulas": with_ids(lambda text: f'="{text}"').encode(),
    "apostrophes": with_ids(lambda text: f"'{text}").encode(),
    "file names": with_ids(lambda text: f"{text}.JPG").encode(),
    "paths": with_ids(lambda text: f"Bilder\\Damen\\{text}.jpeg").encode(),
    "blanks around ids": with_ids(lambda text: f"\u00a0{text}\u200b ").encode(),
    "dates for years": written([row | {"year": f"{row['year']}-03-01"} for row in ROWS]).encode(),
    "German dates for years": written([row | {"year": f"01.03.{row['year']}"} for row in ROWS]).encode(),
    "composed accents apart": written().replace("ö", "o\u0308").replace("ä", "a\u0308").encode(),
    "unbreakable blanks": written().replace("Casual Shoes", "Casual\u00a0Shoes").encode(),
    "blank lines before": b"\n\n" + written().encode(),
    "a title before": b"Unser Katalog vom 01.03.2024\n\n" + written().encode(),
    "a title with separators before": b"Katalog;;;;;;;;;\r\nStand;01.03.;;;;;;;;\r\n" + written(separator=";").encode(),
    "separators at the end of rows": written().replace("\n", ",,\n").encode(),
    "separators at the end of rows, not of the header": written().replace("\n", ",\n").replace(",\n", "\n", 1).encode(),
    "Excel's empty rows": written(separator=";").encode() + b";;;;;;;;;\r\n" * 500,
    "a total": written(separator=";").encode() + b"Summe;;;;;;;20;;\n",
    "a total in the last column": written(separator=";").encode() + b";;;;;;;;;Gesamtsumme: \n",
    "a number and a total": written(separator=";").encode() + b"Total:;20\n",
    "three thousand columns": written([row | {f"x{n}": "" for n in range(3000)} for row in ROWS]).encode(),
    "one bad line": written([*ROWS[:-1], ROWS[-1] | {"baseColour": "@"}]).encode().replace(b"@", "Weiß".encode("cp1252")),
    "rows of variants": written([row | more for row in ROWS for more in ({}, *[dict.fromkeys(COLUMNS[1:], "")] * 3)]).encode(),
    "Shopify": renamed({"id": "Handle", "productDisplayName": "Title", "articleType": "Type"}, Vendor="x").encode(),
    "Shopify's newer names": renamed(
        {"id": "Handle", "articleType": "Type", "baseColour": "Color (product.metafields.shopify.color-pattern)",
         "gender": "Google Shopping / Gender"}, **{"Product Category": "Apparel", "Variant SKU": "9"},
    ).encode(),
    "WooCommerce": renamed({"id": "ID", "productDisplayName": "Name", "articleType": "Categories"}, Type="simple").encode(),
    "Google": renamed({"id": "g:id", "productDisplayName": "g:title", "articleType": "g:product_type"}).encode(),
    "H&M": renamed({"id": "article_id", "productDisplayName": "prod_name", "articleType": "product_type_name"}).encode(),
    "German": renamed({"id": "Artikelnummer", "productDisplayName": "Bezeichnung", "articleType": "Kategorie"}).encode(),
    "French": renamed({"id": "Référence", "productDisplayName": "Nom", "articleType": "Catégorie"}).encode(),
    "pictures and labels only": written([{"image": f"{row['id']}.png", "label": row["articleType"]} for row in ROWS]).encode(),
}  # fmt: skip


def products(source: Tables, **counted: int) -> list[Row]:
    passed = Counter[str]()
    rows = list(read_rows(source, NEEDED, passed=passed))
    assert [row for row in rows if isinstance(row, Fault)] == []
    assert passed == counted
    return [row for row in rows if isinstance(row, Row)]


def check(rows: Sequence[Row], expected: Sequence[dict[str, str]] = ROWS) -> None:
    assert [(row.id, row.fields["articleType"]) for row in rows] == [
        (row["id"], row["articleType"]) for row in expected
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_gives_the_same_ids_and_labels(kind):
    counted = {TOTAL_ROWS: 1} if "total" in kind else {VARIANT_ROWS: 60} if "variants" in kind else {}
    rows = products(Tables(KINDS[kind]), **counted)
    check(rows)
    if "year" in open_tables(Tables(KINDS[kind]), NEEDED)[0].columns:
        assert [row.year for row in rows] == [2010 + n % 4 for n in range(20)]
    if "baseColour" in rows[0].fields:
        assert {row.fields["baseColour"] for row in rows} == {"Weiß"}


def workbook(*sheets: tuple[str, list[list[object]]]) -> bytes:
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(content)
    return content.getvalue()


def typed() -> list[list[object]]:
    """The products as spreadsheets hold them: ids as numbers, years as dates."""
    changed = [row | {"id": int(row["id"]), "year": datetime.datetime(int(row["year"]), 3, 1)} for row in ROWS]
    return [list(ROWS[0]), *(list(row.values()) for row in changed)]


def test_a_workbook_is_read_from_the_sheet_that_has_the_columns_below_its_title():
    about, empty = ("About", [["Our shop"], ["Name", "Shop"]]), [[None] * 10] * 3
    content = workbook(about, ("Products", [["Catalogue of March"], [], *typed(), *empty]))
    rows = products(Tables(content, names=["products.xlsx"]))
    check(rows)
    assert [row.year for row in rows] == [2010 + n % 4 for n in range(20)]
    assert rows[0].place == "products.xlsx, sheet Products, row 4"


def test_numbers_that_a_workbook_shows_with_leading_zeros_keep_them():
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["id", "articleType"])
    book.active.append([12, "Röcke"])
    book.active["A2"].number_format = "0000"
    book.save(content)
    assert [row.id for row in products(Tables(content.getvalue(), names=["a.xlsx"]))] == ["0012"]


@pytest.mark.parametrize("kind", ["text", "whole numbers", "decimals"])
def test_parquet_is_read_as_text_would_be(kind):
    shape = {"text": str, "whole numbers": int, "decimals": float}[kind]
    table = pa.table(
        {
            "id": [shape(row["id"]) for row in ROWS],
            "articleType": pa.array([row["articleType"] for row in ROWS]).dictionary_encode(),
            "year": [int(row["year"]) for row in ROWS],
            "image": [{"bytes": b"..."}] * 20,
        }
    )
    content = io.BytesIO()
    pq.write_table(table, content)
    rows = products(Tables(content.getvalue(), names=["products.parquet"]))
    check(rows)
    assert rows[1].year == 2011


def test_tables_with_one_header_are_parts_and_their_rows_name_the_file():
    rows = products(Tables(written(ROWS[:8]).encode(), written(ROWS[8:], end="\r\n").encode()))
    check(rows)
    assert (rows[7].place, rows[8].place) == ("styles.csv, row 9", "part-2.csv, row 2")


def test_two_tables_of_products_with_different_columns_are_refused():
    other = renamed({"id": "sku", "articleType": "type"}).encode()
    with pytest.raises(CatalogueError, match=r"styles\.csv and part-2\.csv are both .*catalogue\.table"):
        products(Tables(written().encode(), other))
