"""Training as a whole: it learns, only improves, and is exported with its history."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.stages import train_once
from components.ingest.settings import Picture
from components.networks.settings import Model
from components.outside.thresholds import read_decisions
from components.train import strategy
from components.train.calibration import best_temperature, read_calibration
from components.train.features import FEATURES, open_split
from components.train.fit import Diverged, fit
from components.train.job import Job
from components.train.settings import Finetune
from components.train.strategy import make_strategy
from components.train.trainer import TrainerConfig, make_job, run_fn
from pipeline.summary import _trained
from tests.train.small import SIZE, TRAIN, answers, history, job_of, loss_of, trunk_weights, write_examples
from tests.train.test_calibration import scaled, softmax

pytestmark = pytest.mark.usefixtures("small_backbone")


DIVERGING = Finetune(epochs=2, unfreeze_from="stem", schedule="constant").model_copy(update={"learning_rate": 1e30})


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory) -> tuple[Job, keras.Model]:
    job = job_of(data, tmp_path_factory.mktemp("fitted"))
    return job, fit(job)


def test_training_learns_and_writes_its_history(fitted):
    job, network = fitted
    right = (answers(network, job.eval_pictures).argmax(1) == job.eval_pictures.labels).mean()
    assert right > 0.7
    for stage, epochs in (("head", 8), ("finetune", 3)):
        rows = history(job.work, stage)
        assert [int(row["epoch"]) for row in rows] == list(range(epochs))
        assert set(rows[0]) == {"epoch", "accuracy", "loss", "val_accuracy", "val_loss", "learning_rate", "seconds"}


def test_returned_network_has_the_best_loss_of_all_epochs_on_eval(fitted):
    job, network = fitted
    losses = [float(row["val_loss"]) for stage in ("head", "finetune") for row in history(job.work, stage)]
    assert loss_of(network, job.eval_pictures) == pytest.approx(min(losses), abs=1e-4)


def test_head_that_is_kept_has_the_best_loss_of_its_epochs_on_eval(fitted):
    job, _ = fitted
    features = open_split(job, FEATURES, "eval")
    with np.load(job.work / "head.npz") as saved:
        loss, kernel, bias = (saved[name] for name in ("loss", "0", "1"))
    labels = features.targets[:, 0]
    answered = softmax(features.values[0] @ kernel + bias)[np.arange(len(labels)), labels]
    assert -np.log(answered).mean() == pytest.approx(loss, abs=1e-4)
    assert loss == pytest.approx(min(float(row["val_loss"]) for row in history(job.work, "head")))


def test_confidences_are_scaled_by_eval_and_no_answer_changes(fitted):
    job, network = fitted
    calibrated = fit(replace(job, train=job.train.model_copy(update={"calibrate": True})))
    before, after = (answers(each, job.eval_pictures) for each in (network, calibrated))
    found = read_calibration(job.work)
    assert found.examples == len(job.eval_pictures) != len(job.train_pictures)
    assert found.temperature == pytest.approx(best_temperature(before, job.eval_pictures.labels), rel=1e-3)
    assert after == pytest.approx(scaled(before, found.temperature, found.doubt), abs=1e-4)
    assert (before.argmax(1) == after.argmax(1)).all()
    assert loss_of(calibrated, job.eval_pictures) < loss_of(network, job.eval_pictures) - 1e-3


@pytest.mark.slow
def test_same_seed_gives_the_same_network(fitted, data, tmp_path):
    job, network = fitted
    again = fit(job_of(data, tmp_path))
    assert np.allclose(answers(network, job.eval_pictures), answers(again, job.eval_pictures), atol=1e-3)


@pytest.mark.slow
def test_fine_tuning_changes_what_it_may_and_nothing_else(data, tmp_path):
    stage = Finetune(epochs=2, learning_rate=1e-2, unfreeze_from="block7")
    job = job_of(data, tmp_path, TRAIN.model_copy(update={"finetune": None}))
    before = trunk_weights(fit(job))
    (tmp_path / "head.npz").unlink()
    after = trunk_weights(fit(job_of(data, tmp_path, TRAIN.model_copy(update={"finetune": stage}))))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert history(tmp_path, "finetune")
    assert changed == {"block7_conv/kernel"}


@pytest.mark.slow
def test_fine_tuning_that_spoils_the_network_leaves_the_head_stage_result(data, tmp_path):
    absurd = Finetune(epochs=2, learning_rate=1.0, unfreeze_from="stem", schedule="constant")
    job = job_of(data, tmp_path, TRAIN.model_copy(update={"finetune": absurd, "ema": 0.0}))
    network = fit(job)
    head_loss = min(float(row["val_loss"]) for row in history(tmp_path, "head"))
    assert all(float(row["val_loss"]) > head_loss for row in history(tmp_path, "finetune"))
    assert loss_of(network, job.eval_pictures) == pytest.approx(head_loss, abs=1e-4)


@pytest.mark.slow
def test_fine_tuning_that_diverges_is_told_and_leaves_the_head_stage_result(data, tmp_path, caplog):
    job = job_of(data, tmp_path, TRAIN.model_copy(update={"finetune": DIVERGING, "optimizer": "sgd", "ema": 0.0}))
    network = fit(job)
    assert not any(np.isfinite(float(row["val_loss"])) for row in history(tmp_path, "finetune"))
    head_loss = min(float(row["val_loss"]) for row in history(tmp_path, "head"))
    assert loss_of(network, job.eval_pictures) == pytest.approx(head_loss, abs=1e-4)
    assert "was not a number in any epoch" in caplog.text
    assert _trained(tmp_path).endswith("finetune diverged: its loss was not a number in 2 epochs: head kept")


@pytest.mark.slow
def test_training_without_a_head_stage_that_diverges_is_an_error(data, tmp_path):
    train = TRAIN.model_copy(update={"head": None, "finetune": DIVERGING, "optimizer": "sgd", "ema": 0.0})
    with pytest.raises(Diverged, match="lower the learning rate"):
        fit(job_of(data, tmp_path, train))


@pytest.mark.slow
def test_mixed_precision_gives_a_float32_network_of_the_same_quality(data, tmp_path, monkeypatch):
    monkeypatch.setattr(strategy, "_policy", lambda setting: "mixed_float16")
    job = job_of(data, tmp_path)
    network = fit(job)
    assert {weight.dtype for weight in network.weights} <= {"float32", "uint32"}
    assert {output.dtype for output in network(np.zeros((1, SIZE, SIZE, 3)))} == {tf.float32}
    assert keras.config.dtype_policy().name == "float32"
    assert (answers(network, job.eval_pictures).argmax(1) == job.eval_pictures.labels).mean() > 0.7


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> TrainerConfig:
    """Of a head alone, for pictures of at most 2,000 pixels that take at most 6 kB to decode."""
    return TrainerConfig(
        picture=Picture(size=SIZE, max_pixels=2000),
        model=Model(backbone="efficientnet_lite0", weights="none"),
        train=TRAIN.model_copy(update={"prior": 0.5, "finetune": None, "calibrate": True}),
        decode_bytes=6000,
        classes=("topwear", "shoes", "underwear"),
        work=str(tmp_path_factory.mktemp("exported") / "work"),
        code="0",
    )


def test_training_takes_train_as_it_is_balanced_and_eval_as_it_is(config, data):
    job = make_job(config, [f"{data}/train*"], [f"{data}/eval*"], make_strategy("none"))
    assert {Path(file).name for file in job.train_pictures.files} == {"train-0.gz", "train-1.gz"}
    assert {Path(file).name for file in job.eval_pictures.files} == {"eval-0.gz"}
    assert (job.train_pictures.balanced, job.eval_pictures.balanced) == (True, False)
    assert (job.outside_train, job.outside_eval) == (None, None)


def test_training_is_given_products_of_no_class_apart_from_the_others(config, data, tmp_path):
    for split, kinds in (("train", ["Belts", "Ties", ""]), ("eval", ["Belts"])):
        (tmp_path / f"Split-outside_{split}").mkdir()
        write_examples(tmp_path / f"Split-outside_{split}" / "a.gz", [-1] * len(kinds), [0] * len(kinds), 1, kinds)
    train, evaluate = ([f"{data}/{split}*", f"{tmp_path}/Split-outside_{split}/*"] for split in ("train", "eval"))
    job = make_job(config, train, evaluate, make_strategy("none"))
    assert job.outside_train.kinds.tolist() == [b"Belts", b"Ties", b""]
    assert job.outside_eval.kinds.tolist() == [b"Belts"]
    assert [pictures.shape for pictures, _ in job.outside_train.batches(2)] == [(2, SIZE, SIZE, 3), (1, SIZE, SIZE, 3)]
    assert (job.train_pictures.labels >= 0).all()
    assert {Path(file).name for file in job.eval_pictures.files} == {"eval-0.gz"}


@pytest.fixture(scope="module")
def exported(config, data) -> Path:
    """What the Trainer leaves: the model, and what is known of its training."""
    from tfx.components.trainer.fn_args_utils import FnArgs

    from tests.serving.test_signatures import transform_graph

    folder = Path(config.work).parent
    run_fn(
        FnArgs(
            train_files=[f"{data}/train*"],
            eval_files=[f"{data}/eval*"],
            transform_graph_path=str(transform_graph(folder)),
            serving_model_dir=str(folder / "model" / "Format-Serving"),
            model_run_dir=str(folder / "run"),
            custom_config={"config": config.model_dump_json()},
        )
    )
    return folder


def test_trainer_exports_the_history_and_leaves_no_work_behind(config, exported):
    assert sorted(file.name for file in (exported / "run").iterdir()) == [
        "calibration.json", "decide.json", "head.csv",
    ]  # fmt: skip
    assert list(Path(config.work).iterdir()) == []


def test_exported_model_names_the_classes_that_it_was_trained_on(config, exported, data):
    records = tf.data.TFRecordDataset(f"{data}/eval-0.gz", compression_type="GZIP").as_numpy_iterator()
    features = [tf.train.Example.FromString(record).features.feature for record in records]
    asked = tf.constant([each["image_bytes"].bytes_list.value[0] for each in features])
    truth = [config.classes[each["label"].int64_list.value[0]].encode() for each in features]
    model = tf.saved_model.load(str(exported / "model" / "Format-Serving"))
    answer = model.signatures["serving_default"](image_bytes=asked)
    assert np.mean(answer["label"].numpy() == truth) > 0.6
    labels = exported / "model" / "Format-Serving" / "assets.extra" / "labels.txt"
    assert labels.read_text().splitlines() == list(config.classes)
    decisions = read_decisions(labels.parent)
    assert answer["decision"].numpy().tolist() == [
        decisions.thresholds.decide(*each).encode()
        for each in zip(answer["outside"].numpy(), answer["confidence"].numpy(), strict=True)
    ]


def test_exported_model_refuses_pictures_beyond_the_limits_of_the_recipe(exported):
    sides = ((40, 40), (60, 60))
    asked = [tf.io.encode_png(np.zeros((*side, 3), np.uint8)).numpy() for side in sides]
    model = tf.saved_model.load(str(exported / "model" / "Format-Serving"))
    heavy, large = model.signatures["serving_default"](image_bytes=tf.constant(asked))["error"].numpy()
    assert b"MB to decode" in heavy
    assert b"more than 2,000 in all" in large


@pytest.mark.slow
def test_benchmarks_time_this_training_and_judge_the_network_that_is_kept(data, tmp_path):
    for split in ("train", "eval"):
        (tmp_path / f"Split-{split}").mkdir()
        for file in data.glob(f"{split}*"):
            (tmp_path / f"Split-{split}" / file.name).symlink_to(file)
    trained = train_once(Model(backbone="efficientnet_lite0", weights="none"), TRAIN, SIZE, tmp_path, tmp_path / "work")
    clock = [seconds for seconds, _ in trained.epochs]
    assert len(clock) == 8 + 3
    assert clock == sorted(clock)
    assert clock[-1] == pytest.approx(trained.cost.seconds)
    assert 0.7 < trained.accuracy <= 1
    assert 0 < trained.lowest_recall <= trained.accuracy
    assert trained.lowest_recall <= trained.macro_f1 <= 1
