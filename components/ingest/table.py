"""Reads `styles.csv` as it really is: row by row, mending what is safe to mend and naming what is not."""

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from components.errors import CatalogueError
from components.features import COLUMNS, ID, NAME, TEXT_COLUMNS, YEAR
from components.ingest.faults import Fault, Reason, Repair
from components.ingest.records import Record, read_records

TABLE = "styles.csv"

_MISSING = ("", "NA")
# Tools that hold missing numbers as NaN write 2012 as 2012.0.
_YEAR = re.compile(r"(\d{1,4})(?:\.0)?", re.ASCII)
# How many rows further on to look for labels, and how many different ones to keep in mind.
_ROWS_AHEAD, _MOST_LABELS = 1_000, 10_000
_MOST_COLUMNS = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """A product as the table describes it.

    Attributes:
        number: number of the row as a spreadsheet shows it; the header is row 1.
        id: digits.
        fields: text or kept column to value, without surrounding white space; missing ones (empty or NA) are absent.
        year: None if missing.
        repaired: what was mended.
    """

    number: int
    id: str
    fields: dict[str, str]
    year: int | None
    repaired: tuple[Repair, ...]


def read_rows(lines: Iterable[bytes], needed: Collection[str], kept: Collection[str] = ()) -> Iterator[Row | Fault]:
    """Reads a table of products.

    Blank lines are passed over. Of several rows with one id the first is the product, the others are faults.

    Args:
        lines: the table's lines with their ends, as a file opened in binary mode yields them.
        needed: the columns, besides the id, that must be there.
        kept: likewise, of any kind; their values are kept like those of text columns.

    Yields:
        One item for each row, in the table's order.

    Raises:
        CatalogueError: the table is empty, or a needed column is missing or stands twice.
    """
    columns: _Columns | None = None
    records: Iterator[Record] = read_records(lines, lambda values: columns is not None and columns.is_row(values))
    header = next(records, None)
    if header is None:
        raise CatalogueError(f"{TABLE} is empty. Its first row must name the columns, at least {_listed(needed)}.")
    names = [name.strip() for name in header.values]
    _check_header(names, (*needed, *kept))
    columns = _Columns(names, needed, (*TEXT_COLUMNS, *kept))
    seen: set[str] = set()
    ahead: deque[Record] = deque()
    while record := ahead.popleft() if ahead else next(records, None):
        if len(record.values) > len(names) and not columns.is_clear(record.values):
            for other in islice(records, _ROWS_AHEAD - len(ahead)):
                ahead.append(other)
                if columns.is_row(other.values):
                    columns.learn(other.values)
        row = _row(record, columns)
        if isinstance(row, Row):
            if row.id in seen:
                row = Fault(row.number, row.id, Reason.DUPLICATE_ID, _twice(row))
            else:
                seen.add(row.id)
        yield row


class _Columns:
    """The header of a table, and the labels seen beneath it: what tells whether values stand where they should."""

    def __init__(self, names: list[str], needed: Collection[str], kept: Collection[str]) -> None:
        self.names = names
        self.kept = kept
        self.id = names.index(ID)
        self.year = names.index(YEAR) if YEAR in names else None
        self._text = [i for i, name in enumerate(names) if name == NAME or name not in COLUMNS]
        self._labels = [i for i, name in enumerate(names) if name in needed and name != NAME]
        self._seen: set[tuple[str, ...]] = set()

    def is_row(self, values: list[str]) -> bool:
        """Whether id and year stand where they should, or would but for commas without quotation marks."""
        return any(map(self._fits, self._readings(values).values()))

    def learn(self, values: list[str]) -> None:
        """Remembers the labels of a row that is in order."""
        if len(values) == len(self.names) and len(self._seen) < _MOST_LABELS:
            self._seen.add(self._labels_in(values))

    def is_clear(self, values: list[str]) -> bool:
        """Whether id and year alone say how to read too many values."""
        fitting = {column: reading for column, reading in self._readings(values).items() if self._fits(reading)}
        return len({self._labels_in(reading) for reading in fitting.values()}) == 1

    def aligned(self, values: list[str]) -> list[str] | None:
        """Joins what commas without quotation marks have split, where one reading fits; None where none or several do.

        Columns that hold free text come first: there such commas are common. They are joined if every other reading
        gives the same labels, or if the labels occur in other rows.
        """
        fitting = {column: reading for column, reading in self._readings(values).items() if self._fits(reading)}
        text = [reading for column, reading in fitting.items() if column in self._text]
        known = [reading for reading in fitting.values() if self._labels_in(reading) in self._seen]
        if len(text) == 1 and (self.is_clear(values) or text[0] in known):
            return text[0]
        return known[0] if len(known) == 1 else None

    def year_stands_beside(self, values: list[str]) -> bool:
        """Whether the value after the year's is one: a comma in front of it moved the values, and the last is lost."""
        beside = values[self.year + 1 : self.year + 2] if self.year is not None else []
        return any(_YEAR.fullmatch(value.strip()) for value in beside)

    def _readings(self, values: list[str]) -> dict[int, list[str]]:
        """Column to the values, if all that are too many are its own; none if values are too few."""
        extra = len(values) - len(self.names)
        if extra < 0:
            return {}
        return {
            column: [*values[:column], ",".join(values[column : column + extra + 1]), *values[column + extra + 1 :]]
            for column in (range(len(self.names)) if extra else (self.id,))
        }

    def _fits(self, values: list[str]) -> bool:
        if not _is_id(values[self.id].strip()):
            return False
        year = "" if self.year is None else values[self.year].strip()
        return year in _MISSING or _YEAR.fullmatch(year) is not None

    def _labels_in(self, values: list[str]) -> tuple[str, ...]:
        # With their white space: after a comma in a text there is some, and where labels begin there is none.
        return tuple(values[index] for index in self._labels)


def _check_header(names: list[str], needed: Collection[str]) -> None:
    if len(names) > _MOST_COLUMNS:
        raise CatalogueError(
            f"{TABLE}: has {len(names):,} columns. Leave out what is not needed; {_MOST_COLUMNS:,} fit."
        )
    for name in (ID, *needed):
        if name not in names:
            raise CatalogueError(
                f"{TABLE}: there is no column {name!r}. Its first row names the columns {_listed(names)}; "
                f"needed are {_listed([ID, *needed])}, separated by commas."
            )
    for name in COLUMNS:
        if names.count(name) > 1:
            raise CatalogueError(f"{TABLE}: the column {name!r} stands twice. Remove or rename one of them.")


def _row(record: Record, columns: _Columns) -> Row | Fault:
    names, values, repaired = columns.names, record.values, record.repaired
    place = f"{TABLE}, row {record.number:,}"
    if len(values) > len(names) and (joined := columns.aligned(values)):
        values, repaired = joined, (*repaired, Repair.COMMAS)
    if len(values) != len(names):
        identity = values[columns.id].strip() if len(values) > columns.id else ""
        detail = f"{place}: has {len(values)} values for {len(names)} columns. Put values that hold commas in quotes."
        return Fault(record.number, identity, Reason.BAD_ROW, detail)
    present = {name: text for name, value in zip(names, values, strict=True) if (text := value.strip()) not in _MISSING}
    identity = present.get(ID, "")
    if not _is_id(identity):
        shown = identity if len(identity) <= 40 else identity[:40] + "…"
        detail = f"{place}: id {shown!r} is not a number. Product ids are the names of the pictures (images/<id>.jpg)."
        return Fault(record.number, identity, Reason.BAD_ID, detail)
    year = _YEAR.fullmatch(present[YEAR]) if YEAR in present else None
    if YEAR in present and year is None:
        if columns.year_stands_beside(values):
            detail = f"{place}: its year stands one column too far. Put values that hold commas in quotes."
            return Fault(record.number, identity, Reason.BAD_ROW, detail)
        repaired = (*repaired, Repair.YEAR)
    if len(record.values) == len(names):
        columns.learn(values)
    fields = {name: present[name] for name in columns.kept if name in present}
    return Row(record.number, identity, fields, int(year[1]) if year else None, repaired)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _twice(row: Row) -> str:
    return (
        f"{TABLE}, row {row.number:,}: id {row.id} stood in an earlier row, which is kept. Give each product one row."
    )


def _listed(names: Collection[str]) -> str:
    shown = [name if len(name) <= 40 else name[:40] + "…" for name in list(names)[:12]]
    return ", ".join(shown) + (", …" if len(names) > 12 else "")
