"""The page of a run: what stands in it, and what cannot break it."""

import base64
import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from components.export.copies import rows
from components.index import summary
from components.report.facts import RunFacts, from_json, to_json
from components.report.facts.quality import Coverage
from components.report.page import write_page
from components.report.page.findings import findings, suggested_threshold, weak_slices
from components.report.page.formats import duration, number, percent, score, whole
from components.report.page.page import plots_of
from tests.report.drawn_facts import HOSTILE, empty_facts, full_facts, refused_facts
from tests.report.page_reader import Read

SECTIONS = ("verdict", "data", "training", "quality", "outside", "pictures", "provenance")
LIMIT = 8_000_000


@cache
def page_of(classes: int) -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return write_page(full_facts(classes), Path(folder)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def full() -> Read:
    return Read(page_of(6))


def written(facts: RunFacts, folder: Path) -> Read:
    return Read(write_page(facts, folder).read_text(encoding="utf-8"))


def of_verdict(facts: RunFacts) -> Iterator[str]:
    verdict = facts.verdict
    assert verdict.baseline is not None
    yield from map(percent, (verdict.accuracy, verdict.macro_f1, verdict.lowest_recall, verdict.baseline.accuracy))
    yield from (str(verdict.version), duration(facts.seconds), *map(percent, (verdict.gate or {}).values()))
    yield verdict.rare
    yield from (cell for row in rows(facts.copies) for cell in row)
    yield "litert-int8 was refused: recall of <shoes> falls."
    assert facts.index is not None
    yield from (str(facts.index), *(cell for row in summary.rows(facts.index) for cell in row))


def of_data(facts: RunFacts) -> Iterator[str]:
    data = facts.data
    assert data is not None
    assert data.duplicates is not None
    assert data.drift is not None
    counts = [data.rows, *data.examples.values(), data.drift.examples]
    counts += [data.duplicates.groups, data.duplicates.products, data.duplicates.contradictory]
    counts += [count for of in data.classes for count in (*of.splits.values(), of.balanced or 0)]
    counts += [count for of in data.quarantined for count in (of.count, *(sample.row for sample in of.samples))]
    counts += [of.count for of in (*data.unmapped, *data.repaired, *data.sizes)]
    for column in data.columns:
        counts += [column.others, column.missing, column.distinct, *(of.count for of in column.values)]
    yield from map(whole, [*counts, *(count for of in data.histograms for count in of.counts)])
    for moved in data.drift.columns:
        yield from map(percent, (moved.distance, moved.before, moved.now))


def of_training(facts: RunFacts) -> Iterator[str]:
    training = facts.training
    assert training is not None
    assert training.network is not None
    yield duration(training.seconds)
    yield from map(whole, (training.network.parameters, *(block.parameters for block in training.network.blocks)))
    yield from map(percent, training.names["articleType"].values())
    for phase in training.phases:
        yield from (duration(phase.seconds), whole(phase.images_per_second), str(phase.planned))
        yield f"epoch {phase.chosen}, of {len(phase.epochs)} trained"
        for epoch in phase.epochs:
            yield from map(percent, (epoch.accuracy, epoch.val_accuracy))
            yield from map(number, (epoch.loss, epoch.val_loss, epoch.learning_rate))


def of_quality(facts: RunFacts) -> Iterator[str]:
    quality = facts.quality
    assert quality is not None
    assert quality.calibration is not None
    shares = (quality.accuracy, quality.top5_accuracy, quality.macro_precision, quality.macro_recall, quality.macro_f1)
    yield from map(percent, shares)
    yield from (score(quality.macro_auprc), number(quality.loss), whole(quality.examples))
    for judged in quality.classes:
        yield from map(percent, (judged.precision, judged.recall, judged.f1, judged.baseline_recall))
        yield from (score(judged.auprc), whole(judged.support), whole(judged.predicted))
    yield percent(quality.calibration.ece)
    for confident in quality.calibration.bins:
        if confident.count:
            yield from (whole(confident.count), percent(confident.confidence), percent(confident.accuracy))
    for answered in quality.coverage:
        yield from (f"{answered.threshold:g}", whole(answered.answered), percent(answered.accuracy, 2))
        yield from map(percent, (answered.coverage, answered.low, answered.high))
    for part in quality.slices:
        yield from (whole(part.examples), whole(part.correct), *map(percent, (part.accuracy, part.low, part.high)))


def of_outside(facts: RunFacts) -> Iterator[str]:
    assert facts.outside is not None
    assessment = facts.outside.assessment
    assert assessment.shown is not None
    shares = [assessment.accepted, assessment.accuracy, assessment.kept, assessment.coverage, assessment.shown.accepted]
    for share in filter(None, shares):
        yield from (percent(share.share, 2), whole(share.total))
    yield from (score(assessment.shown.auroc), f"{assessment.set_size:.2f}", percent(assessment.asked))
    for kind in assessment.kinds:
        yield from (kind.name or "(missing)", whole(kind.tested), whole(kind.accepted))
    for tag in assessment.tags:
        yield from (group.name for groups in (tag.by_class, *tag.slices.values()) for group in groups)
        yield from (whole(pair.count) for pair in tag.confusions)
    for product in (*facts.outside.slipped, *facts.outside.refused):
        yield from (product.id, *(percent(answer.probability) for answer in product.answers))


def of_pictures(facts: RunFacts) -> Iterator[str]:
    assert facts.pictures is not None
    assert facts.quality is not None
    shown = [*facts.pictures.sure, *facts.pictures.edge, *facts.pictures.worst]
    for product in (*shown, *(each for pair in facts.quality.pairs for each in pair.examples)):
        yield from (product.id, *(percent(answer.probability) for answer in product.answers))
    for similar in facts.pictures.similar:
        yield from (f"{near.similarity:.3f}" for near in similar.neighbours)


def of_provenance(facts: RunFacts) -> Iterator[str]:
    assert facts.provenance is not None
    yield from (duration(stage.seconds) for stage in facts.provenance.stages)
    yield from (*facts.provenance.versions.values(), *facts.provenance.machine.values())


@pytest.mark.parametrize(
    ("section", "figures"),
    zip(SECTIONS, (of_verdict, of_data, of_training, of_quality, of_outside, of_pictures, of_provenance), strict=True),
)
def test_every_figure_of_a_run_stands_in_its_section(
    section: str, figures: Callable[[RunFacts], Iterator[str]]
) -> None:
    html = page_of(6)
    ends = [html.index(f'<section id="{name}"') for name in SECTIONS] + [html.index("</main>")]
    last = SECTIONS.index(section)
    first = SECTIONS.index("quality") if section == "pictures" else last  # pictures of mistakes stand with quality
    within = html[ends[first] : ends[last + 1]]
    words = Read(within).text
    assert [figure for figure in figures(full_facts()) if " ".join(figure.split()) not in words] == []


def test_the_confusion_matrix_holds_the_very_counts(full: Read) -> None:
    quality = full_facts().quality
    assert quality is not None
    told = full.script("confusion-counts")
    assert told == {"labels": [of.name for of in quality.classes], "counts": [list(row) for row in quality.confusion]}


def test_plots_draw_the_very_figures(full: Read) -> None:
    facts = full_facts()
    assert facts.data is not None
    assert facts.quality is not None
    figures = full.script("figures")["figures"]
    balanced, occurring = (bar["x"] for bar in figures["class-counts"]["data"])
    assert sorted(balanced) == sorted(of.balanced for of in facts.data.classes)
    assert sorted(occurring) == sorted(of.splits["train"] for of in facts.data.classes)
    curves = {trace["name"]: trace for trace in figures["precision-recall"]["data"]}
    for curve in facts.quality.curves:
        assert curves[curve.name]["y"] == pytest.approx(curve.precision, abs=5e-5)
        assert curves[curve.name]["x"] == pytest.approx(curve.recall, abs=5e-5)
    marked = figures["coverage"]["data"][-1]
    suggested = suggested_threshold(facts.quality.coverage)
    assert suggested is not None
    assert (marked["x"], marked["y"]) == ([suggested.coverage], [suggested.accuracy])


def test_every_plot_says_the_same_as_a_table(full: Read) -> None:
    plots = [plot for group in plots_of(full_facts()).values() for plot in group]
    assert len({plot.id for plot in plots}) == len(plots) > 15
    assert {attrs["data-figure"] for _, attrs in full.tags if "data-figure" in attrs} == {plot.id for plot in plots}
    for plot in plots:
        assert plot.rows
        assert {len(row) for row in plot.rows} == {len(plot.head)}
        assert all(" ".join(cell.split()) in full.text for row in plot.rows for cell in row)


def test_the_verdict_comes_first_and_the_sections_in_order(full: Read) -> None:
    assert [attrs["id"] for tag, attrs in full.tags if tag == "section"] == list(SECTIONS)
    heads = [int(tag[1]) for tag, _ in full.tags if re.fullmatch("h[1-6]", tag)]
    assert heads[0] == 1
    assert heads.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(heads))


def test_links_lead_to_what_is_there_and_ids_are_unique(full: Read) -> None:
    ids = [attrs["id"] for _, attrs in full.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    inner = {str(attrs["href"])[1:] for tag, attrs in full.tags if tag == "a" and str(attrs["href"]).startswith("#")}
    assert inner <= set(ids)
    assert {finding.anchor for finding in findings(full_facts())} <= inner


def test_every_picture_has_words(full: Read) -> None:
    pictures = [attrs for tag, attrs in full.tags if tag == "img"]
    assert len(pictures) > 100
    assert all(attrs.get("alt") and str(attrs["src"]).startswith("data:image/jpeg;base64,") for attrs in pictures)


def test_text_from_the_data_stays_text(full: Read) -> None:
    assert " ".join(HOSTILE.split()) in full.text
    kinds = [attrs.get("type") for tag, attrs in full.tags if tag == "script"]
    assert kinds == [None, "application/json", "application/json", None]
    assert not any(name.startswith("on") for _, attrs in full.tags for name in attrs)
    assert [attrs for attrs, text in full.scripts if "alert(1)" in text] == [
        {"type": "application/json", "id": "figures"}
    ]


def test_plots_show_markup_of_the_data_as_it_is(full: Read) -> None:
    names = full.script("figures")["figures"]["column-gender"]["layout"]["yaxis"]["ticktext"]
    assert names[-1] == "&lt;script&gt;alert(1)&lt;/script&gt;&lt;/…"


def test_the_browser_may_run_these_scripts_and_fetch_nothing(full: Read) -> None:
    policy = next(str(attrs["content"]) for tag, attrs in full.tags if attrs.get("http-equiv"))
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    code = [text for (tag, attrs), (_, text) in zip(_scripts_and_styles(full), full.scripts, strict=True)
            if tag == "script" and attrs.get("type") is None]  # fmt: skip
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in code}
    assert set(rules["script-src"]) == hashes
    assert rules["default-src"] == ["'none'"]
    assert not any(source.startswith(("http", "*")) for sources in rules.values() for source in sources)
    addresses = [str(attrs[name]) for _, attrs in full.tags for name in ("src", "href") if name in attrs]
    fetched = [address for address in addresses if not address.startswith(("data:", "#"))]
    assert set(fetched) == {"https://arxiv.org/abs/1706.04599", "https://arxiv.org/abs/1512.04150"}


def _scripts_and_styles(page: Read) -> list[tuple[str, dict[str, str | None]]]:
    return [(tag, attrs) for tag, attrs in page.tags if tag in ("script", "style")]


def test_fifty_nine_classes_with_many_pictures_stay_below_8_mb() -> None:
    page = page_of(59)
    assert len(page.encode()) < LIMIT
    assert len(Read(page).script("confusion-counts")["labels"]) == 59


@pytest.mark.parametrize("section", ["data", "training", "quality", "pictures", "provenance"])
def test_a_section_that_a_run_did_not_come_to_says_why(section: str, tmp_path: Path) -> None:
    from components.report.facts import Gap

    reason = f"The run ended before {section}."
    facts = dataclasses.replace(full_facts(), **{section: None}, gaps=(Gap(section, "everything", reason),))  # type: ignore[arg-type]
    page = written(facts, tmp_path)
    assert reason in page.text
    assert [attrs["id"] for tag, attrs in page.tags if tag == "section"] == list(SECTIONS)


OPTIONAL = {
    "verdict": ("accuracy", "macro_f1", "lowest_recall", "version", "serving", "baseline", "gate"),
    "data": ("duplicates", "anomalies", "drift"),
    "training": ("network", "seconds"),
    "quality": ("accuracy", "top5_accuracy", "loss", "macro_precision", "macro_auprc", "calibration"),
    "provenance": ("recipe", "data", "data_digest", "code_digest", "commit", "lineage"),
}
LISTS = {
    "data": ("classes", "quarantined", "unmapped", "repaired", "columns", "histograms", "sizes", "notes"),
    "training": ("phases",),
    "quality": ("pairs", "curves", "coverage", "slices"),
    "pictures": ("sure", "edge", "worst", "similar"),
    "provenance": ("stages",),
}


@pytest.mark.parametrize(
    ("section", "field", "nothing"),
    [(section, field, None) for section, fields in OPTIONAL.items() for field in fields]
    + [(section, field, ()) for section, fields in LISTS.items() for field in fields],
)
def test_any_part_may_be_missing(section: str, field: str, nothing: object, tmp_path: Path) -> None:
    full = _small()
    facts = dataclasses.replace(full, **{section: dataclasses.replace(getattr(full, section), **{field: nothing})})
    page = written(facts, tmp_path)
    assert [attrs["id"] for tag, attrs in page.tags if tag == "section"] == list(SECTIONS)
    assert "None" not in page.text
    assert "nan" not in page.text.lower().split()


@cache
def _small() -> RunFacts:
    return full_facts(3, pictures=1, side=16, name="a shirt")


def test_a_gap_is_told_once_where_its_part_would_stand_or_at_the_end(tmp_path: Path) -> None:
    page = written(refused_facts(), tmp_path)
    assert page.text.count("There are no earlier data of this recipe to compare with.") == 1
    assert "Not shown: weather . Nobody looked out of the window." in page.text
    assert "Data refused" in page.text
    assert "baseColour has values that the schema does not know." in page.text


def test_a_run_of_which_nothing_is_known_still_has_a_page_and_a_card(tmp_path: Path) -> None:
    page = written(empty_facts(), tmp_path)
    assert "ingest failed." in page.text
    assert "ingest failed." in (tmp_path / "card.md").read_text(encoding="utf-8")


def test_a_diverged_training_is_drawn(tmp_path: Path) -> None:
    full = _small()
    assert full.training is not None
    phase = full.training.phases[0]
    lost = dataclasses.replace(phase.epochs[-1], loss=float("nan"), val_loss=float("inf"))
    phases = (dataclasses.replace(phase, epochs=(*phase.epochs[:-1], lost)),)
    page = written(dataclasses.replace(full, training=dataclasses.replace(full.training, phases=phases)), tmp_path)
    assert page.script("figures")["figures"]["training-loss"]["data"][0]["y"][-1] is None


def test_facts_read_from_json_give_the_same_page(tmp_path: Path) -> None:
    facts = _small()
    one, other = (write_page(each, tmp_path / name) for each, name in ((facts, "a"), (from_json(to_json(facts)), "b")))
    assert one.read_bytes() == other.read_bytes()


def test_a_reader_sees_first_what_is_worst() -> None:
    refused = findings(refused_facts())
    assert (refused[0].level, refused[0].anchor) == ("bad", "anomalies")
    full = full_facts()
    assert len(findings(full)) <= 6
    below = dataclasses.replace(full, verdict=dataclasses.replace(full.verdict, gate={"recall": 0.999}))
    assert "below the 99.9\u202f% asked for" in findings(below)[0].sentence


def test_a_class_with_too_few_products_to_be_judged_by_itself_is_not_shown_as_failing(tmp_path: Path) -> None:
    full = full_facts()
    assert full.quality is not None
    [lowest] = [of for of in full.quality.classes if of.name == full.verdict.lowest_recall_class]
    gate = {"recall": 0.999, "support": lowest.support + 1.0}
    rare = dataclasses.replace(full, verdict=dataclasses.replace(full.verdict, gate=gate))
    told = [each for each in findings(rare) if each.sentence.startswith("Lowest recall")]
    assert [each.level for each in told] == ["warn"]
    assert "too few test products to be judged by itself" in told[0].sentence
    shown = write_page(rare, tmp_path).read_text()
    assert f"✕ {percent(lowest.recall)}" not in shown
    enough = dataclasses.replace(full, verdict=dataclasses.replace(full.verdict, gate={**gate, "support": 1.0}))
    assert f"✕ {percent(lowest.recall)}" in write_page(enough, tmp_path).read_text()


@pytest.mark.parametrize(
    ("accuracies", "threshold"),
    [((0.9, 0.94, 0.96), 2), ((0.9, 0.95), 1), ((0.9, 0.94), None), ((1.0, 1.0), None), ((), None)],
)
def test_the_suggested_threshold_is_the_lowest_that_halves_the_mistakes(
    accuracies: tuple[float, ...], threshold: int | None
) -> None:
    coverage = [Coverage(i, 1 - i / 10, 100, accuracy, 0.0, 1.0) for i, accuracy in enumerate(accuracies)]
    suggested = suggested_threshold(coverage)
    assert (suggested.threshold if suggested else None) == threshold


def test_a_slice_without_a_mistake_is_never_weak() -> None:
    quality = _small().quality
    assert quality is not None
    part = dataclasses.replace(quality.slices[0], examples=124, correct=124, accuracy=1.0, high=1 - 1e-16)
    assert weak_slices(dataclasses.replace(quality, accuracy=1.0, slices=(part,))) == ()
