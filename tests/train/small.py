"""Training small enough for a test, in this process or in another."""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.networks import backbones
from components.networks.settings import Model
from components.train.data import Pictures, open_pictures
from components.train.job import Job
from components.train.settings import Augment, Finetune, Head, Train
from components.train.strategy import make_strategy
from tests import HOUSE

CLASSES, SIZE = 3, 32
PLAIN = Augment(flip=False, rotation=0.0, zoom=0.0, contrast=0.0)
TRAIN = Train(
    batch_size=8,
    ema=0.5,
    calibrate=False,
    strategy="none",
    head=Head(epochs=8, learning_rate=0.3, views=2),
    finetune=Finetune(epochs=3, learning_rate=3e-3, unfreeze_from="block7"),
)


def small_trunk(size: int) -> keras.Model:
    """Three convolutions, named as the parts of a real trunk are."""
    pictures = x = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="stem_scale")(x)
    for part in ("stem", "block6", "block7"):
        x = keras.layers.Conv2D(16, 3, strides=2, use_bias=False, name=f"{part}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"{part}_norm")(x)
        x = keras.layers.ReLU(name=f"{part}_relu")(x)
    return keras.Model(pictures, x)


def put_small_trunk() -> None:
    backbones.BACKBONES["efficientnet_lite0"] = backbones.Backbone(small_trunk, {}, lambda trunk, path: None)


def drawn(count: int, size: int) -> np.ndarray:
    """Pictures of noise, float32 [count, size, size, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def write_examples(
    file: Path, labels: Sequence[int], repeats: Sequence[int], seed: int, kinds: Sequence[str] = ()
) -> None:
    """Writes examples as Transform does; the picture's strongest colour tells its label, most of the time."""
    random = np.random.default_rng(seed)
    with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for label, repeat, kind in zip(labels, repeats, kinds or [""] * len(labels), strict=True):
            picture = random.integers(0, 160, (SIZE, SIZE, 3))
            picture[..., label] += random.integers(40, 95)
            features = {
                "image_bytes": bytes_feature(tf.io.encode_png(picture.astype(np.uint8)).numpy()),
                "label": int_feature(label),
                "gender_label": int_feature(label if label < CLASSES - 1 else -1),
                "repeat": int_feature(repeat),
            } | ({"kind": bytes_feature(kind.encode())} if kind else {})
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def int_feature(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def job_of(data: Path, work: Path, train: Train = TRAIN, dropout: float = 0.2) -> Job:
    chosen = make_strategy(train.strategy)
    return Job(
        model=Model(backbone="efficientnet_lite0", weights="none", dropout=dropout),
        train=train,
        shift=np.zeros(CLASSES),
        train_pictures=open_pictures([f"{data}/train*"], balanced=True, size=SIZE),
        eval_pictures=open_pictures([f"{data}/eval*"], balanced=False, size=SIZE),
        work=work,
        strategy=chosen,
    )


def answers(network: keras.Model, pictures: Pictures) -> np.ndarray:
    return np.concatenate([network(batch)[0] for batch, _ in pictures.batches(64)])


def loss_of(network: keras.Model, pictures: Pictures) -> float:
    return float(-np.log(answers(network, pictures)[np.arange(len(pictures)), pictures.labels]).mean())


def history(work: Path, stage: str) -> list[dict[str, str]]:
    with (work / f"{stage}.csv").open() as lines:
        return list(csv.DictReader(lines))


def trunk_weights(network: keras.Model) -> dict[str, np.ndarray]:
    trunk = next(layer for layer in network.layers if layer.name not in ("pictures", "head"))
    return {weight.path: weight.numpy() for weight in trunk.weights}


def child(folder: Path, script: str, **environment: str) -> subprocess.Popen[str]:
    """Starts a script, in which `folder` is known, in a process of its own."""
    code = f"from pathlib import Path\nfolder = Path({str(folder)!r})\n{script}"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=HOUSE,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", **environment},
    )
