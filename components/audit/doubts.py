"""The part of a report on labels to look at: the first few of the test split, which its model has not learnt from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.audit.evidence import Scores, fit, joined, margins
from components.audit.words import Words
from components.features import NAME
from components.report.examples import pictures_of
from components.report.facts.quality import Answer, ProductAnswers
from components.report.reading import TEST, Reading
from components.report.thumbnail import thumbnail

_SHOWN, _ANSWERS = 12, 3


def doubts(reading: Reading) -> tuple[ProductAnswers, ...]:
    """Shows them with the classes that are most probable by the model and the name; none where there is no model.

    `fashion audit` looks at all splits, and takes minutes.
    """
    table, answers, folder, classes = reading.table, reading.predictions, reading.folders.examples, reading.classes
    if table is None or answers is None or folder is None:
        return ()
    rows, names = table.rows_of(TEST), [str(name) for name in table.texts[NAME]]
    if not np.array_equal(table.ids[rows], answers.ids):
        return ()
    first, probabilities = doubted(answers.probabilities, rows, names, table.labels)
    encoded = pictures_of(folder, {str(answers.ids[place]) for place in first[:_SHOWN]}, (TEST,))
    shown = []
    for place in first[:_SHOWN]:
        row, product = rows[place], str(answers.ids[place])
        if picture := thumbnail(encoded[product]):
            best = np.argsort(-probabilities[place], kind="stable")[:_ANSWERS]
            likely = tuple(Answer(classes[label], float(probabilities[place, label])) for label in best)
            shown.append(ProductAnswers(product, names[row], classes[table.labels[row]], picture, likely))
    return tuple(shown)


def doubted(
    answers: Scores, rows: NDArray[np.intp], names: Sequence[str], labels: NDArray[np.int64]
) -> tuple[list[int], Scores]:
    """Finds the test products for which another class is more probable than their own.

    Args:
        answers: float32 [t, k], the model's probabilities for t test products.
        rows: intp [t], where these are among all.
        names: of all n products.
        labels: int64 [n].

    Returns:
        Their places among the t, the most doubtful first; float32 [t, k], the probabilities by model and name.
    """
    words = Words(names, labels, answers.shape[1]).scores[rows]
    pictures = np.log(np.maximum(answers, np.finfo(np.float32).tiny))
    probabilities = joined(pictures, words, fit(pictures, words, labels[rows]))
    margin, _ = margins(probabilities, labels[rows])
    return [place for place in np.argsort(-margin, kind="stable").tolist() if margin[place] > 0], probabilities
