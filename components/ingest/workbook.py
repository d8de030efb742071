"""Reads Excel workbooks through openpyxl, row by row."""

import datetime
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO

from components.errors import CatalogueError
from components.ingest.columns import lacking
from components.ingest.dialect import Header, find_header
from components.ingest.records import Record
from components.ingest.settings import Layout
from components.ingest.table_format import IsRecord, Table, seekable

_ROWS = 100
_ZEROS = re.compile("0{2,}")


class SheetTable(Table):
    """A sheet of an Excel workbook."""

    def __init__(self, open_table: Callable[[], BinaryIO], place: str, sheet: str, header: Header) -> None:
        super().__init__(f"{place}, sheet {sheet}", header)
        self._open, self._file, self._sheet = open_table, place, sheet

    def records(self, is_record: IsRecord) -> Iterator[Record]:
        width = len(self.names)
        with _workbook(self._open, self._file) as book:
            for number, values in enumerate(_rows(book[self._sheet]), start=1):
                if number > self.header.above + 1 and any(map(str.strip, values)):
                    yield Record(number, values + [""] * (width - len(values)))

    def describe(self) -> dict[str, str]:
        return {"format": "Excel workbook", "sheet": self._sheet, "header": f"row {self.header.above + 1}"}


def open_sheets(
    open_table: Callable[[], BinaryIO], place: str, layout: Layout, needed: Collection[str]
) -> Sequence[SheetTable]:
    """Opens the sheets of a workbook that are tables of products: the first that has the columns, and those alike.

    Raises:
        CatalogueError: it cannot be read, or holds nothing.
    """
    with _workbook(open_table, place) as book:
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        found = [(sheet.title, find_header(list(islice(_rows(sheet), _ROWS)), layout, needed)) for sheet in visible]
    written = [(title, header) for title, header in found if header.names]
    if not written:
        raise CatalogueError(f"{place} is empty: none of its visible sheets has a cell.")
    _, best = max(
        written, key=lambda each: (-len(lacking(each[1].names, each[1].columns, needed)), len(each[1].columns))
    )
    return [SheetTable(open_table, place, title, header) for title, header in written if header.names == best.names]


@contextmanager
def _workbook(open_table: Callable[[], BinaryIO], place: str) -> Iterator[Any]:
    try:
        import openpyxl
    except ImportError as error:
        raise CatalogueError(
            f"{place}: to read Excel workbooks, openpyxl is needed. Install it (pip install openpyxl, or the project "
            "with its extra `excel`), or save the table as CSV."
        ) from error
    with seekable(open_table()) as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            yield book
            book.close()
        except CatalogueError:
            raise
        except Exception as error:  # openpyxl lets through whatever its parsers raise
            raise CatalogueError(f"{place}: is no Excel workbook ({error}). Save it again as .xlsx or CSV.") from error


def _rows(sheet: Any) -> Iterator[list[str]]:
    sheet.reset_dimensions()  # programs write wrong ones, and rows would be cut
    for row in sheet.iter_rows():
        yield ["" if cell.value is None else _text(cell) for cell in row]


def _text(cell: Any) -> str:
    """What a cell shows, as far as it matters: whole numbers, numbers with leading zeros, days."""
    value = cell.value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        zeros = _ZEROS.fullmatch(cell.number_format)
        return str(value).zfill(len(zeros[0])) if zeros else str(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    return value.isoformat() if isinstance(value, datetime.date) else str(value)
