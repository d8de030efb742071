"""Backbones by name: each is made of parts, trains, is exported, and computes what its published weights mean."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from components.errors import RecipeError, WeightsError
from components.settings import Backbone, Finetune, Head, Model, Train
from components.train import resnet18, torch_layout, transformer
from components.train.applications import APPLICATIONS
from components.train.backbones import BACKBONES, build_trunk, set_trainable_from
from components.train.edgenet import with_edgenet
from components.train.fit import Job, fit
from components.train.losses import make_loss
from components.train.network import compile_network, pooled_trunk, serving_network, softmax_head, training_network
from components.train.networks import PROFILES, check_size, part_of, read_unfreeze
from components.train.strategy import make_strategy
from tests.train.exporting import assert_answers_alike, export
from tests.train.test_train import PLAIN, answers, history, open_pictures, write_examples

HUGE = ("efficientnet_v2m", "nasnet_large", "densenet201")
ELSEWHERE = "efficientnet_lite0"  # trained in test_train, exported in test_signatures
CLASSES = 3


def smallest(name: str) -> int:
    return max(PROFILES[name].smallest, 32)


def drawn(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def test_every_backbone_of_a_recipe_is_described_and_can_be_built():
    assert set(get_args(Backbone)) == set(PROFILES) == set(BACKBONES)


@pytest.mark.parametrize(
    ("name", "size", "answer"),
    [
        ("xception", 70, "picture.size: 70 is too small for xception; give at least 71, it was published at 299"),
        ("inception_v3", 74, "at least 75"),
        ("resnet18", 31, "at least 32"),
        ("vit_tiny", 100, "squares of 16 pixels, and 100 is no multiple of that; give 96 or 112"),
    ],
)
def test_size_that_a_network_cannot_take_is_refused(name, size, answer):
    with pytest.raises(ValueError, match=answer):
        check_size(name, size)
    with pytest.raises(RecipeError, match=answer):
        build_trunk(name, "none", size)


def test_every_network_takes_the_size_it_was_published_for():
    for name, profile in PROFILES.items():
        check_size(name, profile.own_size)
        check_size(name, smallest(name))


@pytest.mark.parametrize(
    ("name", "where", "answer"),
    [
        ("resnet50", "block6", r"resnet50 has no part 'block6'; known: stem, conv2, conv3, conv4, conv5; or `last N`"),
        ("xception", "block15", "known: stem, block2, .*, block14"),
        ("resnet18", "last 0", "no part 'last 0'"),
        ("resnet18", "last", "no part 'last'"),
    ],
)
def test_unknown_place_to_unfreeze_is_refused_with_the_networks_own_parts(name, where, answer):
    with pytest.raises(ValueError, match=answer):
        read_unfreeze(name, where)


def test_parts_of_similar_names_are_told_apart():
    parts = PROFILES["xception"].parts
    assert part_of("block13_sepconv1", parts) == "block13"
    assert part_of("block1a_conv", ("block1", "block10")) == "block1"
    assert part_of("block10_conv", ("block1", "block10")) == "block10"
    assert part_of("pictures", parts) is None


@pytest.mark.parametrize("name", APPLICATIONS)
def test_weights_are_those_that_keras_fetches_itself(name):
    application = APPLICATIONS[name]
    source = inspect.getsource(inspect.getmodule(getattr(keras.applications, application.maker)))
    folder, _, file = application.published.url.rpartition("/")
    assert application.published.digest in source
    assert f"{folder.rpartition('/')[2]}/" in source
    assert file.endswith(("notop.h5", "no-top.h5"))


@pytest.fixture(scope="module", params=[name for name in PROFILES if name not in (*HUGE, ELSEWHERE)])
def trunk(request) -> tuple[str, keras.Model]:
    keras.utils.set_random_seed(1)
    return request.param, pooled_trunk(Model(backbone=request.param, weights="none"), smallest(request.param))


@pytest.mark.slow
def test_every_layer_belongs_to_a_part_and_every_part_has_weights(trunk):
    name, network = trunk
    parts = PROFILES[name].parts
    of = {layer.name: part_of(layer.name, parts) for layer in network.layers}
    assert {layer for layer, part in of.items() if part is None} <= {"pictures", "pool", "rescaling", "normalization"}
    assert {part_of(weight.path, parts) for weight in network.weights} - {None} == set(parts)


@pytest.mark.slow
def test_training_from_parts_up_trains_more_the_lower_it_begins(trunk):
    name, network = trunk
    parts = PROFILES[name].parts
    counts = [set_trainable_from(network, name, part) for part in parts]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == len(parts)
    assert all(not layer.trainable for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    assert set_trainable_from(network, name, parts[0], batch_norm=True) >= counts[0]


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_the_exported_network_answers_the_same(trunk, tmp_path):
    name, network = trunk
    size = smallest(name)
    settings, train = Model(backbone=name, weights="none", dropout=0.0), Train(ema=0.0)
    head = softmax_head(settings, network.output_shape[-1], np.zeros(CLASSES))
    set_trainable_from(network, name, PROFILES[name].parts[-1], batch_norm=True)
    pictures, labels = drawn(6, size), np.arange(6) % CLASSES
    learning = training_network(network, head, keras.Sequential([keras.layers.Identity()]))
    rate = 1e-2 if name == "vit_tiny" else 1e-4  # its random depth hides what small steps gain
    compile_network(learning, train, Finetune(learning_rate=rate, schedule="constant"), 3, make_loss(train, labels, 3))
    learning.run_eagerly = True  # for two steps a graph is not worth its while
    losses = []
    for _ in range(2):
        learning.reset_metrics()
        losses.append(learning.train_on_batch(pictures, np.eye(CLASSES)[labels])[0])
    assert losses[-1] < losses[0]

    serving = serving_network(network, head)
    export(serving, tmp_path)
    assert_answers_alike(tmp_path, serving, pictures)


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_huge_network_is_built_in_parts_and_answers(name):
    network = build_trunk(name, "none", 32)
    parts = PROFILES[name].parts
    assert {part_of(weight.path, parts) for weight in network.weights} == set(parts)
    assert np.isfinite(network(drawn(1, 32))).all()
    assert set_trainable_from(network, name, "last 20") < set_trainable_from(network, name, parts[-2])


def test_last_layers_are_counted_as_keras_counts_them():
    network = pooled_trunk(Model(backbone="resnet18", weights="none"), 32)
    set_trainable_from(network, "resnet18", "last 10", batch_norm=True)
    # The last ten are the second block of conv5, and the end of the first, which has no weights.
    assert {layer.name for layer in network.layers if layer.trainable and layer.weights} == {
        f"conv5_block2_{number}_{kind}" for number in (1, 2) for kind in ("conv", "bn")
    }
    with pytest.raises(RecipeError, match="resnet18 has 85 layers, not 500; for all of them give stem"):
        set_trainable_from(network, "resnet18", "last 500")


PREPROCESSING = {
    "resnet50": keras.applications.resnet.preprocess_input,
    "xception": keras.applications.xception.preprocess_input,
    "inception_v3": keras.applications.inception_v3.preprocess_input,
    "densenet201": keras.applications.densenet.preprocess_input,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_v3"])
def test_published_file_gives_what_keras_computes_after_its_own_preprocessing(name, tmp_path):
    size, file = smallest(name), tmp_path / "published.h5"
    theirs = getattr(keras.applications, APPLICATIONS[name].maker)(
        include_top=False, weights=None, input_shape=(size, size, 3)
    )
    random = np.random.default_rng(0)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    with h5py.File(file, "w") as stream:
        legacy_h5_format.save_weights_to_hdf5_group(stream, theirs)
    pictures = drawn(2, size)
    expected = theirs(PREPROCESSING[name](pictures.copy()))
    np.testing.assert_allclose(build_trunk(name, str(file), size)(pictures), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", PREPROCESSING)
def test_pictures_are_scaled_as_the_network_was_trained(name):
    pictures = drawn(2, 4)
    np.testing.assert_allclose(APPLICATIONS[name].scale(pictures), PREPROCESSING[name](pictures.copy()), atol=1e-4)


def resnet18_by_torchvision(state: dict[str, np.ndarray], x: tf.Tensor) -> tf.Tensor:
    """The forward pass of torchvision, from its own names."""

    def conv(x, name, stride, pad):
        kernel = state[f"{name}.weight"].transpose(2, 3, 1, 0)
        return tf.nn.conv2d(x, kernel, stride, [[0, 0], [pad, pad], [pad, pad], [0, 0]])

    def norm(x, name):
        weight, bias, mean, variance = (
            state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    x = (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = tf.nn.relu(norm(conv(x, "conv1", 2, 3), "bn1"))
    x = tf.nn.max_pool2d(x, 3, 2, [[0, 0], [1, 1], [1, 1], [0, 0]])
    for stage in range(1, 5):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = tf.nn.relu(norm(conv(x, f"{name}.conv1", stride, 1), f"{name}.bn1"))
            y = norm(conv(y, f"{name}.conv2", 1, 1), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in state:
                x = norm(conv(x, f"{name}.downsample.0", stride, 0), f"{name}.downsample.1")
            x = tf.nn.relu(x + y)
    return x


def resnet18_state() -> dict[str, np.ndarray]:
    random, state = np.random.default_rng(0), {}

    def put(conv: str, norm: str, out: int, into: int, kernel: int) -> None:
        deviation = (2 / (kernel * kernel * into)) ** 0.5
        state[f"{conv}.weight"] = random.normal(0, deviation, (out, into, kernel, kernel)).astype(np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = random.uniform(0.5, 1.5, out).astype(np.float32)

    put("conv1", "bn1", 64, 3, 7)
    width = 64
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            put(f"{name}.conv1", f"{name}.bn1", filters, width, 3)
            put(f"{name}.conv2", f"{name}.bn2", filters, filters, 3)
            if width != filters:
                put(f"{name}.downsample.0", f"{name}.downsample.1", filters, width, 1)
            width = filters
    return {**state, "fc.weight": np.zeros((1000, 512)), "fc.bias": np.zeros(1000)}


def vit_by_timm(state: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The forward pass of timm up to its last norm, from its own names, with the patches as a map."""

    def dense(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    count, side = len(x), x.shape[1] // 16
    x = (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = x.reshape(count, side, 16, side, 16, 3).transpose(0, 1, 3, 5, 2, 4).reshape(count, side * side, 768)
    x = x @ state["patch_embed.proj.weight"].reshape(192, 768).T + state["patch_embed.proj.bias"]
    x = np.concatenate([np.tile(state["cls_token"], (count, 1, 1)), x], axis=1) + state["pos_embed"]
    for block in range(12):
        qkv = dense(norm(x, f"blocks.{block}.norm1"), f"blocks.{block}.attn.qkv")
        query, key, value = qkv.reshape(count, -1, 3, 3, 64).transpose(2, 0, 3, 1, 4)
        attention = tf.nn.softmax(query @ key.transpose(0, 1, 3, 2) / 8).numpy() @ value
        x = x + dense(attention.transpose(0, 2, 1, 3).reshape(count, -1, 192), f"blocks.{block}.attn.proj")
        hidden = dense(norm(x, f"blocks.{block}.norm2"), f"blocks.{block}.mlp.fc1")
        x = x + dense(keras.ops.gelu(hidden, approximate=False).numpy(), f"blocks.{block}.mlp.fc2")
    return norm(x, "norm")[:, 1:].reshape(count, side, side, 192)


def vit_state(patches: int) -> dict[str, np.ndarray]:
    random, state = np.random.default_rng(0), {}

    def put(name: str, *shape: int, around: float = 0.0) -> None:
        state[name] = random.normal(around, 0.1, shape).astype(np.float32)

    put("cls_token", 1, 1, 192)
    put("pos_embed", 1, patches + 1, 192)
    put("patch_embed.proj.weight", 192, 3, 16, 16)
    put("patch_embed.proj.bias", 192)
    for block in range(12):
        for name, out, into in (("attn.qkv", 576, 192), ("attn.proj", 192, 192), ("mlp.fc1", 768, 192),
                                ("mlp.fc2", 192, 768)):  # fmt: skip
            put(f"blocks.{block}.{name}.weight", out, into)
            put(f"blocks.{block}.{name}.bias", out)
    for norm in ("norm", *(f"blocks.{block}.norm{number}" for block in range(12) for number in (1, 2))):
        put(f"{norm}.weight", 192, around=1.0)
        put(f"{norm}.bias", 192)
    return state


@pytest.fixture
def checkpoint(tmp_path, monkeypatch) -> Callable[[dict[str, np.ndarray]], str]:
    def file_of(state: dict[str, np.ndarray]) -> str:
        monkeypatch.setattr(torch_layout, "read_torch_checkpoint", lambda _: state)
        (tmp_path / "weights.pth").touch()
        return str(tmp_path / "weights.pth")

    return file_of


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 75])
def test_resnet18_from_a_checkpoint_computes_what_torchvision_computes(checkpoint, size):
    state, pictures = resnet18_state(), drawn(2, size)
    computed = build_trunk("resnet18", checkpoint(state), size)(pictures)
    expected = resnet18_by_torchvision(state, pictures)
    np.testing.assert_allclose(computed, expected, atol=1e-3 * float(np.abs(expected).max()))


@pytest.mark.slow
def test_transformer_from_a_checkpoint_computes_what_timm_computes(checkpoint):
    state, pictures = vit_state(patches=9), drawn(2, 48)
    computed = build_trunk("vit_tiny", checkpoint(state), 48)(pictures)
    np.testing.assert_allclose(computed, vit_by_timm(state, pictures), atol=5e-3)


def test_learnt_positions_are_resized_with_the_picture_and_the_class_tokens_is_kept():
    grid = np.linspace(0, 1, 14)[None, :, None, None] * np.ones((1, 14, 14, 2))
    positions = np.concatenate([np.full((1, 1, 2), 9.0), grid.reshape(1, 196, 2)], axis=1).astype(np.float32)
    resized = transformer._resized(positions, 49)
    assert resized.shape == (1, 50, 2)
    assert resized[0, 0].tolist() == [9, 9]
    rows = resized[0, 1:, 0].reshape(7, 7)
    assert np.ptp(rows, axis=1).max() < 1e-4
    assert (np.diff(rows[:, 0]) > 0).all()
    assert transformer._resized(positions, 196) is positions


@pytest.mark.parametrize(("name", "words"), [("resnet18", "ResNet-18, conv1"), ("vit_tiny", "DeiT-tiny, patch_embed")])
def test_checkpoint_of_another_network_is_refused_by_layer(checkpoint, name, words):
    with pytest.raises(WeightsError, match=rf"weights\.pth: not the weights of {words}"):
        build_trunk(name, checkpoint({"fc.weight": np.zeros((2, 2))}), 32)


@pytest.mark.parametrize(
    ("name", "weights", "answer"),
    [
        ("cnn", "imagenet", "there are none for cnn"),
        ("resnet_small", __file__, "there are none for resnet_small"),
        ("vit_tiny", "imagenet", "known: none"),
    ],
)
def test_weights_that_were_never_published_are_refused(name, weights, answer):
    with pytest.raises(WeightsError, match=answer):
        build_trunk(name, weights, 32)


@pytest.mark.parametrize("name", ["resnet50", "resnet18"])
def test_weights_out_of_reach_are_said_to_be_so(name, tmp_path, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(WeightsError, match=r"could not be fetched \(No route to host\)\. Give a file with --set"):
        BACKBONES[name].starts["imagenet"](keras.Sequential())


def test_resnet18_of_any_other_contents_is_not_taken_for_the_published_one(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / resnet18.PUBLISHED.name).write_bytes(b"another")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(resnet18, "PUBLISHED", type(resnet18.PUBLISHED)(
        (tmp_path / "models" / resnet18.PUBLISHED.name).as_uri(), resnet18.PUBLISHED.digest))  # fmt: skip
    with pytest.raises(WeightsError, match="could not be fetched"):
        resnet18.load_imagenet(keras.Sequential())


@pytest.fixture
def edges() -> keras.Model:
    """EdgeNet before a trunk that answers with what it is given."""
    keras.utils.set_random_seed(1)
    pictures = keras.Input((32, 32, 3))
    return with_edgenet(keras.Model(pictures, keras.layers.Identity(name="top_map")(pictures)))


def test_edgenet_begins_as_the_picture_itself(edges):
    pictures = drawn(2, 32)
    np.testing.assert_array_equal(edges(pictures), pictures)


def test_edgenet_learns_to_change_pictures_within_their_range(edges):
    pictures = drawn(2, 32)
    kernel = edges.get_layer("front_conv3").kernel
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(edges(pictures))
    assert np.abs(tape.gradient(loss, kernel.value)).max() > 0
    kernel.assign(np.random.default_rng(0).normal(0, 1, kernel.shape))
    changed = edges(pictures).numpy()
    assert np.abs(changed - pictures).mean() > 10
    assert (changed.min(), changed.max()) == (0, 255)


def test_edgenet_sees_the_edges_of_a_picture_and_none_at_its_border(edges):
    first = keras.Model(edges.input, edges.get_layer("front_conv1").output)
    picture = np.full((1, 32, 32, 3), 255, np.float32)
    assert np.abs(first(picture)).max() < 1e-5
    picture[:, :, 16:] = 0
    assert np.abs(first(picture)).max() > 0.3


def test_edgenet_is_trained_with_however_little_of_the_trunk_behind_it():
    network = pooled_trunk(Model(backbone="cnn", weights="none", front="edgenet"), 32)
    set_trainable_from(network, "cnn", "last 1")
    trained = {weight.path.split("/")[0] for weight in network.trainable_weights}
    assert trained == {"front_conv1", "front_conv2", "front_conv3", "top_dense"}


FROM_NOTHING = Train(
    batch_size=8,
    optimizer="sgd",
    ema=0.0,
    strategy="none",
    augment=PLAIN,
    head=None,
    finetune=Finetune(epochs=4, learning_rate=0.05, warmup=1, unfreeze_from="stem"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_examples(folder / "train.gz", [0, 1, 2] * 16, [1] * 48, seed=0)
    write_examples(folder / "eval.gz", [0, 1, 2] * 10, [1] * 30, seed=2)
    return folder


def job_of(data: Path, work: Path, train: Train) -> Job:
    return Job(
        model=Model(backbone="resnet_small", weights="none", dropout=0.0),
        train=train,
        shift=np.zeros(CLASSES),
        train_pictures=open_pictures([f"{data}/train*"], balanced=True, size=32),
        eval_pictures=open_pictures([f"{data}/eval*"], balanced=False, size=32),
        work=work,
        strategy=make_strategy("none"),
    )


@pytest.mark.slow
def test_network_from_nothing_learns_in_one_stage_with_its_batch_norms(data, tmp_path):
    mixed = FROM_NOTHING.model_copy(update={"augment": PLAIN.model_copy(update={"mixup": 0.1, "erase": 0.25})})
    job = job_of(data, tmp_path, mixed)
    network = fit(job)
    assert sorted(file.name for file in tmp_path.iterdir() if file.suffix == ".csv") == ["finetune.csv"]
    assert [int(row["epoch"]) for row in history(tmp_path, "finetune")] == [0, 1, 2, 3]
    assert (answers(network, job.eval_pictures).argmax(1) == job.eval_pictures.labels).mean() > 0.7
    assert all(np.abs(norm - 1).max() > 1e-3 for norm in moving_variances(network))


def moving_variances(network: keras.Model) -> Sequence[np.ndarray]:
    return [weight.numpy() for weight in network.weights if weight.path.endswith("moving_variance")]


@pytest.mark.parametrize(
    ("weights", "head", "setting", "trained"),
    [
        ("none", None, "auto", True),
        ("none", Head(), "auto", False),
        ("imagenet", None, "auto", False),
        ("imagenet", Head(), "train", True),
        ("none", None, "frozen", False),
    ],
)
def test_batch_norms_are_trained_where_nothing_is_known_yet(data, tmp_path, weights, head, setting, trained):
    stage = Finetune(batch_norm=setting)
    job = job_of(data, tmp_path, Train(head=head, finetune=stage))
    job = Job(**{**vars(job), "model": Model(backbone="resnet18", weights=weights)})
    assert job.trains_batch_norm(stage) is trained
