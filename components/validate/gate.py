"""The rules that data must pass before anything is trained on them; every breach is told at once."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from components.settings import SPLITS, Validation

# A column of free text under a closed domain would otherwise fill the screen with its values.
_LONGEST_FINDING = 300


@dataclass(frozen=True)
class Anomaly:
    """One finding of ExampleValidator.

    Attributes:
        split: the split it was found in.
        feature: the feature it is about; empty where it is about the split as a whole.
        severe: whether it is an error; anything less is noted and lets the data pass.
        finding: what was found, in TFDV's words.
    """

    split: str
    feature: str
    severe: bool
    finding: str


class Summary(BaseModel):
    """What the gate reads of the quarantine's `summary.json`; counts that are zero may be left out.

    Attributes:
        rows: rows of the catalogue.
        examples: examples by split.
        classes: examples by class and split.
        quarantined: rows left out, by reason.
    """

    rows: int
    examples: dict[str, int]
    classes: dict[str, dict[str, int]]
    quarantined: dict[str, int]


@dataclass(frozen=True)
class Verdict:
    """What the gate found, one sentence or two for each matter.

    Attributes:
        summary: the figures it was judged by.
        problems: why the data are refused; empty when they are fit.
        notes: what is odd about them without being a reason to refuse.
    """

    summary: Summary
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, object]:
        """The verdict as plain JSON values: `ok`, `problems`, `notes` and the fields of `Summary`."""
        told = {"ok": self.ok, "problems": list(self.problems), "notes": list(self.notes)}
        return told | self.summary.model_dump()


def judge(
    anomalies: Iterable[Anomaly], summary: Summary, settings: Validation, classes: Sequence[str], lists: str
) -> Verdict:
    """Decides whether the data are fit to train on.

    Args:
        anomalies: ExampleValidator's findings in all splits.
        summary: ingest's counts.
        settings: the recipe's limits.
        classes: the taxonomy's classes.
        lists: folder of ingest's lists (`quarantine.csv`, `unmapped.csv`), to be named in problems.

    Returns:
        The verdict, with all problems and not only the first.
    """
    found = sorted(anomalies, key=lambda anomaly: anomaly.feature)
    problems = [
        *_schema_breaches(anomaly for anomaly in found if anomaly.severe),
        *_quarantine_problems(summary, settings.quarantine, os.path.join(lists, "quarantine.csv")),
        *_empty_splits(summary),
        *_class_problems(summary, settings.class_minimum, classes, os.path.join(lists, "unmapped.csv")),
    ]
    notes = _schema_breaches(anomaly for anomaly in found if not anomaly.severe)
    return Verdict(summary, tuple(problems), tuple(notes))


def _schema_breaches(anomalies: Iterable[Anomaly]) -> Iterator[str]:
    """One sentence for each feature; splits with the same finding are told together."""
    features: dict[str, dict[str, list[str]]] = {}
    for anomaly in anomalies:
        finding = anomaly.finding.strip().rstrip(".")
        if len(finding) > _LONGEST_FINDING:
            finding = finding[:_LONGEST_FINDING] + " …"
        features.setdefault(anomaly.feature, {}).setdefault(finding, []).append(anomaly.split)
    for feature, findings in features.items():
        told = "; ".join(f"{finding} ({', '.join(splits)})" for finding, splits in findings.items())
        yield (
            f"{feature or 'The data as a whole'} does not fit the schema: {told}. "
            "Correct the catalogue, or schema/schema.pbtxt where the data are right."
        )


def _quarantine_problems(summary: Summary, limit: float, path: str) -> Iterator[str]:
    refused = sum(summary.quarantined.values())
    share = refused / max(summary.rows, 1)
    if share <= limit:
        return
    reasons = sorted(summary.quarantined.items(), key=lambda item: (-item[1], item[0]))
    yield (
        f"{refused:,} of {summary.rows:,} rows ({100 * share:.3g} %) are quarantined, more than the "
        f"{100 * limit:.3g} % that validation.quarantine allows: {_listed(dict(reasons))}. "
        f"Correct what {path} lists, or raise the limit."
    )


def _empty_splits(summary: Summary) -> Iterator[str]:
    for split in SPLITS:
        if not summary.examples.get(split):
            yield (
                f"Split {split} is empty ({_by_split(summary.examples)}). Training needs all of {', '.join(SPLITS)}: "
                f"add products, or raise split.{split}."
            )


def _class_problems(summary: Summary, minimum: int, classes: Sequence[str], unmapped: str) -> Iterator[str]:
    filled = [split for split in SPLITS if summary.examples.get(split)]
    counts = {name: summary.classes.get(name, {}) for name in classes}
    present = [name for name in classes if any(counts[name].values())]
    if len(present) == 1:
        yield (
            f"{present[0]} is the only class with examples ({_by_split(counts[present[0]])}). A classifier needs at "
            f"least two: add products of other classes, or rules that map those in {unmapped}."
        )
    for name in classes if len(present) > 1 else present:
        yield from _class_problem(name, counts[name], filled, minimum, unmapped)


def _class_problem(
    name: str, counts: Mapping[str, int], splits: Sequence[str], minimum: int, unmapped: str
) -> Iterator[str]:
    if not any(counts.values()):
        yield (
            f"{name} has no example at all. Every class of the taxonomy needs some: add products, "
            f"add rules that map those in {unmapped}, or take the class out of the taxonomy."
        )
        return
    lacking = [split for split in splits if not counts.get(split)]
    if lacking:
        yield (
            f"{name} has no example in {' and '.join(lacking)} ({_by_split(counts)}). "
            "Every class must be in every split: add products of this class, or take it out of the taxonomy."
        )
    elif counts.get("train", 0) < minimum and "train" in splits:
        yield (
            f"{name} has {counts['train']} pictures to train on ({_by_split(counts)}), fewer than the {minimum} that "
            "validation.class_minimum asks for. Add products of this class, or lower the limit."
        )


def _by_split(counts: Mapping[str, int]) -> str:
    return _listed({split: counts.get(split, 0) for split in SPLITS})


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
