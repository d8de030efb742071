"""What people decided about single labels, applied to the rows of a catalogue before anything else sees them.

A corrected row is given what its shop would write in it: the label columns of other products of the new class. So every
stage and every published model, which all know labels by these columns, see the corrected one.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from components.errors import RecipeError
from components.features import NAME
from components.ingest.faults import Fault
from components.ingest.table import Row
from components.reading import choices
from components.spreadsheet import csv_lines, unmarked
from components.transform.taxonomy import NO_CLASS, Taxonomy, plain

CORRECTIONS_FILE = "corrections.csv"
COLUMNS = ("id", "old", "new", "by", "when", "reason")
APPLIED, LEFT_OUT, KEPT, IGNORED = "applied", "left out", "kept", "not applied"

_NEEDED = COLUMNS[:3]


@dataclass(frozen=True)
class Correction:
    """A decision about a product: its class as it was and as it is to be, `NO_CLASS` for a product to leave out."""

    id: str
    old: str
    new: str
    by: str = ""
    when: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Corrections:
    """Decisions and their outcomes."""

    # id to the values that its row gets; None for a row that is left out.
    changes: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict)
    # Each decision with `APPLIED`, `LEFT_OUT`, `KEPT`, or `IGNORED` and why.
    outcomes: Sequence[tuple[Correction, str]] = ()

    def apply(self, rows: Iterable[Row | Fault]) -> Iterator[Row | Fault]:
        """Yields the rows as corrected, without those to leave out."""
        for row in rows:
            change = self.changes.get(row.id, {}) if isinstance(row, Row) else {}
            if change and isinstance(row, Row):
                fields = {**row.fields, **change}
                yield replace(row, fields={name: text for name, text in fields.items() if text})
            elif change is not None:
                yield row

    def counts(self) -> dict[str, int]:
        """How many decisions came to what."""
        return dict(Counter(outcome.partition(":")[0] for _, outcome in self.outcomes))

    def as_csv(self) -> str:
        """The decisions as they were given, each with its outcome."""
        lines = ((*(getattr(given, name) for name in COLUMNS), outcome) for given, outcome in self.outcomes)
        return "".join(csv_lines([(*COLUMNS, "outcome"), *lines]))


def read_corrections(file: Path) -> list[Correction]:
    """Reads a file of decisions, CSV in UTF-8, in their order.

    Raises:
        RecipeError: it cannot be read, or lacks a column or a value.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, strict=True)
            names = table.fieldnames or ()
            if missing := [name for name in _NEEDED if name not in names]:
                raise RecipeError(
                    f"labels.corrections {file}: has no column {missing[0]!r}. The columns are {', '.join(COLUMNS)}, "
                    "as the review page of `fashion audit` exports them"
                )
            corrections = []
            for row in table:
                values = {name: plain(unmarked(row.get(name) or "")) for name in COLUMNS}
                if empty := [name for name in _NEEDED if not values[name]]:
                    raise RecipeError(
                        f"labels.corrections {file}, line {table.line_num}: {empty[0]} is empty. Write {NO_CLASS} for "
                        "no class, or remove the line"
                    )
                corrections.append(Correction(**values))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecipeError(f"labels.corrections {file}: cannot be read as CSV in UTF-8 ({error})") from None
    return corrections


def read_outcomes(file: Path) -> list[tuple[Correction, str]]:
    """Reads what `Corrections.as_csv` wrote; nothing where an earlier version of ingest left no such file."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        outcomes = [row["outcome"] for row in csv.DictReader(lines)]
    return list(zip(read_corrections(file), outcomes, strict=True))


def settle(corrections: Sequence[Correction], rows: Iterable[Row | Fault], taxonomy: Taxonomy) -> Corrections:
    """Decides what becomes of each decision, in their order: a later one finds what an earlier one made of the rows."""
    if not corrections:
        return Corrections()
    columns = [name for name in taxonomy.fields if name != NAME]
    wanted, found = {given.id for given in corrections}, dict[str, Row]()
    examples: defaultdict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for row in rows:
        if isinstance(row, Row):
            examples[taxonomy.class_of(row.fields) or NO_CLASS][
                tuple(row.fields.get(name, "") for name in columns)
            ] += 1
            if row.id in wanted:
                found[row.id] = row
    # The most frequent first; not in the order of the table, which must not matter.
    ranked = {name: sorted(counts, key=lambda texts: (-counts[texts], texts)) for name, counts in examples.items()}
    values = {name: [dict(zip(columns, texts, strict=True)) for texts in each] for name, each in ranked.items()}
    changes: dict[str, Mapping[str, str] | None] = {}
    outcomes = [(given, _settle(given, found.get(given.id), values, taxonomy, changes)) for given in corrections]
    return Corrections(changes, outcomes)


def _settle(
    given: Correction, row: Row | None, values: Mapping[str, Sequence[Mapping[str, str]]], taxonomy: Taxonomy,
    changes: dict[str, Mapping[str, str] | None],
) -> str:  # fmt: skip
    """Adds the change that a decision makes, and returns its outcome."""
    known = (*taxonomy.classes, NO_CLASS)
    if row is None:
        return f"{IGNORED}: there is no readable row with this id"
    if given.new not in known:
        return f"{IGNORED}: there is no class {given.new!r}; {choices(given.new, known)}"
    change = changes.get(row.id, {})
    fields = {} if change is None else {**row.fields, **change}
    label = NO_CLASS if change is None else taxonomy.class_of(fields) or NO_CLASS
    if label != given.old:
        return f"{IGNORED}: the product is {label} by now, not {given.old}"
    if given.new == given.old:
        return KEPT
    if given.new == NO_CLASS:
        changes[row.id] = None
        return LEFT_OUT
    for candidate in values.get(given.new, ()):
        if taxonomy.class_of({**row.fields, **candidate}) == given.new:
            changes[row.id] = candidate
            return APPLIED
    return f"{IGNORED}: its name decides its class, whatever its other columns say; correct the taxonomy's rules"
