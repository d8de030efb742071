"""The page that sets two runs side by side: what changed, and by how much."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from components.report.facts import RunFacts
from components.report.facts.data import DataFacts
from components.report.facts.quality import QualityFacts
from components.report.facts.verdict import ProvenanceFacts
from components.report.page.formats import NONE, duration, number, percent, points, whole
from components.report.page.page import write_html
from components.report.page.plots.comparison import recalls

Row = tuple[str, str, str, str]


def write_comparison(a: RunFacts, b: RunFacts, file: Path) -> None:
    """Writes one self-contained page on how run `b` differs from run `a`, usually the older; makes its folder."""
    quality = (a.quality, b.quality) if a.quality and b.quality else None
    data = (a.data, b.data) if a.data and b.data else None
    plots = [recalls(*quality, (a.run, b.run))] if quality else []
    write_html(
        file,
        "comparison.html.j2",
        plots,
        runs=(a, b),
        plots=plots,
        figures=[*_figures(a, b)],
        classes=[*_classes(*quality)] if quality else [],
        mistakes=[*_mistakes(*quality)] if quality else [],
        data=[*_data(a, b)] if data else [],
        class_counts=[*_class_counts(*data)] if data else [],
        training=[*_training(a, b)],
        recipe=_difference(a, b),
        provenance=[*_provenance(a.provenance, b.provenance)] if a.provenance and b.provenance else [],
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


def _both(a: RunFacts, b: RunFacts, path: str) -> Iterator[Any]:
    """What stands at a path of attributes in two runs, e.g. `quality.loss`; None where one did not come so far."""
    for run in (a, b):
        value: Any = run
        for name in path.split("."):
            value = getattr(value, name, None)
        yield value


def _figures(a: RunFacts, b: RunFacts) -> Iterator[Row]:
    for label, name in (("accuracy", "accuracy"), ("macro-F1", "macro_f1"), ("lowest recall", "lowest_recall")):
        yield _shares(label, *_both(a, b, f"verdict.{name}"))
    yield _texts("its class", a.verdict.lowest_recall_class, b.verdict.lowest_recall_class)
    yield _shares("calibration error", *_both(a, b, "quality.calibration.ece"))
    yield _numbers("cross-entropy", *_both(a, b, "quality.loss"))
    versions = [NONE if run.verdict.version is None else str(run.verdict.version) for run in (a, b)]
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
    before, now = (
        {(quality.classes[i].name, quality.classes[j].name): count
         for i, row in enumerate(quality.confusion) for j, count in enumerate(row) if count and i != j}
        for quality in (a, b)
    )  # fmt: skip
    for pair in sorted({*before, *now}, key=lambda pair: (-abs(now.get(pair, 0) - before.get(pair, 0)), pair))[:20]:
        yield _counts(f"{pair[0]} taken for {pair[1]}", before.get(pair, 0), now.get(pair, 0))


def _data(a: RunFacts, b: RunFacts) -> Iterator[Row]:
    yield _counts("rows", *_both(a, b, "data.rows"))
    yield from _each("examples, ", *_both(a, b, "data.examples"))
    quarantined = _both(a, b, "data.quarantined")
    yield from _each("quarantined, ", *({row.reason: row.count for row in reasons} for reasons in quarantined))
    yield _counts("contradictory duplicates", *_both(a, b, "data.duplicates.contradictory"))


def _class_counts(a: DataFacts, b: DataFacts) -> Iterator[Row]:
    both = a.classes, b.classes
    yield from _each("", *({row.name: row.splits.get("train", 0) for row in classes} for classes in both))
    yield from _each("balanced: ", *({row.name: row.balanced or 0 for row in classes} for classes in both))


def _training(a: RunFacts, b: RunFacts) -> Iterator[Row]:
    phases = [{phase.name: phase for phase in run.training.phases} if run.training else {} for run in (a, b)]
    for name in dict.fromkeys([*phases[0], *phases[1]]):
        pair = [run.get(name) for run in phases]
        yield _counts(f"{name}, chosen epoch", *(phase.chosen if phase else None for phase in pair))
        reached = [
            next((e.val_accuracy for e in phase.epochs if e.number == phase.chosen), None) if phase else None
            for phase in pair
        ]
        yield _shares(f"{name}, validation accuracy", *reached)
    yield _counts("parameters", *_both(a, b, "training.network.parameters"))
    times = [duration(seconds) for seconds in _both(a, b, "training.seconds")]
    yield "time", times[0], times[1], ""


def _provenance(one: ProvenanceFacts, other: ProvenanceFacts) -> Iterator[Row]:
    for label, name in (("catalogue", "data"), ("data", "data_digest"), ("code", "code_digest")):
        yield _texts(label, getattr(one, name), getattr(other, name))
    for before, now in ((one.machine, other.machine), (one.versions, other.versions)):
        for key in dict.fromkeys([*before, *now]):
            yield _texts(key, before.get(key), now.get(key))


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
