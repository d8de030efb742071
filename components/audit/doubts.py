"""The part of a report on labels to look at: the first few of the test split, which its model has not learnt from."""

import numpy as np

from components.audit.evidence import fit, joined, margins
from components.audit.words import Words
from components.features import NAME
from components.report.examples import pictures_of
from components.report.facts.quality import Answer, ProductAnswers
from components.report.reading import TEST, Reading
from components.report.thumbnail import thumbnail

_SHOWN, _ANSWERS = 12, 3


def doubts(reading: Reading) -> tuple[ProductAnswers, ...]:
    """Finds them by the model's answers and the words of the names; none where there is no model.

    Their answers are by both. `fashion audit` looks at all splits, and takes minutes.
    """
    table, answers, folder = reading.table, reading.predictions, reading.folders.examples
    if table is None or answers is None or folder is None:
        return ()
    rows = table.rows_of(TEST)
    if not np.array_equal(table.ids[rows], answers.ids):
        return ()
    labels, classes = table.labels[rows], reading.classes
    words = Words([str(name) for name in table.texts[NAME]], table.labels, len(classes)).scores[rows]
    pictures = np.log(np.maximum(answers.probabilities, np.finfo(np.float32).tiny))
    probabilities = joined(pictures, words, fit(pictures, words, labels))
    margin, _ = margins(probabilities, labels)
    first = [row for row in np.argsort(-margin, kind="stable")[:_SHOWN].tolist() if margin[row] > 0]
    encoded = pictures_of(folder, {str(answers.ids[row]) for row in first}, (TEST,))
    shown = []
    for row in first:
        product = str(answers.ids[row])
        if picture := thumbnail(encoded[product]):
            best = np.argsort(-probabilities[row], kind="stable")[:_ANSWERS]
            named = tuple(Answer(classes[label], float(probabilities[row, label])) for label in best)
            name = str(table.texts[NAME][rows[row]])
            shown.append(ProductAnswers(product, name, classes[labels[row]], picture, named, None))
    return tuple(shown)
