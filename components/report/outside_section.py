"""The section on pictures that the model should not answer: what slips in, and what is refused wrongly."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from components.outside.assessment import Example
from components.report.examples import pictures_of
from components.report.facts.quality import Answer, OutsideFacts, ProductAnswers
from components.report.reading import TEST, Reading
from components.report.thumbnail import thumbnail
from components.settings import OUTSIDE_SPLITS


def outside_facts(reading: Reading) -> OutsideFacts | None:
    """Makes the section; None where the run did not come so far, or the model does not decide."""
    assessment = reading.assessment
    if assessment is None:
        return None
    if assessment.accepted is None:
        reading.miss("outside", "everything", "The model does not decide whether a picture is of one of its classes.")
        return None
    shown = partial(_shown, reading.folders.examples)
    make = lambda: OutsideFacts(  # noqa: E731
        assessment, shown(assessment.slipped, OUTSIDE_SPLITS[-1]), shown(assessment.refused, TEST)
    )
    return reading.attempt("outside", "pictures", make) or OutsideFacts(assessment, (), ())


def _shown(folder: Path | None, examples: Sequence[Example], split: str) -> tuple[ProductAnswers, ...]:
    pictures = pictures_of(folder, {example.id for example in examples}, (split,)) if folder else {}
    return tuple(
        ProductAnswers(example.id, example.name, example.truth, picture, (Answer(example.label, example.confidence),))
        for example in examples
        if (picture := thumbnail(pictures.get(example.id, b"")))
    )
