"""A trained network says what is foreign, and its decisions rest on pictures that it did not learn from."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.outside.score import fit_score
from components.outside.settings import Decide
from components.outside.thresholds import Decisions, read_decisions
from components.train.data import Pictures, open_pictures
from components.train.fit import fit
from components.train.job import Job
from components.train.outside import outputs_of, with_kinds
from tests.train.small import CLASSES, SIZE, TRAIN, bytes_feature, int_feature, job_of

pytestmark = pytest.mark.usefixtures("small_backbone")


def outsiders(file: Path, kinds: str, seed: int) -> Pictures:
    """Dark pictures, unlike those of the classes."""
    random = np.random.default_rng(seed)
    with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for kind in kinds:
            picture = random.integers(0, 40, (SIZE, SIZE, 3)).astype(np.uint8)
            features = {"image_bytes": bytes_feature(tf.io.encode_png(picture).numpy()), "label": int_feature(-1)}
            features |= {"repeat": int_feature(0), "kind": bytes_feature(kind.encode())}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return open_pictures([str(file)], balanced=False, size=SIZE)


@pytest.fixture(scope="module")
def job(data, tmp_path_factory) -> Job:
    folder = tmp_path_factory.mktemp("deciding")
    train = TRAIN.model_copy(update={"finetune": None, "calibrate": True})
    return replace(
        job_of(data, folder, train),
        outside_train=outsiders(folder / "train.gz", 12 * "ab", 5),
        outside_eval=outsiders(folder / "eval.gz", 10 * "ab", 6),
        decide=Decide(accuracy=0.7, keep_insiders=0.9),
    )


@pytest.fixture(scope="module")
def fitted(job) -> tuple[keras.Model, Decisions]:
    network = fit(job)
    decisions = read_decisions(job.work)
    assert decisions is not None
    return network, decisions


def test_what_is_unlike_all_classes_is_told_from_them(job, fitted):
    network, decisions = fitted
    *_, inside = outputs_of(network, job.eval_pictures)
    *_, outside = outputs_of(network, job.outside_eval)
    assert inside.shape == (len(job.eval_pictures), 1)
    assert outside.min() > inside.max()
    assert decisions.outsiders == len(outside) == 20
    assert decisions.outsiders_accepted == 0
    assert decisions.accepted > 0.5


def test_thresholds_rest_on_the_eval_split_alone(job, fitted, data, tmp_path):
    _, decisions = fitted
    labels = job.train_pictures.labels
    # Another train split with the same network: that what is found in the work folder is of the first.
    swapped = replace(job, train_pictures=replace(job.train_pictures, labels=np.roll(labels, 1)))
    (job.work / "decide.json").unlink()
    fit(swapped)
    assert read_decisions(job.work) == decisions
    other = replace(job, eval_pictures=open_pictures([f"{data}/train-1*"], balanced=False, size=SIZE))
    fit(replace(other, train=other.train.model_copy(update={"calibrate": False})))
    assert read_decisions(job.work).sets != decisions.sets


def test_no_label_changes_where_a_network_decides(job, fitted):
    network, _ = fitted
    plain = fit(replace(job, decide=None))
    assert len(plain.outputs) == 3
    assert np.array_equal(outputs_of(network, job.eval_pictures)[0], outputs_of(plain, job.eval_pictures)[0])


def test_without_foreign_pictures_the_score_is_the_energy(job):
    network = fit(replace(job, outside_train=None, outside_eval=None))
    probabilities, features, _, outside = outputs_of(network, job.eval_pictures)
    kernel, bias = network.get_layer("head").get_layer("logits").get_weights()
    energy = -np.log(np.exp(features @ kernel + bias).sum(axis=1, keepdims=True))
    assert outside == pytest.approx(energy, abs=1e-4)
    assert read_decisions(job.work).outside is None
    assert probabilities.shape[1] == CLASSES


def test_fine_tuning_is_given_the_kinds_of_both_sides(job):
    tuned = replace(job, train=TRAIN)
    learnt = with_kinds(tuned)
    train, foreign = learnt.train_pictures, len(tuned.outside_train)
    assert learnt.sizes == (CLASSES, 3)  # the classes' own say no kind
    assert len(train) == len(tuned.train_pictures) + foreign
    assert np.array_equal(train.targets[-foreign:], [[-1, kind] for kind in 12 * [1, 2]])
    assert (learnt.eval_pictures.targets[:, 1] == -1).all()
    streamed = np.concatenate([targets for _, targets in train.batches(8)])
    assert np.array_equal(streamed, train.targets)
    shuffled = np.concatenate([targets for _, targets in train.batches(8, 8, seed=1)])
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, train.targets))
    assert 0 < (shuffled[: len(train) // 2, 0] == -1).sum() < foreign  # neither side waits for the other's end


@pytest.mark.slow
def test_fine_tuning_learns_kinds_that_are_not_answered(job, tmp_path):
    tuned = replace(job, train=TRAIN, work=tmp_path)
    network = fit(tuned)
    probabilities, *_, inside = outputs_of(network, tuned.eval_pictures)
    assert probabilities.shape[1] == CLASSES
    assert outputs_of(network, tuned.outside_eval)[-1].min() > inside.max()


def test_kinds_are_not_learnt_without_foreign_pictures_or_weight(job):
    tuned = replace(job, train=TRAIN)
    for alone in (job, replace(tuned, outside_train=None), replace(tuned, train=TRAIN.model_copy(update={"kinds": 0}))):
        assert with_kinds(alone) is alone


def test_rare_kinds_are_learnt_together_and_sides_are_kept_apart():
    random = np.random.default_rng(0)
    kinds = np.array([*10 * [b"shoe", b"shirt"], b"tie"], object)
    score = fit_score((random.normal(size=(21, 4)).astype(np.float32) + 9, kinds),
                      (random.normal(size=(21, 4)).astype(np.float32) - 9, kinds))  # fmt: skip
    assert score.outer.tolist() == [False, False, False, True, True, True]
    logits = np.array([[9.0] * 4, [-9.0] * 4], np.float32) @ score.kernel + score.bias
    assert score.outer[logits.argmax(axis=1)].tolist() == [False, True]
