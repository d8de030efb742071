"""Counts what became of the rows, and keeps the list of those that were left out."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from components.ingest.faults import Fault, Repair
from components.ingest.judge import Product, Unmapped

_LABELS = ("masterCategory", "subCategory", "articleType")


@dataclass
class Tally:
    """What became of some rows: each is an example, quarantined, or unmapped.

    Attributes:
        examples: how many by class and split.
        quarantined: the faults.
        unmapped: row number, id, masterCategory, subCategory and articleType (empty if missing) of each.
        repaired: how many repairs by kind, whatever became of the row afterwards.
        pictures: split to a number for each picture noted, by which to find those that are in several.
    """

    examples: Counter[tuple[str, str]] = field(default_factory=Counter)
    quarantined: list[Fault] = field(default_factory=list)
    unmapped: list[tuple[int, str, str, str, str]] = field(default_factory=list)
    repaired: Counter[Repair] = field(default_factory=Counter)
    pictures: dict[str, set[int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows were counted."""
        return self.examples.total() + len(self.quarantined) + len(self.unmapped)

    def add(self, outcome: Product | Unmapped | Fault) -> None:
        """Counts one row."""
        if isinstance(outcome, Fault):
            self.quarantined.append(outcome)
        elif isinstance(outcome, Unmapped):
            row = outcome.row
            master, sub, article = (row.fields.get(name, "") for name in _LABELS)
            self.unmapped.append((row.number, row.id, master, sub, article))
        else:
            self.examples[outcome.class_name, outcome.split] += 1
            self.repaired.update(outcome.picture.repaired)

    def add_picture(self, product: Product) -> None:
        """Notes a picture, where several splits may have the same."""
        # A quarter of the hash: among a million pictures two different ones agree with a chance of 1 in 10⁷.
        self.pictures.setdefault(product.split, set()).add(int(product.picture_hash[:16], 16))

    def summary(self, classes: Sequence[str], splits: Sequence[str]) -> dict[str, Any]:
        """The counts as JSON holds them; every class and split is there, also with none."""
        by_class = {name: {split: self.examples[name, split] for split in splits} for name in classes}
        return {
            "rows": self.rows,
            "examples": {split: sum(counts[split] for counts in by_class.values()) for split in splits},
            "classes": by_class,
            "quarantined": _counted(fault.reason for fault in self.quarantined),
            "unmapped": _counted(article or "(missing)" for *_, article in self.unmapped),
            "repaired": dict(sorted(self.repaired.items())),
            "shared": self._shared(splits),
        }

    def _shared(self, splits: Sequence[str]) -> dict[str, int]:
        """How many pictures are in both of two splits."""
        counts = {
            f"{one} and {other}": len(self.pictures.get(one, set()) & self.pictures.get(other, set()))
            for one, other in combinations(splits, 2)
        }
        return {pair: count for pair, count in counts.items() if count}

    def quarantine_csv(self) -> str:
        """Row, id, reason and detail of each quarantined row, in the table's order."""
        lines = [(fault.row, fault.id, fault.reason, fault.detail) for fault in self.quarantined]
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
        total.repaired.update(tally.repaired)
        for split, pictures in tally.pictures.items():
            total.pictures.setdefault(split, set()).update(pictures)
    return total


def _counted(values: Iterable[str]) -> dict[str, int]:
    """Value to count, the most frequent first."""
    return dict(sorted(Counter(map(str, values)).items(), key=lambda item: (-item[1], item[0])))


def _csv(header: Sequence[str], lines: Iterable[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(sorted(lines))
    return text.getvalue()
