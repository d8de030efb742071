"""What a run came to, and where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["published", "model refused", "data refused", "failed", "unfinished"]


@dataclass(frozen=True)
class Reason:
    """One reason for a refusal; `class_name` is the class it is about, None where it is about all of them."""

    class_name: str | None
    sentence: str


@dataclass(frozen=True)
class Baseline:
    """The blessed model that the new one was compared with, on the same examples: overall, and class to recall.

    A recall is None where the class does not occur.
    """

    accuracy: float | None
    recalls: Mapping[str, float | None]


@dataclass(frozen=True)
class VerdictFacts:
    """What the run came to."""

    outcome: Outcome  # in two words at most
    sentence: str  # the same as one or two sentences
    reasons: tuple[Reason, ...] = ()  # all reasons for a refusal or failure; empty if published
    version: int | None = None  # the version published, or that the same model had been published as before
    # The version that clients got when the run ended; None for none, or where it is not known.
    serving: int | None = None
    # Overall, on the test split; like the next ones None if the run did not come to an evaluation.
    accuracy: float | None = None
    macro_f1: float | None = None  # mean over the classes
    lowest_recall: float | None = None  # of all classes
    lowest_recall_class: str | None = None  # its class
    baseline: Baseline | None = None  # None if there was none to compare with
    gate: Mapping[str, float] | None = None  # what had to be reached: the recipe's `gate` by key
    rare: str = ""  # which classes had too few examples to be judged each by itself; "" where all were


@dataclass(frozen=True)
class StageTime:
    """A stage of the pipeline: "complete", "cached", "failed", "running" or "waiting", and how long it took."""

    name: str
    state: str
    seconds: float | None


@dataclass(frozen=True)
class Use:
    """One line of the lineage: whether a stage takes or makes an artifact of this type, and where that lies."""

    stage: str
    way: Literal["takes", "makes"]
    artifact: str
    place: str


@dataclass(frozen=True)
class ProvenanceFacts:
    """Where it all comes from, and how to get it again."""

    recipe: str | None  # the experiment as YAML, with every default written out; None where it was not recorded
    command: str  # what gives the same run
    data: str | None  # path of the catalogue
    data_digest: str | None  # of the catalogue, hex
    code_digest: str | None  # of the sources of training, hex; None if it did not come so far
    commit: str | None  # of the checkout that wrote this report; None outside of one
    modified: bool  # whether that checkout had changes that were not committed
    versions: Mapping[str, str]  # package to version
    machine: Mapping[str, str]  # what it ran on, by name: "system", "python", "processors", "memory", "accelerators"
    stages: tuple[StageTime, ...]  # in the order of the pipeline
    lineage: tuple[Use, ...]  # who takes and makes what, in the order of the stages
