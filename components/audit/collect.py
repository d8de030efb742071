"""From a run's artifacts to its suspects, and what a person needs to decide about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.audit.evidence import gather
from components.audit.suspects import Products, Suspect, rank
from components.errors import FashionError
from components.features import NAME
from components.ingest.corrections import CORRECTIONS_FILE, KEPT, read_outcomes
from components.ingest.duplicates import same_picture
from components.report.examples import pictures_of
from components.report.reading import Reading
from components.report.thumbnail import thumbnail

_TYPICAL = 3  # products that show what a class looks like
_FEWEST = 3  # products among which neighbours can be found


@dataclass(frozen=True)
class Audit:
    """What an audit of a run came to.

    Attributes:
        run: its id.
        recipe: name of the experiment.
        classes: in the order of their labels.
        products: how many were looked at.
        found: how many suspects there are, of which `suspects` are the first.
        suspects: the surest first.
        typical: class to ids of products that look like it and are called so.
        pictures: id to a thumbnail, of all these.
        weights: of pictures and of words.
    """

    run: str
    recipe: str
    classes: tuple[str, ...]
    products: int
    found: int
    suspects: tuple[Suspect, ...]
    typical: Mapping[str, tuple[str, ...]]
    pictures: Mapping[str, bytes]
    weights: tuple[float, float]


def audit(reading: Reading, cache: Path, most: int) -> Audit:
    """Looks for labels that are probably wrong among the products of all splits.

    Args:
        reading: of the run; it came at least through ingest.
        cache: see `looks_of`.
        most: how many suspects to keep.

    Raises:
        FashionError: the run has not ingested, or its artifacts are gone, or too few.
    """
    from components.audit.looks import looks_of

    table, members, folder, lists = reading.table, reading.members, reading.folders.examples, reading.folders.quarantine
    if table is None or members is None or folder is None or lists is None:
        reasons = (
            " ".join(gap.reason for gap in reading.gaps) or "It did not come through ingest, or its artifacts are gone."
        )
        raise FashionError(f"run {reading.sources.run}: there is nothing to audit. {reasons} Run it again")
    features, oddities = looks_of(folder, cache, len(table))
    # A product's further pictures have its label too, but it is decided by the main one.
    rows = np.array([row for row, product in enumerate(table.ids.tolist()) if "/" not in product], np.intp)
    if len(rows) < _FEWEST:
        raise FashionError(f"run {reading.sources.run}: {len(rows)} products are too few to compare with one another")
    labels, ids = table.labels[rows], table.ids[rows].tolist()
    names = [str(name) for name in table.texts[NAME][rows]]
    products = Products(ids, names, table.splits[rows].tolist(), labels, same_picture(members.signatures[rows]))
    evidence = gather(features[rows].astype(np.float32), names, labels, len(reading.classes))
    odd = {place: oddities[row] for place, row in enumerate(rows.tolist()) if oddities[row]}
    kept = {given.id for given, outcome in read_outcomes(lists / CORRECTIONS_FILE) if outcome == KEPT}
    suspects = rank(products, evidence, reading.classes, odd, kept)
    own = evidence.probabilities[np.arange(len(labels)), labels]
    order = np.argsort(-own, kind="stable")
    typical = {
        name: tuple(ids[row] for row in order[labels[order] == label][:_TYPICAL])
        for label, name in enumerate(reading.classes)
    }
    shown = tuple(suspects[:most])
    wanted = {suspect.id for suspect in shown}.union(*typical.values())
    pictures = {product: thumbnail(picture) for product, picture in pictures_of(folder, wanted).items()}
    return Audit(
        reading.sources.run, reading.sources.recipe, reading.classes, len(rows), len(suspects), shown, typical,
        {product: picture for product, picture in pictures.items() if picture}, evidence.weights,
    )  # fmt: skip
