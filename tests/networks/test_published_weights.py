"""Published weights of networks: each file gives what the library that wrote it computes, or is refused by name."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from components.errors import WeightsError
from components.networks import resnet18, transformer
from components.networks.applications import APPLICATIONS
from components.networks.backbones import BACKBONES, build_trunk
from components.networks.profiles import PROFILES
from components.networks.weights import torch_layout
from components.networks.weights.published import Published, fetch
from tests.train.small import drawn


@pytest.mark.parametrize("name", APPLICATIONS)
def test_weights_are_those_that_keras_fetches_itself(name):
    application = APPLICATIONS[name]
    source = inspect.getsource(inspect.getmodule(getattr(keras.applications, application.maker)))
    folder, _, file = application.published.url.rpartition("/")
    assert application.published.digest in source
    assert f"{folder.rpartition('/')[2]}/" in source
    assert file.endswith(("notop.h5", "no-top.h5"))


PREPROCESSING = {
    "resnet50": keras.applications.resnet.preprocess_input,
    "xception": keras.applications.xception.preprocess_input,
    "inception_v3": keras.applications.inception_v3.preprocess_input,
    "densenet201": keras.applications.densenet.preprocess_input,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_v3"])
def test_published_file_gives_what_keras_computes_after_its_own_preprocessing(name, tmp_path):
    size, file = PROFILES[name].smallest, tmp_path / "published.h5"
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
    ],
)
def test_weights_that_were_never_published_are_refused(name, weights, answer):
    with pytest.raises(WeightsError, match=answer):
        build_trunk(name, weights, 32)


@pytest.mark.parametrize("name", ["resnet50", "resnet18", "vit_tiny"])
def test_weights_out_of_reach_are_said_to_be_so(name, tmp_path, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(WeightsError, match=r"could not be fetched \(No route to host\)\. Give a file with --set"):
        BACKBONES[name].starts["imagenet"](keras.Sequential())


def test_file_is_known_by_the_digits_that_pytorch_puts_into_its_name(tmp_path, monkeypatch):
    server, content = tmp_path / "weights.pth", b"what was published"
    server.write_bytes(content)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    weights = Published(server.as_uri(), hashlib.sha256(content).hexdigest()[:8])
    for _ in range(2):
        fetched = fetch(weights, "")
        assert fetched.read_bytes() == content
        fetched.write_bytes(b"half of it")
    server.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"weights\.pth is not what was published\)\. Give a file"):
        fetch(weights, "Give a file")
    assert not fetched.exists()


def test_resnet18_of_any_other_contents_is_not_taken_for_the_published_one(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / resnet18.PUBLISHED.name).write_bytes(b"another")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(resnet18, "PUBLISHED", type(resnet18.PUBLISHED)(
        (tmp_path / "models" / resnet18.PUBLISHED.name).as_uri(), resnet18.PUBLISHED.digest))  # fmt: skip
    with pytest.raises(WeightsError, match="could not be fetched"):
        BACKBONES["resnet18"].starts["imagenet"](keras.Sequential())
