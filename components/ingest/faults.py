"""What can be wrong with a row, and what is repaired on the way."""

from dataclasses import dataclass
from enum import StrEnum

# What is counted beside rows with a fault: it becomes no example of its own.
VARIANT_ROWS, TOTAL_ROWS, FURTHER_PICTURES = "variant_rows", "total_rows", "further_pictures"
PASSED = (VARIANT_ROWS, TOTAL_ROWS, FURTHER_PICTURES)


class Reason(StrEnum):
    """Why a row is quarantined; the words stand in quarantine.csv and summary.json."""

    BAD_ROW = "bad row"
    BAD_ID = "bad id"
    DUPLICATE_ID = "duplicate id"
    MISSING_LABEL = "missing label"
    MISSING_PICTURE = "missing picture"
    UNREADABLE_PICTURE = "unreadable picture"
    EMPTY_PICTURE = "empty picture"
    NOT_A_PICTURE = "not a picture"
    BROKEN_PICTURE = "broken picture"
    ANIMATED_PICTURE = "animated picture"
    SMALL_PICTURE = "small picture"
    LARGE_PICTURE = "large picture"


class Repair(StrEnum):
    """What of a row was repaired; the row itself is kept, and the repair counted."""

    COMMAS = "commas"  # unquoted commas in the product name
    QUOTES = "quotes"  # quotation marks that do not pair, taken as they stand
    ENCODING = "encoding"  # bytes of another encoding than the table's, read as Windows-1252
    YEAR = "year"  # not a number, taken as missing
    PROFILE = "colour profile"  # of a picture, other than sRGB: converted, which published models do not do


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that cannot be used."""

    row: int  # number of the row as a spreadsheet shows it; the header is row 1
    id: str  # the id as it stands in the table, empty where it could not be read
    reason: Reason  # the kind of fault
    detail: str  # one line that names the thing, the rule and the remedy
    class_name: str = ""  # the class that the product would have had; empty where the fault came first
