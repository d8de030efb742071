"""How good a model is on the test split, in figures and in pictures."""

from dataclasses import dataclass

from components.evaluate.verdict import EvaluationFigures
from components.outside.assessment import Assessment
from components.report.facts.data import Jpeg


@dataclass(frozen=True)
class Answer:
    """A class and its probability."""

    class_name: str
    probability: float


@dataclass(frozen=True)
class ProductAnswers:
    """A product of the test split, with the five most probable classes of its picture, the most probable first.

    The name, as in the catalogue, may be empty. `overlay` is a JPEG of the same size: the picture under the heat map
    of the first answer; None where there is none.
    """

    id: str
    name: str
    class_name: str
    picture: Jpeg
    answers: tuple[Answer, ...]
    overlay: Jpeg | None = None


@dataclass(frozen=True)
class ConfusedPair:
    """A mistake made repeatedly: `count` examples of class `true` were taken for `predicted`."""

    true: str
    predicted: str
    count: int
    examples: tuple[ProductAnswers, ...]


@dataclass(frozen=True)
class Curve:
    """The precision-recall curve of a class, at most 200 points, recall ascending.

    `threshold` is the smallest probability that counts as the class at a point.
    """

    name: str
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    threshold: tuple[float, ...]


@dataclass(frozen=True)
class Bin:
    """Answers with a confidence in (low, high]; `confidence` and `accuracy` are means, None where `count` is 0."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """Whether answers are right as often as they are sure of it, in bins of equal width over 0 … 1.

    `ece` is the expected calibration error: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """

    bins: tuple[Bin, ...]
    ece: float


@dataclass(frozen=True)
class Coverage:
    """How a model fares that answers only where it is sure enough."""

    threshold: float  # smallest confidence that is answered
    coverage: float  # share of examples that are answered
    answered: int  # how many these are
    accuracy: float | None  # among those; None where none is
    low: float | None  # lower end of its Wilson 95 % interval; None likewise
    high: float | None  # upper end


@dataclass(frozen=True)
class SliceQuality:
    """How the examples with one value of a column fared."""

    column: str  # gender, season, year, baseColour or usage
    value: str  # empty for examples without one
    examples: int  # how many
    correct: int  # how many were answered rightly
    accuracy: float  # correct / examples
    low: float  # lower end of its 95 % interval: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    high: float  # upper end


@dataclass(frozen=True)
class QualityFacts(EvaluationFigures):
    """How good the model is on the test split."""

    pairs: tuple[ConfusedPair, ...] = ()  # most frequent mistakes first, at most 12
    curves: tuple[Curve, ...] = ()  # one for each class that occurs
    # None where the model could not be asked; likewise curves, coverage and slices are then empty.
    calibration: Calibration | None = None
    coverage: tuple[Coverage, ...] = ()  # thresholds ascending
    slices: tuple[SliceQuality, ...] = ()  # by column, the largest slice first
    # Examples whose picture, or one near-identical, the train split does not have; None where not recorded.
    unseen: SliceQuality | None = None
    # The test products by the labels as they stand in the catalogue; its value is how many of them have a corrected
    # one. None where none has.
    uncorrected: SliceQuality | None = None


@dataclass(frozen=True)
class Neighbour:
    """A product whose picture is like another's; `similarity` is the cosine of their embeddings."""

    product: ProductAnswers
    similarity: float


@dataclass(frozen=True)
class Similar:
    """A product and those most like it, the most similar first."""

    query: ProductAnswers
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class PictureFacts:
    """Pictures of the test split, and what the model makes of them."""

    sure: tuple[ProductAnswers, ...]  # right, with the highest confidence; classes take turns
    edge: tuple[ProductAnswers, ...]  # right or wrong, where the first two answers are closest
    worst: tuple[ProductAnswers, ...]  # wrong, with the highest confidence
    similar: tuple[Similar, ...]  # a few queries of different classes


@dataclass(frozen=True)
class OutsideFacts:
    """What the model does with pictures that it should not answer."""

    assessment: Assessment  # the figures
    slipped: tuple[ProductAnswers, ...]  # pictures of no class that it accepts; their `class_name` is their kind
    refused: tuple[ProductAnswers, ...]  # pictures of the classes that it takes for foreign
