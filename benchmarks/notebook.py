"""The usual notebook: how this job is done in most of those that are published for this data set.

Written from the common description, not from any one of them: tf.data with cache, shuffle, batch and prefetch; random
layers in the model; a frozen EfficientNet that every epoch runs anew; Adam at 1e-3, early stopping after 10 epochs
without gain, a plateau schedule. It gets for nothing what notebooks take for granted: a list of sound pictures with
labels, capped and split as in our run. The better notebooks run the frozen network once and keep its features; that
is the other way to run this one: without random layers, which a picture that is run once cannot pass anew.
"""

import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure import Cost, peak_memory
from components.ingest.catalogue import open_catalogue
from components.ingest.judge import IngestSettings, Product, columns_of, judge
from components.ingest.labels import taxonomy_of
from components.ingest.source import IMAGES
from components.ingest.split import divide
from components.ingest.table import TABLE, Row, read_rows
from components.networks.settings import Model
from components.settings import SPLITS
from pipeline.recipe import Recipe

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_BATCH = 32
_RATE = 1e-3
_PATIENCE = 10


@dataclass(frozen=True)
class Labelled:
    """The pictures of one split: ids of products, and the label of each."""

    ids: list[str]
    labels: list[int]


@dataclass(frozen=True)
class Outcome:
    """What the notebook took and reached.

    Attributes:
        whole: from unpacking to the saved model, imports included.
        training: seconds of `fit`, and of computing the features that it fits on where they are cached.
        epochs: for each, the seconds from the beginning of that to its end, and its accuracy on the eval split.
        accuracy: on the test split.
    """

    whole: Cost
    training: float
    epochs: list[tuple[float, float]]
    accuracy: float


def choose_pictures(recipe: Recipe, data: Path) -> dict[str, Labelled]:
    """The products that a recipe trains and tests on: as many of a class for training as its cap, the first ones."""
    catalogue = open_catalogue(str(data), recipe.catalogue)
    taxonomy = taxonomy_of(recipe.labels, data, recipe.catalogue)
    settings = IngestSettings(catalogue=recipe.catalogue, picture=recipe.picture, split=recipe.split)
    chosen: dict[str, Labelled] = {}
    taken: Counter[str] = Counter()
    rows = read_rows(catalogue, taxonomy.fields, settings.together)
    judged = (judge(row, catalogue, taxonomy, settings) for row in rows if isinstance(row, Row))
    products = [product for product in judged if isinstance(product, Product)]
    division = divide(columns_of(products, taxonomy, settings.together), recipe.split)
    for product, index in zip(products, division.splits, strict=True):
        if SPLITS[index] == "train":
            taken[product.class_name] += 1
            if recipe.balance.cap and taken[product.class_name] > recipe.balance.cap:
                continue
        split = chosen.setdefault(SPLITS[index], Labelled([], []))
        split.ids.append(product.row.id)
        split.labels.append(taxonomy.index_of(product.class_name))
    return chosen


def run_notebook(
    data: Path,
    pictures: dict[str, Labelled],
    classes: int,
    size: int,
    model: Model,
    epochs: int,
    folder: Path,
    seed: int,
    cached: bool = False,
) -> Outcome:
    """Unpacks, trains, tests and saves, as the notebook's cells would from top to bottom.

    Args:
        data: the catalogue.
        pictures: from `choose_pictures`.
        classes: number of classes.
        size: side of the network's input, pixels.
        model: backbone, weights and dropout.
        epochs: at most.
        folder: empty, for what is written.
        seed: of the head's first weights, the order of pictures and the random layers.
        cached: whether the frozen network is run once for each picture; the epochs' seconds begin before that.
    """
    began = time.perf_counter()
    import keras

    keras.utils.set_random_seed(seed)
    images = _unpacked(data, folder)
    train, held_out, test = (_dataset(images, pictures[split], size) for split in ("train", "eval", "test"))
    network, trunk, head = _network(classes, size, model)
    fitting = time.perf_counter()
    if cached:
        train, held_out, test = (_features(trunk, split) for split in (train, held_out, test))
    trained = head if cached else network
    trained.compile(keras.optimizers.Adam(_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    reached: list[tuple[float, float]] = []
    trained.fit(
        train.cache().shuffle(len(pictures["train"].ids)).batch(_BATCH).prefetch(2),
        validation_data=held_out.cache().batch(_BATCH).prefetch(2),
        epochs=epochs,
        verbose=2,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda _, logs: reached.append((time.perf_counter() - fitting, logs["val_accuracy"]))
            ),
            keras.callbacks.EarlyStopping(patience=_PATIENCE, restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=_PATIENCE // 2),
        ],
    )
    training = time.perf_counter() - fitting
    accuracy = float(trained.evaluate(test.batch(_BATCH).prefetch(2), verbose=0)[1])
    network.save(folder / "model.keras")
    return Outcome(Cost(time.perf_counter() - began, peak_memory()), training, reached, accuracy)


def _unpacked(data: Path, folder: Path) -> Path:
    """The folder with the pictures, after unpacking the catalogue where it is a zip."""
    if data.is_file():
        with zipfile.ZipFile(data) as archive:
            archive.extractall(folder)
        data = folder
    table = min(data.rglob(TABLE), key=lambda path: len(path.parts))
    return table.parent / IMAGES


def _dataset(images: Path, split: Labelled, size: int) -> "tf.data.Dataset":
    """Single pictures float32 [size, size, 3] in 0..255, each with its label."""
    import tensorflow as tf

    def load(path: "tf.Tensor", label: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        return tf.image.resize(tf.io.decode_jpeg(tf.io.read_file(path), channels=3), [size, size]), label

    paths = [str(images / f"{product}.jpg") for product in split.ids]
    return tf.data.Dataset.from_tensor_slices((paths, split.labels)).map(load, num_parallel_calls=tf.data.AUTOTUNE)


def _features(trunk: "keras.Model", pictures: "tf.data.Dataset") -> "tf.data.Dataset":
    """What the frozen network makes of each picture, with its label, in memory."""
    import tensorflow as tf

    run = pictures.batch(_BATCH).prefetch(2).map(lambda batch, labels: (trunk(batch, training=False), labels))
    features, labels = (np.concatenate(column) for column in zip(*run.as_numpy_iterator(), strict=True))
    return tf.data.Dataset.from_tensor_slices((features, labels))


def _network(classes: int, size: int, model: Model) -> "tuple[keras.Model, keras.Model, keras.Model]":
    """The whole network, from random layers to softmax, and the two that it is made of: pooled trunk and head."""
    import keras

    from components.networks.backbones import build_trunk

    trunk = build_trunk(model.backbone, model.weights, size)
    trunk.trainable = False
    plain = keras.Input((size, size, 3))
    pooled = keras.Model(plain, keras.layers.GlobalAveragePooling2D()(trunk(plain, training=False)))
    features = keras.Input(pooled.output_shape[1:])
    dropped = keras.layers.Dropout(model.dropout)(features)
    head = keras.Model(features, keras.layers.Dense(classes, activation="softmax")(dropped))
    pictures = x = keras.Input((size, size, 3))
    for change in (keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.05),
                   keras.layers.RandomZoom(0.1), keras.layers.RandomContrast(0.1)):  # fmt: skip
        x = change(x)
    return keras.Model(pictures, head(pooled(x))), pooled, head
