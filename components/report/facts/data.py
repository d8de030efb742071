"""The data of a run: what came in, what was left out, what stands in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Base64UrlBytes, Field

Jpeg = Annotated[Base64UrlBytes, Field(description="a JPEG file, at most 160 pixels on its longer side")]


@dataclass(frozen=True)
class Count:
    """How often a value occurs; where it stands for a missing value, `value` is empty."""

    value: str
    count: int


@dataclass(frozen=True)
class Histogram:
    """Counts between edges: `len(edges) == len(counts) + 1`; the last bin holds its upper edge too."""

    name: str  # what was measured, e.g. "width"
    unit: str  # e.g. "px"; empty for none
    edges: tuple[float, ...]  # ascending
    counts: tuple[int, ...]  # pictures in each bin
    sampled: bool = False  # whether only some of the pictures were looked at


@dataclass(frozen=True)
class ClassCounts:
    """Examples of a class, by split, as they occur.

    `balanced` are training examples an epoch, with caps and repetitions applied; None before Transform.
    """

    name: str
    splits: Mapping[str, int]
    balanced: int | None


@dataclass(frozen=True)
class QuarantineSample:
    """A row that was left out; `picture` is None where there is none or it cannot be decoded."""

    row: int
    id: str
    detail: str
    picture: Jpeg | None


@dataclass(frozen=True)
class QuarantineReason:
    """Rows left out for one reason, with a few of them."""

    reason: str
    count: int
    samples: tuple[QuarantineSample, ...]


@dataclass(frozen=True)
class Column:
    """What stands in a column of the examples, all splits together.

    `values` are the most frequent ones, at most 30, the most frequent first; years in their order. `others` are
    examples with another value, `missing` those without one; `distinct` values there are in all.
    """

    name: str
    values: tuple[Count, ...]
    others: int
    missing: int
    distinct: int


@dataclass(frozen=True)
class Listing:
    """A product as it stands in the catalogue."""

    id: str
    name: str
    class_name: str
    split: str


@dataclass(frozen=True)
class DuplicateGroup:
    """Products that share one picture, byte for byte; `contradictory` if they are of different classes."""

    picture: Jpeg | None
    products: tuple[Listing, ...]
    contradictory: bool


@dataclass(frozen=True)
class Duplicates:
    """Products with the picture of another."""

    groups: int  # pictures that several products share; `products` are how many these are
    products: int
    contradictory: int  # groups whose products are of different classes
    across: int  # groups whose products are in different splits
    tested: int  # products of the test split whose picture is in another split too
    samples: tuple[DuplicateGroup, ...]  # contradictory groups first, then the largest


@dataclass(frozen=True)
class AnomalyFacts:
    """How a feature breaks the schema; `feature` is empty where it is about the split, `severe` if it stops a run."""

    feature: str
    splits: tuple[str, ...]
    severe: bool
    finding: str


@dataclass(frozen=True)
class Drift:
    """How far a column moved since another run's data."""

    column: str
    distance: float  # the largest change of any value's share (L-infinity, as TFDV's drift comparator measures it)
    value: str  # the value that changed most; empty if it is a missing one. Its shares are those `before` and `now`.
    before: float
    now: float


@dataclass(frozen=True)
class DriftFacts:
    """What changed since the latest other data of the same pipeline, the largest change first.

    `run` is the run that had them, or when they were ingested; they were `examples` many.
    """

    run: str
    examples: int
    columns: tuple[Drift, ...]


@dataclass(frozen=True)
class DataFacts:
    """The data of a run."""

    rows: int  # of the catalogue
    examples: Mapping[str, int]  # split to examples
    classes: tuple[ClassCounts, ...]  # in the order of their labels
    quarantined: tuple[QuarantineReason, ...] = ()  # by reason, the most frequent first
    unmapped: tuple[Count, ...] = ()  # rows outside the taxonomy by article type, the most frequent first
    repaired: tuple[Count, ...] = ()  # rows by what was repaired
    passed: tuple[Count, ...] = ()  # rows of variants and totals, and further pictures of products
    columns: tuple[Column, ...] = ()  # gender, subCategory, articleType, …
    histograms: tuple[Histogram, ...] = ()  # width, height, size in kB, brightness (mean grey level, 0 … 255)
    # "width × height" of the pictures as they lay in the catalogue, the most frequent first, at most 12.
    sizes: tuple[Count, ...] = ()
    duplicates: Duplicates | None = None  # None where the examples could not be read
    anomalies: tuple[AnomalyFacts, ...] | None = None  # None if the schema was not compared with
    drift: DriftFacts | None = None  # None where there is nothing to compare with
    notes: tuple[str, ...] = ()  # what the data gate found odd without refusing
    corrections: tuple[Count, ...] = ()  # decisions about labels, by outcome
    ignored: tuple[str, ...] = ()  # those that were not applied, with their products and why; at most 12
