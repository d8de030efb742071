"""CSV that is safe to open in a spreadsheet: text that would be run as a formula is marked as text.

As OWASP recommends: https://owasp.org/www-community/attacks/CSV_Injection.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator

# The wide forms are those of Japanese keyboards. Marks that stand there already are marked too, or they would be lost
# when the cell is read again.
_FORMULA = re.compile("'*[=+@\t\r\n\uff1d\uff0b\uff0d\uff20-]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yields rows as lines of CSV; numbers stay numbers, and what begins like a formula is marked by an apostrophe."""
    for row in rows:
        line = io.StringIO(newline="")
        csv.writer(line).writerow(map(_marked, row))  # which quotes a carriage return only where lines end with one
        yield line.getvalue().removesuffix("\r\n") + "\n"


def unmarked(cell: str) -> str:
    """Returns a cell as it was before `csv_lines` marked it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _marked(value: object) -> object:
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
