"""Reading styles.csv as it really is."""

import pytest

from components.errors import CatalogueError
from components.ingest.faults import Fault, Reason, Repair
from components.ingest.table import Row, read_rows
from tests.data.faults import HEADER

NEEDED = ("subCategory", "articleType")
LABELS = "Men,Apparel,Topwear,Tshirts,Blue,Summer,2012,Casual"


def read(*lines: str, header: str = HEADER, newline: str = "\n") -> list[Row | Fault]:
    content = "".join(line + newline for line in (header, *lines)).encode("utf-8", "surrogateescape")
    return list(read_rows(content.splitlines(keepends=True), NEEDED))


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
        ("Caf\udce9", "Caf\ufffd", (Repair.ENCODING,)),
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
    assert [row.id for row in read_rows([HEADER.encode() + b"\n", f"1,{LABELS},A".encode()], NEEDED)] == ["1"]


def test_a_stray_quotation_mark_swallows_no_other_row():
    rows = read(f'1,{LABELS},"A', *(f'{n},{LABELS},"B{n}"' for n in range(2, 40)))
    assert [row.id for row in rows] == [str(n) for n in range(1, 40)]


@pytest.mark.parametrize(
    ("line", "identity", "reason", "detail"),
    [
        (
            f"../x,{LABELS},A",
            "../x",
            Reason.BAD_ID,
            "styles.csv, row 2: id '../x' is not a number. Product ids are the names of the pictures "
            "(images/<id>.jpg).",
        ),
        (f",{LABELS},A", "", Reason.BAD_ID, "styles.csv, row 2: id '' is not a number."),
        (f"NA,{LABELS},A", "", Reason.BAD_ID, "styles.csv, row 2: id '' is not a number."),
        (f"-7,{LABELS},A", "-7", Reason.BAD_ID, "styles.csv, row 2: id '-7' is not a number."),
        (f"٧,{LABELS},A", "٧", Reason.BAD_ID, "styles.csv, row 2: id '٧' is not a number."),
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
        (b"id,gender,subCategory\n", ["no column 'articleType'", "id, gender, subCategory"]),
        (b"name,subCategory,articleType\n", ["no column 'id'", "name, subCategory, articleType"]),
        (b"id;subCategory;articleType\n", ["no column 'id'", "id;subCategory;articleType", "separated by commas"]),
        (b"id,subCategory,articleType,id\n", ["'id' stands twice"]),
        ("id,subCategory,articleType\n".encode("utf-16"), ["no column 'id'"]),
        (bytes(range(256)) * 20, ["no column 'id'"]),
    ],
)
def test_a_table_without_its_columns_is_refused_by_name(content, words):
    with pytest.raises(CatalogueError) as refusal:
        list(read_rows(content.splitlines(keepends=True), NEEDED))
    for word in words:
        assert word in str(refusal.value)


def test_rows_are_read_as_they_come():
    def lines():
        yield HEADER.encode() + b"\n"
        yield f"1,{LABELS},A\n".encode()
        raise OSError("the rest was read too early")

    assert next(read_rows(lines(), NEEDED)).id == "1"
