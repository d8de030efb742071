"""The part of the section on data about products that share a picture."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from components.ingest.duplicates import groups_of, same_picture
from components.report.examples import Table, pictures_of
from components.report.facts.data import DuplicateGroup, Duplicates, Listing
from components.report.reading import Reading
from components.report.thumbnail import thumbnail

_GROUPS_SHOWN = 12
_LISTED_OF_GROUP = 6


def duplicates(reading: Reading, table: Table) -> Duplicates | None:
    """Finds and shows the products that share a picture; None where ingest kept no record of what pictures show."""
    members, folder = reading.members, reading.folders.examples
    if members is None or folder is None:
        return None
    groups = duplicate_rows(table, same_picture(members.signatures))
    pictures = pictures_of(folder, {str(table.ids[rows[0]]) for rows in groups[:_GROUPS_SHOWN]})
    return duplicates_of(table, groups, reading.classes, lambda product: thumbnail(pictures[product]))


def duplicate_rows(table: Table, pictures: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Finds the rows that share a picture, one array for each such picture: contradictory ones first, then the largest.

    `pictures` is [n], the same number for near-identical pictures.
    """
    return sorted(
        groups_of(pictures), key=lambda rows: (not _contradictory(table, rows), -len(rows), str(table.ids[rows[0]]))
    )


def duplicates_of(
    table: Table, groups: Sequence[NDArray[np.intp]], classes: Sequence[str], picture_of: Callable[[str], bytes | None]
) -> Duplicates:
    """Sums up groups from `duplicate_rows`, and shows the first of them."""
    across = [rows for rows in groups if len(np.unique(table.splits[rows])) > 1]
    return Duplicates(
        groups=len(groups),
        products=sum(map(len, groups)),
        contradictory=sum(_contradictory(table, rows) for rows in groups),
        across=len(across),
        tested=sum(int((table.splits[rows] == "test").sum()) for rows in across),
        samples=tuple(
            DuplicateGroup(
                picture_of(str(table.ids[rows[0]])),
                tuple(_listing(table, row, classes) for row in _representatives(table, rows)),
                _contradictory(table, rows),
            )
            for rows in groups[:_GROUPS_SHOWN]
        ),
    )


def _contradictory(table: Table, rows: NDArray[np.intp]) -> bool:
    return len(np.unique(table.labels[rows])) > 1


def _representatives(table: Table, rows: NDArray[np.intp]) -> list[int]:
    """The first rows of a group, with every class among them before any class comes again."""
    _, first = np.unique(table.labels[rows], return_index=True)
    rest = np.setdiff1d(np.arange(len(rows)), first)
    return [int(row) for row in rows[np.concatenate([np.sort(first), rest])][:_LISTED_OF_GROUP]]


def _listing(table: Table, row: int, classes: Sequence[str]) -> Listing:
    return Listing(
        id=str(table.ids[row]),
        name=str(table.texts["productDisplayName"][row]),
        class_name=classes[table.labels[row]] if table.labels[row] >= 0 else "",
        split=str(table.splits[row]),
    )
