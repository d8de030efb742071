"""The page that sets two runs side by side: what changed, and by how much."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from components.report.facts import RunFacts
from components.report.facts.quality import QualityFacts
from components.report.page.formats import NONE, duration, number, percent, points, whole
from components.report.page.page import write_html
from components.report.page.plots.comparison import recalls

Row = tuple[str, str, str, str]


def write_comparison(a: RunFacts, b: RunFacts, file: Path) -> None:
    """Writes one self-contained page on how run `b` differs from run `a`.

    Args:
        a: the run compared with, usually the older.
        b: the other run.
        file: is written; its folder is made if it is not there.
    """
    plots = [recalls(a.quality, b.quality, (a.run, b.run))] if a.quality and b.quality else []
    write_html(
        file,
        "comparison.html.j2",
        plots,
        runs=(a, b),
        plots=plots,
        figures=[*_figures(a, b)],
        classes=[*_classes(a.quality, b.quality)] if a.quality and b.quality else [],
        mistakes=[*_mistakes(a.quality, b.quality)] if a.quality and b.quality else [],
        data=[*_data(a, b)],
        class_counts=[*_class_counts(a, b)],
        training=[*_training(a, b)],
        recipe=_difference(a, b),
        provenance=[*_provenance(a, b)],
        same_test=same_test(a, b),
    )


def same_test(a: RunFacts, b: RunFacts) -> bool | None:
    """Whether both were tested on the same products: of one catalogue, split alike; None if that is not known."""
    tests = [_test_of(run) for run in (a, b)]
    return None if None in tests else tests[0] == tests[1]


def _test_of(run: RunFacts) -> tuple[Any, ...] | None:
    provenance = run.provenance
    if provenance is None or provenance.data_digest is None or provenance.recipe is None or run.data is None:
        return None
    recipe = yaml.safe_load(provenance.recipe)
    counts = {counts.name: counts.splits.get("test", 0) for counts in run.data.classes}
    return provenance.data_digest, recipe.get("labels"), recipe.get("split"), counts


def _figures(a: RunFacts, b: RunFacts) -> Iterator[Row]:
    verdicts, qualities = (a.verdict, b.verdict), (a.quality, b.quality)
    for label, name in (("accuracy", "accuracy"), ("macro-F1", "macro_f1"), ("lowest recall", "lowest_recall")):
        yield _shares(label, *(getattr(verdict, name) for verdict in verdicts))
    yield _texts("its class", *(verdict.lowest_recall_class for verdict in verdicts))
    calibrations = [quality.calibration if quality else None for quality in qualities]
    yield _shares("calibration error", *(calibration.ece if calibration else None for calibration in calibrations))
    yield _numbers("cross-entropy", *(quality.loss if quality else None for quality in qualities))
    versions = [NONE if verdict.version is None else str(verdict.version) for verdict in verdicts]
    yield "version", versions[0], versions[1], ""
    yield "took", duration(a.seconds), duration(b.seconds), ""


def _classes(a: QualityFacts, b: QualityFacts) -> Iterator[Row]:
    """By what became of the recall: the greatest loss first."""
    before, now = ({row.name: row.recall for row in quality.classes} for quality in (a, b))
    rows = []
    for name in dict.fromkeys([*now, *before]):
        one, other = before.get(name), now.get(name)
        lost = 0.0 if one is None or other is None else other - one
        rows.append((lost, _shares(name, one, other)))
    yield from (row for _, row in sorted(rows, key=lambda row: row[0]))


def _mistakes(a: QualityFacts, b: QualityFacts) -> Iterator[Row]:
    before, now = _confused(a), _confused(b)
    for pair in sorted({*before, *now}, key=lambda pair: (-abs(now.get(pair, 0) - before.get(pair, 0)), pair))[:20]:
        yield _counts(f"{pair[0]} taken for {pair[1]}", before.get(pair, 0), now.get(pair, 0))


def _confused(quality: QualityFacts) -> dict[tuple[str, str], int]:
    names = [row.name for row in quality.classes]
    return {
        (names[i], names[j]): count
        for i, row in enumerate(quality.confusion)
        for j, count in enumerate(row)
        if count and i != j
    }


def _data(a: RunFacts, b: RunFacts) -> Iterator[Row]:
    if a.data is None or b.data is None:
        return
    both = a.data, b.data
    yield _counts("rows", a.data.rows, b.data.rows)
    yield from _each("examples, ", a.data.examples, b.data.examples)
    yield from _each("quarantined, ", *({row.reason: row.count for row in data.quarantined} for data in both))
    groups = [data.duplicates.contradictory if data.duplicates else None for data in both]
    yield _counts("contradictory duplicates", *groups)


def _class_counts(a: RunFacts, b: RunFacts) -> Iterator[Row]:
    if a.data is None or b.data is None:
        return
    both = a.data.classes, b.data.classes
    yield from _each("", *({row.name: row.splits.get("train", 0) for row in classes} for classes in both))
    yield from _each("balanced: ", *({row.name: row.balanced or 0 for row in classes} for classes in both))


def _training(a: RunFacts, b: RunFacts) -> Iterator[Row]:
    both = a.training, b.training
    phases = [{phase.name: phase for phase in training.phases} if training else {} for training in both]
    for name in dict.fromkeys([*phases[0], *phases[1]]):
        pair = [run.get(name) for run in phases]
        yield _counts(f"{name}, chosen epoch", *(phase.chosen if phase else None for phase in pair))
        reached = [
            next((e.val_accuracy for e in phase.epochs if e.number == phase.chosen), None) if phase else None
            for phase in pair
        ]
        yield _shares(f"{name}, validation accuracy", *reached)
    networks = [training.network if training else None for training in both]
    yield _counts("parameters", *(network.parameters if network else None for network in networks))
    times = [duration(training.seconds if training else None) for training in both]
    yield "time", times[0], times[1], ""


def _provenance(a: RunFacts, b: RunFacts) -> Iterator[Row]:
    if a.provenance is None or b.provenance is None:
        return
    one, other = a.provenance, b.provenance
    for label, name in (("catalogue", "data"), ("data", "data_digest"), ("code", "code_digest")):
        yield _texts(label, getattr(one, name), getattr(other, name))
    for key in dict.fromkeys([*one.machine, *other.machine]):
        yield _texts(key, one.machine.get(key), other.machine.get(key))
    for key in dict.fromkeys([*one.versions, *other.versions]):
        yield _texts(key, one.versions.get(key), other.versions.get(key))


def _difference(a: RunFacts, b: RunFacts) -> list[str] | None:
    """The recipes' lines that differ, with some around them; None where one is not known."""
    recipes = [run.provenance.recipe if run.provenance else None for run in (a, b)]
    if recipes[0] is None or recipes[1] is None:
        return None
    return [*difflib.unified_diff(recipes[0].splitlines(), recipes[1].splitlines(), a.run, b.run, lineterm="", n=2)]


def _each(prefix: str, before: Mapping[str, int], now: Mapping[str, int]) -> Iterator[Row]:
    for name in dict.fromkeys([*before, *now]):
        yield _counts(f"{prefix}{name}", before.get(name, 0), now.get(name, 0))


def _shares(label: str, before: float | None, now: float | None) -> Row:
    change = points(now - before) + " points" if before is not None and now is not None else NONE
    return label, percent(before), percent(now), change


def _numbers(label: str, before: float | None, now: float | None) -> Row:
    change = f"{now - before:+.3g}".replace("-", "−") if before is not None and now is not None else NONE
    return label, number(before), number(now), change


def _counts(label: str, before: int | None, now: int | None) -> Row:
    change = NONE if before is None or now is None else "" if now == before else f"{now - before:+,}".replace("-", "−")
    return label, whole(before), whole(now), change


def _texts(label: str, before: str | None, now: str | None) -> Row:
    return label, before or NONE, now or NONE, "" if before == now else "changed"
