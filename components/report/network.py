"""An exported model, asked for more than a client may be: embeddings and answers in one pass, and its variables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.errors import AnswerError
from serving.signatures import HEAT


class ExportedNetwork:
    """A SavedModel of `serving.signatures.Classifier`.

    Attributes:
        shapes: name to shape of every variable.
        features: width of an embedding.
    """

    def __init__(self, folder: Path) -> None:
        """Loads the model."""
        self._folder, self._loaded = folder, tf.saved_model.load(str(folder))
        signatures = self._loaded.signatures
        self.shapes: Mapping[str, Sequence[int]] = {
            variable.name: tuple(variable.shape) for variable in signatures["serving_default"].variables
        }
        self.features = int(signatures["embed"].structured_outputs["embedding"].shape[-1])

    def answer(self, pictures: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Encoded pictures to probabilities [n, k] and L2-normalised embeddings [n, d]."""
        # What all signatures choose from: the network runs once.
        answers = self._loaded._infer(tf.constant(list(pictures)))
        return answers["probabilities"].numpy(), answers["embedding"].numpy()

    def explain(self, pictures: Sequence[bytes]) -> NDArray[np.float32]:
        """Encoded pictures to what each place adds to the logit of the first answer: float32 [n, h, w].

        Raises:
            AnswerError: the model cannot say.
        """
        signature = self._loaded.signatures.get("explain")
        if signature is None:
            raise AnswerError(
                f"{self._folder}: the model has no signature 'explain': an earlier release made it. Train it again."
            )
        return signature(image_bytes=tf.constant(list(pictures)))[HEAT].numpy()
