"""What each column of an unknown table holds, told from its values."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from components.ingest.pictures import Pictures
from components.ingest.values import Cells, names_picture, pictures_in, product_id

# Beyond so many different values a column is no longer counted: at a million rows ids would fill the memory.
_MOST_VALUES = 200_000
_SAMPLE = 300
_BLOCK = 1_000
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d\s*(?:[€$£%]|[A-Z]{3})?")
_HTML = re.compile(r"</?[a-zA-Z][^<>]*>")


@dataclass(eq=False)
class Content:
    """The values of a column."""

    name: str  # the column's, as the header has it
    # How many rows have each value, missing ones aside; of the first rows only if there are very many values.
    values: Counter[str] = field(default_factory=Counter)
    rows: int = 0  # how many were counted
    ids: float = 0.0  # share of a sample of values by which a picture is found as by an id
    files: float = 0.0  # share of them that are the name, path or address of a picture in the catalogue
    links: float = 0.0  # share of them that look like one, wherever the picture is
    numbers: float = 0.0  # share of them that are numbers
    words: float = 0.0  # how many a value of the sample has, in the mean
    html: float = 0.0  # share of the sample with HTML tags

    @property
    def present(self) -> int:
        """How many of the counted rows have a value."""
        return self.values.total()

    @property
    def distinct(self) -> float:
        """Different values for each present one: 1 if no two are alike."""
        return len(self.values) / max(self.present, 1)

    def add(self, values: Iterable[str]) -> None:
        """Counts values, unless there were too many different ones already."""
        if len(self.values) < _MOST_VALUES:
            before = self.values.total()
            self.values.update(values)
            self.rows += self.values.total() - before

    def describe(self, cells: Cells, pictures: Pictures) -> None:
        """Takes the missing values out, and looks at a sample of the others."""
        for value in [value for value in self.values if not cells[value]]:
            del self.values[value]
        step = max(1, len(self.values) // _SAMPLE)
        sample = [cells[value] for value in islice(self.values, 0, step * _SAMPLE, step)]
        share = 1 / max(len(sample), 1)
        self.ids = share * sum(bool(pictures.by_id(product_id(value) or "").names) for value in sample)
        self.links = share * sum(map(names_picture, sample))
        self.files = (
            share * sum(bool(pictures.by_paths(pictures_in([value])).names) for value in sample) if self.links else 0.0
        )
        self.numbers = share * sum(_NUMBER.fullmatch(value) is not None for value in sample)
        self.words = share * sum(len(value.split()) for value in sample)
        self.html = share * sum(_HTML.search(value) is not None for value in sample)


def read_contents(
    names: Sequence[str], rows: Iterable[Sequence[str]], cells: Cells, pictures: Pictures
) -> list[Content]:
    """Counts the values of each column; rows with too few or too many values are passed over."""
    columns = [Content(name) for name in names]
    fitting = (row for row in rows if len(row) == len(names))
    while block := list(islice(fitting, _BLOCK)):
        for column, values in zip(columns, zip(*block, strict=True), strict=True):
            column.add(values)
    for column in columns:
        column.describe(cells, pictures)
    return columns
