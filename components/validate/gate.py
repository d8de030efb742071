"""The rules that data must pass before anything is trained on them; every breach is told at once."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from components.features import COLUMNS, TEXT_COLUMNS, YEAR
from components.ingest.members import Members, tested_and_trained_on
from components.ingest.settings import DRAFT
from components.settings import SPLITS
from components.validate.settings import Validation
from components.validate.shares import Summary, listed, quarantine_problems, unmapped_problems

# A column of free text under a closed domain would otherwise fill the screen with its values.
_LONGEST_FINDING = 300


@dataclass(frozen=True)
class Anomaly:
    """One finding of ExampleValidator, in TFDV's words.

    `feature` is empty where it is about the split as a whole. It is `severe` if it is an error; anything less is noted
    and lets the data pass.
    """

    split: str
    feature: str
    severe: bool
    finding: str


def read_anomalies(split: str, content: bytes) -> Iterator[Anomaly]:
    """Reads what ExampleValidator wrote about a split, a SchemaDiff.pb, by feature."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    written = anomalies_pb2.Anomalies.FromString(content)
    entries = sorted(written.anomaly_info.items())
    if written.HasField("dataset_anomaly_info"):
        entries.append(("", written.dataset_anomaly_info))
    for feature, info in entries:
        severe = info.severity != anomalies_pb2.AnomalyInfo.WARNING
        yield Anomaly(split, feature, severe, info.description or info.short_description)


@dataclass(frozen=True)
class Verdict:
    """What the gate found, one sentence or two for each matter, by the figures of `summary`.

    `problems` are why the data are refused, none when they are fit; `notes` what is odd about them without being a
    reason.
    """

    summary: Summary
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, object]:
        """The verdict as plain JSON values: `ok`, `problems`, `notes` and the fields of `Summary`."""
        own = {"ok": self.ok, "problems": list(self.problems), "notes": list(self.notes)}
        return own | self.summary.model_dump()


def judge(
    anomalies: Iterable[Anomaly], summary: Summary, settings: Validation, classes: Sequence[str], lists: str,
    earlier: Summary | None = None, used: Collection[str] = COLUMNS,
) -> Verdict:  # fmt: skip
    """Decides whether the data are fit to train on.

    A column of the catalogue that nothing depends on is never a reason to refuse: what is odd about it is noted.

    Args:
        anomalies: ExampleValidator's findings in all splits.
        summary: ingest's counts.
        settings: the recipe's limits.
        classes: the taxonomy's classes.
        lists: folder of ingest's lists (`quarantine.csv`, `unmapped.csv`), to be named in problems.
        earlier: the counts of the last run whose data were fit; None if there is none.
        used: the catalogue's columns that labels and splits depend on.

    Returns:
        The verdict, with all problems and not only the first.
    """
    ordered = sorted(anomalies, key=lambda anomaly: anomaly.feature)
    unused = {*TEXT_COLUMNS, YEAR}.difference(used)
    grave = [anomaly for anomaly in ordered if anomaly.severe and anomaly.feature not in unused]
    problems = [
        *_schema_breaches(grave, _remedy(settings.schema_file)),
        *quarantine_problems(summary, settings, os.path.join(lists, "quarantine.csv")),
        *unmapped_problems(summary, earlier, settings, os.path.join(lists, "unmapped.csv")),
        *_empty_splits(summary),
        *_class_problems(summary, classes, os.path.join(lists, "unmapped.csv")),
    ]
    lesser = (anomaly for anomaly in ordered if anomaly not in grave)
    notes = [*_schema_breaches(lesser, "Neither labels nor splits depend on it."), *_shared(summary)]
    for fact, rule in _scarce_classes(summary, settings.class_minimum, classes):
        if settings.scarce == "refuse":
            problems.append(f"{fact}{rule}")
        else:
            notes.append(f"{fact}; validation.scarce lets it pass.")
    return Verdict(summary, tuple(problems), tuple(notes))


def with_start(verdict: Verdict, members: Members, theirs: Members, folder: str, most: float) -> Verdict:
    """Adds to a verdict on the data what is to be said of the published model that `model.weights` names.

    Args:
        verdict: on the data alone.
        members: of this run's splits.
        theirs: of the splits that the other model was trained and tested on.
        folder: of its version.
        most: share of the test split that it may have been trained on.
    """
    overlap, tested = tested_and_trained_on(members, theirs)
    fact = (
        f"model.weights: {folder} was trained on {overlap:,} of the {tested:,} products that this run tests on, "
        "or on pictures like theirs"
    )
    if overlap > most * tested:
        remedy = (
            f"{fact}, more than the {100 * most:.3g} % that validation.seen allows: figures on test would be too high. "
            "Give both the same split, start from other weights, or raise the limit."
        )
        return replace(verdict, problems=(*verdict.problems, remedy))
    return replace(verdict, notes=(*verdict.notes, f"{fact}.")) if overlap else verdict


def schema_name(schema_file: str) -> str:
    """What people call the schema of `settings.Validation.schema_file`; one of ours by its path in the project."""
    return schema_file if schema_file.endswith(".pbtxt") else f"schema/{schema_file}.pbtxt"


def _remedy(schema_file: str) -> str:
    correct = f"Correct the catalogue, or {schema_name(schema_file)} where the data are right."
    # Our schemas are of public catalogues; a schema of one's own is of this very one.
    return correct if schema_file.endswith(".pbtxt") else f"{correct} Another shop's catalogue: {DRAFT}"


def _schema_breaches(anomalies: Iterable[Anomaly], remedy: str) -> Iterator[str]:
    """One sentence for each feature; splits with the same finding are told together."""
    features: dict[str, dict[str, list[str]]] = {}
    for anomaly in anomalies:
        finding = anomaly.finding.strip().rstrip(".")
        if len(finding) > _LONGEST_FINDING:
            finding = finding[:_LONGEST_FINDING] + " …"
        features.setdefault(anomaly.feature, {}).setdefault(finding, []).append(anomaly.split)
    for feature, findings in features.items():
        sentence = "; ".join(f"{finding} ({', '.join(splits)})" for finding, splits in findings.items())
        yield f"{feature or 'The data as a whole'} does not fit the schema: {sentence}. {remedy}"


def _empty_splits(summary: Summary) -> Iterator[str]:
    for split in SPLITS:
        if not summary.examples.get(split):
            yield (
                f"Split {split} is empty ({_by_split(summary.examples)}). Training needs all of {', '.join(SPLITS)}: "
                f"add products, or raise split.{split}."
            )


def _shared(summary: Summary) -> Iterator[str]:
    for splits, count in summary.shared.items():
        yield (
            f"{count:,} {'pictures are' if count > 1 else 'picture is'} in both {splits}: split.by=given and "
            f"split.by=year move none to keep them apart.{' Test figures are too high.' if 'test' in splits else ''}"
        )


def _class_problems(summary: Summary, classes: Sequence[str], unmapped: str) -> Iterator[str]:
    """What no recipe can allow: a class without a single example, or one class alone."""
    present = [name for name in classes if _has_examples(summary, name)]
    if len(present) == 1:
        yield (
            f"{present[0]} is the only class with examples ({_by_split(summary.classes[present[0]])}). A classifier "
            f"needs at least two: add products of other classes, or rules that map those in {unmapped}."
        )
    for name in classes if len(present) > 1 else ():
        if name not in present:
            yield (
                f"{name} has no example at all. Every class of the taxonomy needs some: add products, "
                f"add rules that map those in {unmapped}, or take the class out of the taxonomy."
            )


def _scarce_classes(summary: Summary, minimum: int, classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a recipe may allow: classes absent from a split, or with little to train on; each with rule and remedy."""
    filled = [split for split in SPLITS if summary.examples.get(split)]
    for name in classes:
        counts = summary.classes.get(name, {})
        lacking = [split for split in filled if not counts.get(split)]
        if not _has_examples(summary, name):
            continue
        if lacking:
            yield (
                f"{name} has no example in {' and '.join(lacking)} ({_by_split(counts)})",
                ". Every class must be in every split: add products of this class, or take it out of the taxonomy.",
            )
        elif counts.get("train", 0) < minimum and "train" in filled:
            yield (
                f"{name} has {counts['train']} pictures to train on ({_by_split(counts)})",
                f", fewer than the {minimum} that validation.class_minimum asks for. Add products of this class, or "
                "lower the limit.",
            )


def _has_examples(summary: Summary, name: str) -> bool:
    return any(summary.classes.get(name, {}).values())


def _by_split(counts: Mapping[str, int]) -> str:
    return listed({split: counts.get(split, 0) for split in SPLITS})
