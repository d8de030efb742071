"""Writes a shop's table back with its empty cells filled by a model, beside what that rests on."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import BinaryIO

from components.answers.rows import Row
from components.ingest.columns import find_column
from components.ingest.formats import Source, open_tables
from components.ingest.table_format import Table
from components.ingest.values import Cells

ADDED = ("confidence", "source", "decision")  # columns for each that is filled, after its name
_TABLE, _OUTSIDE = "table", "outside"


def fill_table(source: Source, answers: Iterable[Row], columns: Mapping[str, str], file: BinaryIO) -> Counter[str]:
    """Writes the rows of a catalogue's table as CSV, in UTF-8 with the table's own separator.

    Every cell that holds a value stays as it is, to the last space. A cell without one gets the model's answer, unless
    the picture is of none of its classes; a column that the table lacks is added.

    Args:
        source: the catalogue.
        answers: of `fashion batch` about it, in the order of its rows.
        columns: role of a column to what its answer's keys begin with, e.g. {"articleType": "", "gender": "gender_"}.
        file: what is written to.

    Returns:
        How many cells were filled, by the name of the column.
    """
    tables, cells = open_tables(source, ()), Cells(source.layout.missing)
    names, roles = tables[0].names, tables[0].columns
    places = {role: find_column(role, names, roles) for role in columns}
    lacking = [role for role, place in places.items() if place is None]
    called = {role: role if place is None else names[place] for role, place in places.items()}
    at = {role: len(names) + lacking.index(role) if place is None else place for role, place in places.items()}
    text = io.TextIOWrapper(file, "utf-8", newline="")
    lines = csv.writer(text, delimiter=tables[0].separator, lineterminator="\n")
    lines.writerow([*names, *lacking, *(f"{called[role]}_{what}" for role in columns for what in ADDED)])
    filled: Counter[str] = Counter()
    for values, answer in _rows(tables, iter(answers)):
        row = [*values, *[""] * (len(names) - len(values) + len(lacking))]
        if len(row) > len(names) + len(lacking):  # a row with too many values: nothing stands where it should
            lines.writerow(values)
            continue
        for role, prefix in columns.items():
            if cells[row[at[role]]]:
                row += ["", _TABLE, ""]
                continue
            label, decision = (str(answer.get(f"{prefix}{what}") or "") for what in ("label", "decision"))
            if not label or decision == _OUTSIDE:
                row += ["", "", decision]
                continue
            row[at[role]] = label
            row += [f"{float(answer[f'{prefix}confidence']):.6f}", str(answer["model"]), decision]
            filled[called[role]] += 1
        lines.writerow(row)
    text.flush()
    text.detach()
    return filled


def _rows(tables: Sequence[Table], answers: Iterator[Row]) -> Iterator[tuple[list[str], Row]]:
    """Every row of the tables with its answer, which is empty where the row tells of another's variant or of a sum."""
    answer = next(answers, None)
    for table in tables:
        for record in table.records(partial(_is_row, len(table.names))):
            mine = answer is not None and int(answer["row"]) == record.number
            yield list(record.values), answer if mine and answer else {}
            if mine:
                answer = next(answers, None)


def _is_row(width: int, values: Sequence[str]) -> bool:
    return len(values) == width
