"""Which classes of a catalogue can be learnt: from what column, and of how many products."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from components.errors import RecipeError
from components.inspect.inspection import Inspection
from components.inspect.roles import KINDS, best_label

_SMALL = 5_000
# Of so many products of a class none is in eval, or none in test, once in three thousand runs or less.
ENOUGH, _ENOUGH_OF_MANY = 40, 100
_FEWER = (20, 10, 5, 3, 2, 1)
_MOST = 0.5


@dataclass(frozen=True)
class Plan:
    """What a draft says of the classes, which are the values of the role `column` with `minimum` products or more."""

    column: str
    classes: Mapping[str, int]  # those that can be trained and tested, with their products
    others: Mapping[str, int]  # those that are too small
    minimum: int
    certain: bool  # whether chance leaves no class without products in a split

    @property
    def products(self) -> int:
        """How many are in the classes."""
        return sum(self.classes.values())

    @property
    def small(self) -> bool:
        """Whether they are few: splits are larger shares then, and training is shorter."""
        return self.products < _SMALL


def plan_of(inspection: Inspection) -> Plan:
    """Chooses the column of the labels, and how many products a class needs.

    Raises:
        RecipeError: no column has two values that repeat.
    """
    labels = inspection.rows.labels
    # What a product is, as finely as most products allow; else whatever can be learnt.
    column = next((role for role in KINDS if _covered(labels.get(role, Counter())) >= _MOST), best_label(labels))
    if column is None:
        raise RecipeError(
            f"{inspection.data}: no column holds classes, a few values that repeat. Add one to {inspection.table} that "
            "says what each product is."
        )
    counts = labels[column]
    first = _enough(counts)
    minimum = next(n for n in (first, *_FEWER) if n == 1 or sum(rows >= n for rows in counts.values()) >= 2)
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    classes = {name: rows for name, rows in ordered.items() if rows >= minimum}
    others = {name: rows for name, rows in ordered.items() if rows < minimum}
    return Plan(column, classes, others, minimum, minimum == first)


def _enough(counts: Counter[str]) -> int:
    return ENOUGH if counts.total() < _SMALL else _ENOUGH_OF_MANY


def _covered(counts: Counter[str]) -> float:
    """Which share of the products is in classes of enough."""
    return sum(rows for rows in counts.values() if rows >= _enough(counts)) / max(counts.total(), 1)
