"""The head and its optimizer, and what goes on beside the epochs."""

from collections.abc import Sequence
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.networks.classifier import (
    PriorShift,
    pooled_trunk,
    prior_shift,
    serving_network,
    softmax_head,
    tapped,
)
from components.networks.settings import Model
from components.progress import Progress, listen, report
from components.train import callbacks
from components.train.augment import changes, mixing
from components.train.callbacks import Backup, KeepBest, Patience, ShowProgress, load_weights, save_weights, saved_loss
from components.train.losses import balanced_weights, make_loss
from components.train.optimizer import compile_network, learning_rate
from components.train.settings import Augment, Finetune, Head, Train

LABELS = np.array([0, 1])
CROSS_ENTROPY = make_loss(Train(), LABELS, 2)


@pytest.mark.parametrize(("strength", "factor"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_prior_shift_is_the_log_ratio_of_class_shares(strength, factor):
    trained, natural = np.array([0, 0, 0, 1, 1, 1]), np.array([0] * 15 + [1] * 2)
    expected = [np.log((4 / 9) / (16 / 20)), np.log((4 / 9) / (3 / 20)), np.log((1 / 9) / (1 / 20))]
    assert prior_shift(trained, natural, 3, strength) == pytest.approx(factor * np.array(expected))


@pytest.mark.parametrize(
    ("backbone", "size", "side", "flip"),
    [("resnet_small", 32, 4, False), ("resnet_small", 32, 4, True), ("vit_tiny", 48, 3, False)],
    ids=["a trunk", "with the mirror image", "patches"],
)
def test_the_mean_of_the_heat_and_the_bias_are_the_logit_of_the_answer(backbone, size, side, flip):
    settings, random = Model(backbone=backbone, weights="none"), np.random.default_rng(0)
    trunk = pooled_trunk(settings, size)
    head = softmax_head(settings, trunk.output_shape[-1], np.zeros(5), (3, 2))
    kernel, bias = head.get_layer("logits").get_weights()
    kernel, bias = 20 * kernel, random.normal(size=5) + np.array([0, 0, 0, 9, 9])
    head.get_layer("logits").set_weights([kernel, bias])
    pictures = random.uniform(0, 255, (4, size, size, 3)).astype(np.float32)
    network = serving_network(tapped(trunk, backbone), head, flip=flip, doubt=(0.1, 0.2))
    probabilities, features, heat = (np.asarray(each) for each in network(pictures))
    best = probabilities[:, :3].argmax(axis=1)
    assert heat.shape == (4, side, side)
    assert np.ptp(heat, axis=(1, 2)).min() > 0
    logits = np.take_along_axis(features @ kernel + bias, best[:, np.newaxis], axis=1)[:, 0]
    np.testing.assert_allclose(heat.mean(axis=(1, 2)) + bias[best], logits, rtol=1e-4, atol=1e-4)
    if flip:
        np.testing.assert_allclose(heat, network(pictures[:, :, ::-1])[2][:, :, ::-1], rtol=1e-4, atol=1e-4)


def test_prior_shift_is_applied_in_training_only():
    layer, logits = PriorShift(np.array([1.0, -2.0])), np.array([[0.5, 0.5]], np.float32)
    assert layer(logits, training=True).numpy().tolist() == [[1.5, -1.5]]
    assert layer(logits, training=False).numpy().tolist() == [[0.5, 0.5]]
    assert layer(logits).numpy().tolist() == [[0.5, 0.5]]


@pytest.mark.slow
def test_head_trained_on_balanced_classes_answers_with_natural_frequencies():
    random = np.random.default_rng(0)

    def drawn(counts):
        labels = np.repeat([0, 1], counts)
        return random.normal(1.5 * labels, 1.0)[:, None].astype(np.float32), labels

    values, labels = drawn((3000, 3000))
    natural, natural_labels = drawn((9000, 1000))
    mean = {}
    for strength in (0.0, 1.0):
        shift = prior_shift(labels, natural_labels, 2, strength)
        head = softmax_head(Model(weights="none", dropout=0.0), 1, shift)
        stage = Head(epochs=15, learning_rate=0.1, schedule="cosine")  # to its end, or the answer depends on the start
        compile_network(head, Train(ema=0.0), stage, 10, CROSS_ENTROPY)
        head.fit(values, np.eye(2)[labels], batch_size=600, epochs=stage.epochs, verbose=0)
        mean[strength] = head(natural).numpy()[:, 1].mean()
    assert mean[1.0] == pytest.approx(0.1, abs=0.01)
    assert mean[0.0] > 0.2


def test_sgd_has_nesterovs_momentum():
    head = softmax_head(Model(weights="none"), 4, np.zeros(2))
    compile_network(head, Train(optimizer="sgd"), Finetune(), 10, CROSS_ENTROPY)
    assert (head.optimizer.momentum, head.optimizer.nesterov) == (0.9, True)


@pytest.mark.parametrize("stage", [Head(schedule="constant"), Head(schedule="cosine"), Head(schedule="plateau")])
@pytest.mark.parametrize(
    "train",
    [
        Train(optimizer="adam", weight_decay=0.0, ema=0.0),
        Train(optimizer="adam", weight_decay=0.1),
        Train(optimizer="adamw", weight_decay=0.0),
        Train(optimizer="adamw", weight_decay=0.1, label_smoothing=0.1),
        Train(optimizer="sgd", weight_decay=0.1, loss="focal"),
        Train(optimizer="rmsprop", class_weights="balanced"),
    ],
    ids=["adam", "adam-decay", "adamw-without-decay", "adamw-smoothed", "sgd-focal", "rmsprop-weighted"],
)
def test_every_optimizer_setting_trains(train, stage):
    head = softmax_head(Model(weights="none"), 4, np.zeros(2))
    compile_network(head, train, stage, 10, make_loss(train, LABELS, 2))
    before = head.get_weights()[0]
    head.train_on_batch(np.ones((8, 4), np.float32), np.eye(2)[[0] * 8])
    assert np.abs(head.get_weights()[0] - before).max() > 0


def test_cosine_schedule_ends_at_nothing_after_the_given_steps():
    head = softmax_head(Model(weights="none"), 4, np.zeros(2))
    compile_network(head, Train(), Head(schedule="cosine", learning_rate=0.5, epochs=1), 7, CROSS_ENTROPY)
    rates = []
    for _ in range(8):
        rates.append(float(head.optimizer.learning_rate))
        head.train_on_batch(np.ones((8, 4), np.float32), np.eye(2)[[0] * 8])
    assert rates[0] == 0.5
    assert rates == sorted(rates, reverse=True)
    assert rates[6] > 0.01
    assert rates[7] == pytest.approx(0, abs=1e-6)


def test_warm_up_rises_from_nothing_and_leaves_the_rest_to_the_cosine():
    course = learning_rate(Finetune(epochs=5, learning_rate=0.4, warmup=2), steps=10)
    rates = [float(course(step)) for step in range(51)]
    assert rates[:21] == pytest.approx([0.02 * step for step in range(21)])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[35] == pytest.approx(0.2)
    assert rates[50] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        (lambda: Finetune(schedule="plateau", warmup=1), "warmup goes with schedule cosine"),
        (lambda: Finetune(epochs=3, warmup=3), "warmup 3 leaves nothing of 3 epochs"),
        (lambda: Train(head=None, finetune=None), "nothing would be trained"),
        (lambda: Train(prior=0.5, class_weights="balanced"), "choose one"),
        (lambda: Train(augment=Augment(mixup=0.2), finetune=None), "mixup mixes pictures in fine-tuning"),
        (lambda: Train(augment=Augment(mixup=0.2), finetune=Finetune(views=2)), "run once; leave one of them out"),
        (lambda: Model(backbone="cnn"), "no pretrained weights for cnn; set weights to none"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, answer):
    with pytest.raises(ValueError, match=answer):
        settings()


def test_rare_classes_weigh_more_up_to_a_limit_and_all_examples_one_on_average():
    labels = np.repeat([0, 1, 2], [600, 300, 3])
    weights = balanced_weights(labels, 4)
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(2)
    assert weights[2] / weights[0] == pytest.approx(10 / (903 / 4 / 600))
    assert np.isfinite(weights).all()


PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], np.float32)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("gamma", [None, 0.0, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_is_the_published_formula(gamma, weighted, smoothing):
    labels = np.array([0, 0, 0, 1, 2])
    kind = {} if gamma is None else {"loss": "focal", "focal_gamma": gamma}
    train = Train(class_weights="balanced" if weighted else "none", label_smoothing=smoothing, **kind)
    targets = np.array([[0.0, 1, 0], [0.4, 0, 0.6]])  # the second is mixed
    smoothed = targets * (1 - smoothing) + smoothing / 3
    weights = balanced_weights(labels, 3) if weighted else np.ones(3)
    expected = -(weights * smoothed * (1 - PROBABILITIES) ** (gamma or 0) * np.log(PROBABILITIES)).sum(1).mean()
    assert float(make_loss(train, labels, 3)(targets, PROBABILITIES)) == pytest.approx(expected, rel=1e-5)


def mixed_epochs(alpha: float, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    labels = np.eye(8, dtype=np.float32)
    pictures = np.ones((1, 2, 2, 3), np.float32) * np.arange(8, dtype=np.float32)[:, None, None, None]
    stream = tf.data.Dataset.from_tensors((pictures, labels)).repeat(2).apply(mixing(Augment(mixup=alpha), seed))
    return [(picture.numpy(), label.numpy()) for picture, label in stream]


def test_mixup_blends_pictures_and_labels_alike_and_again_the_same_from_the_same_seed():
    (pictures, labels), (second, _) = mixed_epochs(0.5, seed=1)
    np.testing.assert_allclose(pictures[:, 0, 0, 0], labels @ np.arange(8), rtol=1e-5)
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
    assert (labels.max(1) < 0.99).any()
    assert not np.array_equal(pictures, second)
    assert np.array_equal(pictures, mixed_epochs(0.5, seed=1)[0][0])
    assert not np.array_equal(pictures, mixed_epochs(0.5, seed=2)[0][0])
    assert np.array_equal(mixed_epochs(0.0, seed=1)[0][1], np.eye(8))


def test_erasing_fills_a_rectangle_of_some_pictures_within_their_range():
    plain = Augment(flip=False, rotation=0.0, zoom=0.0, contrast=0.0, erase=0.5)
    pictures = np.full((200, 32, 32, 3), 100, np.float32)
    erased = changes(plain, seed=1)(pictures, training=True).numpy()
    share = (erased != 100).any(-1).mean((1, 2))
    assert 0.4 < (share > 0).mean() < 0.6
    assert share.max() < 0.4
    assert (erased.min(), erased.max()) == (0, 255)
    assert np.array_equal(changes(plain, seed=1)(pictures, training=False), pictures)


def scored(callback: keras.callbacks.Callback, losses: Sequence[float]) -> int:
    """Feeds losses of epochs to a callback; how many it took before it stopped the training."""
    callback.model.stop_training = False
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        if callback.model.stop_training:
            return epoch + 1
    return len(losses)


def tiny() -> keras.Model:
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])


def test_only_weights_that_beat_the_saved_ones_are_saved(tmp_path):
    network, file = tiny(), tmp_path / "best.npz"
    save_weights(network, 0.5, file)
    keep = KeepBest(file)
    keep.set_model(network)
    kept = []
    for epoch, loss in enumerate([0.6, float("nan"), 0.4, 0.45]):
        network.set_weights([np.full((1, 1), float(epoch + 10))])
        keep.on_epoch_end(epoch, {"val_loss": loss})
        kept.append(saved_loss(file))
    assert kept == [0.5, 0.5, 0.4, 0.4]
    assert load_weights(network, file) == 0.4
    assert network.get_weights()[0].item() == 12
    assert [path.name for path in tmp_path.iterdir()] == ["best.npz"]
    assert saved_loss(tmp_path / "other.npz") == float("inf")


def test_backup_brings_back_weights_optimizer_and_the_number_of_epochs(tmp_path):
    def compiled():
        network = tiny()
        network.compile(keras.optimizers.Adam(0.1), "mse")
        return network

    network, backup = compiled(), Backup(tmp_path / "backup")
    assert backup.restore(network) == 0
    backup.set_model(network)
    for epoch in range(2):
        network.train_on_batch(np.ones((4, 1)), np.ones((4, 1)))
        backup.on_epoch_end(epoch)
    assert [file.name for file in (tmp_path / "backup").iterdir()] == ["2.weights.h5"]
    (tmp_path / "backup" / "partial.weights.h5").write_bytes(b"cut off")
    again = compiled()
    assert Backup(tmp_path / "backup").restore(again) == 2
    for left, right in zip(network.variables, again.variables, strict=True):
        assert np.array_equal(left, right)
    for left, right in zip(network.optimizer.variables, again.optimizer.variables, strict=True):
        assert np.array_equal(left, right)
    assert again.optimizer.iterations.numpy() == 2


@pytest.mark.parametrize("resumed_after", [0, 1, 2, 3, 4])
def test_patience_runs_on_over_a_resume(resumed_after):
    losses = [0.9, 0.8, 0.85, 0.7, 0.75, 0.71, 0.72, 0.5]
    past = [{"val_loss": loss} for loss in losses[:resumed_after]]
    patience = Patience(3, baseline=None, past=past)
    patience.set_model(tiny())
    patience.on_train_begin()
    assert scored(patience, losses[resumed_after:]) == 7 - resumed_after


def test_progress_counts_only_the_time_of_this_process(monkeypatch):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    past = [{"val_loss": 0.3, "val_accuracy": 0.9}, {"val_loss": 0.4, "val_accuracy": 0.8}]
    show = ShowProgress("finetune", 4, 100, 10, past)
    seen: list[Progress] = []
    with listen(seen.append):
        show.on_train_begin()
        for epoch in (2, 3):
            show.on_epoch_begin(epoch)
            for batch in range(10):
                show.on_train_batch_end(batch)
            show.on_epoch_end(epoch, {"val_loss": 0.2, "val_accuracy": 0.95})
    assert seen[0] == Progress("finetune", 21, 40, "epoch 3/4 · 5 img/s · best 90.0% · 0:38 left")
    assert seen[10] == Progress("finetune", 31, 40, "epoch 4/4 · 5 img/s · best 95.0% · 0:18 left")
    assert seen[-1] == Progress("finetune", 40, 40, "epoch 4/4 · 5 img/s · best 95.0% · 0:00 left")


def test_reports_go_to_the_listener_of_the_innermost_block():
    outer: list[Progress] = []
    inner: list[Progress] = []
    with listen(outer.append):
        report("a", 1)
        with listen(inner.append):
            report("b", 2, 3, "note")
        report("c", 3)
    report("d", 4)
    assert [progress.part for progress in outer] == ["a", "c"]
    assert inner == [Progress("b", 2, 3, "note")]


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress("rows", 1234), "rows · 1,234"),
        (Progress("rows", 12, 3400), "rows · 12/3,400"),
        (Progress("head", 1, 2, "epoch 1/2"), "head · 1/2 · epoch 1/2"),
    ],
)
def test_progress_reads_as_one_line(progress, line):
    assert str(progress) == line


def test_log_gets_a_line_now_and_then_and_the_last_one_always(caplog, monkeypatch):
    monkeypatch.setattr("components.progress._last_logged", float("-inf"))
    with caplog.at_level("INFO"):
        for done in range(1, 101):
            report("rows", done, 100)
    assert [record.message for record in caplog.records] == ["rows · 1/100", "rows · 100/100"]
