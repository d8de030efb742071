"""How a table of text is written: encoding, line ends, separator, and which row is the header."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from components.errors import CatalogueError
from components.features import ID
from components.ingest.columns import Column, find_columns, listed
from components.ingest.settings import Layout

MIXED = "surrogateescape"  # how undecodable bytes travel until their line is read as Windows-1252

_BLOCK, _START = 1 << 20, 1 << 18
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r'"[^"]*"')
_ROWS = 100
# How far down a header may stand: exports begin with the shop's name, the date, blank lines.
_MOST_ROWS_ABOVE = 20

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
          codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
# Excel writes the first on Windows, the others as "CSV (Macintosh)" and "CSV (MS-DOS)".
_EIGHT_BIT = ("cp1252", "mac_roman", "cp850")
_LETTERS = frozenset("äöüßÄÖÜéèàçñ")
_ASCII = bytes(range(128))


@dataclass(frozen=True)
class Dialect:
    """How a table of text is written."""

    encoding: str  # of the whole file, as Python calls it
    errors: str  # `MIXED` if single lines are Windows-1252 in a file of UTF-8, else `strict`
    newline: str  # what ends a line: a line feed, whatever is before it, or a carriage return alone
    separator: str  # between two values
    above: int  # how many records stand above the header; a `sep=` line is none
    separator_line: bool  # whether a `sep=` line stands before everything
    quoted: bool  # whether there are quotation marks, as far as was looked


@dataclass(frozen=True)
class Header:
    """Where a table's columns are named: how many rows stand above it, the columns by role, the first rows beneath."""

    above: int
    names: list[str]
    columns: dict[str, Column]
    rows: list[list[str]]


def find_dialect(
    open_table: Callable[[], BinaryIO], place: str, layout: Layout, needed: Collection[str]
) -> tuple[Dialect, Header]:
    """Finds out how a table is written, reading it to its end once to decide about its encoding.

    Raises:
        CatalogueError: it is empty, or is not text in a known encoding.
        OSError: it cannot be read.
    """
    with open_table() as file:
        start = file.read(_BLOCK)
        encoding, errors = (layout.encoding, "strict") if layout.encoding else _encoding(start, file, place)
    try:
        text = codecs.getincrementaldecoder(encoding)(errors).decode(start[:_START]).lstrip("\ufeff")
    except UnicodeError as error:
        raise undecodable(place, encoding, error) from error
    plain = _QUOTED.sub("", text)
    newline = "\r" if plain.count("\r") - plain.count("\r\n") > plain.count("\n") else "\n"
    rows = [f"{line}\n" for line in text.split(newline)]
    if len(start) > _START:
        rows.pop()  # which is cut
    separators, separator_line = layout.separator or _SEPARATORS, False
    if match := _SEPARATOR_LINE.fullmatch(rows[0].strip(" \r\n")):
        separators, separator_line = layout.separator or match[1], True
        del rows[0]
    candidates = [(separator, _split(rows, separator)) for separator in separators]
    separator, header = max(
        ((separator, find_header(records, layout, needed)) for separator, records in candidates),
        key=lambda found: (*_fitness(found[1], needed), len(found[1].names)),
    )
    if not header.columns and text.lstrip()[:1] in tuple("<{["):
        raise CatalogueError(f"{place}: is XML, HTML or JSON, not a table. Export it as CSV, .xlsx or Parquet.")
    if not header.names:
        raise CatalogueError(
            f"{place} is empty. Its first row must name the columns, at least {listed([ID, *needed])}."
        )
    return Dialect(encoding, errors, newline, separator, header.above, separator_line, '"' in text), header


def find_header(records: Sequence[Sequence[str]], layout: Layout, needed: Collection[str]) -> Header:
    """Finds the row that names the columns among the first ones: the first with most of the roles."""
    best = Header(0, [], {}, [])
    for above, record in enumerate(records[: _MOST_ROWS_ABOVE + 1]):
        names = [name.strip().lstrip("\ufeff") for name in record]
        while names and not names[-1]:
            names.pop()
        found = Header(above, names, find_columns(names, layout, needed), [])
        if not best.names or _fitness(found, needed) > _fitness(best, needed):
            best = found
    return Header(best.above, best.names, best.columns, [list(record) for record in records[best.above + 1 :]])


def undecodable(place: str, encoding: str, error: UnicodeError) -> CatalogueError:
    """Says that a table is not in the encoding that it was taken for."""
    return CatalogueError(
        f"{place}: is not in {encoding} ({getattr(error, 'reason', error)}). Save it as UTF-8, or name its "
        "encoding in the recipe, e.g. catalogue.encoding: cp1250."
    )


def _fitness(header: Header, needed: Collection[str]) -> tuple[bool, int, bool]:
    """How much a row looks like a header: it has all that is needed, many roles, and is not a title."""
    return {ID, *needed} <= header.columns.keys(), len(header.columns), len(header.names) > 1


def _split(lines: Sequence[str], separator: str) -> list[list[str]]:
    records = csv.reader(lines, delimiter=separator)
    try:
        return list(islice(records, _ROWS))
    except csv.Error:  # a field without an end
        return [line.rstrip("\r\n").split(separator) for line in lines[:_ROWS]]


def _encoding(start: bytes, file: BinaryIO, place: str) -> tuple[str, str]:
    """Decides about a whole file: its encoding, and how to treat what does not fit."""
    mark = next((mark for mark in _MARKS if start.startswith(mark)), b"")
    if mark and mark != codecs.BOM_UTF8:
        return _MARKS[mark], "strict"
    zeros = [start[: 1 << 12][half::2].count(0) for half in (0, 1)]
    if max(zeros) > 10 * min(zeros) and max(zeros) > len(start[: 1 << 12]) / 8:
        return ("utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"), "strict"
    clean, broken, bytes_ = 0, 0, Counter[int]()
    for block in _blocks(start, file):
        if block.isascii():
            continue
        for line in block.splitlines():
            if not line.isascii():
                try:
                    line.decode("utf-8")
                    clean += 1
                except UnicodeDecodeError:
                    broken += 1
                    bytes_.update(line.translate(None, _ASCII))
    if mark or broken <= clean:
        return "utf-8-sig" if mark else "utf-8", MIXED if broken else "strict"
    return _eight_bit(bytes_, place), "strict"


def _eight_bit(counts: Counter[int], place: str) -> str:
    """The encoding in which most of the bytes beyond ASCII are letters; Windows-1252 unless another is far better."""
    letters = {
        name: sum(n for byte, n in counts.items() if bytes([byte]).decode(name, "replace") in _LETTERS)
        for name in _EIGHT_BIT
    }
    best = max(letters, key=lambda name: letters[name])
    if letters[best] > 2 * letters["cp1252"]:
        return best
    for byte in counts:
        try:
            bytes([byte]).decode("cp1252")
        except UnicodeDecodeError as error:
            raise undecodable(place, "UTF-8, and not in Windows-1252", error) from error
    return "cp1252"


def _blocks(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file in blocks of whole lines."""
    rest = b""
    block = start
    while block:
        cut = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1 or len(block)
        yield rest + block[:cut]
        rest = block[cut:]
        block = file.read(_BLOCK)
    yield rest
