"""The network: a pretrained trunk, global average pooling, dropout and a softmax head."""

import keras

from components.settings import Finetune, Head, Model, Train
from components.train.backbones import build_trunk

PLATEAU_FACTOR = 0.5


def pooled_trunk(settings: Model, size: int) -> keras.Model:
    """Pictures float32 [n, size, size, 3] in 0..255 to features float32 [n, d]."""
    trunk = build_trunk(settings.backbone, settings.weights, size)
    features = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(trunk.output)
    return keras.Model(trunk.input, features, name=trunk.name)


def softmax_head(settings: Model, width: int, classes: int) -> keras.Model:
    """Features float32 [n, width] to probabilities float32 [n, classes]."""
    features = keras.Input((width,), name="features")
    dropped = keras.layers.Dropout(settings.dropout)(features)
    probabilities = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(dropped)
    return keras.Model(features, probabilities, name="head")


def training_network(trunk: keras.Model, head: keras.Model, augmentation: keras.Sequential) -> keras.Model:
    """Pictures to probabilities, changing them at random while training."""
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    return keras.Model(pictures, head(trunk(augmentation(pictures))), name="training")


def serving_network(trunk: keras.Model, head: keras.Model) -> keras.Model:
    """Pictures to (probabilities, features). It shares its layers with the training network, and none is random:

    layers with random state break tf.saved_model.save.
    """
    pictures = keras.Input(trunk.input_shape[1:], name="pictures")
    features = trunk(pictures)
    return keras.Model(pictures, [head(features), features], name="serving")


def compile_network(network: keras.Model, train: Train, stage: Head | Finetune, steps: int) -> None:
    """Gives a network its optimizer, loss and metrics; `steps` is the number of batches in all epochs."""
    rate = keras.optimizers.schedules.CosineDecay(stage.learning_rate, steps) if stage.schedule == "cosine" else stage.learning_rate
    optimizer = keras.optimizers.AdamW if train.optimizer == "adamw" else keras.optimizers.Adam
    network.compile(
        optimizer=optimizer(rate, weight_decay=train.weight_decay or None),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=train.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,  # XLA is ten times slower on CPUs
    )
