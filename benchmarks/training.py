"""Pictures a second in each way of training, and what the input pipeline takes of the time.

    python -m benchmarks.training [--data archive.zip] [--backbones ...] [--sizes 96 128 160 224] [--pictures 128]

- features: the frozen trunk, run once for each picture
- head: an epoch of the head on those features
- tail: fine-tuning from block6 upwards
- cached tail: the same, on what the blocks below made of the pictures once
- full: fine-tuning all of the network

The input pipeline (reading, decoding, resizing) is also run alone. Its share is the time it takes alone, of the time of
the training: where both use the same processors that is what it costs, beside an accelerator most of it is hidden.
Weights are random, which changes no speed.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import catalogues
from benchmarks.measure import add_data, apart, parser_of, percent, ratio, said, say, scratch, show, take_turns
from components.networks.profiles import PROFILES
from components.networks.settings import Model
from components.train.settings import Augment, Finetune, Head, Train

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from components.train.data import Pictures

_BACKBONES, _QUICK_BACKBONES = ("efficientnet_b0", "efficientnet_lite0"), ("efficientnet_lite0",)
_SIZES, _QUICK_SIZES = (96, 128, 160, 224), (96,)
_PICTURES, _QUICK_PICTURES = 128, 64
_BATCH = 32
_CLASSES = 6
_FEATURES = 4096  # rows for the head, which is many times faster than the rest
_ALONE = 4096  # pictures for the input pipeline alone, likewise: opening files does not count in its rate
_LOWEST = {"tail": "block6", "full": "stem"}
_CACHED, _INPUT = "cached tail", "input alone"
_TARGET = "≤ 5 %"


def write_examples(data: Path, pictures: int, files: Mapping[Path, int]) -> None:
    """Writes the first pictures of a catalogue that can be decoded, as Transform would.

    Args:
        data: the catalogue.
        pictures: how many of it.
        files: what is written, and how many examples into each: the pictures over and over.
    """
    import tensorflow as tf

    from components.features import IMAGE_BYTES, LABEL, REPEAT
    from components.ingest.picture import CheckedPicture, check_picture
    from components.ingest.settings import Picture

    checked = (check_picture(picture, Picture()) for picture in catalogues.pictures_of(data))
    sound = (picture.data for picture in checked if isinstance(picture, CheckedPicture))
    chosen = list(islice(sound, pictures))
    for file, count in files.items():
        with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
            for number, picture in enumerate(islice(cycle(chosen), count)):
                example = tf.train.Example()
                example.features.feature[IMAGE_BYTES].bytes_list.value.append(picture)
                example.features.feature[LABEL].int64_list.value.append(number % _CLASSES)
                example.features.feature[REPEAT].int64_list.value.append(1)
                writer.write(example.SerializeToString())


def rates_of(backbone: str, size: int, examples: Path, alone: Path, rounds: int) -> dict[str, float]:
    """Measures one network at one size.

    Args:
        backbone: its name.
        size: side of its input, pixels.
        examples: file to train on.
        alone: file for the input pipeline alone.
        rounds: how often each is measured.

    Returns:
        Pictures a second of every way of training, and of the input alone.
    """
    import numpy as np
    import tensorflow as tf

    from components.networks.classifier import pooled_trunk, softmax_head
    from components.networks.folding import fold_batch_norms
    from components.train.data import open_pictures
    from components.train.strategy import precision

    model = Model.model_validate({"backbone": backbone, "weights": "none"})
    pictures = open_pictures([str(examples)], balanced=True, size=size)
    batches = pictures.batches(_BATCH)
    one_hot = batches.map(lambda batch, labels: (batch, tf.one_hot(labels[:, 0], _CLASSES)))
    stream = open_pictures([str(alone)], balanced=True, size=size)
    with precision("auto"):
        trunks = {way: pooled_trunk(model, size) for way in ("features", *_LOWEST, _CACHED)}
        width = trunks["features"].output_shape[-1]
        heads = {way: softmax_head(model, width, np.zeros(_CLASSES)) for way in ("head", *_LOWEST, _CACHED)}
        ways: dict[str, tuple[Callable[[], object], int]] = {
            "features": (_features(fold_batch_norms(trunks["features"]), batches), len(pictures)),
            "head": (_head(heads["head"], width), _FEATURES),
        }
        for way in _LOWEST:
            ways[way] = _finetuning(trunks[way], heads[way], way, one_hot), len(pictures)
        ways[_CACHED] = _cached_tail(trunks[_CACHED], heads[_CACHED], pictures), len(pictures)
    ways[_INPUT] = (lambda: [None for _ in stream.batches(_BATCH)]), len(stream)
    for run, _ in ways.values():
        run()  # traces the network, which is not counted
    taken = take_turns({way: partial(_seconds, run) for way, (run, _) in ways.items()}, rounds)
    return {way: ways[way][1] / statistics.median(seconds) for way, seconds in taken.items()}


def _features(trunk: "keras.Model", batches: "tf.data.Dataset") -> Callable[[], object]:
    import tensorflow as tf

    forward = tf.function(lambda batch: trunk(batch, training=False), reduce_retracing=True)
    return lambda: [forward(batch) for batch, _ in batches]


def _head(head: "keras.Model", width: int) -> Callable[[], object]:
    import numpy as np

    from components.train.features import CachedBatches, Features

    random = np.random.default_rng(1)
    values = random.normal(size=(1, _FEATURES, width)).astype(np.float32)
    targets = random.integers(_CLASSES, size=(_FEATURES, 1))
    batches = CachedBatches(Features(values, targets), (_CLASSES,), _BATCH, seed=1)
    _compile(head, Head(schedule="constant"))
    return partial(head.fit, batches, verbose=0, shuffle=False)


def _finetuning(
    trunk: "keras.Model", head: "keras.Model", way: str, batches: "tf.data.Dataset"
) -> Callable[[], object]:
    from components.networks.classifier import training_network
    from components.train.augment import changes

    phase = _unfreeze(trunk, way)
    network = training_network(trunk, head, changes(Augment(), 1))
    _compile(network, phase)
    return partial(network.fit, batches, verbose=0)


def _cached_tail(trunk: "keras.Model", head: "keras.Model", pictures: "Pictures") -> Callable[[], object]:
    import keras
    import numpy as np

    from components.networks.layers import divide
    from components.train.features import CachedBatches, Features

    phase = _unfreeze(trunk, "tail")
    divided = divide(trunk)
    if divided is None:
        raise ValueError(f"{trunk.name} has no frozen part below {phase.unfreeze_from}")
    frozen, trained = divided
    values = np.concatenate([frozen(batch) for batch, _ in pictures.batches(_BATCH)])[np.newaxis].astype(np.float16)
    batches = CachedBatches(Features(values, pictures.targets), (_CLASSES,), _BATCH, seed=1)
    network = keras.Model(trained.input, head(trained.output))
    _compile(network, phase)
    return partial(network.fit, batches, verbose=0, shuffle=False)


def _unfreeze(trunk: "keras.Model", way: str) -> Finetune:
    from components.networks.backbones import set_trainable_from

    phase = Finetune(unfreeze_from=_LOWEST[way], schedule="constant")
    set_trainable_from(trunk, trunk.name, phase.unfreeze_from)  # a pooled trunk has its backbone's name
    return phase


def _compile(network: "keras.Model", phase: Head | Finetune) -> None:
    import keras

    from components.train.optimizer import compile_network

    compile_network(network, Train(), phase, 1, keras.losses.CategoricalCrossentropy())


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def rows_of(network: str, size: int, rates: Mapping[str, float]) -> list[list[str]]:
    """The rows of the table for one network at one size, from what `rates_of` returns."""
    rows = []
    for way, rate in rates.items():
        has_input = way not in ("head", _CACHED, _INPUT)
        share, target = (percent(rate / rates[_INPUT]), _TARGET) if has_input else ("–", "")
        rows.append([network, f"{size}", way, f"{rate:,.0f}", ratio(rate, rates["full"]), share, target])
    return rows


def main() -> None:
    """Prints the table."""
    parser = parser_of(__doc__, rounds=3)
    add_data(parser)
    parser.add_argument("--backbones", nargs="+", choices=PROFILES, metavar="NAME")
    parser.add_argument("--sizes", type=int, nargs="+", help="sides of the input, pixels")
    parser.add_argument("--pictures", type=int, help="in each measurement")
    options = parser.parse_args()
    backbones = options.backbones or (_QUICK_BACKBONES if options.quick else _BACKBONES)
    sizes = options.sizes or (_QUICK_SIZES if options.quick else _SIZES)
    count = options.pictures or (_QUICK_PICTURES if options.quick else _PICTURES)
    rounds = options.rounds or (1 if options.quick else 3)
    rows = []
    with scratch() as folder:
        data = options.data or catalogues.drawn(folder / "drawn.zip", count + count // 10)
        examples, alone = folder / "examples", folder / "alone"
        apart(write_examples, data.absolute(), count, {examples: count, alone: _ALONE})
        for size in sizes:
            for backbone in backbones:
                say(f"{backbone} at {size} pixels")
                rates = apart(rates_of, backbone, size, examples, alone, rounds)
                rows += rows_of(backbone, size, rates)
    show(
        f"Training throughput: {said(rounds)}, {count} pictures, batches of {_BATCH}",
        ("network", "px", "way", "pictures/s", "to full", "input's share", "target"),
        rows,
    )


if __name__ == "__main__":
    main()
