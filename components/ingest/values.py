"""What cells mean: text, product ids and years, as spreadsheets, databases, pandas and people write them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from urllib.parse import unquote, urlsplit

PICTURE_SUFFIX = re.compile(r"\.(?:jpe?g|jfif|png|webp|avif|gif|bmp|tiff?|hei[cf])$", re.IGNORECASE)

_MOST_ID_BYTES = 200
_MOST_REMEMBERED = 10_000
# Spaces that are not, and marks without width: they come with text from web pages and word processors.
_SPACES = {0xA0: " ", 0x202F: " ", 0x2007: " ", 0x200B: None, 0x2060: None, 0xFEFF: None}
_FORMULA = re.compile(r'="?([^"]*)"?')  # ="0012" keeps Excel from taking the zeros away
_DECIMAL = re.compile(r"(\d+)[.,]00?", re.ASCII)  # what pandas writes for a whole number beside a missing one
_ROUNDED = re.compile(r"\d+(?:[.,]\d+)?E\+\d+", re.ASCII | re.IGNORECASE)
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:[., '’]\d{3})*", re.ASCII)
_NOT_DIGIT = re.compile(r"\D", re.ASCII)
_YEAR = re.compile(
    r"(\d{1,4})(?:[.,]00?)?|(\d[.,]\d{3})|(\d{4})-\d\d?-\d\d?(?:[T ].*)?|\d\d?[./]\d\d?[./](\d{4})", re.ASCII
)
_SEVERAL = re.compile(r"\s*[|;,\n]\s*")


class Cells(dict[str, str]):
    """Looks cells up: what they say, "" where they hold no value. Remembers the first ones, as labels repeat.

    White space around a text is taken away, blanks are made plain and accents composed (NFC).
    """

    def __init__(self, missing: Iterable[str]) -> None:
        """Takes the words that stand for no value."""
        super().__init__()
        self._missing = frozenset(word.strip().casefold() for word in missing)

    def __missing__(self, cell: str) -> str:
        text = cell.strip()
        if not text.isascii():
            text = unicodedata.normalize("NFC", text.translate(_SPACES)).strip()
        if text.casefold() in self._missing:
            text = ""
        if len(self) < _MOST_REMEMBERED:
            self[cell] = text
        return text


def product_id(text: str, grouped: bool = False) -> str | None:
    """Returns the id that a clean cell stands for: `15970` for `15970.0`, `="15970"`, `'15970` and `men/15970.jpg`.

    Args:
        text: the cell.
        grouped: whether its digits are in groups of three, see `are_grouped`.

    Returns:
        A text that a file's name can hold; None if the cell is nothing of that kind.
    """
    if text.isascii() and text.isdigit() and len(text) <= _MOST_ID_BYTES:
        return text
    if match := _FORMULA.fullmatch(text):
        text = match[1].strip()
    text = text.removeprefix("'").strip()
    if names_picture(text):
        text = PICTURE_SUFFIX.sub("", _path_of(text).replace("\\", "/").rpartition("/")[2])
    elif grouped and _GROUPED.fullmatch(text):
        text = _NOT_DIGIT.sub("", text)
    elif match := _DECIMAL.fullmatch(text):
        text = match[1]
    bad = _ROUNDED.fullmatch(text) or text in ("", ".", "..") or "/" in text or "\\" in text or not text.isprintable()
    return None if bad or len(text.encode("utf-8", "replace")) > _MOST_ID_BYTES else text


def explain_id(text: str) -> str:
    """Says why a cell is not an id, and what to do."""
    shown = text if len(text) <= 40 else text[:40] + "…"
    if not text:
        return "has no id. Give each product one"
    if _ROUNDED.fullmatch(text):
        return f"id {shown!r} was rounded by a spreadsheet. Export the column as text"
    return f"id {shown!r} cannot be a picture's name: no / and \\, and at most {_MOST_ID_BYTES} bytes. Rename it"


def are_grouped(ids: Sequence[str]) -> bool:
    """Whether ids are numbers that a spreadsheet shows in groups of three digits, `10.003` for 10003."""
    return any(not text.isdigit() for text in ids) and all(map(_GROUPED.fullmatch, ids))


def year_of(text: str) -> int | None:
    """Returns the year that a cell holds, of a date too; None if it is none."""
    match = _YEAR.fullmatch(text)
    return int(_NOT_DIGIT.sub("", next(filter(None, match.groups())))) if match else None


def names_picture(text: str) -> bool:
    """Whether a cell is the name, path or address of a picture."""
    return PICTURE_SUFFIX.search(_path_of(text)) is not None


def pictures_in(cells: Iterable[str]) -> tuple[str, ...]:
    """Returns the pictures that clean cells name, in their order; one cell may name several, e.g. between commas."""
    found: dict[str, None] = {}
    for cell in filter(None, cells):
        parts = _SEVERAL.split(cell)
        found |= dict.fromkeys(parts if len(parts) > 1 and all(map(names_picture, parts)) else [cell])
    return tuple(found)


def _path_of(text: str) -> str:
    return unquote(urlsplit(text).path) if "://" in text else text
