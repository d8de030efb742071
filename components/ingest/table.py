"""Reads `styles.csv` as it really is: row by row, mending what is safe to mend and naming what is not."""

import csv
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from components.errors import CatalogueError
from components.features import COLUMNS, ID, NAME, TEXT_COLUMNS, YEAR
from components.ingest.faults import Fault, Reason, Repair

TABLE = "styles.csv"

_MISSING = ("", "NA")
_BOM = b"\xef\xbb\xbf"
# A quoted field may hold line breaks; a stray quotation mark must not swallow the rest of the table.
_MOST_LINES_IN_A_ROW = 20
# Tools that hold missing numbers as NaN write 2012 as 2012.0.
_YEAR = re.compile(r"(\d{1,4})(?:\.0)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """A product as the table describes it.

    Attributes:
        number: number of the row as a spreadsheet shows it; the header is row 1.
        id: digits.
        fields: text column to value, without surrounding white space; a missing value (empty or NA) is absent.
        year: None if missing.
        repaired: what was mended.
    """

    number: int
    id: str
    fields: dict[str, str]
    year: int | None
    repaired: tuple[Repair, ...]


def read_rows(lines: Iterable[bytes], needed: Collection[str]) -> Iterator[Row | Fault]:
    """Reads a table of products.

    Blank lines are passed over. Of several rows with one id the first is the product, the others are faults.

    Args:
        lines: the table's lines with their ends, as a file opened in binary mode yields them.
        needed: the columns, besides the id, that must be there.

    Yields:
        One item for each row, in the table's order.

    Raises:
        CatalogueError: the table is empty, or a needed column is missing or stands twice.
    """
    records = _records(lines)
    header = next(records, None)
    if header is None:
        raise CatalogueError(f"{TABLE} is empty. Its first row must name the columns, at least {_listed(needed)}.")
    names = [name.strip() for name in header.values]
    _check_header(names, needed)
    seen: set[str] = set()
    for record in records:
        row = _row(record, names)
        if isinstance(row, Row):
            if row.id in seen:
                row = Fault(row.number, row.id, Reason.DUPLICATE_ID, _twice(row))
            else:
                seen.add(row.id)
        yield row


@dataclass(frozen=True, slots=True)
class _Record:
    number: int
    values: list[str]
    repaired: tuple[Repair, ...]


def _records(lines: Iterable[bytes]) -> Iterator[_Record]:
    """Splits the table into records of values, numbered from 1; blank ones count but are not yielded."""
    source = map(_decoded, _without_bom(lines))
    ahead: deque[tuple[str, bool]] = deque()
    number = 0
    while True:
        values, taken = _quoted_record(ahead, source)
        if not ahead:
            return
        number += 1
        decoded = [ahead.popleft() for _ in range(taken)]
        repaired = () if all(clean for _, clean in decoded) else (Repair.ENCODING,)
        if values is None:
            yield _Record(number, decoded[0][0].rstrip("\r\n").split(","), (*repaired, Repair.QUOTES))
        elif any(map(str.strip, values)):
            yield _Record(number, values, repaired)


def _quoted_record(ahead: deque[tuple[str, bool]], source: Iterator[tuple[str, bool]]) -> tuple[list[str] | None, int]:
    """The values at the front of the table and the lines they take; None and one line if quotation marks do not pair.

    `ahead` holds the lines that were read and not yet taken; it is empty at the end of the table.
    """
    for count in range(1, _MOST_LINES_IN_A_ROW + 1):
        ahead.extend(islice(source, count - len(ahead) if count > len(ahead) else 0))
        if len(ahead) < count:
            break
        text = "".join(line for line, _ in islice(ahead, count))
        try:
            return next(csv.reader([text], strict=True), []), count
        except csv.Error:
            continue
    return None, 1


def _decoded(line: bytes) -> tuple[str, bool]:
    try:
        return line.decode("utf-8"), True
    except UnicodeDecodeError:
        return line.decode("utf-8", "replace"), False


def _without_bom(lines: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        yield line.removeprefix(_BOM) if number == 0 else line


def _check_header(names: list[str], needed: Collection[str]) -> None:
    for name in (ID, *needed):
        if name not in names:
            raise CatalogueError(
                f"{TABLE}: there is no column {name!r}. Its first row names the columns {_listed(names)}; "
                f"needed are {_listed([ID, *needed])}, separated by commas."
            )
    for name in COLUMNS:
        if names.count(name) > 1:
            raise CatalogueError(f"{TABLE}: the column {name!r} stands twice. Remove or rename one of them.")


def _row(record: _Record, names: list[str]) -> Row | Fault:
    values, repaired = record.values, record.repaired
    if len(values) > len(names) and names[-1] == NAME:
        values = [*values[: len(names) - 1], ",".join(values[len(names) - 1 :])]
        repaired = (*repaired, Repair.COMMAS)
    place = f"{TABLE}, row {record.number:,}"
    if len(values) != len(names):
        identity = values[names.index(ID)].strip() if len(values) > names.index(ID) else ""
        detail = f"{place}: has {len(values)} values for {len(names)} columns. Put values that hold commas in quotes."
        return Fault(record.number, identity, Reason.BAD_ROW, detail)
    present = {name: text for name, value in zip(names, values, strict=True) if (text := value.strip()) not in _MISSING}
    identity = present.get(ID, "")
    if not (identity.isascii() and identity.isdigit()):
        shown = identity if len(identity) <= 40 else identity[:40] + "…"
        detail = f"{place}: id {shown!r} is not a number. Product ids are the names of the pictures (images/<id>.jpg)."
        return Fault(record.number, identity, Reason.BAD_ID, detail)
    year = _YEAR.fullmatch(present[YEAR]) if YEAR in present else None
    if YEAR in present and year is None:
        repaired = (*repaired, Repair.YEAR)
    fields = {name: present[name] for name in TEXT_COLUMNS if name in present}
    return Row(record.number, identity, fields, int(year[1]) if year else None, repaired)


def _twice(row: Row) -> str:
    return (
        f"{TABLE}, row {row.number:,}: id {row.id} stood in an earlier row, which is kept. Give each product one row."
    )


def _listed(names: Collection[str]) -> str:
    shown = [name if len(name) <= 40 else name[:40] + "…" for name in list(names)[:12]]
    return ", ".join(shown) + (", …" if len(names) > 12 else "")
