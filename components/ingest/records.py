"""Splits the lines of a table into records of values, telling stray quotation marks from fields of several lines."""

import csv
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from components.ingest.faults import Repair

_BOM = b"\xef\xbb\xbf"
# How far to look for the mark that ends a field. A single field is bounded by the csv module, at 131,072 characters.
_MOST_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """The values of one row.

    Attributes:
        number: as a spreadsheet shows it; the header is 1.
        values: as they stand, with their white space.
        repaired: what was mended.
    """

    number: int
    values: list[str]
    repaired: tuple[Repair, ...]


def read_records(lines: Iterable[bytes], is_record: Callable[[list[str]], bool]) -> Iterator[Record]:
    """Splits a table into records; blank ones count but are not yielded.

    A quoted field may hold line breaks. Where quotation marks do not pair, or most of the lines between two of them
    would be records by themselves, the marks are stray: they stand for themselves, and each line is a record.

    Args:
        lines: with their ends, as a file opened in binary mode yields them.
        is_record: whether values look like those of a record; asked about lines within a quoted field.
    """
    source = _Lines(lines)
    reader = csv.reader(source, strict=True)
    number = 0
    while True:
        source.begin()
        try:
            values = next(reader, None)
        except csv.Error:
            values = None
        if not source.taken:
            return
        number += 1
        stray = values is None or (len(source.taken) > 1 and _most([line for line, _ in source.taken[1:]], is_record))
        if stray:
            source.give_back()
        repaired = () if all(clean for _, clean in source.taken) else (Repair.ENCODING,)
        if stray or values is None:
            yield Record(number, _split(source.taken[0][0]), (*repaired, Repair.QUOTES))
        elif any(map(str.strip, values)):
            yield Record(number, values, repaired)


class _Lines:
    """Decodes lines, remembers those that the record at hand has taken, and takes them back."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._ahead: deque[tuple[str, bool]] = deque()
        self._first = True
        self.begin()

    def begin(self) -> None:
        """Begins a record."""
        self.taken: list[tuple[str, bool]] = []  # each with whether it was clean UTF-8
        self._characters = 0

    def give_back(self) -> None:
        """Leaves the record its first line only."""
        self._ahead.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._characters > _MOST_CHARACTERS:
            raise StopIteration  # to the csv module, the table ends within a quoted field
        self.taken.append(self._ahead.popleft() if self._ahead else self._read())
        line = self.taken[-1][0]
        self._characters += len(line)
        return line

    def _read(self) -> tuple[str, bool]:
        line = next(self._lines)
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        try:
            return line.decode("utf-8"), True
        except UnicodeDecodeError:
            return line.decode("utf-8", "replace"), False


def _split(line: str) -> list[str]:
    """The values of a line in which quotation marks mean nothing."""
    return line.rstrip("\r\n").split(",")


def _most(lines: list[str], is_record: Callable[[list[str]], bool]) -> bool:
    """Whether more than half of some lines, blank ones aside, are records by themselves."""
    written = [line for line in lines if line.strip()]
    return sum(is_record(_split(line)) for line in written) > len(written) / 2
