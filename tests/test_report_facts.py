"""What a report says of a run is what was measured, and what could not be measured is said to be missing."""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.evaluate.figures import average_precision, figures
from components.evaluate.verdict import read_verdict
from components.report import data, quality, training
from components.report.collect import collect
from components.report.examples import Table, read_table
from components.report.facts import Answer, Gap, PictureFacts, RunFacts, Shown, VerdictFacts, from_json, to_json
from components.report.gradcam import overlay
from components.report.predictions import Predictions, load_predictions
from components.report.reading import Reading
from components.report.selection import select
from components.report.sources import Folders, Sources, Told
from components.report.statistics import drift_between
from components.report.thumbnail import thumbnail
from components.report.verdict import verdict_facts
from components.settings import Finetune, Gate, Model, Picture, Train
from components.transform.taxonomy import load_taxonomy
from tests.serving_model import write_model

CLASSES = ("topwear", "shoes", "eyewear")


def jpeg(width: int = 6, height: int = 8, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def answers(count: int = 400, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    logits = random.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    powers = np.exp(logits)
    return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def table(hashes: list[str], labels: list[int]) -> Table:
    count = len(hashes)
    whole, text = np.full(count, 60), np.array([""] * count, object)
    return Table(
        splits=np.array(["train", "test"])[np.arange(count) % 2],
        ids=np.array([str(i) for i in range(count)]),
        labels=np.array(labels),
        hashes=np.array(hashes),
        widths=whole,
        heights=whole,
        sizes=whole,
        brightness=np.zeros(count),
        texts=dict.fromkeys((*data.COLUMNS, "productDisplayName"), text),
    )


def sources(**folders: Path) -> Sources:
    return Sources("r", "six_class", 0.0, None, Told(), Folders(**folders), ())


def test_facts_survive_json_byte_for_byte():
    shown = Shown("1", "<script>alert('Ärmel')</script>", "topwear", bytes(range(256)), (Answer("shoes", 0.1 + 0.2),))
    facts = RunFacts(
        "r", "six_class", 1.5, None, CLASSES, VerdictFacts("failed", "ingest failed."),
        pictures=PictureFacts((shown,), (), (), ()), gaps=(Gap("data", "drift", "none"),),
    )  # fmt: skip
    assert from_json(to_json(facts)) == facts


def test_calibration_error_is_the_weighted_gap_between_confidence_and_accuracy():
    probabilities = np.array([[0.9, 0.1]] * 8 + [[0.6, 0.4]] * 2, np.float32)
    labels = np.array([0] * 6 + [1] * 2 + [0] * 2)
    found = quality.calibration_of(labels, probabilities)
    assert found.ece == pytest.approx(0.8 * abs(0.75 - 0.9) + 0.2 * abs(1.0 - 0.6))
    assert sum(each.count for each in found.bins) == 10
    assert found.bins[-1].count == 0
    assert found.bins[-1].confidence is None


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_and_certainty_to_the_last():
    found = quality.calibration_of(np.array([0]), np.array([[1.0, 0.0]], np.float32))
    assert found.bins[-1].count == 1
    assert found.ece == 0


@pytest.mark.parametrize(
    ("correct", "examples", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (500, 1000, 0.4691, 0.5309)],
)
def test_intervals_are_those_of_wilson(correct, examples, low, high):
    assert quality.wilson(correct, examples) == pytest.approx((low, high), abs=5e-5)


def test_answering_everything_has_the_accuracy_and_withholding_more_never_covers_more():
    labels, probabilities = answers()
    points = quality.coverage_of(labels, probabilities)
    assert points[0].coverage == 1
    assert points[0].accuracy == np.mean(probabilities.argmax(axis=1) == labels)
    assert all(before.answered >= after.answered for before, after in pairwise(points))
    assert points[-1].threshold == 0.999


def test_nothing_answered_has_no_accuracy():
    found = quality.coverage_of(np.array([0]), np.array([[0.5, 0.5]], np.float32))[-1]
    assert (found.answered, found.accuracy, found.low) == (0, None, None)


def test_curves_keep_their_ends_and_area_with_at_most_200_points():
    labels, probabilities = answers(count=5000)
    for label, curve in enumerate(quality.curves_of(labels, probabilities, CLASSES)):
        assert 100 < len(curve.recall) <= 200
        assert curve.recall[-1] == 1
        assert curve.precision[-1] == pytest.approx(np.mean(labels == label))
        area = float(np.sum(np.diff(curve.recall, prepend=0) * np.array(curve.precision)))
        assert area == pytest.approx(average_precision(labels == label, probabilities[:, label]), abs=0.01)


def test_a_class_that_does_not_occur_has_no_curve():
    labels, probabilities = answers()
    assert [curve.name for curve in quality.curves_of(np.minimum(labels, 1), probabilities, CLASSES)] == [*CLASSES[:2]]


def test_slices_count_every_example_once_missing_values_too():
    correct = np.array([True, False, True, True])
    texts = {name: np.array(["a", "a", "", "b"], object) for name in quality.SLICED}
    found = [each for each in quality.slices_of(correct, texts) if each.column == "season"]
    assert [(each.value, each.examples, each.correct) for each in found] == [("a", 2, 1), ("", 1, 1), ("b", 1, 1)]


def test_the_most_frequent_mistakes_come_first_and_right_answers_are_none():
    assert quality.frequent_mistakes([[50, 1, 0], [7, 9, 0], [0, 2, 3]], 2) == [(1, 0, 7), (2, 1, 2)]


def test_contradictory_duplicates_are_counted_and_shown_first_with_both_classes():
    of = table(["a", "b", "b", "b", "b", "b", "b", "b", "c", "c", "d"], [0, 1, 1, 1, 1, 1, 1, 1, 0, 2, 0])
    groups = data.duplicate_rows(of)
    found = data.duplicates_of(of, groups, CLASSES, lambda product: product.encode())
    assert (found.groups, found.products, found.contradictory) == (2, 9, 1)
    assert [product.class_name for product in found.samples[0].products] == ["topwear", "eyewear"]
    assert found.samples[0].contradictory
    assert not found.samples[1].contradictory


def test_no_duplicates_are_none():
    of = table(["a", "b"], [0, 1])
    assert data.duplicates_of(of, data.duplicate_rows(of), CLASSES, lambda _: None).groups == 0


def test_histograms_count_every_picture_even_where_all_are_alike():
    assert data.histogram("width", "px", np.full(7, 60)).counts == (7,)
    assert sum(data.histogram("size", "kB", np.arange(1000)).counts) == 1000


def test_thumbnails_keep_their_shape_and_are_never_larger_than_160():
    large, small = (Image.open(io.BytesIO(thumbnail(jpeg(*size)))) for size in ((800, 400), (60, 80)))
    assert (large.size, small.size) == ((160, 80), (60, 80))


@pytest.mark.parametrize("broken", [b"", b"GIF89a", jpeg(60, 80)[:300], b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_cannot_be_decoded_has_no_thumbnail(broken):
    assert thumbnail(broken) is None


def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch):
    file = io.BytesIO()
    Image.new("1", (8000, 6000)).save(file, "PNG")
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was decoded"))
    assert thumbnail(file.getvalue()) is None


def test_overlays_have_the_size_of_the_picture_and_are_warm_where_the_heat_is():
    heat = np.zeros((4, 4), np.float32)
    heat[:, 3] = 1
    grey = io.BytesIO()
    Image.new("RGB", (60, 80), (128, 128, 128)).save(grey, "JPEG")
    drawn = np.asarray(Image.open(io.BytesIO(overlay(grey.getvalue(), heat))), float)
    assert drawn.shape == (80, 60, 3)
    assert drawn[:, -5:].mean() > drawn[:, :5].mean() + 50


@pytest.fixture
def chosen():
    labels, probabilities = answers(count=300)
    embeddings = np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings[1::2] = embeddings[::2]  # every picture twice
    hashes = np.array([f"{row // 2:03}" for row in range(300)])
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
    found = select(labels, probabilities, embeddings, hashes, confusion.tolist())
    return SimpleNamespace(labels=labels, probabilities=probabilities, hashes=hashes, found=found, confusion=confusion)


def test_worst_mistakes_are_the_surest_wrong_answers(chosen):
    confidence, wrong = chosen.probabilities.max(axis=1), chosen.probabilities.argmax(axis=1) != chosen.labels
    expected = sorted(np.flatnonzero(wrong), key=lambda row: -confidence[row])[:12]
    assert list(chosen.found.worst) == expected


def test_sure_answers_are_right_and_of_every_class(chosen):
    rows = list(chosen.found.sure)
    assert (chosen.probabilities.argmax(axis=1)[rows] == chosen.labels[rows]).all()
    assert np.bincount(chosen.labels[rows]).tolist() == [4, 4, 4]


def test_edge_cases_are_those_whose_first_two_answers_are_closest(chosen):
    two = np.sort(chosen.probabilities, axis=1)[:, -2:]
    margin = two[:, 1] - two[:, 0]
    assert margin[list(chosen.found.edge)].max() == np.sort(margin)[11]


def test_confused_pairs_show_examples_of_that_very_mistake(chosen):
    predicted = chosen.probabilities.argmax(axis=1)
    for true, taken, count, rows in chosen.found.pairs:
        assert count == chosen.confusion[true][taken]
        assert rows
        assert all((chosen.labels[row], predicted[row]) == (true, taken) for row in rows)


def test_a_picture_is_not_shown_as_similar_to_itself(chosen):
    for query, rows, cosines in chosen.found.similar:
        hashes = chosen.hashes[[query, *rows]]
        assert len(set(hashes)) == 6
        assert list(cosines) == sorted(cosines, reverse=True)


def write_statistics(folder: Path, counts: dict[str, int], missing: int) -> Path:
    written = statistics_pb2.DatasetFeatureStatisticsList()
    feature = written.datasets.add().features.add()
    feature.path.step.append("season")
    feature.string_stats.common_stats.num_missing = missing
    for value, count in counts.items():
        feature.string_stats.rank_histogram.buckets.add(label=value, sample_count=count)
    (folder / "Split-train").mkdir(parents=True)
    (folder / "Split-train" / "FeatureStats.pb").write_bytes(written.SerializeToString())
    return folder


def test_drift_is_the_largest_change_of_a_share_missing_values_among_them(tmp_path):
    before = write_statistics(tmp_path / "before", {"Summer": 60, "Winter": 30}, missing=10)
    now = write_statistics(tmp_path / "now", {"Summer": 100, "Winter": 60}, missing=40)
    found = drift_between(before, now, "monday")
    [season] = found.columns
    assert (found.run, found.examples, season.column, season.value) == ("monday", 100, "season", "")
    assert (season.before, season.now, season.distance) == pytest.approx((0.1, 0.2, 0.1))


def write_epochs(file: Path, losses: list[float], **more: list[float]) -> None:
    columns = {"accuracy": losses, "loss": losses, "val_accuracy": losses, "val_loss": losses, **more}
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["epoch", *columns])
        writer.writerows([number, *row] for number, row in enumerate(zip(*columns.values(), strict=True)))


@pytest.mark.parametrize(("finetune", "kept"), [([0.4, 0.3], "finetune"), ([0.6, 0.7], "head")])
def test_the_stage_kept_is_the_one_that_reached_the_lower_loss(tmp_path, finetune, kept):
    write_epochs(tmp_path / "head.csv", [0.9, 0.5, 0.6])
    write_epochs(tmp_path / "finetune.csv", finetune)
    stages = training.read_stages(tmp_path, Train(), 100)
    assert [stage.name for stage in stages] == ["head", "finetune"]
    assert [stage.name for stage in stages if stage.kept] == [kept]
    assert stages[0].chosen == 2
    assert stages[0].images_per_second is None


def test_throughput_and_learning_rate_are_told_where_training_recorded_them(tmp_path):
    write_epochs(tmp_path / "head.csv", [0.9, 0.5], learning_rate=[0.01, 0.005], seconds=[4.0, 1.0])
    [stage] = training.read_stages(tmp_path, Train(), 100)
    assert (stage.seconds, stage.images_per_second) == (5, 40)
    assert [epoch.learning_rate for epoch in stage.epochs] == [0.01, 0.005]


def test_blocks_hold_every_parameter_and_say_which_stage_trains_them():
    shapes = {"stem_conv/kernel:0": (3, 3, 3, 2), "block6a_x:0": (5,), "top_bn/gamma:0": (7,), "logits/bias:0": (3,)}
    train = Train(finetune=Finetune(unfreeze_from="block6"))
    found = training.network_of(shapes, Model(), Picture(), train, 1280)
    assert [(block.name, block.parameters, block.trained) for block in found.blocks] == [
        ("stem", 54, ()),
        ("block6", 5, ("finetune",)),
        ("top", 7, ("finetune",)),
        ("head", 3, ("head", "finetune")),
    ]
    assert found.parameters == 69


def test_a_broken_artifact_is_a_gap_and_no_failure(tmp_path):
    (tmp_path / "summary.json").write_text("{")
    reading = Reading(sources(quarantine=tmp_path), tmp_path)
    assert reading.summary is None
    [gap] = reading.gaps
    assert (gap.section, gap.part) == ("data", "counts")
    assert "JSONDecodeError" in gap.reason


def test_a_run_that_did_nothing_has_a_gap_for_every_part_that_was_asked_for(tmp_path):
    reading = Reading(sources(), tmp_path)
    assert (reading.verdict, reading.network, reading.uses, reading.anomalies) == (None, None, None, None)
    assert len(reading.gaps) == 4
    assert verdict_facts(reading.sources, None, ()).outcome == "unfinished"


def test_a_published_run_says_so_and_names_a_newer_version_that_serves():
    of = dataclasses.replace(sources(), pushed={"pushed": 1, "pushed_version": "7", "version": "9"})
    found = verdict_facts(of, None, ())
    assert (found.outcome, found.version, found.serving) == ("published", 7, 9)
    assert "9 is newer and serves" in found.sentence


def test_answers_come_back_from_their_file_as_they_were(tmp_path):
    labels, probabilities = answers()
    before = Predictions(labels.astype(str), probabilities, probabilities)
    before.save(tmp_path / "predictions.npz")
    after = load_predictions(tmp_path / "predictions.npz")
    assert (after.ids == before.ids).all()
    assert (after.probabilities == probabilities).all()


def test_quarantine_lists_samples_of_every_reason_under_its_count(tmp_path):
    (tmp_path / "summary.json").write_text(
        json.dumps(
            {
                "rows": 12, "examples": {"train": 2}, "classes": {"shoes": {"train": 2}},
                "quarantined": {"broken picture": 8, "bad id": 1}, "unmapped": {"Belts": 1}, "repaired": {"commas": 1},
            }
        )
    )  # fmt: skip
    lines = [f"{row},{row},broken picture,detail" for row in range(2, 10)]
    (tmp_path / "quarantine.csv").write_text("\n".join(["row,id,reason,detail", "1,x,bad id,detail", *lines]))
    found = data.from_quarantine(tmp_path, CLASSES, lambda product: b"jpeg" if product == "2" else None)
    assert [(each.reason, each.count, len(each.samples)) for each in found.quarantined] == [
        ("broken picture", 8, 6),
        ("bad id", 1, 1),
    ]
    assert [sample.picture for sample in found.quarantined[0].samples[:2]] == [b"jpeg", None]
    assert [counts.name for counts in found.classes] == list(CLASSES)


# With a model: what is asked of it and what its evaluation wrote down must agree.

TEXTS = {
    "topwear": ("Topwear", "Tshirts"),
    "shoes": ("Shoes", "Casual Shoes"),
    "underwear": ("Innerwear", "Briefs"),
    "jewelry": ("Jewellery", "Ring"),
    "fragrances": ("Fragrance", "Perfume and Body Mist"),
    "eyewear": ("Eyewear", "Sunglasses"),
}
EXAMPLES = 60


def write_examples(folder: Path, classes: Sequence[str], split: str) -> None:
    import tensorflow as tf

    (folder / f"Split-{split}").mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"), options) as out:
        for number in range(EXAMPLES):
            label = number % len(classes)
            sub, article = TEXTS[classes[label]]
            picture, digest = jpeg(60, 80, number // 2), f"{split}{number // 2:03}"
            example = tf.train.Example()
            feature = example.features.feature
            for name, text in (
                ("id", f"{number}{len(split)}"), ("subCategory", sub), ("articleType", article),
                ("masterCategory", "x"), ("picture_hash", digest), ("gender", "Men" if number % 3 else "Women"),
                ("productDisplayName", f"Name {number}"),
            ):  # fmt: skip
                feature[name].bytes_list.value.append(text.encode())
            feature["image_bytes"].bytes_list.value.append(picture)
            for name, whole in (("width", 60), ("height", 80), ("year", 2010 + number % 4), ("label", label)):
                feature[name].int64_list.value.append(whole)
            out.write(example.SerializeToString())


def evaluated(folder: Path, classes: Sequence[str], gate: Gate) -> None:
    """Runs TFX's own Evaluator on the test split."""
    from tfx.components.evaluator.executor import Executor
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    from components.evaluate.config import eval_config

    examples, model = standard_artifacts.Examples(), standard_artifacts.Model()
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    examples.split_names = json.dumps(["test"])
    for artifact, name in (
        (examples, "examples"),
        (model, "model"),
        (evaluation, "evaluation"),
        (blessing, "blessing"),
    ):
        artifact.uri = str(folder / name)
    Executor(Executor.Context(beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(folder))).Do(
        {"examples": [examples], "model": [model]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": proto_utils.proto_to_json(eval_config(classes, gate)),
            "example_splits": json.dumps(["test"]),
        },
    )


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A model that knows nothing, refused by its evaluation, and the facts of its run."""
    folder, taxonomy, gate = tmp_path_factory.mktemp("run"), load_taxonomy("six_class"), Gate()
    for split in ("train", "eval", "test"):
        write_examples(folder / "examples", taxonomy.classes, split)
    write_model(folder / "model" / "Format-Serving", taxonomy.classes)
    evaluated(folder, taxonomy.classes, gate)
    (folder / "quarantine").mkdir()
    counts = {"train": EXAMPLES, "eval": EXAMPLES, "test": EXAMPLES}
    summary = {
        "rows": 3 * EXAMPLES,
        "examples": counts,
        "classes": {},
        "quarantined": {},
        "unmapped": {},
        "repaired": {},
    }
    (folder / "quarantine" / "summary.json").write_text(json.dumps(summary))
    (folder / "quarantine" / "quarantine.csv").write_text("row,id,reason,detail\n")
    names = ("examples", "quarantine", "model", "evaluation", "blessing")
    of = dataclasses.replace(
        sources(**{name: folder / name for name in names}),
        told=Told(taxonomy=taxonomy, gate=gate),
        pushed={"pushed": 0, "version": ""},
    )
    facts = collect(of, folder / "report")
    return SimpleNamespace(facts=facts, folder=folder, sources=of, classes=taxonomy.classes, gate=gate)


@pytest.mark.slow
def test_every_figure_is_the_evaluations_own(reported):
    verdict = read_verdict(reported.folder / "evaluation", False, reported.classes, reported.gate)
    found = reported.facts.quality
    overall = ("accuracy", "top5_accuracy", "loss", "macro_precision", "macro_recall", "macro_f1", "macro_auprc")
    for name in ("examples", *overall):
        assert getattr(found, name) == getattr(verdict, name), name
    assert found.confusion == verdict.confusion
    assert [dataclasses.asdict(of) for of in found.classes] == [dataclasses.asdict(of) for of in verdict.classes]
    assert reported.facts.verdict.accuracy == verdict.accuracy
    assert [reason.sentence for reason in reported.facts.verdict.reasons] == [
        failure.sentence for failure in verdict.failures
    ]


@pytest.mark.slow
def test_figures_from_the_models_answers_equal_those_of_the_evaluation(reported):
    saved = load_predictions(reported.folder / "report" / "predictions.npz")
    table_of_test = read_table(reported.folder / "examples", reported.sources.told.taxonomy, 3 * EXAMPLES)
    labels = table_of_test.labels[table_of_test.rows_of("test")]
    found, own = reported.facts.quality, figures(labels, saved.probabilities, len(reported.classes))
    assert found.accuracy == own.overall["accuracy"]
    assert found.loss == pytest.approx(own.overall["loss"], abs=1e-6)
    assert [of.support for of in found.classes] == own.classes["support"].tolist()
    assert [of.predicted for of in found.classes] == own.classes["predicted"].tolist()
    assert [of.auprc for of in found.classes] == pytest.approx(own.classes["auprc"].tolist(), abs=1e-6)
    assert found.coverage[0].accuracy == found.accuracy
    of_years = [part for part in found.slices if part.column == "year"]
    assert sum(part.correct for part in of_years) == sum(row[i] for i, row in enumerate(found.confusion))


@pytest.mark.slow
def test_a_refused_model_is_reported_with_every_part_that_it_has(reported):
    facts = reported.facts
    assert facts.verdict.outcome == "model refused"
    assert {gap.part for gap in facts.gaps if gap.section in ("quality", "pictures")} == set()
    assert facts.data.duplicates.groups == 3 * EXAMPLES // 2
    assert facts.data.duplicates.contradictory > 0
    assert all(shown.overlay for shown in facts.pictures.worst)
    assert all(pair.examples for pair in facts.quality.pairs)


@pytest.mark.slow
def test_the_network_answers_as_its_signatures_do_and_its_heat_is_that_of_cam(reported):
    import tensorflow as tf

    from components.report.network import ExportedNetwork
    from serving.decode import decode_trusted

    folder = reported.folder / "model" / "Format-Serving"
    pictures = [jpeg(60, 80, seed) for seed in range(5)]
    network, loaded = ExportedNetwork(folder), tf.saved_model.load(str(folder))
    probabilities, embeddings = network.answer(pictures)
    given = {"image_bytes": tf.constant(pictures)}
    signed = loaded.signatures["serving_default"](**given)["probabilities"].numpy()
    assert probabilities == pytest.approx(signed, abs=1e-6)
    assert embeddings == pytest.approx(loaded.signatures["embed"](**given)["embedding"].numpy(), abs=1e-6)
    # Class activation mapping: the last map's channels, weighted with the first answer's weights in the dense layer.
    kernel = next(v.numpy() for v in loaded.signatures["serving_default"].variables if v.shape.rank == 2)
    for picture, answer, heat in zip(pictures, probabilities, network.explain(pictures), strict=True):
        last_map = tf.cast(decode_trusted(tf.constant(picture), 8), tf.float32).numpy()
        cam = np.maximum(last_map @ kernel[:, answer.argmax()], 0)
        assert heat == pytest.approx(cam / max(cam.max(), 1e-9), abs=1e-4)


@pytest.mark.slow
def test_a_model_without_a_pooled_map_costs_the_overlays_and_no_more(tmp_path):
    import tensorflow as tf

    from components.report.network import ExportedNetwork, NotExplainable
    from serving.signatures import Classifier

    class Flat(tf.Module):
        def __call__(self, pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            features = pictures[:, 0, 0, :]
            return tf.nn.softmax(features[:, :2] / 255), features

    transform = lambda features: {"label": features["label"]}  # noqa: E731
    spec = {"label": tf.io.FixedLenFeature([], tf.int64, default_value=0)}
    Classifier(Flat(), ("a", "b"), 8, 1_000_000, transform, spec).save(tmp_path)
    found = ExportedNetwork(tmp_path)
    given = {"image_bytes": tf.constant([jpeg()])}
    signed = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](**given)["probabilities"].numpy()
    assert found.answer([jpeg()])[0] == pytest.approx(signed)
    with pytest.raises(NotExplainable, match="no pooled feature map"):
        found.explain([jpeg()])
