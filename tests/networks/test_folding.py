"""Folded batch norms: the same answers from fewer layers, there and back."""

import keras
import numpy as np
import pytest

from components.networks.classifier import pooled_trunk
from components.networks.edgenet import with_edgenet
from components.networks.folding import fold_batch_norms, unfold_batch_norms
from components.networks.settings import Model

SIZE = 48


def shaken(network: keras.Model) -> keras.Model:
    """Gives batch norms statistics as training does."""
    random = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return network


def norms(network: keras.Model) -> int:
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)


def pictures() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.float32)


def assert_alike(one: keras.Model, other: keras.Model) -> None:
    expected = np.asarray(one(pictures(), training=False))
    np.testing.assert_allclose(other(pictures(), training=False), expected, atol=1e-3 * np.abs(expected).max())
    assert np.ptp(expected) > 0


@pytest.mark.parametrize(
    ("backbone", "left"),
    [
        ("efficientnet_lite0", 0),
        ("efficientnet_b0", 0),
        ("resnet18", 0),
        ("cnn", 0),
        pytest.param("densenet201", None, marks=pytest.mark.slow),
    ],
)
def test_a_folded_network_answers_the_same(backbone: str, left: int | None) -> None:
    network = shaken(pooled_trunk(Model(backbone=backbone, weights="none"), SIZE))
    before = network.get_weights()
    folded = fold_batch_norms(network)
    assert_alike(network, folded)
    assert norms(folded) == left if left is not None else 0 < norms(folded) < norms(network)
    assert folded.count_params() < network.count_params()
    assert all((ours == was).all() for ours, was in zip(network.get_weights(), before, strict=True))


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet_small"])
def test_unfolded_again_it_still_answers_the_same(backbone: str) -> None:
    network = shaken(pooled_trunk(Model(backbone=backbone, weights="none"), SIZE))
    fresh = pooled_trunk(Model(backbone=backbone, weights="none"), SIZE)
    unfold_batch_norms(fresh, fold_batch_norms(network))
    assert_alike(network, fresh)
    assert norms(fresh) == norms(network)


def test_a_norm_stays_where_something_else_reads_its_convolution_or_stands_before_it() -> None:
    taken = keras.Input((SIZE, SIZE, 3))
    read_twice = keras.layers.Conv2D(4, 3, padding="same", name="read_twice")(taken)
    activated = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="activated")(taken)
    depthwise = keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(taken)
    normed = [keras.layers.BatchNormalization()(each) for each in (read_twice, activated)]
    bare = keras.layers.BatchNormalization(scale=False, center=False)(depthwise)
    network = shaken(keras.Model(taken, keras.layers.Concatenate()([*normed, read_twice, bare])))
    folded = fold_batch_norms(network)
    assert_alike(network, folded)
    assert (norms(network), norms(folded)) == (3, 2)
    again = keras.models.clone_model(network)
    unfold_batch_norms(again, folded)
    assert_alike(network, again)


def test_edgenet_before_a_network_is_folded_with_it() -> None:
    network = shaken(with_edgenet(pooled_trunk(Model(backbone="cnn", weights="none"), SIZE)))
    assert_alike(network, fold_batch_norms(network))
