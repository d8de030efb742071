"""What training is fed: pictures as Transform decided, and features that are computed once."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.ingest.settings import Picture
from components.networks.settings import Model
from components.progress import Progress, listen
from components.train import augment
from components.train.data import open_pictures
from components.train.features import CachedBatches, Features, compute_features
from components.train.settings import Augment, Train
from tests.train.small import CLASSES, PLAIN, SIZE, write_examples


@pytest.fixture(scope="module")
def uneven(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("uneven")
    write_examples(folder / "b.gz", [0, 1, 2, 0], [0, 1, 3, 2], seed=0)
    write_examples(folder / "a.gz", [2, 1], [1, 0], seed=1)
    return folder


@pytest.mark.parametrize(
    ("balanced", "labels"), [(True, [2, 1, 2, 2, 2, 0, 0]), (False, [2, 1, 0, 1, 2, 0])], ids=["balanced", "natural"]
)
def test_pictures_come_as_often_as_transform_decided_with_their_labels(uneven, balanced, labels):
    pictures = open_pictures([f"{uneven}/*.gz"], balanced=balanced, size=SIZE)
    batches = list(pictures.batches(4))
    assert pictures.labels.tolist() == labels
    assert pictures.natural.tolist() == [2, 1, 0, 1, 2, 0]
    assert np.concatenate([targets for _, targets in batches]).tolist() == [[label] for label in labels]
    assert [batch.shape for batch, _ in batches] == [(4, SIZE, SIZE, 3), (len(labels) - 4, SIZE, SIZE, 3)]
    for batch, targets in batches:
        assert batch.dtype == tf.float32
        assert 0 <= batch.numpy().min() < 30
        assert 130 < batch.numpy().max() <= 255
        assert (batch.numpy().mean((1, 2)).argmax(1) == targets.numpy()[:, 0]).mean() > 0.5


def test_shuffling_changes_the_order_with_seed_and_epoch_and_keeps_each_picture(tmp_path):
    write_examples(tmp_path / "train.gz", [0, 1, 2] * 16, [1] * 48, seed=0)
    pictures = open_pictures([f"{tmp_path}/train*"], balanced=True, size=SIZE)

    def epochs(seed):
        stream = pictures.batches(48, shuffle_buffer=48, seed=seed)
        return [next(iter(stream)) for _ in range(2)]

    (first, first_labels), (second, _) = epochs(1)
    (again, _), _ = epochs(1)
    (other, _), _ = epochs(2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert Counter(first_labels.numpy()[:, 0].tolist()) == {0: 16, 1: 16, 2: 16}
    assert sorted(first.numpy().sum((1, 2, 3))) == sorted(second.numpy().sum((1, 2, 3)))


def test_an_example_whose_picture_cannot_be_decoded_is_left_out_and_logged(uneven, caplog):
    records = list(tf.data.TFRecordDataset(f"{uneven}/b.gz", compression_type="GZIP").as_numpy_iterator())
    damaged = tf.train.Example.FromString(records[1])
    damaged.features.feature["image_bytes"].bytes_list.value[0] = jpeg()[:-2] + bytes(99)
    folder = uneven / "damaged"
    folder.mkdir()
    with tf.io.TFRecordWriter(f"{folder}/b.gz", tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for record in (records[0], damaged.SerializeToString(), *records[2:]):
            writer.write(record)
    pictures = open_pictures([f"{folder}/*.gz"], balanced=False, size=SIZE)
    assert pictures.labels.tolist() == [0, 2, 0]
    assert np.concatenate([targets for _, targets in pictures.batches(2)]).tolist() == [[0], [2], [0]]
    assert (
        f"{folder}: left out 1 of 4 examples, whose pictures cannot be decoded: number 1, counted from 0" in caplog.text
    )


def jpeg() -> bytes:
    return tf.io.encode_jpeg(np.zeros((SIZE, SIZE, 3), np.uint8)).numpy()


def test_split_without_examples_has_no_pictures(tmp_path):
    write_examples(tmp_path / "none.gz", [], [], seed=0)
    assert len(open_pictures([f"{tmp_path}/*.gz"], balanced=True, size=SIZE)) == 0


def test_augmentation_changes_pictures_within_their_range():
    pictures = np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32)
    changed = augment.changes(Augment(contrast=0.5), seed=1)(pictures, training=True).numpy()
    assert changed.shape == pictures.shape
    assert np.abs(changed - pictures).mean() > 5
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert np.array_equal(augment.changes(PLAIN, seed=1)(pictures, training=True), pictures)


def test_half_of_the_pictures_are_mirrored():
    pictures = np.random.default_rng(0).uniform(0, 255, (64, SIZE, SIZE, 3)).astype(np.float32)
    flipped = augment.RandomAffine(flip=True, rotation=0, zoom=0, seed=1)
    changed = flipped(pictures, training=True).numpy()
    mirrored = [np.allclose(after, before[:, ::-1]) for before, after in zip(pictures, changed, strict=True)]
    kept = [np.allclose(after, before) for before, after in zip(pictures, changed, strict=True)]
    assert sum(mirrored) + sum(kept) == 64
    assert 16 <= sum(mirrored) <= 48
    assert np.array_equal(flipped(pictures, training=False), pictures)


@pytest.mark.parametrize(
    ("angle", "zoom", "flip"), [(90, 0, 1), (180, 0, 1), (180, 0, -1), (0, 0.25, 1), (0, -0.25, 1), (0, 0, -1)]
)
def test_pictures_are_turned_and_zoomed_about_their_centre(angle, zoom, flip, monkeypatch):
    drawn = iter([np.deg2rad(angle), zoom, flip])
    monkeypatch.setattr(
        augment.RandomAffine, "_between", lambda self, shape, most: tf.fill(shape, tf.constant(next(drawn), tf.float32))
    )
    pictures = np.random.default_rng(0).uniform(0, 255, (1, 17, 17, 3)).astype(np.float32)
    changed = augment.RandomAffine(flip=True, rotation=1, zoom=1, seed=1)(pictures, training=True).numpy()
    expected = np.rot90(pictures, angle // 90, axes=(1, 2))[:, :, ::flip]
    assert np.allclose(changed[:, 8, 8], pictures[:, 8, 8], atol=0.1)
    if not zoom:
        assert np.allclose(changed, expected, atol=0.1)
    elif zoom > 0:  # four steps in the result are five in the picture: it has shrunk
        assert np.allclose(changed[:, 8, 4], pictures[:, 8, 3], atol=0.1)
    else:
        assert np.allclose(changed[:, 8, 4], pictures[:, 8, 5], atol=0.1)


class Stub:
    """Stands for pictures or a trunk; fails where it is used when it may not be."""

    output_shape = (None, 3)

    def __init__(self, count: int, fail: bool = False) -> None:
        self.values = np.random.default_rng(0).uniform(0, 255, (count, 4, 4, 3)).astype(np.float32)
        self.labels = np.arange(count) % CLASSES
        self.fail = fail

    def __len__(self) -> int:
        return len(self.values)

    def batches(self, batch_size: int) -> Any:
        for start in range(0, len(self), batch_size):
            if start and self.fail:
                raise KeyboardInterrupt
            yield tf.constant(self.values[start : start + batch_size]), None

    def __call__(self, batch: tf.Tensor, training: bool) -> tf.Tensor:
        assert not self.fail
        assert not training
        return tf.reduce_mean(batch, axis=(1, 2))


def test_features_are_computed_once_with_the_plain_view_first(tmp_path):
    file, pictures = tmp_path / "features-train.npy", Stub(10)
    changes = augment.changes(Augment(contrast=0.5), seed=1)
    seen: list[Progress] = []
    with listen(seen.append):
        compute_features(file, Stub(1), pictures, changes, 3, 4)
    compute_features(file, Stub(1, fail=True), Stub(10, fail=True), changes, 3, 4)
    values = np.load(file)
    assert values.shape == (3, 10, 3)
    assert np.allclose(values[0], pictures.values.mean((1, 2)), atol=1e-3)
    assert np.abs(values[1] - values[0]).max() > 0.1
    assert np.abs(values[2] - values[1]).max() > 0.1
    assert seen[-1] == Progress("features train", 30, 30)


def test_interrupted_features_are_not_taken_for_finished_ones(tmp_path):
    file = tmp_path / "features-eval.npy"
    with pytest.raises(KeyboardInterrupt):
        compute_features(file, Stub(1), Stub(10, fail=True), augment.changes(PLAIN, 0), 1, 4)
    assert [file.name for file in tmp_path.iterdir()] == ["features-eval.partial"]
    compute_features(file, Stub(1), Stub(10), augment.changes(PLAIN, 0), 1, 4)
    assert [file.name for file in tmp_path.iterdir()] == ["features-eval.npy"]
    assert (np.load(file) != 0).all()


def numbered(views: int, count: int) -> Features:
    """Feature 0 tells the view, feature 1 the picture."""
    values = np.stack(np.meshgrid(np.arange(views), np.arange(count), indexing="ij"), axis=-1).astype(np.float32)
    return Features(values, np.arange(count)[:, None] % CLASSES)


def epoch_of(batches: CachedBatches) -> tuple[list[int], list[int]]:
    parts = [batches[index] for index in range(len(batches))]
    values, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert (labels.argmax(1) == values[:, 1] % CLASSES).all()
    assert (labels.sum(1) == 1).all()
    batches.on_epoch_end()
    return values[:, 0].astype(int).tolist(), values[:, 1].astype(int).tolist()


def test_each_epoch_of_the_head_covers_every_picture_once_in_a_random_view():
    batches, twin = (CachedBatches(numbered(4, 50), (CLASSES,), 8, seed=3) for _ in range(2))
    epochs = [epoch_of(batches) for _ in range(3)]
    assert all(sorted(order) == list(range(50)) for _, order in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert all(set(views) == {0, 1, 2, 3} for views, _ in epochs)
    assert [epoch_of(twin) for _ in range(3)] == epochs


def test_without_a_seed_the_head_sees_plain_pictures_in_order():
    batches = CachedBatches(numbered(4, 10), (CLASSES,), 4)
    assert [epoch_of(batches) for _ in range(2)] == [([0] * 10, list(range(10)))] * 2


def test_unfinished_work_is_named_by_what_the_files_hold_and_not_by_where_they_lie(tmp_path: Path) -> None:
    from components.train.trainer import TrainerConfig, features_name, work_folder

    config = TrainerConfig(
        picture=Picture(), model=Model(), train=Train(), classes=("a", "b"), work=str(tmp_path / "work"), code="0"
    )

    def written(folder: str, content: bytes) -> tuple[Path, str]:
        file = tmp_path / folder / "transformed_examples-00000-of-00001.gz"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        files = [str(file.parent / "*")]
        return work_folder(config, files), features_name(config, files)

    first = written("a", b"monday")
    assert written("b", b"monday") == first
    assert all(ours != theirs for ours, theirs in zip(written("a", b"tuesday"), first, strict=True))
