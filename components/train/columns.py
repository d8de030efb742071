"""Further columns that a network answers beside the main one: what their labels must have, and which answers agree."""

from collections.abc import Sequence

import numpy as np

from components.errors import RecipeError
from components.features import HIERARCHY
from components.networks.classifier import prior_shift
from components.train.data import Pictures
from components.train.settings import Column
from serving.signatures import Tag


def check_values(split: str, pictures: Pictures) -> None:
    """Refuses columns that could not be learnt.

    Raises:
        RecipeError: none of a split's products has a value of one that is a class.
    """
    for column, labels in zip(pictures.columns, pictures.tags.T, strict=True):
        if (labels < 0).all():
            raise RecipeError(
                f"labels.columns.{column}: no product of the split {split} has a value that is a class; leave the "
                "column out, or lower its minimum"
            )


def shift_of(train: Pictures, sizes: Sequence[int], strength: float) -> np.ndarray:
    """Returns what `PriorShift` adds to the logits of all columns, see `prior_shift`: float64 [sum of sizes]."""
    natural = np.column_stack([train.natural, train.tags])
    columns = zip(train.targets.T, natural.T, sizes, strict=True)
    return np.concatenate([prior_shift(trained, found, size, strength) for trained, found, size in columns])


def tags_of(train: Pictures, main: str, classes: int, columns: Sequence[Column]) -> list[Tag]:
    """Describes what a model answers beside its main column, which has `classes`.

    Of a hierarchy, e.g. type, subcategory and category, only those classes may be answered that training has seen with
    the answer of the nearest earlier column.
    """
    names, sizes = [main, *train.columns], [classes, *(len(column.classes) for column in columns)]
    labels = np.column_stack([train.natural, train.tags]).T
    tags = []
    for place, column in enumerate(columns, start=1):
        earlier = [at for at in range(place) if {names[at], column.name} <= set(HIERARCHY)]
        allowed = None
        if earlier:
            both = (labels[earlier[-1]] >= 0) & (labels[place] >= 0)
            allowed = np.zeros((sizes[earlier[-1]], sizes[place]), bool)
            allowed[labels[earlier[-1], both], labels[place, both]] = True
            allowed |= ~allowed.any(axis=1, keepdims=True)  # a class that was never seen with any rules nothing out
        tags.append(Tag(column.name, column.classes, earlier[-1] if earlier else 0, allowed))
    return tags
