"""The Trainer's `run_fn`: carries artifacts to the training and back."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow_transform as tft

from components.features import IMAGE_BYTES
from components.settings import Model, Picture, Settings, Train
from components.train.data import open_pictures
from components.train.fit import Job, fit
from components.train.network import prior_shift
from components.train.strategy import make_strategy
from components.train.workers import is_chief
from serving.signatures import Classifier


class TrainerConfig(Settings):
    """What the Trainer is given as `custom_config={"config": <JSON of this>}`.

    Attributes:
        classes: names, in the order of the labels.
        work: folder for unfinished work.
        code: digest of the sources, so that an edit trains again.
    """

    picture: Picture
    model: Model
    train: Train
    classes: tuple[str, ...]
    work: str
    code: str


def run_fn(fn_args: Any) -> None:
    """Trains on transformed examples and exports the SavedModel; called by TFX.

    Of several workers, each calling this with the same arguments, the chief exports.

    Args:
        fn_args: tfx.components.FnArgs; its custom_config holds a `TrainerConfig` as JSON.
    """
    config = TrainerConfig.model_validate_json(fn_args.custom_config["config"])
    strategy = make_strategy(config.train.strategy)  # before any other use of TensorFlow
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    size, max_pixels = config.picture.size, config.picture.max_pixels
    work = _work_folder(config, [*fn_args.train_files, *fn_args.eval_files])
    train = open_pictures(fn_args.train_files, balanced=True, size=size)
    natural = open_pictures(fn_args.train_files, balanced=False, size=size).labels
    network = fit(
        Job(
            model=config.model,
            train=config.train,
            shift=prior_shift(train.labels, natural, len(config.classes), config.train.prior),
            train_pictures=train,
            eval_pictures=open_pictures(fn_args.eval_files, balanced=False, size=size),
            work=work,
            strategy=strategy,
        )
    )
    if not is_chief(strategy):
        return
    spec = transform.raw_feature_spec()
    spec.pop(IMAGE_BYTES)
    Classifier(network, config.classes, size, max_pixels, transform.transform_features_layer(), spec).save(
        fn_args.serving_model_dir
    )
    history = Path(fn_args.model_run_dir)
    history.mkdir(parents=True, exist_ok=True)
    for file in work.glob("*.csv"):
        shutil.copy(file, history / file.name)
    shutil.rmtree(work)


def _work_folder(config: TrainerConfig, files: Sequence[str]) -> Path:
    """The same folder for the same training, and only for it: a killed one goes on from there."""
    digest = hashlib.blake2b("\0".join([config.model_dump_json(), *files]).encode(), digest_size=8)
    return Path(config.work) / digest.hexdigest()
