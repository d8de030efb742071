"""Splits the lines of a table into records of values, telling stray quotation marks from fields of several lines."""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from components.ingest.faults import Repair

# How far to look for the mark that ends a field. A single field is bounded by the csv module, at 131,072 characters.
_MOST_CHARACTERS = 1 << 20
_LINE_ENDS = re.compile("[\r\n]+")


class Record(NamedTuple):
    """The values of one row as they stand, with their white space, and what was repaired.

    `number` is as a spreadsheet shows it; the first is 1.
    """

    number: int
    values: Sequence[str]
    repaired: tuple[Repair, ...] = ()


def read_records(
    lines: Iterable[str], is_record: Callable[[Sequence[str]], bool], separator: str = ",", mixed: bool = False
) -> Iterator[Record]:
    """Splits a table into records; blank ones count but are not yielded.

    A quoted field may hold line breaks. Where quotation marks do not pair, or most of the lines between two of them
    would be records by themselves, the marks are stray: they stand for themselves, and each line is a record.

    Args:
        lines: with their ends.
        is_record: whether values look like those of a record; asked about lines within a quoted field.
        separator: between two values.
        mixed: whether lines may hold bytes that are not UTF-8, as `surrogateescape` decodes them: such a line is in
            Windows-1252.
    """
    source = _Lines(lines, mixed)
    reader = csv.reader(source, strict=True, delimiter=separator)
    number = 0
    while (line := source.begin()) is not None:
        number += 1
        values: Sequence[str] | None = None
        marks: tuple[Repair, ...] = ()
        if '"' in line:
            source.give_back(0)
            try:
                values = next(reader)
            except csv.Error:
                values = None
            between = [line for line, _ in source.taken[1:]]
            if values is None or (between and _most(between, is_record, separator)):
                values, marks = None, (Repair.QUOTES,)
                source.give_back(1)
        if values is None:
            values = _split(source.first_of_several(is_record, separator), separator)
        if any(map(str.strip, values)):
            yield Record(number, values, (*source.repaired, *marks))


class _Lines:
    """Remembers the lines that the record at hand has taken, fixes them, and takes them back."""

    def __init__(self, lines: Iterable[str], mixed: bool) -> None:
        self._lines = iter(lines)
        self._mixed = mixed
        self._ahead: deque[tuple[str, bool]] = deque()
        self.taken: list[tuple[str, bool]] = []  # each with whether it was clean
        self._characters = 0

    @property
    def repaired(self) -> tuple[Repair, ...]:
        """Whether a line of the record at hand had to be repaired."""
        return (Repair.ENCODING,) if self._mixed and not all(clean for _, clean in self.taken) else ()

    def begin(self) -> str | None:
        """Begins a record; returns its first line, None at the end."""
        self.taken = []
        self._characters = 0
        return next(self, None)

    def give_back(self, start: int) -> None:
        """Leaves the record its first lines only, this many."""
        self._ahead.extendleft(reversed(self.taken[start:]))
        del self.taken[start:]

    def first_of_several(self, is_record: Callable[[Sequence[str]], bool], separator: str) -> str:
        """The record's line; the first part of it, where others end in it as lines do elsewhere in the table."""
        line, clean = self.taken[0]
        body = line.strip("\r\n")
        if "\r" in body or "\n" in body:
            parts = [part for part in _LINE_ENDS.split(body) if part]
            if _most(parts, is_record, separator):
                self._ahead.extendleft((part, clean) for part in reversed(parts[1:]))
                return parts[0]
        return body

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._characters > _MOST_CHARACTERS:
            raise StopIteration  # to the csv module, the table ends within a quoted field
        if self._ahead:
            self.taken.append(self._ahead.popleft())
        else:
            line = next(self._lines)
            repaired = line if not self._mixed or line.isascii() else _repair(line)
            self.taken.append((repaired, repaired is line))
        line = self.taken[-1][0]
        self._characters += len(line)
        return line


def _repair(line: str) -> str:
    try:
        line.encode()
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return line


def _split(line: str, separator: str) -> list[str]:
    """The values of a line in which quotation marks mean nothing."""
    return line.strip("\r\n").split(separator)


def _most(lines: Sequence[str], is_record: Callable[[Sequence[str]], bool], separator: str) -> bool:
    """Whether more than half of some lines, blank ones aside, are records by themselves."""
    written = [line for line in lines if line.strip()]
    return sum(is_record(_split(line, separator)) for line in written) > len(written) / 2
