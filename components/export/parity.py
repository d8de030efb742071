"""Whether a copy in another format answers as the model does, on pictures that nobody has trained on."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.evidence import ROUNDING, proven_loss, proven_losses
from components.evaluate.settings import Gate
from components.export.settings import Export

QUANTISED = ("litert-int8",)


@dataclass(frozen=True)
class Parity:
    """How near a copy is to the model on the test split."""

    examples: int  # pictures with a label
    same: float  # share of them with the model's own label
    cosine: float  # the lowest of all embeddings to the model's own
    mean_cosine: float  # their mean
    accuracy: float  # of the copy
    model_accuracy: float  # of the model
    lost: int  # pictures that the model alone has right
    gained: int  # those that the copy alone has right
    worst_class: str  # that with the lowest recall by the copy
    worst_recall: float  # its recall
    fallen_class: str  # that whose recall falls most, against the model's
    fall: float  # by how much; 0 where none falls
    refused: str = ""  # why the copy is not published; "" if it is

    def as_dict(self) -> dict[str, object]:
        """The figures for JSON."""
        return asdict(self)


def compare(
    form: str,
    labels: NDArray[np.int64],
    answers: tuple[NDArray[np.int64], NDArray[np.int64]],
    cosines: NDArray[np.float32],
    classes: tuple[str, ...],
    settings: Export,
) -> Parity:
    """Judges a copy.

    Formats that calculate in floating point have to agree with the model. Those in whole numbers do not, and need not:
    what counts is what they lose against it, by the paired tests that a new model is held to against its baseline.

    Args:
        form: the format.
        labels: true classes [n], all of the test split that have one; n at least 1.
        answers: what the model answers, and the copy, [n] each.
        cosines: of the copy's embeddings to the model's, [n].
        classes: the k names.
        settings: the limits.
    """
    model, copy = (each == labels for each in answers)
    support = np.bincount(labels, minlength=len(classes))
    lost, gained = (np.bincount(labels[of_one], minlength=len(classes)) for of_one in (model & ~copy, copy & ~model))
    with np.errstate(invalid="ignore"):
        recalls = np.bincount(labels[copy], minlength=len(classes)) / support
        falls = (lost - gained) / support
    worst, fallen = int(np.nanargmin(recalls)), int(np.nanargmax(falls))
    same = float(np.mean(answers[0] == answers[1]))
    found = Parity(
        len(labels), same, float(cosines.min()), float(cosines.mean()), float(copy.mean()), float(model.mean()),
        int(lost.sum()), int(gained.sum()), classes[worst], float(recalls[worst]),
        classes[fallen], max(0.0, float(falls[fallen])),
    )  # fmt: skip
    reasons = [] if form in QUANTISED else _differences(found, settings)
    gate = Gate(regression=settings.accuracy, class_regression=settings.recall)
    if proven_loss(lost.sum(), gained.sum(), len(labels), gate) > 0:
        fall = f"accuracy falls from {found.model_accuracy:.2%} to {found.accuracy:.2%}"
        reasons.append(f"{fall}, by more than {settings.accuracy:.1%}")
    for place in np.flatnonzero(proven_losses(lost, gained, support, gate)):
        now = recalls[place]
        reasons.append(
            f"recall of {classes[place]} falls from {now + falls[place]:.1%} to {now:.1%} of {support[place]:,}, by "
            f"more than {settings.recall:.1%}"
        )
    return Parity(**{**asdict(found), "refused": "; ".join(reasons)})


def _differences(found: Parity, settings: Export) -> list[str]:
    """What sets a copy apart that should answer as the model does, number for number."""
    reasons = []
    if found.same < settings.same - ROUNDING:
        reasons.append(f"{found.same:.2%} of {found.examples:,} answers are the model's, below {settings.same:.2%}")
    if found.cosine < settings.cosine:
        reasons.append(f"an embedding's cosine to the model's is {found.cosine:.4f}, below {settings.cosine:g}")
    return reasons
