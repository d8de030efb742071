"""Reads a table of products as it really is: row by row, repairing what is safe to repair and naming what is not."""

import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from components.features import COLUMNS, ID, NAME, TEXT_COLUMNS, YEAR
from components.ingest.alignment import Alignment, IdShape
from components.ingest.columns import find_column, further_pictures
from components.ingest.faults import TOTAL_ROWS, VARIANT_ROWS, Fault, Reason, Repair
from components.ingest.formats import Source, open_tables
from components.ingest.records import Record
from components.ingest.settings import PICTURE, Layout
from components.ingest.table_format import Table
from components.ingest.values import Cells, are_grouped, explain_id, names_picture, pictures_in, product_id, year_of

TABLE = "styles.csv"

_ROWS_AHEAD = 1_000  # how far to look for labels
_TOTAL = re.compile(r"(?:grand )?total|sum|(?:gesamt)?summe|gesamt|totale|somme|suma", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """A product as the table describes it."""

    number: int  # number of the row as a spreadsheet shows it; the first row of the table is row 1
    id: str  # a text that a file's name can hold
    fields: dict[str, str]  # text or kept column to value, without surrounding white space; missing ones are absent
    year: int | None  # None if missing
    repaired: tuple[Repair, ...]  # what was repaired
    picture: str | None = None  # name, path or address of the product's picture, where the table gives it
    pictures: tuple[str, ...] = ()  # of further ones
    table: str = TABLE  # name of the table

    @property
    def place(self) -> str:
        """The row, as errors call it."""
        return f"{self.table}, row {self.number:,}"

    @property
    def all_pictures(self) -> tuple[str, ...]:
        """The pictures that the table gives, the main one first."""
        return (self.picture, *self.pictures) if self.picture else ()


def read_rows(
    catalogue: Source, needed: Collection[str], kept: Collection[str] = (), passed: Counter[str] | None = None
) -> Iterator[Row | Fault]:
    """Reads the table of products, or its parts, in their order: an item for each row.

    Blank lines are passed over, and so are rows that repeat an id and have no labels: they tell of variants of a
    product, and only their pictures are taken where they follow it. Of other rows with one id the first is the product,
    the others are faults.

    Args:
        catalogue: what the table is in.
        needed: the columns, besides the id, that must be there.
        kept: likewise, of any kind; their values are kept like those of text columns.
        passed: counts what is passed over, by `VARIANT_ROWS` and `TOTAL_ROWS`.

    Raises:
        CatalogueError: the table cannot be read, is empty, or a needed column is missing or stands twice.
    """
    tables = open_tables(catalogue, (*needed, *kept))
    products = _Products(catalogue.layout, needed, kept, Counter() if passed is None else passed)
    for table in tables:
        yield from products.read(table)


class _Products:
    """The products of all parts of a table."""

    def __init__(self, layout: Layout, needed: Collection[str], kept: Collection[str], passed: Counter[str]) -> None:
        self._cells = Cells(layout.missing)
        self._needed, self._kept, self._passed = needed, kept, passed
        self._seen: set[str] = set()
        self._faulty: set[str] = set()

    def read(self, table: Table) -> Iterator[Row | Fault]:
        columns = _Columns(table, self._needed, self._kept, self._cells)
        held: Row | None = None  # until the pictures of its variants, which follow it, are known
        for record in _records(table, columns):
            row = columns.row(record)
            if row is None:
                self._passed[TOTAL_ROWS] += 1
            elif isinstance(row, Row) and self._is_variant(row, columns):
                self._passed[VARIANT_ROWS] += 1
                if held and held.id == row.id:
                    held = _with_pictures(held, row.all_pictures)
            else:
                if held:
                    yield held
                row = self._first(row)
                held = row if isinstance(row, Row) and columns.has_pictures else None
                if not held:
                    yield row
        if held:
            yield held

    def _is_variant(self, row: Row, columns: "_Columns") -> bool:
        return (row.id in self._seen or row.id in self._faulty) and not columns.has_labels(row)

    def _first(self, row: Row | Fault) -> Row | Fault:
        """A row, or what is wrong with it if its id stood in an earlier one."""
        if isinstance(row, Row) and row.id in self._seen:
            detail = f"{row.place}: id {row.id} stood in an earlier row, which is kept. Give each product one row."
            return Fault(row.number, row.id, Reason.DUPLICATE_ID, detail)
        (self._seen if isinstance(row, Row) else self._faulty).add(row.id)
        return row


def _records(table: Table, columns: "_Columns") -> Iterator[Record]:
    """The rows of a table; where one is hard to read, those after it have been learnt from."""
    alignment = columns.alignment
    records = table.records(alignment.is_row)
    ahead: deque[Record] = deque()
    while record := ahead.popleft() if ahead else next(records, None):
        if len(record.values) > columns.width and not alignment.is_clear(record.values):
            for other in islice(records, _ROWS_AHEAD - len(ahead)):
                ahead.append(other)
                if alignment.is_row(other.values):
                    alignment.learn(other.values)
        yield record


class _Columns:
    """What stands where in a table."""

    def __init__(self, table: Table, needed: Collection[str], kept: Collection[str], cells: Cells) -> None:
        names, roles = table.names, table.columns
        self._table, self._cells, self.width = table, cells, len(names)
        self._id, self._year = roles[ID].index, roles[YEAR].index if YEAR in roles else None
        places = {name: find_column(name, names, roles) for name in (*needed, *kept)}
        places |= {role: roles[role].index for role in TEXT_COLUMNS if role in roles}
        self._fields = [(name, index) for name, index in places.items() if index is not None]
        self._labels = {name for name in needed if name != NAME} or set(TEXT_COLUMNS)
        self._pictures = [*([roles[PICTURE].index] if PICTURE in roles else []), *further_pictures(names, roles)]
        ids = [text for row in table.header.rows if len(row) > self._id and (text := cells[row[self._id]])]
        self._grouped = are_grouped(ids)
        said = {roles[role].index for role in COLUMNS if role in roles and role != NAME}
        self.alignment = Alignment(
            width=self.width, id=self._id, year=self._year,
            text=[index for index in range(self.width) if index not in said],
            labels=[index for name, index in self._fields if name in needed and name != NAME],
            separator=table.separator, ids=IdShape(ids, self._grouped), cells=cells,
        )  # fmt: skip

    @property
    def has_pictures(self) -> bool:
        """Whether there is a column that names pictures."""
        return bool(self._pictures)

    def has_labels(self, row: Row) -> bool:
        """Whether a row says what its product is."""
        return not self._labels.isdisjoint(row.fields)

    def row(self, record: Record) -> Row | Fault | None:
        """Reads a row; None for one that sums up the others."""
        values, repaired = self.alignment.in_order(record)
        if len(values) != self.width:
            detail = f"has {len(values)} values for {self.width} columns. {self.alignment.remedy}"
            cell = values[self._id].strip() if len(values) > self._id else ""
            return None if _is_total(values) else self._fault(record, cell, Reason.BAD_ROW, detail)
        cells = self._cells
        fields = {name: text for name, index in self._fields if (text := cells[values[index]])}
        if self._labels.isdisjoint(fields) and _is_total(values):
            return None
        cell = cells[values[self._id]]
        identity = product_id(cell, self._grouped)
        if identity is None:
            return self._fault(record, cell, Reason.BAD_ID, f"{explain_id(cell)}.")
        year, text = None, "" if self._year is None else cells[values[self._year]]
        if text:
            year = year_of(text)
            if year is None:
                if self.alignment.year_stands_beside(values):
                    detail = f"its year stands one column too far. {self.alignment.remedy}"
                    return self._fault(record, identity, Reason.BAD_ROW, detail)
                repaired = (*repaired, Repair.YEAR)
        if len(record.values) == self.width:
            self.alignment.learn(values)
        names: tuple[str, ...] = ()
        if self._pictures:
            names = pictures_in(cells[values[index]] for index in self._pictures)
        elif identity != cell and names_picture(cell):
            names = (cell,)
        picture, *others = names or (None,)
        return Row(record.number, identity, fields, year, repaired, picture, tuple(others), self._table.place)

    def _fault(self, record: Record, identity: str, reason: Reason, detail: str) -> Fault:
        return Fault(record.number, identity, reason, f"{self._table.place}, row {record.number:,}: {detail}")


def _is_total(values: Sequence[str]) -> bool:
    first = next((text for value in values if (text := value.strip())), "")
    return _TOTAL.fullmatch(first.rstrip(" :")) is not None


def _with_pictures(row: Row, names: Iterable[str]) -> Row:
    """A row with these pictures after those that it has."""
    first, *others = dict.fromkeys((*row.all_pictures, *names)) or (None,)
    return replace(row, picture=first, pictures=tuple(filter(None, others)))
