"""CSV files that are written can be opened in a spreadsheet without running what a catalogue's text says."""

import csv
import io
from pathlib import Path

import pytest

from components.answers.files import Lines
from components.answers.rows import Format
from components.ingest.faults import Fault, Reason
from components.ingest.tally import Tally
from components.spreadsheet import csv_lines, unmarked

FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    '=cmd|" /C calc"!A0',
    "'=1+1",
    "-",
    "=",
)
PLAIN = ("", "7", "-7", "+0.5", "-1e-5", "a=1", "'quoted'", "Nike", "5-7", "…")


def written(*cells: object) -> list[str]:
    [row] = csv.reader(io.StringIO("".join(csv_lines([cells])), newline=""), strict=True)
    return row


@pytest.mark.parametrize("cell", FORMULAS)
def test_formulas_are_marked_as_text_and_read_back_as_they_were(cell):
    assert written(cell) == [f"'{cell}"]
    assert unmarked(f"'{cell}") == cell


@pytest.mark.parametrize("cell", PLAIN)
def test_numbers_and_other_text_stay_as_they_are(cell):
    assert written(cell, -7, -0.5) == [cell, "-7", "-0.5"]
    assert unmarked(cell) == cell


def test_no_list_of_a_run_or_of_answers_holds_a_formula():
    tally = Tally(quarantined=[Fault(2, "=1+1", Reason.BAD_ID, "+detail")], unmapped=[(3, "7", "@a", "-b", "=c")])
    top = [{"label": "-label", "confidence": 0.5}, {"label": "=a", "confidence": 0.25}]
    row = {"row": 2, "id": "=1+1", "model": "m/1", "label": "-label", "confidence": 0.5, "top": top, "reason": None}
    answers = Format("csv", ("row", "id"))
    for content in (
        tally.quarantine_csv(),
        tally.unmapped_csv(),
        (answers.header + answers.encode(row | {"error": "+"})).decode(),
    ):
        _, row = csv.reader(io.StringIO(content))
        assert [cell for cell in row if cell[:1] in ("=", "+", "-", "@")] == []
        assert any(cell.startswith("'") for cell in row)


def test_pictures_named_like_formulas_are_found_again_in_a_file_of_answers(tmp_path: Path):
    file, columns = tmp_path / "answers.csv", Format("csv", ("picture",), ())
    for _ in range(2):
        lines = Lines(file, columns, "six_class 1")
        for name in (name for name in ("=1+1.jpg", "-7", "'=1.jpg") if (name,) not in lines.done):
            lines.write({"picture": name, "model": "six_class 1", "reason": None, "error": None})
        lines.close()
    assert file.read_text().splitlines() == [
        "picture,model,reason,error", "'=1+1.jpg,six_class 1,,", "-7,six_class 1,,", "''=1.jpg,six_class 1,,"
    ]  # fmt: skip
