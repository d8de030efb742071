"""Counts what became of the rows, and keeps the list of those that were left out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.ingest.faults import FURTHER_PICTURES, Fault, Repair
from components.ingest.judge import Product, Unmapped
from components.spreadsheet import csv_lines
from components.transform.taxonomy import NO_CLASS

_LABELS = ("masterCategory", "subCategory", "articleType")


@dataclass
class Tally:
    """What became of some rows: each is an example, quarantined, or unmapped."""

    examples: Counter[str] = field(default_factory=Counter)  # how many by class
    quarantined: list[Fault] = field(default_factory=list)  # the faults
    # Row number, id, masterCategory, subCategory and articleType (empty if missing) of each, of products of no class
    # that are examples too.
    unmapped: list[tuple[int, str, str, str, str]] = field(default_factory=list)
    # What is wrong with the pictures of others that should be; they count as unmapped.
    unreadable: list[Fault] = field(default_factory=list)
    # How many repairs by kind, whatever became of the row afterwards.
    repaired: Counter[Repair] = field(default_factory=Counter)
    # How many pictures there are beyond the first of each product that is an example. They are examples or quarantined
    # as well where the recipe takes all pictures; else they are passed over.
    further: int = 0
    rows: int = 0  # how many rows were counted

    def add(self, outcome: Product | Unmapped | Fault, is_row: bool = True) -> None:
        """Counts what became of one row, or of another picture of its product."""
        self.rows += is_row
        if isinstance(outcome, Fault):
            self.quarantined.append(outcome)
        elif isinstance(outcome, Unmapped) or outcome.class_name == NO_CLASS:
            row = outcome.row
            master, sub, article = (row.fields.get(name, "") for name in _LABELS)
            self.unmapped.append((row.number, row.id, master, sub, article))
            if isinstance(outcome, Unmapped) and outcome.fault:
                self.unreadable.append(outcome.fault)
        else:
            self.examples[outcome.class_name] += 1
            self.repaired.update(outcome.picture.repaired)

    def summary(
        self, classes: Sequence[str], splits: Sequence[str], divided: Mapping[tuple[str, str], int]
    ) -> dict[str, Any]:
        """The counts as JSON holds them, examples by class and split; every one is there, also with none."""
        by_class = {name: {split: divided.get((name, split), 0) for split in splits} for name in classes}
        return {
            "rows": self.rows,
            "examples": {split: sum(counts[split] for counts in by_class.values()) for split in splits},
            "classes": by_class,
            "quarantined": counted(fault.reason for fault in self.quarantined),
            "class_quarantined": counted(fault.class_name for fault in self.quarantined if fault.class_name),
            "unmapped": counted(article or "(missing)" for *_, article in self.unmapped),
            "repaired": dict(sorted(self.repaired.items())),
            FURTHER_PICTURES: self.further,
        }

    def quarantine_csv(self) -> str:
        """Row, id, reason and detail of each quarantined row, in the table's order."""
        faults = (*self.quarantined, *self.unreadable)
        lines = [(fault.row, fault.id, fault.reason, fault.detail) for fault in faults]
        return _csv(("row", "id", "reason", "detail"), lines)

    def unmapped_csv(self) -> str:
        """Row, id and labels of each unmapped row, in the table's order."""
        return _csv(("row", "id", *_LABELS), self.unmapped)


def merged(tallies: Iterable[Tally]) -> Tally:
    """One tally of all the rows of several."""
    total = Tally()
    for tally in tallies:
        total.examples.update(tally.examples)
        total.quarantined.extend(tally.quarantined)
        total.unmapped.extend(tally.unmapped)
        total.unreadable.extend(tally.unreadable)
        total.repaired.update(tally.repaired)
        total.further += tally.further
        total.rows += tally.rows
    return total


def counted(values: Iterable[str]) -> dict[str, int]:
    """Value to count, the most frequent first."""
    return dict(sorted(Counter(map(str, values)).items(), key=lambda item: (-item[1], item[0])))


def _csv(header: Sequence[str], lines: Iterable[tuple[Any, ...]]) -> str:
    return "".join(csv_lines([header, *sorted(lines)]))
