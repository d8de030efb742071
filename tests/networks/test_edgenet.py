"""EdgeNet as a front end of any network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.networks.backbones import set_trainable_from
from components.networks.classifier import pooled_trunk
from components.networks.edgenet import with_edgenet
from components.networks.settings import Model
from tests.train.small import drawn


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
