"""Opens tables whatever they are written in: text, Excel workbooks, Parquet."""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import BinaryIO, Protocol, cast

from components.errors import CatalogueError
from components.ingest.columns import check_columns, lacking
from components.ingest.dialect import MIXED, Dialect, Header, find_dialect, undecodable
from components.ingest.files import lines_of, readable
from components.ingest.records import Record, read_records
from components.ingest.settings import DRAFT, Layout
from components.ingest.table_format import IsRecord, Table

_BUFFER = 1 << 18
_ZIP, _PARQUET, _OLD_WORKBOOK = b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0"


class Source(Protocol):
    """What tables are read from: a catalogue."""

    layout: Layout

    def tables(self) -> Sequence[str]:
        """The names of its tables: one, or the parts of one."""

    def open_table(self, name: str) -> BinaryIO:
        """Opens a table to read bytes."""


class TextTable(Table):
    """A table of text, as CSV."""

    def __init__(self, open_table: Callable[[], BinaryIO], place: str, dialect: Dialect, header: Header) -> None:
        super().__init__(place, header)
        self._open, self._dialect, self.separator = open_table, dialect, dialect.separator

    def records(self, is_record: IsRecord) -> Iterator[Record]:
        records = read_records(self._lines(), is_record, self.separator, self._dialect.errors == MIXED)
        return (record for record in records if record.number > self.header.above + 1)

    def describe(self) -> dict[str, str]:
        dialect = self._dialect
        mixed = ", single lines in Windows-1252" if dialect.errors == MIXED else ""
        return {
            "encoding": dialect.encoding + mixed,
            "separator": {"\t": "tab"}.get(dialect.separator, dialect.separator),
            "line ends": {"\n": "LF or CRLF", "\r": "CR alone"}[dialect.newline],
            "quotation marks": "some" if dialect.quoted else "none",
            "header": f"row {self.header.above + 1}",
        }

    def _lines(self) -> Iterator[str]:
        dialect = self._dialect
        with readable(self.place), self._open() as file:
            buffered = io.BufferedReader(cast(io.RawIOBase, file), _BUFFER)
            text = io.TextIOWrapper(buffered, dialect.encoding, dialect.errors, newline=dialect.newline)
            try:
                for number, line in enumerate(lines_of(text, self.place), start=1):
                    if number == 1:
                        if dialect.separator_line:
                            continue
                        line = line.lstrip("\ufeff")
                    yield line if dialect.newline == "\n" else line.lstrip("\n")
            except UnicodeError as error:
                raise undecodable(self.place, dialect.encoding, error) from error


def open_tables(source: Source, needed: Collection[str]) -> list[Table]:
    """Opens a catalogue's table, or the parts of it that have the same columns: files, or sheets of a workbook.

    `needed` are roles or columns' own names that must be there, besides the id.

    Raises:
        CatalogueError: one cannot be read or is empty, none has the columns, or those that do have different ones.
    """
    opened = open_every_table(source, needed)
    usable = [table for table in opened if not lacking(table.names, table.columns, needed)]
    first = usable[0] if usable else opened[0]
    check_columns(first.place, first.names, first.columns, needed, source.layout)
    for table in usable:
        if table.names != first.names:
            raise CatalogueError(
                f"{first.place} and {table.place} are both tables of products, with different columns. Say which one "
                f"in the recipe, as catalogue.table; or {DRAFT}"
            )
    return usable


def open_every_table(source: Source, needed: Collection[str] = ()) -> list[Table]:
    """Opens all of a catalogue's tables, whatever columns they have; see `open_tables`."""
    return [table for name in source.tables() for table in _open(source, name, needed)]


def _open(source: Source, name: str, needed: Collection[str]) -> Sequence[Table]:
    layout, open_table = source.layout, partial(source.open_table, name)
    with readable(name):
        with open_table() as file:
            start = file.read(8)
        if start.startswith(_OLD_WORKBOOK):
            raise CatalogueError(
                f"{name}: is a workbook of an old Excel, or has a password. Save it as .xlsx without one, or as CSV."
            )
        if start.startswith(_ZIP):
            from components.ingest.workbook import open_sheets  # these two load libraries of their own

            return open_sheets(open_table, name, layout, needed)
        if start.startswith(_PARQUET):
            from components.ingest.parquet import ParquetTable

            return (ParquetTable(open_table, name, layout, needed),)
        return (TextTable(open_table, name, *find_dialect(open_table, name, layout, needed)),)
