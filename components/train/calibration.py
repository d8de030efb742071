"""Makes confidences mean what they say: temperature scaling, Guo et al. 2017, https://arxiv.org/abs/1706.04599."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import brentq, minimize_scalar  # type: ignore[import-untyped]
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]

from components.evaluate.figures import calibration_error
from components.settings import Settings

CALIBRATION_FILE = "calibration.json"

_MOST = 20.0  # times sharper or softer
_LEAST = 1e-12  # a probability that float32 rounds to nothing

Probabilities = NDArray[np.float32]
Labels = NDArray[np.int64]


class Calibration(Settings):
    """How the confidences of a network were scaled, and what that rests on."""

    temperature: float  # what logits are divided by
    doubt: float  # share of each answer that is spread over all classes
    examples: int  # of the eval split, of which the network answers `errors` wrongly
    errors: int
    ece_before: float  # expected calibration error on these examples as trained; `ece_after` scaled
    ece_after: float
    tags: dict[str, "Calibration"] = Field(default={})


def calibrate(probabilities: Probabilities, labels: Labels) -> Calibration:
    """Finds the temperature and doubt of a network, from what it makes of examples that were not trained on.

    Both change no answer, only how sure it is. Of n examples, none wrong, the next one is right with a probability of
    (n + 1) / (n + 2), Laplace's rule of succession; no answer may be surer than that, however far it lies from all
    others. So much is spread over the classes.

    Args:
        probabilities: float32 [n, k].
        labels: int64 [n]; examples with -1 are left out.
    """
    probabilities, labels = probabilities[labels >= 0], labels[labels >= 0]
    count, classes = probabilities.shape
    temperature = best_temperature(probabilities, labels)
    # The class itself gets its part of the doubt back.
    doubt = classes / (count + 2) / max(classes - 1, 1)
    scaled = (1 - doubt) * softmax(_logits(probabilities) / temperature, axis=1) + doubt / classes
    return Calibration(
        temperature=temperature,
        doubt=doubt,
        examples=count,
        errors=int((probabilities.argmax(axis=1) != labels).sum()),
        ece_before=calibration_error(labels, probabilities),
        ece_after=calibration_error(labels, scaled.astype(np.float32)),
    )


def read_calibration(folder: Path) -> Calibration | None:
    """Reads what a training has left in its ModelRun; None where it did not scale confidences."""
    file = folder / CALIBRATION_FILE
    return Calibration.model_validate_json(file.read_bytes()) if file.exists() else None


def best_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """Finds what logits have to be divided by for the least cross entropy that the number of mistakes supports.

    It is above 1 where a network is too sure of itself, and below where label smoothing has taught it to be modest.
    Where it makes few mistakes or none, the least cross entropy is that of ever surer answers. So their mean confidence
    stays at or below the probability that the next answer is right, by Laplace's rule of succession: of n answers, m of
    them right, (m + 1) / (n + 2).

    Args:
        probabilities: float32 [n, k] of examples that were not trained on.
        labels: int64 [n].
    """
    logits, rows = _logits(probabilities), np.arange(len(labels))
    supported = ((probabilities.argmax(axis=1) == labels).sum() + 1) / (len(labels) + 2)

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    def excess(log_temperature: float) -> float:
        return float(softmax(logits / np.exp(log_temperature), axis=1).max(axis=1).mean() - supported)

    low, high = -np.log(_MOST), np.log(_MOST)
    if excess(high) >= 0:
        return _MOST
    if excess(low) > 0:
        low = brentq(excess, low, high)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def _logits(probabilities: Probabilities) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities.astype(np.float64), _LEAST))
