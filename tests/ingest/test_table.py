"""Reading styles.csv as it really is."""

import random
import time

import pytest

from components.errors import CatalogueError
from components.ingest.faults import Fault, Reason, Repair
from components.ingest.table import Row, read_rows
from tests.data.faults import HEADER, good_rows
from tests.data.tables import Tables

NEEDED = ("subCategory", "articleType")
LABELS = "Men,Apparel,Topwear,Tshirts,Blue,Summer,2012,Casual"


def read(*lines: str, header: str = HEADER, newline: str = "\n") -> list[Row | Fault]:
    content = "".join(line + newline for line in (header, *lines)).encode("utf-8", "surrogateescape")
    return list(read_rows(Tables(content), NEEDED))


def read_one(line: str, header: str = HEADER) -> Row:
    (row,) = read(line, header=header)
    assert isinstance(row, Row)
    return row


def test_a_row_keeps_its_values_under_their_columns():
    row = read_one(f"15970,{LABELS},Blue Shirt")
    assert (row.number, row.id, row.year, row.repaired) == (2, "15970", 2012, ())
    assert row.fields == {
        "gender": "Men",
        "masterCategory": "Apparel",
        "subCategory": "Topwear",
        "articleType": "Tshirts",
        "baseColour": "Blue",
        "season": "Summer",
        "usage": "Casual",
        "productDisplayName": "Blue Shirt",
    }


def test_columns_are_found_by_name_in_any_order_and_only_needed_ones_must_be_there():
    row = read_one("Tshirts,7,x,Topwear", header=" articleType ,id,colourCode,subCategory")
    assert row.id == "7"
    assert row.fields == {"articleType": "Tshirts", "subCategory": "Topwear"}


@pytest.mark.parametrize(
    ("name", "kept", "repaired"),
    [
        ("Shirt, blue, large", "Shirt, blue, large", (Repair.COMMAS,)),
        ('"Shirt, blue"', "Shirt, blue", ()),
        ('"Shirt ""XL"""', 'Shirt "XL"', ()),
        ('Tempo 3.5" Short', 'Tempo 3.5" Short', ()),
        ('"Two\nlines"', "Two\nlines", ()),
        ('"Shirt', '"Shirt', (Repair.QUOTES,)),
        ('"Nike", the shirt', "Nike, the shirt", (Repair.COMMAS,)),
        ('"Nike" shirt, red', '"Nike" shirt, red', (Repair.QUOTES, Repair.COMMAS)),
        ("Caf\udce9", "Café", ()),
        ("Tee shirt  ", "Tee shirt", ()),
        ("NA", None, ()),
        ("", None, ()),
    ],
)
def test_the_product_name_is_read_whatever_it_holds(name, kept, repaired):
    row = read_one(f"7,{LABELS},{name}")
    assert row.fields.get("productDisplayName") == kept
    assert row.repaired == repaired


@pytest.mark.parametrize(
    ("text", "year", "repaired"),
    [
        ("2012", 2012, ()),
        ("2012.0", 2012, ()),
        ("", None, ()),
        ("NA", None, ()),
        ("soon", None, (Repair.YEAR,)),
        ("99999999999999999999", None, (Repair.YEAR,)),
        ("²⁰¹²", None, (Repair.YEAR,)),
    ],
)
def test_a_year_that_is_no_number_is_missing_and_counted(text, year, repaired):
    row = read_one(f"7,Men,Apparel,Topwear,Tshirts,Blue,Summer,{text},Casual,Shirt")
    assert (row.year, row.repaired) == (year, repaired)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_byte_order_mark_line_ends_and_blank_lines_do_not_matter(newline, bom):
    rows = read(f"1,{LABELS},A", "", f"2,{LABELS},B", ",,,,,,,,,", header=bom + HEADER, newline=newline)
    assert [(row.number, row.id, row.fields["productDisplayName"]) for row in rows] == [(2, "1", "A"), (4, "2", "B")]


def test_a_last_line_without_an_end_is_read():
    assert [row.id for row in read_rows(Tables(f"{HEADER}\n1,{LABELS},A".encode()), NEEDED)] == ["1"]


def test_a_stray_quotation_mark_swallows_no_other_row():
    rows = read(f'1,{LABELS},"A', *(f'{n},{LABELS},"B{n}"' for n in range(2, 40)))
    assert [row.id for row in rows] == [str(n) for n in range(1, 40)]


@pytest.mark.parametrize("apart", [1, 2, 18, 19, 40, 400])
@pytest.mark.parametrize(("first", "last"), [('"A', 'B"'), ('"A', 'Tempo 3.5", blue'), ('"A, B', '"')])
def test_two_stray_quotation_marks_swallow_no_rows_and_move_no_row_numbers(apart, first, last):
    lines = [f"{n},{LABELS},Name {n}" for n in range(500)]
    lines[5], lines[5 + apart] = f"5,{LABELS},{first}", f"{5 + apart},{LABELS},{last}"
    rows = read(*lines)
    assert [(row.number, row.id) for row in rows] == [(n + 2, str(n)) for n in range(500)]
    assert Repair.QUOTES in rows[5].repaired
    assert {row.year for row in rows} == {2012}


@pytest.mark.parametrize("count", [2, 27, 200])
@pytest.mark.parametrize("text", ["<p>Cotton, 100 %</p>", "", "7", "2012, 2013", "7,Men"])
def test_a_quoted_text_of_many_lines_is_one_value(count, text):
    described = "\n".join(["<div>", *[text] * count, "</div>"])
    rows = read(f'1,{LABELS},"{described}"', f"2,{LABELS},B")
    assert [(row.number, row.id, row.repaired) for row in rows] == [(2, "1", ()), (3, "2", ())]
    assert rows[0].fields["productDisplayName"] == described


def test_a_field_without_an_end_costs_its_own_row_and_is_looked_for_in_bounds():
    rows = read(f'1,{LABELS},"A', *(f"{n},{LABELS},{'B' * 200}" for n in range(2, 20_000)))
    assert [row.id for row in rows] == [str(n) for n in range(1, 20_000)]


def test_any_bytes_are_read_to_their_end_in_a_time_that_grows_with_them():
    pieces = [*good_rows(4), '"', '""', ",", ",,,,", "\n", "\r", "7", '1,"', '1,""",', "2012", "\x00", "é"]
    chance, began = random.Random(3), time.perf_counter()
    for size in (3_000, 30_000):
        for _ in range(5):
            content = (HEADER + "\n" + "".join(chance.choices(pieces, k=size))).encode()
            lines = content.splitlines(keepends=True)
            assert len(list(read_rows(Tables(content), NEEDED))) <= len(lines)
    assert time.perf_counter() - began < 60


def test_a_comma_before_the_last_column_shifts_no_value():
    shifted = [
        "3,Women,Footwear,Shoes,Casual Shoes,Cream, Navy,Winter,2011,Casual,A",
        "4,Women,Footwear,Shoes, Shoes,Casual Shoes,Cream,Winter,2011,Casual,B",
        "5,Women,Footwear,Shoes, Shoes,Casual Shoes,Cream,Winter,2011,Casual",  # and the name is lost
        "6,Women,Footwear,Shoes, Shoes,Casual Shoes,Cream,Winter,2011,Casual,C, D",
    ]
    rows = read(f"1,{LABELS},A", *shifted, "2,Women,Footwear,Shoes,Casual Shoes,Cream,Winter,2011,Casual,E, F")
    assert [(row.id, getattr(row, "reason", None)) for row in rows] == [
        ("1", None), *((str(n), Reason.BAD_ROW) for n in (3, 4, 5, 6)), ("2", None)
    ]  # fmt: skip
    assert rows[-1].fields["productDisplayName"] == "E, F"


@pytest.mark.parametrize(
    ("header", "line", "joined"),
    [
        ("id,productDisplayName,articleType,year", "9,Shirt, blue,Tshirts,2012", {"productDisplayName": "Shirt, blue"}),
        ("productDisplayName,articleType,id", "Shirt, blue,Tshirts,9", {"productDisplayName": "Shirt, blue"}),
        ("id,articleType,productDisplayName", "9,Tshirts,Shirt, blue", {"productDisplayName": "Shirt, blue"}),
        ("id,articleType,baseColour,year", "9,Tshirts,Cream, Navy,2012", {"baseColour": "Cream, Navy"}),
        ("id,articleType,productDisplayName", "9,Hats, Caps,Shirt", None),
        (
            "id,subCategory,articleType,productDisplayName",
            "9,Shoes, Shoes,Tshirts,text",
            {"subCategory": "Shoes, Shoes"},
        ),
        ("id,articleType,note,productDisplayName", "9,Tshirts,a, b,c", None),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_comma_without_quotes_is_joined_where_one_reading_fits_wherever_the_row_stands(header, line, joined, first):
    plain = {"id": "8", "subCategory": "Shoes", "articleType": "Tshirts", "baseColour": "Cream", "year": "2012"}
    good = ",".join(plain.get(name, "text") for name in header.split(","))
    lines = [header, line, good] if first else [header, good, line]
    found = {row.id: row for row in read_rows(Tables("\n".join(lines).encode()), ["articleType"])}
    assert isinstance(found["8"], Row)
    if joined is None:
        assert [row.reason for row in found.values() if isinstance(row, Fault)] == [Reason.BAD_ROW]
    else:
        assert (found["9"].fields, found["9"].repaired) == ({**found["8"].fields, **joined}, (Repair.COMMAS,))


@pytest.mark.parametrize(
    ("line", "identity", "reason", "detail"),
    [
        (
            f"../x,{LABELS},A",
            "../x",
            Reason.BAD_ID,
            "styles.csv, row 2: id '../x' cannot be a picture's name: no / and \\, and at most 200 bytes. Rename it.",
        ),
        (f",{LABELS},A", "", Reason.BAD_ID, "styles.csv, row 2: has no id. Give each product one."),
        (f"NA,{LABELS},A", "", Reason.BAD_ID, "styles.csv, row 2: has no id. Give each product one."),
        (f"..,{LABELS},A", "..", Reason.BAD_ID, "styles.csv, row 2: id '..' cannot be a picture's name"),
        (f"a\\b,{LABELS},A", "a\\b", Reason.BAD_ID, "styles.csv, row 2: id 'a\\\\b' cannot be a picture's name"),
        (f"1.00E+04,{LABELS},A", "1.00E+04", Reason.BAD_ID, "styles.csv, row 2: id '1.00E+04' was rounded by"),
        ("7,Men", "7", Reason.BAD_ROW, "styles.csv, row 2: has 2 values for 10 columns."),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_reason_and_remedy(line, identity, reason, detail):
    (fault,) = read(line)
    assert isinstance(fault, Fault)
    assert (fault.row, fault.id, fault.reason) == (2, identity, reason)
    assert fault.detail.startswith(detail)


def test_row_numbers_are_those_of_a_spreadsheet_with_thousands_apart():
    rows = read(*(f"{n},{LABELS},A" for n in range(7489)), f"../x,{LABELS},A")
    assert rows[-1].detail.startswith("styles.csv, row 7,491: id '../x'")


def test_too_many_values_are_a_fault_where_the_name_is_not_last():
    (fault,) = read("7,Topwear,Tshirts,more", header="id,subCategory,articleType")
    assert fault.reason == Reason.BAD_ROW


def test_of_rows_with_one_id_the_first_usable_one_is_kept():
    rows = read("7,too,few", f"7,{LABELS},First", f"8,{LABELS},Other", f"7,{LABELS},Second")
    assert [getattr(row, "reason", None) for row in rows] == [Reason.BAD_ROW, None, None, Reason.DUPLICATE_ID]
    assert rows[1].fields["productDisplayName"] == "First"
    assert "row 5: id 7 stood in an earlier row" in rows[3].detail


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["styles.csv is empty", "subCategory, articleType"]),
        (b"\n\n", ["styles.csv is empty"]),
        (b"id,gender,subCategory\n", ["no column 'articleType'", "id, gender, subCategory", "fashion inspect"]),
        (b"note,subCategory,articleType\n", ["no column 'id'", "note, subCategory, articleType"]),
        (b"id,subCategory,articleType,id\n", ["'id' stands twice"]),
        (b"id,subCategory,articleType" + b",x" * 20_000, ["has 20,003 columns"]),
        (bytes(range(256)) * 20, ["is not in UTF-8, and not in Windows-1252", "catalogue.encoding"]),
        (b"<html><table><tr><td>id</td></tr></table></html>", ["is XML, HTML or JSON, not a table"]),
        (b'[{"id": 1}]', ["is XML, HTML or JSON, not a table"]),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ["workbook of an old Excel, or has a password"]),
        (b"PK\x03\x04 and more", ["is no Excel workbook"]),
        (b"PAR1 and more", ["cannot be read as Parquet"]),
    ],
)
def test_a_table_without_its_columns_is_refused_by_name(content, words):
    with pytest.raises(CatalogueError) as refusal:
        list(read_rows(Tables(content), NEEDED))
    for word in words:
        assert word in str(refusal.value)


def test_rows_are_read_as_they_come():
    opened = []

    class Watched(Tables):
        def open_table(self, name):
            opened.append(super().open_table(name))
            return opened[-1]

    rows = read_rows(Watched(f"{HEADER}\n".encode() + f"1,{LABELS},A\n".encode() * 100_000), NEEDED)
    assert next(rows).id == "1"
    assert opened[-1].tell() < 1 << 20
    assert all(file.closed for file in opened[:-1])
