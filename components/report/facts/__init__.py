"""Everything that the report of a run shows, as plain values: what is collected, kept as JSON, and drawn.

Every part that a run may not have come to is None or empty, and `RunFacts.gaps` says why. Shares lie in 0 … 1 and are
None where there is nothing to divide by. Pictures are JPEG files, at most 160 pixels on their longer side.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import TypeAdapter

from components.export.copies import Copy
from components.index.summary import IndexSummary
from components.report.facts.data import DataFacts
from components.report.facts.quality import OutsideFacts, PictureFacts, ProductAnswers, QualityFacts
from components.report.facts.training import TrainingFacts
from components.report.facts.verdict import ProvenanceFacts, VerdictFacts

Section = Literal["verdict", "data", "training", "quality", "outside", "pictures", "provenance"]


@dataclass(frozen=True)
class Gap:
    """Something that a section would show and cannot: which part, e.g. "heat maps", and why, as a sentence."""

    section: Section
    part: str
    reason: str


@dataclass(frozen=True)
class RunFacts:
    """One run."""

    run: str  # its id
    recipe: str  # name of the experiment, and of the model it publishes
    began: float  # seconds since 1970
    seconds: float | None  # from the first stage's begin to the last one's end; None while that is not known
    classes: tuple[str, ...]  # in the order of their labels; empty where not even these are known
    verdict: VerdictFacts
    data: DataFacts | None = None
    training: TrainingFacts | None = None
    quality: QualityFacts | None = None
    outside: OutsideFacts | None = None
    pictures: PictureFacts | None = None
    provenance: ProvenanceFacts | None = None
    doubts: tuple[ProductAnswers, ...] = ()  # test products whose labels are to be looked at, the surest first
    copies: tuple[Copy, ...] = ()  # of the model in other formats, refused ones included
    index: IndexSummary | None = None  # of similar products
    gaps: tuple[Gap, ...] = ()  # what is missing, and why


def to_json(facts: RunFacts) -> bytes:
    """The facts as JSON; pictures are in URL-safe base64."""
    return _adapter().dump_json(facts)


def from_json(text: str | bytes) -> RunFacts:
    """Reads what `to_json` wrote.

    Raises:
        pydantic.ValidationError: it is something else, or was written by another version.
    """
    return _adapter().validate_json(text)


@cache
def _adapter() -> TypeAdapter[RunFacts]:
    return TypeAdapter(RunFacts)
