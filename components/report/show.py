"""Products of the test split, with picture, answers and heat map."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.report.examples import Table
from components.report.facts import Answer, ConfusedPair, Neighbour, PictureFacts, Shown, Similar
from components.report.gradcam import overlay
from components.report.selection import Selection
from components.report.thumbnail import thumbnail

_ANSWERS = 5


def shown_products(
    rows: Sequence[int],
    table: Table,
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    pictures: Mapping[str, bytes],
    heat: Mapping[int, NDArray[np.float32]],
) -> dict[int, Shown]:
    """Puts together what is shown of some examples; those whose picture cannot be decoded are left out.

    Args:
        rows: of the test split.
        table: of the test split alone.
        probabilities: float32 [n, k].
        classes: the k names.
        pictures: id to encoded picture.
        heat: row to Grad-CAM of its first answer; may be empty.
    """
    shown = {}
    for row in rows:
        product = str(table.ids[row])
        picture = thumbnail(pictures[product])
        if picture is None:
            continue
        best = np.argsort(-probabilities[row], kind="stable")[:_ANSWERS]
        shown[row] = Shown(
            id=product,
            name=str(table.texts["productDisplayName"][row]),
            class_name=classes[table.labels[row]],
            picture=picture,
            answers=tuple(Answer(classes[label], float(probabilities[row, label])) for label in best),
            overlay=overlay(picture, heat[row]) if row in heat else None,
        )
    return shown


def picture_facts(selection: Selection, shown: Mapping[int, Shown]) -> PictureFacts:
    """The gallery of a selection."""
    return PictureFacts(
        sure=_of(selection.sure, shown),
        edge=_of(selection.edge, shown),
        worst=_of(selection.worst, shown),
        similar=tuple(
            Similar(
                shown[query],
                tuple(Neighbour(shown[row], cosine) for row, cosine in zip(rows, cosines, strict=True) if row in shown),
            )
            for query, rows, cosines in selection.similar
            if query in shown
        ),
    )


def confused_pairs(
    selection: Selection, classes: Sequence[str], shown: Mapping[int, Shown]
) -> tuple[ConfusedPair, ...]:
    """The most frequent mistakes, with pictures."""
    return tuple(
        ConfusedPair(classes[true], classes[predicted], count, _of(rows, shown))
        for true, predicted, count, rows in selection.pairs
    )


def _of(rows: Sequence[int], shown: Mapping[int, Shown]) -> tuple[Shown, ...]:
    return tuple(shown[row] for row in rows if row in shown)
