"""Backbones by name: each is made of parts, takes the sizes it says, trains, and is exported."""

from typing import get_args

import keras
import numpy as np
import pytest

from components.errors import RecipeError
from components.networks.backbones import BACKBONES, build_trunk, set_trainable_from
from components.networks.classifier import pooled_trunk, serving_network, softmax_head, tapped, training_network
from components.networks.profiles import PROFILES, check_size, part_of, read_unfreeze
from components.networks.settings import Backbone, Model
from components.train.losses import make_loss
from components.train.optimizer import compile_network
from components.train.settings import Finetune, Train
from tests.train.exporting import assert_answers_alike, export
from tests.train.small import CLASSES, drawn

HUGE = ("efficientnet_v2m", "nasnet_large", "densenet201")
# One function builds all three; Lite0 is trained in test_train and exported in test_signatures.
ELSEWHERE = tuple(name for name in PROFILES if name.startswith("efficientnet_lite"))


def smallest(name: str) -> int:
    return max(PROFILES[name].smallest, 32)


def test_every_backbone_of_a_recipe_is_described_and_can_be_built():
    assert set(get_args(Backbone)) == set(PROFILES) == set(BACKBONES)
    assert {name: set(profile.starts) for name, profile in PROFILES.items()} == {
        name: set(backbone.starts) for name, backbone in BACKBONES.items()
    }


@pytest.mark.parametrize(
    ("name", "size", "answer"),
    [
        ("xception", 70, "picture.size: 70 is too small for xception; give at least 71, it was published at 299"),
        ("inception_v3", 74, "at least 75"),
        ("resnet18", 31, "at least 32"),
        ("vit_tiny", 100, "squares of 16 pixels, and 100 is not a multiple of that; give 96 or 112"),
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


@pytest.fixture(scope="module", params=[name for name in PROFILES if name not in HUGE + ELSEWHERE])
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

    seeing, width = tapped(network, name), network.output_shape[-1]
    seen = seeing(pictures)
    assert seen.shape[1] > width
    assert np.array_equal(seen[:, :width], network(pictures))
    serving = serving_network(seeing, head)
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
