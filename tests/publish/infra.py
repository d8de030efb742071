"""A model to be tried in a server, and products of a catalogue to ask it about."""

from contextlib import contextmanager

import numpy as np
import pytest

from components.transform.taxonomy import Taxonomy
from tests.serving.serving_model import LABELS, write_model

NAME = "six_class"
TAXONOMY = Taxonomy(name="tiny", classes=LABELS, column="articleType", values={label: label for label in LABELS})


def drawn(number, side=24):
    """A JPEG; the larger its side, the more bytes it has."""
    import tensorflow as tf

    noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
    return tf.io.encode_jpeg(noise, quality=95).numpy()


def product(picture, title=b"Blue shirt", number=0, label=LABELS[0]):
    import tensorflow as tf

    def feature(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {"image_bytes": feature(picture), "productDisplayName": feature(title)}
    features |= {"id": feature(str(number).encode()), "articleType": feature(label.encode())}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def records():
    return [product(drawn(number), number=number, label=LABELS[number]) for number in range(5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / NAME / "1")


@contextmanager
def local_server(base):
    """The local server in this process, with the model in a folder of versions."""
    from serving.server.config import Options
    from serving.server.limits import Limits
    from tests.contract.endpoint import running

    with running(base, Limits(), Options(poll_seconds=0), grace_seconds=0.1) as endpoint:
        yield endpoint.grpc


def without_weights(folder):
    (folder / "variables" / "variables.index").unlink()
