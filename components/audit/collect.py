"""From a run's artifacts to its suspects, and what a person needs to decide about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    """What an audit of a run came to."""

    run: str  # its id
    recipe: str  # name of the experiment
    classes: tuple[str, ...]  # in the order of their labels
    products: int  # how many were looked at
    found: int  # how many suspects there are, of which `suspects` are the first
    suspects: tuple[Suspect, ...]  # the surest first
    typical: Mapping[str, tuple[str, ...]]  # class to ids of products that look like it and are called so
    pictures: Mapping[str, bytes]  # id to a thumbnail, of all these
    weights: tuple[float, float]  # of pictures and of words


def audit(reading: Reading, cache: Path, most: int) -> Audit:
    """Looks for labels that are probably wrong among the products of all splits of a run that came through ingest.

    `most` suspects are kept. For the cache see `looks_of`.

    Raises:
        FashionError: there are too few products, or they are gone.
    """
    products, features, odd = look(reading, cache)
    labels, classes, folders = products.labels, reading.classes, reading.folders
    evidence = gather(features, products.names, labels, len(classes))
    outcomes = read_outcomes(folders.quarantine / CORRECTIONS_FILE) if folders.quarantine else ()
    kept = {given.id for given, outcome in outcomes if outcome == KEPT}
    suspects = rank(products, evidence, classes, odd, kept)
    order = np.argsort(-evidence.probabilities[np.arange(len(labels)), labels], kind="stable")
    typical = {
        name: tuple(products.ids[row] for row in order[labels[order] == label][:_TYPICAL])
        for label, name in enumerate(classes)
    }
    shown = tuple(suspects[:most])
    wanted = {suspect.id for suspect in shown}.union(*typical.values())
    small = {each: thumbnail(picture) for each, picture in pictures_of(folders.examples or Path(), wanted).items()}
    return Audit(
        reading.sources.run, reading.sources.recipe, classes, len(labels), len(suspects), shown, typical,
        {each: picture for each, picture in small.items() if picture}, evidence.weights,
    )  # fmt: skip


def look(reading: Reading, cache: Path) -> tuple[Products, NDArray[np.float32], dict[int, str]]:
    """Reads the products of a run and looks at their pictures.

    Returns:
        The n products, features float32 [n, d] of their pictures, and row to what is wrong with a picture that shows
        nothing.

    Raises:
        FashionError: see `audit`.
    """
    from components.audit.looks import looks_of

    table, members, folder = reading.table, reading.members, reading.folders.examples
    if table is None or members is None or folder is None:
        reasons = (
            " ".join(gap.reason for gap in reading.gaps) or "It ended before ingest did, or what that made is gone."
        )
        raise FashionError(f"run {reading.sources.run}: there is nothing to audit. {reasons} Run it again")
    # A product's further pictures have its label too, but it is decided by the main one.
    rows = np.array([row for row, product in enumerate(table.ids.tolist()) if "/" not in product], np.intp)
    if len(rows) < _FEWEST:
        raise FashionError(f"run {reading.sources.run}: {len(rows)} products are too few to compare with one another")
    features, oddities = looks_of(folder, cache, len(table))
    names = [str(name) for name in table.texts[NAME][rows]]
    pictures = same_picture(members.signatures[rows])
    products = Products(table.ids[rows].tolist(), names, table.splits[rows].tolist(), table.labels[rows], pictures)
    odd = {place: oddities[row] for place, row in enumerate(rows.tolist()) if oddities[row]}
    return products, features[rows].astype(np.float32), odd
