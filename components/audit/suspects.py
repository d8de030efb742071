"""The products whose labels are probably wrong, the surest first, each with what speaks against its label."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.audit.evidence import Evidence, margins
from components.ingest.duplicates import groups_of
from components.spreadsheet import csv_lines
from components.transform.taxonomy import NO_CLASS

SUSPECTS_FILE = "suspects.csv"
COLUMNS = ("id", "name", "split", "label", "suggestion", "sure", "reasons")

_TWINS_NAMED = 3


@dataclass(frozen=True)
class Suspect:
    """A product whose label is to be looked at."""

    id: str  # of the product
    name: str  # of the product
    split: str  # it is in
    label: str  # the class that it has
    suggestion: str  # the class that it seems to be of; `NO_CLASS` where its picture shows no product
    sure: float  # probability of the suggestion, 0 … 1, by all evidence; 0 where it is not from a class's evidence
    reasons: tuple[str, ...]  # what speaks for it, each a sentence without its end


@dataclass(frozen=True)
class Products:
    """What is known of n products: ids, names, splits, and int64 [n] labels and numbers of pictures that look alike."""

    ids: Sequence[str]
    names: Sequence[str]
    splits: Sequence[str]
    labels: NDArray[np.int64]
    pictures: NDArray[np.intp]


def rank(
    products: Products, evidence: Evidence, classes: Sequence[str], odd: Mapping[int, str], kept: Collection[str] = ()
) -> list[Suspect]:
    """Ranks those for which another class is more probable than their own, and those whose pictures show nothing.

    Args:
        products: the n products.
        evidence: of the same.
        classes: names, in the order of the labels.
        odd: row to what is wrong with its picture.
        kept: ids whose labels a person has confirmed.

    Returns:
        Those with odd pictures first, then by how much more probable the suggestion is.
    """
    margin, best = margins(evidence.probabilities, products.labels)
    twins = contradictions(products.labels, products.pictures)
    doubtful = [row for row in np.argsort(-margin, kind="stable").tolist() if margin[row] > 0 or row in twins]
    suspects = []
    for row in dict.fromkeys((*odd, *doubtful)):
        if products.ids[row] in kept:
            continue
        suggestion, sure = classes[best[row]], float(evidence.probabilities[row, best[row]])
        reasons = [*_reasons(row, int(best[row]), products, evidence, classes)]
        if not reasons:
            reasons = [f"pictures like its own and the words of its name together are those of {suggestion}"]
        if row in odd:
            suggestion, sure, reasons = NO_CLASS, 0.0, [odd[row]]
        if row in twins:
            shown = ", ".join(f"{products.ids[twin]} ({classes[products.labels[twin]]})" for twin in twins[row])
            reasons.append(f"its picture is also that of {shown}")
        label = classes[products.labels[row]]
        suspects.append(
            Suspect(
                products.ids[row], products.names[row], products.splits[row], label, suggestion, sure, tuple(reasons)
            )
        )
    return suspects


def _reasons(row: int, other: int, products: Products, evidence: Evidence, classes: Sequence[str]) -> Iterator[str]:
    label, neighbours = int(products.labels[row]), evidence.neighbours[row]
    near = Counter(products.labels[neighbours].tolist())
    if near[other] > near[label]:
        counts = f"{near[other]} are {classes[other]} and {near[label] or 'none'} {classes[label]}"
        yield f"of the {len(neighbours)} pictures most like its own {counts}"
    if words := evidence.words.telling(products.names[row], other, label):
        yield f"its name says {' and '.join(f'“{word}”' for word in words)}, as {classes[other]} do"


def contradictions(labels: NDArray[np.int64], pictures: NDArray[np.intp]) -> dict[int, list[int]]:
    """Finds products whose picture is also that of one with another label: row to the rows of those, at most three.

    Args:
        labels: int64 [n].
        pictures: [n], the same number for pictures that look alike.
    """
    mixed = [group for group in groups_of(pictures) if np.ptp(labels[group])]
    return {
        int(row): [int(twin) for twin in group if labels[twin] != labels[row]][:_TWINS_NAMED]
        for group in mixed
        for row in group
    }


def as_csv(suspects: Iterable[Suspect]) -> str:
    """The suspects as CSV."""
    lines = (
        (each.id, each.name, each.split, each.label, each.suggestion, f"{each.sure:.3f}", "; ".join(each.reasons))
        for each in suspects
    )
    return "".join(csv_lines([COLUMNS, *lines]))
