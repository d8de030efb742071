"""Every recipe that is shipped can be trained as it stands: its network is built and learns a few steps."""

from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.networks.backbones import set_trainable_from
from components.networks.classifier import pooled_trunk, serving_network, softmax_head, training_network
from components.networks.profiles import PROFILES
from components.networks.settings import Model
from components.train.augment import changes, mixing
from components.train.losses import make_loss
from components.train.optimizer import compile_network
from pipeline.recipe import Recipe, load_recipe, recipe_names
from tests.train.exporting import assert_answers_alike, export

pytestmark = pytest.mark.slow

CLASSES, BATCH = 3, 6

# Its network takes a minute to build, which test_networks does; here another stands for it that was published with it.
IN_PLACE = {"article_type_published": ("model.backbone=resnet50", "picture.size=224")}


def recipes() -> dict[str, Recipe]:
    """The recipes by name, without those that train the same network in the same way as another."""
    loaded = {name: load_recipe(name, IN_PLACE.get(name, ())) for name in recipe_names()}
    distinct = {recipe.model_dump_json(include={"model", "train"}): name for name, recipe in loaded.items()}
    return {name: loaded[name] for name in distinct.values()}


@lru_cache
def trunk_of(backbone: str, front: str) -> keras.Model:
    """A trunk with random weights for the smallest pictures that it takes; recipes with the same one share it."""
    keras.utils.set_random_seed(1)
    size = max(PROFILES[backbone].smallest, 32)
    return pooled_trunk(Model(backbone=backbone, weights="none", front=front), size)


def drawn(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of bright squares, and their labels: the colour of the square."""
    pictures = np.zeros((BATCH, size, size, 3), np.float32)
    labels = np.arange(BATCH) % CLASSES
    pictures[np.arange(BATCH), : size // 2, :, labels] = 255
    return pictures, labels


def steps(recipe: Recipe, trunk: keras.Model, head: keras.Model) -> list[float]:
    """Losses of two steps of the recipe's last phase, from the place that it unfreezes."""
    train = recipe.train
    phase = train.finetune or train.head
    if train.finetune:
        set_trainable_from(trunk, recipe.model.backbone, train.finetune.unfreeze_from, batch_norm=train.head is None)
    pictures, labels = drawn(trunk.input_shape[1])
    network = training_network(trunk, head, changes(train.augment, train.seed))
    compile_network(network, train, phase, 2, make_loss(train, labels, CLASSES))
    network.run_eagerly = True  # for two steps a graph is not worth its while
    batches = tf.data.Dataset.from_tensors((pictures, np.eye(CLASSES, dtype=np.float32)[labels])).repeat(2)
    return [network.train_on_batch(*batch)[0] for batch in batches.apply(mixing(train.augment, train.seed))]


@pytest.mark.parametrize("recipe", recipes().values(), ids=recipes())
def test_network_of_every_recipe_is_built_and_learns(recipe: Recipe) -> None:
    trunk = trunk_of(recipe.model.backbone, recipe.model.front)
    head = softmax_head(recipe.model, trunk.output_shape[-1], np.zeros(CLASSES))
    before = head.get_weights()
    assert np.isfinite(steps(recipe, trunk, head)).all()
    assert all(np.any(weight != was) for weight, was in zip(head.get_weights(), before, strict=True))
    assert np.allclose(head(trunk(drawn(trunk.input_shape[1])[0])).numpy().sum(axis=1), 1, atol=1e-4)


def test_network_behind_edgenet_answers_the_same_when_it_is_exported_and_reloaded(tmp_path: Path) -> None:
    settings = Model(backbone="cnn", weights="none", front="edgenet")
    trunk = trunk_of("cnn", "edgenet")
    size = trunk.input_shape[1]
    pictures, _ = drawn(size)
    network = serving_network(trunk, softmax_head(settings, trunk.output_shape[-1], np.zeros(CLASSES)))
    export(network, tmp_path)
    assert_answers_alike(tmp_path, network, pictures)
