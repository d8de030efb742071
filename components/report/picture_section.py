"""The section on pictures: products of the test split, with picture, answers and heat map."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.report.examples import Table, pictures_of
from components.report.facts.quality import Answer, ConfusedPair, Neighbour, PictureFacts, ProductAnswers, Similar
from components.report.reading import TEST, Reading
from components.report.selection import Selection
from components.report.thumbnail import heated, thumbnail

_ANSWERS = 5
_EXPLAINED_AT_ONCE = 8


def shown_products(
    reading: Reading, selection: Selection, test: Table, probabilities: NDArray[np.float32]
) -> dict[int, ProductAnswers]:
    """Puts together what is shown of the selected examples; those whose picture cannot be decoded are left out.

    Args:
        reading: the run.
        selection: rows of the test split.
        test: the table of that split alone.
        probabilities: float32 [n, k], the answers.
    """
    rows, folder, classes = selection.rows(), reading.folders.examples, reading.classes
    pictures = pictures_of(folder, {str(test.ids[row]) for row in rows}, (TEST,)) if folder else {}
    heat = reading.attempt("pictures", "heat maps", lambda: _heat(reading, selection.explained(), test, pictures)) or {}
    shown = {}
    for row in rows:
        product = str(test.ids[row])
        picture = thumbnail(pictures[product])
        if picture is None:
            continue
        best = np.argsort(-probabilities[row], kind="stable")[:_ANSWERS]
        shown[row] = ProductAnswers(
            id=product, name=str(test.texts["productDisplayName"][row]), class_name=classes[test.labels[row]],
            picture=picture, answers=tuple(Answer(classes[label], float(probabilities[row, label])) for label in best),
            overlay=heated(picture, heat[row]) if row in heat else None,
        )  # fmt: skip
    return shown


def picture_facts(selection: Selection, shown: Mapping[int, ProductAnswers]) -> PictureFacts:
    """Makes the gallery of a selection."""
    return PictureFacts(
        sure=_there(selection.sure, shown),
        edge=_there(selection.edge, shown),
        worst=_there(selection.worst, shown),
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
    selection: Selection, classes: Sequence[str], shown: Mapping[int, ProductAnswers]
) -> tuple[ConfusedPair, ...]:
    """Returns the most frequent mistakes, with pictures."""
    return tuple(
        ConfusedPair(classes[true], classes[predicted], count, _there(rows, shown))
        for true, predicted, count, rows in selection.pairs
    )


def _there(rows: Sequence[int], shown: Mapping[int, ProductAnswers]) -> tuple[ProductAnswers, ...]:
    return tuple(shown[row] for row in rows if row in shown)


def _heat(reading: Reading, rows: list[int], test: Table, pictures: dict[str, bytes]) -> dict[int, NDArray[np.float32]]:
    """Row to the heat of its first answer."""
    heat: dict[int, NDArray[np.float32]] = {}
    if reading.network is None:
        return heat
    for start in range(0, len(rows), _EXPLAINED_AT_ONCE):
        batch = rows[start : start + _EXPLAINED_AT_ONCE]
        maps = reading.network.explain([pictures[str(test.ids[row])] for row in batch])
        heat.update(zip(batch, maps, strict=True))
    return heat
