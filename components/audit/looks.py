"""What a network trained on other pictures makes of those of a catalogue.

Not the run's own trunk, which was shown the labels that are in question and may have learnt the wrong ones by heart.
ImageNet's classes know nothing of them, and no model has to be trained before labels can be looked at.
"""

import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.audit.pictures import oddity
from components.networks.classifier import pooled_trunk
from components.networks.folding import fold_batch_norms
from components.networks.settings import Model
from components.progress import report
from components.report.examples import picture_batches
from components.settings import SPLITS
from serving.decode import decode_pictures

_SIZE, _BATCH = 160, 64
_MOST_PIXELS = 1 << 30  # what ingest keeps is small

Looks = dict[str, tuple[NDArray[np.float16], str]]


def looks_of(examples: Path, cache: Path, count: int) -> tuple[NDArray[np.float16], list[str]]:
    """Looks at every picture of a run, those that an earlier audit has seen aside.

    Args:
        examples: ingest's Examples artifact.
        cache: a file that keeps what was made of pictures, by their content; also when this is stopped.
        count: how many examples there are, for progress.

    Returns:
        Features float16 [n, d] and what is wrong with pictures that show nothing, else "": in the order of the disk.
    """
    known, keys = _read(cache), list[str]()
    network: tf.types.experimental.PolymorphicFunction | None = None
    try:
        for split in SPLITS:
            for _, pictures in picture_batches(examples, split, _BATCH):
                digests = [hashlib.blake2b(picture, digest_size=16).hexdigest() for picture in pictures]
                if new := {key: picture for key, picture in zip(digests, pictures, strict=True) if key not in known}:
                    network = network or _network()
                    features = network(tf.constant(list(new.values()))).numpy().astype(np.float16)
                    known |= {key: (row, oddity(new[key])) for key, row in zip(new, features, strict=True)}
                keys += digests
                report("pictures", len(keys), count)
    finally:
        if known:
            _write(cache, known)
    features = np.stack([known[key][0] for key in keys]) if keys else np.zeros((0, 0), np.float16)
    return features, [known[key][1] for key in keys]


def _network() -> "tf.types.experimental.PolymorphicFunction":
    trunk = fold_batch_norms(pooled_trunk(Model(backbone="efficientnet_lite0", weights="imagenet"), _SIZE))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def features(pictures: tf.Tensor) -> tf.Tensor:
        decoded, _ = decode_pictures(pictures, _SIZE, _MOST_PIXELS)
        return trunk(decoded, training=False)

    return features


def _read(cache: Path) -> Looks:
    if not cache.exists():
        return {}
    with np.load(cache) as kept:
        return dict(zip(kept["keys"].tolist(), zip(kept["features"], kept["odd"].tolist(), strict=True), strict=True))


def _write(cache: Path, known: Looks) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    features, odd = zip(*known.values(), strict=True)
    unfinished = cache.with_suffix(".partial.npz")
    np.savez(unfinished, keys=np.array(list(known)), features=np.stack(features), odd=np.array(odd))
    unfinished.replace(cache)
