"""What the model answers for the test split, kept in a file so that it is asked once."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.progress import report
from components.report.examples import picture_batches

if TYPE_CHECKING:
    from components.report.network import ExportedNetwork

_BATCH = 16


@dataclass(frozen=True)
class Predictions:
    """Answers for n products.

    They are `ids` str [n], `probabilities` float32 [n, k] and `embeddings` float32 [n, d], of length 1.
    """

    ids: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]

    def save(self, file: Path) -> None:
        """Writes them as .npz: `ids`, `probabilities`, `embeddings`."""
        np.savez_compressed(file, ids=self.ids, probabilities=self.probabilities, embeddings=self.embeddings)


def load_predictions(file: Path) -> Predictions:
    """Reads what `Predictions.save` wrote."""
    with np.load(file) as saved:
        return Predictions(saved["ids"], saved["probabilities"], saved["embeddings"])


def predict(network: "ExportedNetwork", examples: Path, split: str, count: int) -> Predictions:
    """Asks the model for every example of a split of an Examples artifact; it has `count`, for progress."""
    ids: list[str] = []
    answers: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for products, pictures in picture_batches(examples, split, _BATCH):
        ids += products
        answers.append(network.answer(pictures))
        report("answers", len(ids), count)
    nothing = np.zeros((0, 0), np.float32)
    probabilities, embeddings = map(np.concatenate, zip(*answers, strict=True)) if answers else (nothing, nothing)
    return Predictions(np.array(ids, str), probabilities, embeddings)
