"""The name as a second witness: read alike however it is written, and weighed by what it is worth on eval."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.train.history import read_names
from components.train.text import fit_words, names_of, weights_of
from serving.grams import BUCKETS, logits_of
from tests.train.small import CLASSES, bytes_feature, int_feature, job_of

NAMES = ("red shirt", "green shoes", "blue bag")


def write_named(file: Path, labels: list[int]) -> None:
    """Writes examples as Transform does, a third of them without a name."""
    with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for number, label in enumerate(labels):
            features = {
                "image_bytes": bytes_feature(tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy()),
                "label": int_feature(label),
                "repeat": int_feature(1),
                "productDisplayName": bytes_feature(NAMES[label].encode() if number % 3 else b""),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def test_names_are_read_alike_whatever_their_capitals_and_punctuation() -> None:
    kernel = tf.random.stateless_normal([BUCKETS, 4], seed=(1, 2))
    logits, known = logits_of(
        kernel, tf.constant(["Nike T-Shirt", "  NIKE t shirt!", "", "?", "Röcke", "röcke\xff", "连衣裙"])
    )
    assert known.numpy().tolist() == [True, True, False, False, True, True, True]
    assert logits[0].numpy() == pytest.approx(logits[1].numpy())
    assert not np.any(logits[2:4])
    assert logits_of(kernel, tf.constant([], tf.string))[0].shape == (0, 4)


@pytest.mark.parametrize(("informed", "silent"), [(0, 1), (1, 0)], ids=["picture", "name"])
def test_the_better_witness_counts_more(informed: int, silent: int) -> None:
    random = np.random.default_rng(1)
    labels = random.integers(3, size=300)
    labels[:30] = -1
    right = 3 * np.eye(3)[labels] + random.normal(size=(300, 3))
    noise = 3 * random.normal(size=(300, 3))
    picture, name = (right, noise) if informed == 0 else (noise, right)
    weights = weights_of(np.exp(picture) / np.exp(picture).sum(axis=1, keepdims=True), name, labels)
    assert weights[informed] > 5 * weights[silent]


def test_names_of_a_split_are_learnt(tmp_path: Path) -> None:
    write_named(tmp_path / "train-0.gz", [0, 1, 2] * 40)
    write_named(tmp_path / "eval-0.gz", [0, 1, 2, 1] * 10)
    job = job_of(tmp_path, tmp_path)
    assert names_of(job.eval_pictures)[:5].tolist() == [b"", b"green shoes", b"blue bag", b"", b"red shirt"]
    broken = replace(job.eval_pictures, broken=(1, 3))
    assert names_of(broken)[:3].tolist() == [b"", b"blue bag", b"red shirt"]
    words = fit_words(job, "shape", np.full((40, CLASSES), 1 / CLASSES, np.float32))
    right = read_names(job.work)["shape"]
    assert right["both"] > right["picture"] + 0.3
    assert words.weights[0][1] > 0
    logits, _ = logits_of(tf.constant(words.kernel), tf.constant(["Blue Bag", "a green shoe"]))
    assert logits.numpy().argmax(axis=1).tolist() == [2, 1]


def test_a_name_that_adds_nothing_has_no_say(tmp_path: Path) -> None:
    write_named(tmp_path / "train-0.gz", [0, 1, 2] * 10)
    write_named(tmp_path / "eval-0.gz", [0, 1, 2] * 10)
    job = job_of(tmp_path, tmp_path)
    words = fit_words(job, "shape", np.eye(CLASSES, dtype=np.float32)[job.eval_pictures.labels])
    assert words.weights == [(1.0, 0.0)]
    assert read_names(job.work)["shape"]["picture"] == 1
