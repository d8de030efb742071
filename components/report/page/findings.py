"""What a reader should look at first: the few things of a run that stand out, as sentences with a place to go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from components.evaluate.verdict import ClassFigures
from components.ingest.corrections import IGNORED
from components.report.facts import Gap, RunFacts
from components.report.facts.data import DataFacts
from components.report.facts.quality import Coverage, QualityFacts, SliceQuality
from components.report.facts.training import TrainingFacts
from components.report.facts.verdict import VerdictFacts
from components.report.page.formats import percent, points, whole

Level = Literal["bad", "warn", "info"]

# Above this, confidences mislead whoever sets a threshold by them.
_CALIBRATION_ERROR = 0.05
_REMEDIES = {
    None: "",
    False: "; train.calibrate: true scales them on the eval split",
    True: ", though train.calibrate scaled them on the eval split; gate.ece refuses such a model",
}
_DRIFT = 0.05
_SMALL_SLICE = 30
_MOST = 6


@dataclass(frozen=True)
class Finding:
    """One thing that stands out; `anchor` is the id of the part of the page that tells more."""

    level: Level
    sentence: str
    anchor: str


def findings(facts: RunFacts) -> tuple[Finding, ...]:
    """What stands out, the gravest first, at most six."""
    candidates = [
        *_of_gate(facts.verdict, facts.quality),
        *(_of_data(facts.data) if facts.data else ()),
        *(_of_quality(facts.quality, facts.training) if facts.quality else ()),
    ]
    order: dict[Level, int] = {"bad": 0, "warn": 1, "info": 2}
    return tuple(sorted(candidates, key=lambda finding: order[finding.level])[:_MOST])


def suggested_threshold(coverage: Sequence[Coverage]) -> Coverage | None:
    """The lowest confidence that halves the share of mistakes among what is answered; None if none does.

    A rule of thumb to start from: what a wrong answer costs against none, only the shop knows.
    """
    everything = next((point for point in coverage if point.coverage == 1 and point.accuracy is not None), None)
    if everything is None or everything.accuracy is None or everything.accuracy == 1:
        return None
    wanted = 1 - (1 - everything.accuracy) / 2
    return next((point for point in coverage if point.accuracy is not None and point.accuracy >= wanted), None)


def weak_slices(quality: QualityFacts) -> tuple[SliceQuality, ...]:
    """Slices whose whole 95 % interval lies below the accuracy of all, the lowest first."""
    if quality.accuracy is None:
        return ()
    # The interval of 124 right ones of 124 ends a rounding error below 1.
    below = [part for part in quality.slices if max(part.high, part.accuracy) < quality.accuracy]
    weak = [part for part in below if part.examples >= _SMALL_SLICE]
    return tuple(sorted(weak, key=lambda part: part.accuracy))


class Gaps:
    """The gaps of a run, each told once: where its part would stand, or else at the end of its section."""

    def __init__(self, gaps: Sequence[Gap]) -> None:
        """Takes the gaps of a run."""
        self._gaps = tuple(gaps)
        self._told: set[Gap] = set()

    def why(self, section: str, *parts: str) -> str:
        """Why parts are missing; empty if nobody knows."""
        meant = [gap for gap in self._gaps if gap.section == section and gap.part in (*parts, "everything")]
        self._told.update(meant)
        return " ".join(dict.fromkeys(gap.reason for gap in meant))

    def rest(self, section: str) -> tuple[Gap, ...]:
        """Those of a section that were not told yet."""
        return tuple(gap for gap in self._gaps if gap.section == section and gap not in self._told)


def judged(quality: QualityFacts, gate: Mapping[str, float]) -> tuple[ClassFigures, ...]:
    """The classes that the gate judges each by itself: those with enough test products."""
    return tuple(row for row in quality.classes if row.support >= gate.get("support", 0))


def _of_gate(verdict: VerdictFacts, quality: QualityFacts | None) -> Iterator[Finding]:
    recall, name, gate = verdict.lowest_recall, verdict.lowest_recall_class, verdict.gate or {}
    if recall is None or name is None:
        return
    needed = gate.get("recall")
    if recall == 1:
        yield Finding("info", "Every test product was recognised.", "classes")
        return
    sentence = f"Lowest recall: {name}, {percent(recall)}"
    rare = quality is not None and name not in {row.name for row in judged(quality, gate)}
    if needed and recall < needed and rare:
        yield Finding("warn", f"{sentence}, of too few test products to be judged by itself.", "classes")
    elif needed and recall < needed:
        yield Finding("bad", f"{sentence}, below the {percent(needed)} asked for.", "classes")
    else:
        margin = f", {100 * (recall - needed):.1f} points above the gate" if needed else ""
        yield Finding("info", f"{sentence}{margin}.", "classes")
    for row in quality.classes if quality else ():
        if row.baseline_recall is not None and row.recall is not None and row.recall < row.baseline_recall - 0.005:
            change = points(row.recall - row.baseline_recall)
            yield Finding("warn", f"{row.name} lost recall against the baseline: {change} points.", "classes")
    if quality and quality.pairs:
        pair = quality.pairs[0]
        many = f"{whole(pair.count)} of {pair.true} taken for {pair.predicted}"
        yield Finding("info", f"Most frequent mistake: {many}.", "pairs")


def _of_data(data: DataFacts) -> Iterator[Finding]:
    severe = [row for row in data.anomalies or () if row.severe]
    if severe:
        yield Finding("bad", f"{_counted(len(severe), 'anomaly', 'anomalies')} against the schema.", "anomalies")
    if data.duplicates and data.duplicates.contradictory:
        groups = _counted(data.duplicates.contradictory, "picture is", "pictures are")
        yield Finding("warn", f"{groups} listed under several classes.", "duplicates")
    if data.duplicates and data.duplicates.tested:
        shared = _counted(data.duplicates.tested, "test product has", "test products have")
        sentence = f"{shared} the picture of a product in another split: test figures are too high."
        yield Finding("warn", sentence, "duplicates")
    if ignored := sum(row.count for row in data.corrections if row.value == IGNORED):
        sentence = f"{_counted(ignored, 'correction', 'corrections')} no longer match and were not applied."
        yield Finding("warn", sentence, "corrections")
    if data.notes:
        yield Finding("warn", f"The data gate noted {_counted(len(data.notes), 'oddity', 'oddities')}.", "notes")
    quarantined = sum(row.count for row in data.quarantined)
    if quarantined:
        total = quarantined + sum(data.examples.values())
        level: Level = "warn" if quarantined > total / 100 else "info"
        yield Finding(level, f"{_counted(quarantined, 'row', 'rows')} left out as unusable.", "quarantine")
    if data.drift and data.drift.columns and data.drift.columns[0].distance > _DRIFT:
        moved = data.drift.columns[0]
        share = points(moved.now - moved.before)
        yield Finding("warn", f"{moved.column} drifted: {moved.value or 'missing'} {share} points.", "drift")


def _of_quality(quality: QualityFacts, training: TrainingFacts | None) -> Iterator[Finding]:
    if quality.calibration and quality.calibration.ece > _CALIBRATION_ERROR:
        remedy = _REMEDIES[training.calibrated if training else None]
        error = percent(quality.calibration.ece)
        yield Finding("warn", f"Confidences are off by {error} on average{remedy}.", "calibrated")
    weak = weak_slices(quality)
    if weak:
        least = weak[0]
        name = f"{least.column} {least.value or 'missing'}"
        yield Finding("warn", f"Weak on {name}: {percent(least.accuracy)} of {whole(least.examples)}.", "slices")
    suggested = suggested_threshold(quality.coverage)
    if suggested:
        answered = percent(suggested.coverage)
        sentence = (
            f"Passing over answers with a confidence below {suggested.threshold:g} at least halves the share of "
            f"mistakes and still answers {answered}."
        )
        yield Finding("info", sentence, "calibrated")


def _counted(count: int, one: str, many: str) -> str:
    return f"{whole(count)} {one if count == 1 else many}"
