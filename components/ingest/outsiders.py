"""Products of no class: which of them are read, which of their kinds training never sees, and their splits."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import RecipeError
from components.ingest.settings import Split
from components.ingest.split import TEST, deal, groups, key_of
from components.ingest.table import Row
from components.outside.settings import Outside
from components.reading import choices
from components.settings import SPLITS

_TEST = SPLITS.index(TEST)
LEFT_OUT = len(SPLITS)  # in place of a split


@dataclass(frozen=True)
class Draw:
    """Which rows of no class are read."""

    column: str  # its values are the kinds
    kinds: tuple[str, ...]  # all of them, sorted
    unseen: tuple[str, ...]  # those of them that training never sees
    last: int  # the largest key of an id that is read
    left: int  # how many rows are not

    @property
    def unseen_numbers(self) -> list[int]:
        """The numbers of the kinds that training never sees."""
        return [self.kinds.index(kind) + 1 for kind in self.unseen]

    def takes(self, row: Row) -> bool:
        """Whether a row is read."""
        return key_of(row.id) <= self.last

    def number_of(self, row: Row) -> int:
        """The number of a row's kind, from 1; a row that does not say has the kind ""."""
        return bisect_left(self.kinds, row.fields.get(self.column, "")) + 1

    def summary(
        self, kinds: NDArray[np.int32], splits: NDArray[np.uint8], unreadable: Mapping[str, int]
    ) -> dict[str, Any]:
        """The counts as JSON holds them.

        Of the products that were read, kinds are [n], from 1, and splits [n], as `divide_outsiders` gives them. Rows
        whose pictures are `unreadable` are counted by reason.
        """
        counts = np.zeros((len(self.kinds), len(SPLITS) + 1), int)
        np.add.at(counts, (kinds - 1, splits), 1)
        rows = zip(self.kinds, counts[:, : len(SPLITS)].tolist(), strict=True)
        return {
            "column": self.column,
            "kinds": {name: dict(zip(SPLITS, row, strict=True)) for name, row in rows if any(row)},
            "unseen": list(self.unseen),
            "left": self.left,
            "alike": int(counts[:, LEFT_OUT].sum()),
            "unreadable": dict(unreadable),
        }


def draw(rows: Iterable[tuple[str, str]], settings: Outside) -> Draw:
    """Draws the rows and the kinds; neither depends on the order of the table.

    Kinds are drawn by rank and not each by itself, so that some are unseen wherever there are two.

    Args:
        rows: id and kind, "" where it is missing, of each row of no class.
        settings: the recipe's.

    Raises:
        RecipeError: the recipe names a kind as unseen that no such row has.
    """
    keys, found = [], set()
    for product, kind in rows:
        keys.append(key_of(product))
        found.add(kind)
    kinds = tuple(sorted(found))
    named = [kind for kind in kinds if kind]
    if isinstance(settings.unseen, tuple):
        unseen: Sequence[str] = settings.unseen
        for kind in unseen:
            if kind not in named:
                raise RecipeError(f"outside.unseen: no product of no class is {kind!r}; {choices(kind, named)}")
    else:
        least = min(1, len(named) // 2) if settings.unseen else 0
        unseen = sorted(named, key=key_of)[: max(least, round(settings.unseen * len(named)))]
    kept = np.sort(np.array(keys, np.uint64))[: settings.most]
    return Draw(settings.kind, kinds, tuple(sorted(unseen)), int(kept[-1]) if len(kept) else 0, len(keys) - len(kept))


def divide_outsiders(
    products: NDArray[np.void], inside: NDArray[np.void], splits: NDArray[np.uint8], unseen: Sequence[int], rules: Split
) -> NDArray[np.uint8]:
    """Assigns products of no class to splits; those of the classes stay where they are, so figures stay comparable.

    Near-identical pictures, and variants of one product, go where those of the classes are. One that has to be in
    `test`, for its kind or by `split.by`, takes its like with it; where training or eval have a picture like its own,
    it is left out. So is one that belongs to products of the classes in two splits.

    Args:
        products: [n] of `product_columns`.
        inside: [m] of them, products of the classes.
        splits: [m], where these are.
        unseen: numbers of the kinds that are tested on alone, from 1.
        rules: what is kept together, and the proportions.

    Returns:
        [n] indices into `SPLITS`, or `LEFT_OUT`.
    """
    everything = np.concatenate([products, inside])
    group = groups(everything)[1]
    forced = products["tested"] | np.isin(products["kind"], unseen)
    has = np.zeros((len(SPLITS), group.max(initial=-1) + 1), np.bool_)
    has[splits, group[len(products) :]] = True
    free = deal(everything["key"], group, rules)
    free[group[: len(products)][forced]] = _TEST
    wanted = np.where(has.any(axis=0), has.argmax(axis=0), free)[group[: len(products)]]
    torn = (has.sum(axis=0) > 1)[group[: len(products)]] | (forced & (wanted != _TEST))
    return np.where(torn, LEFT_OUT, wanted).astype(np.uint8)
