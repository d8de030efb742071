"""Tells whether the values of a row stand in their columns, and puts them there where one reading fits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from components.ingest.faults import Repair
from components.ingest.records import Record
from components.ingest.values import Cells, product_id, year_of

_DIGIT = re.compile(r"\d")
_MOST_LABELS = 10_000  # different ones to keep in mind
# In a wider table a row with too many values is not put in order: there would be too many ways to.
_MOST_COLUMNS = 200
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


class IdShape:
    """What the ids of a table look like, by its first rows."""

    def __init__(self, ids: Sequence[str], grouped: bool) -> None:
        """Takes clean ids, and whether their digits are in groups."""
        self._grouped = grouped
        self._known = [identity for text in ids if (identity := product_id(text, grouped))]
        self._digits = all(map(str.isdigit, self._known))
        self._numbered = all(map(_DIGIT.search, self._known))
        self._marks = set("".join(self._known)) - {mark for mark in "".join(self._known) if mark.isalnum()}

    def fits(self, cell: str) -> bool:
        """Whether a cell looks like one of them: of digits, with a digit, and no other marks than they have."""
        identity = product_id(cell, self._grouped)
        if not identity or not self._known or identity.isdigit():
            return bool(identity)
        if self._digits or (self._numbered and not _DIGIT.search(identity)):
            return False
        return all(letter.isalnum() or letter in self._marks for letter in identity)


@dataclass
class Alignment:
    """How the values of a row should stand, and the labels seen in those that do.

    Of `width` columns, `id`, `year`, `text` (free text) and `labels` (what a product is) are indices.
    """

    width: int
    id: int
    year: int | None
    text: Sequence[int]
    labels: Sequence[int]
    separator: str
    ids: IdShape
    cells: Cells
    _seen: set[tuple[str, ...]] = field(default_factory=set)

    @property
    def remedy(self) -> str:
        """What to do about values that stand elsewhere."""
        return f"Put values that hold {_SEPARATORS.get(self.separator, repr(self.separator))} in quotes."

    def is_row(self, values: Sequence[str]) -> bool:
        """Whether id and year stand where they should, or would but for separators without quotation marks."""
        return any(map(self._fits, self._readings(values).values()))

    def learn(self, values: Sequence[str]) -> None:
        """Remembers the labels of a row that is in order."""
        if len(values) == self.width and len(self._seen) < _MOST_LABELS:
            self._seen.add(self._labels_in(values))

    def is_clear(self, values: Sequence[str]) -> bool:
        """Whether id and year alone say how to read too many values."""
        fitting = (reading for reading in self._readings(values).values() if self._fits(reading))
        return len(set(map(self._labels_in, fitting))) == 1

    def in_order(self, record: Record) -> tuple[Sequence[str], tuple[Repair, ...]]:
        """The values of a row, one for each column if that can be; and what was repaired."""
        values, end = record.values, len(record.values)
        while end > self.width and not values[end - 1].strip():
            end -= 1
        if end > self.width and (joined := self._joined(values)):
            return joined, (*record.repaired, Repair.COMMAS)
        return values[:end], record.repaired

    def year_stands_beside(self, values: Sequence[str]) -> bool:
        """Whether the value after the year's is one: a comma in front of it moved the values, and the last is lost."""
        beside = values[self.year + 1 : self.year + 2] if self.year is not None else []
        return any(year_of(self.cells[value]) is not None for value in beside)

    def _joined(self, values: Sequence[str]) -> list[str] | None:
        """Joins what separators without quotation marks have split, where one reading fits; None where none or several.

        Columns that hold free text come first: there such commas are common. They are joined if every other reading
        gives the same labels, or if the labels occur in other rows.
        """
        fitting = {column: reading for column, reading in self._readings(values).items() if self._fits(reading)}
        text = [reading for column, reading in fitting.items() if column in self.text]
        known = [reading for reading in fitting.values() if self._labels_in(reading) in self._seen]
        if len(text) == 1 and (self.is_clear(values) or text[0] in known):
            return text[0]
        return known[0] if len(known) == 1 else None

    def _readings(self, values: Sequence[str]) -> dict[int, list[str]]:
        """Column to the values, if all that are too many are its own; none if values are too few."""
        extra = len(values) - self.width
        if extra < 0 or (extra and self.width > _MOST_COLUMNS):
            return {}
        join = self.separator.join
        return {
            column: [*values[:column], join(values[column : column + extra + 1]), *values[column + extra + 1 :]]
            for column in (range(self.width) if extra else (self.id,))
        }

    def _fits(self, values: Sequence[str]) -> bool:
        year = "" if self.year is None else self.cells[values[self.year]]
        return self.ids.fits(self.cells[values[self.id]]) and (not year or year_of(year) is not None)

    def _labels_in(self, values: Sequence[str]) -> tuple[str, ...]:
        # With their white space: after a comma in a text there is some, and where labels begin there is none.
        return tuple(values[index] for index in self.labels)
