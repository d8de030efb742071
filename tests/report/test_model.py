"""What a report asks of the model itself agrees with what the evaluation wrote down."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from components.audit.doubts import doubts
from components.errors import AnswerError
from components.evaluate.figures import figures
from components.evaluate.settings import Gate
from components.evaluate.verdict import read_verdict
from components.ingest.duplicates import SIGNATURE
from components.ingest.members import MEMBERS_FILE, Members
from components.ingest.split import key_of
from components.report.collect import collect
from components.report.examples import read_table
from components.report.predictions import load_predictions
from components.report.sources import Plan
from components.settings import SPLITS
from components.transform.taxonomy import load_taxonomy
from pipeline.beam import Beam, beam_args
from tests.report.inputs import jpeg, sources
from tests.serving.serving_model import write_model

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
                ("id", f"{number}{SPLITS.index(split)}"), ("subCategory", sub), ("articleType", article),
                ("masterCategory", "x"), ("picture_hash", digest), ("gender", "Men" if number % 3 else "Women"),
                ("productDisplayName", f"Name {number}"),
            ):  # fmt: skip
                feature[name].bytes_list.value.append(text.encode())
            feature["image_bytes"].bytes_list.value.append(picture)
            for name, whole in (("width", 60), ("height", 80), ("year", 2010 + number % 4), ("label", label)):
                feature[name].int64_list.value.append(whole)
            out.write(example.SerializeToString())


def write_members(folder: Path) -> None:
    """Records who is in which split; of each split, two products share a picture."""
    products = [(number, split) for split in range(len(SPLITS)) for number in range(EXAMPLES)]
    pictures = np.random.default_rng(1).integers(0, 256, (len(products) // 2, SIGNATURE)).astype(np.uint8)
    members = Members(
        keys=np.array([key_of(f"{number}{split}") for number, split in products], np.uint64),
        splits=np.array([split for _, split in products], np.uint8),
        signatures=np.repeat(pictures, 2, axis=0),
        seen=np.zeros(len(products), np.bool_),
    )
    (folder / MEMBERS_FILE).write_bytes(members.as_parquet())


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
    Executor(Executor.Context(beam_pipeline_args=beam_args(Beam()), tmp_dir=str(folder))).Do(
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
    write_members(folder / "quarantine")
    (folder / "quarantine" / "quarantine.csv").write_text("row,id,reason,detail\n")
    names = ("examples", "quarantine", "model", "evaluation", "blessing")
    of = dataclasses.replace(
        sources(**{name: folder / name for name in names}),
        plan=Plan(taxonomy=taxonomy, gate=gate),
        pushed={"pushed": 0, "version": ""},
    )
    facts = collect(of, folder / "report", doubts)
    return SimpleNamespace(facts=facts, folder=folder, sources=of, classes=taxonomy.classes, gate=gate)


@pytest.mark.slow
def test_every_figure_is_the_evaluations_own(reported):
    verdict = read_verdict(reported.folder / "evaluation", False, reported.classes, reported.gate)
    found = reported.facts.quality
    overall = ("accuracy", "top5_accuracy", "loss", "macro_precision", "macro_recall", "macro_f1", "macro_auprc")
    for name in ("examples", *overall):
        assert getattr(found, name) == getattr(verdict, name), name
    assert found.confusion == verdict.confusion
    for shown, own in zip(found.classes, verdict.classes, strict=True):
        assert dataclasses.asdict(shown).items() <= dataclasses.asdict(own).items()
    assert reported.facts.verdict.accuracy == verdict.accuracy
    assert [reason.sentence for reason in reported.facts.verdict.reasons] == [
        failure.sentence for failure in verdict.failures
    ]


@pytest.mark.slow
def test_figures_from_the_models_answers_equal_those_of_the_evaluation(reported):
    saved = load_predictions(reported.folder / "report" / "predictions.npz")
    table_of_test = read_table(reported.folder / "examples", reported.sources.plan.taxonomy, 3 * EXAMPLES)
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
    assert {gap.part for gap in facts.gaps if gap.section == "data"}.isdisjoint({"labels to look at"})


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
    # The last map of this network is the picture itself.
    kernel = next(v.numpy() for v in loaded.signatures["serving_default"].variables if v.shape.rank == 2)
    for picture, answer, heat in zip(pictures, probabilities, network.explain(pictures), strict=True):
        last_map = tf.cast(decode_trusted(tf.constant(picture), 8), tf.float32).numpy()
        assert heat == pytest.approx(last_map @ kernel[:, answer.argmax()], abs=1e-4)


@pytest.mark.slow
def test_a_model_of_an_earlier_release_costs_the_heat_maps_and_no_more(tmp_path):
    from components.report.network import ExportedNetwork

    network = ExportedNetwork(write_model(tmp_path / "1", explains=False))
    assert network.answer([jpeg()])[0].sum() == pytest.approx(1)
    with pytest.raises(AnswerError, match=r"no signature 'explain'.*Train it again"):
        network.explain([jpeg()])
