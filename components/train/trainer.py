"""The Trainer's `run_fn`: carries artifacts to the training and back."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from pydantic import Field

from components.digest import code_digest
from components.features import IMAGE_BYTES
from components.infra.settings import Serving
from components.ingest.settings import Picture
from components.networks.settings import Model
from components.outside.settings import Decide
from components.outside.thresholds import DECIDE_FILE, read_decisions
from components.settings import OUTSIDE_SPLITS, Settings
from components.train.columns import check_values, shift_of, tags_of
from components.train.data import open_pictures
from components.train.fit import answers_of, fit
from components.train.job import Job
from components.train.settings import Column, Train
from components.train.strategy import make_strategy
from components.train.text import fit_words
from components.train.workers import is_chief
from components.tune.space import VALUES_FILE, Value, with_values
from serving.signatures import LABELS_FILE, Classifier


class TrainerConfig(Settings):
    """What the Trainer is given as `custom_config={"config": <JSON of this>}`."""

    picture: Picture
    model: Model
    train: Train
    decode_bytes: int = Serving().decode_bytes  # memory that the published model may take to decode one picture
    classes: tuple[str, ...]  # names, in the order of the labels
    column: str = ""  # what the classes are the values of, or their taxonomy
    columns: tuple[Column, ...] = ()  # what is answered besides, the finer of a hierarchy before the coarser
    work: str  # folder for unfinished work
    # Digest of the sources, so that an edit trains again.
    code: str = Field(default_factory=lambda: code_digest(__name__))
    outside: bool = False  # whether there are examples of no class
    decide: Decide = Decide()  # what the model's decisions must reach
    start: str = ""  # likewise of the file or folder that `model.weights` names; "" where it is none


def run_fn(fn_args: Any) -> None:
    """Trains on transformed examples and exports the SavedModel; called by TFX.

    Of several workers, each calling this with the same arguments, the chief exports. The `custom_config` holds a
    `TrainerConfig` as JSON; hyperparameters, if any, are what a search has found.
    """
    values: dict[str, Value] = (fn_args.hyperparameters or {}).get("values", {})
    config = with_values(TrainerConfig.model_validate_json(fn_args.custom_config["config"]), values)
    strategy = make_strategy(config.train.strategy)  # before any other use of TensorFlow
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    job = make_job(config, fn_args.train_files, fn_args.eval_files, strategy)
    network = fit(job)
    if not is_chief(strategy):
        return
    spec = transform.raw_feature_spec()
    spec.pop(IMAGE_BYTES)
    limits = config.picture.size, config.picture.max_pixels
    layer = transform.transform_features_layer()
    tags = tags_of(job.train_pictures, config.column, len(config.classes), config.columns)
    decisions, model_dir = read_decisions(job.work), fn_args.serving_model_dir
    words = fit_words(job, config.column, answers_of(network, job.eval_pictures)) if config.model.text else None
    model = Classifier(network, config.classes, *limits, layer, spec, config.decode_bytes, tags, decisions, words)
    model.save(model_dir)
    shutil.copy(job.work / DECIDE_FILE, Path(model_dir, LABELS_FILE).parent)
    history = Path(fn_args.model_run_dir)
    history.mkdir(parents=True, exist_ok=True)
    for file in (*job.work.glob("*.csv"), *job.work.glob("*.json")):
        shutil.copy(file, history / file.name)
    if values:
        (history / VALUES_FILE).write_text(json.dumps(values, indent=2), encoding="utf-8")
    shutil.rmtree(job.work)


def make_job(
    config: TrainerConfig, train_files: Sequence[str], eval_files: Sequence[str], strategy: tf.distribute.Strategy
) -> Job:
    """One training.

    Args:
        config: what to train.
        train_files: patterns of files with transformed examples; those of no class are told by the names of splits.
        eval_files: likewise.
        strategy: from `make_strategy`.
    """
    size, columns = config.picture.size, [column.name for column in config.columns]
    (train_inside, train_outside), (eval_inside, eval_outside) = map(_by_side, (train_files, eval_files))
    train = open_pictures(train_inside, balanced=True, size=size, columns=columns)
    held_out = open_pictures(eval_inside, balanced=False, size=size, columns=columns)
    sizes = [len(config.classes), *(len(column.classes) for column in config.columns)]
    for split, pictures in (("train", train), ("eval", held_out)):
        check_values(split, pictures)
    return Job(
        model=config.model, train=config.train, shift=shift_of(train, sizes, config.train.prior), train_pictures=train,
        eval_pictures=held_out, outside_train=open_pictures(train_outside, balanced=False, size=size) or None,
        outside_eval=open_pictures(eval_outside, balanced=False, size=size) or None, decide=config.decide,
        work=work_folder(config, [*train_files, *eval_files]), strategy=strategy, columns=config.columns,
    )  # fmt: skip


def _by_side(patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Patterns of files with products of the classes, and of those with products of none."""
    foreign = [any(f"Split-{split}/" in pattern for split in OUTSIDE_SPLITS) for pattern in patterns]
    sides = [[each for each, outside in zip(patterns, foreign, strict=True) if outside == side] for side in (0, 1)]
    return sides[0], sides[1]


def work_folder(config: TrainerConfig, files: Sequence[str]) -> Path:
    """Where a training keeps its unfinished work; of a search that found its settings, the features lie there."""
    return Path(config.work) / digest_of(config.model_dump_json(exclude={"work"}), data_digest(files))


def features_name(config: TrainerConfig, files: Sequence[str]) -> str:
    """The same name for all trainings with the same features of the frozen trunk, and only for them."""
    model, train = config.model, config.train
    told = {
        "model": model.model_dump(exclude={"dropout"}),
        "augment": train.augment.model_dump(exclude={"mixup"}),  # which is for fine-tuning only
        "views": train.head.views if train.head else 0,
        "picture": config.picture.model_dump(),
        "train": [train.seed, train.mixed_precision, config.code, config.start, train.kinds > 0],
    }
    return f"features-{digest_of(json.dumps(told), data_digest(files))}"


def data_digest(patterns: Sequence[str]) -> str:
    """Returns a digest of what files of examples hold: under the same paths there may be another catalogue's by now.

    Their order counts, as that of the examples does.
    """
    files = [file for pattern in patterns for file in sorted(tf.io.gfile.glob(pattern))]
    states = [tf.io.gfile.stat(file) for file in files]
    # Read once for a process: the trials of a search ask again and again.
    stamps = [(file, state.mtime_nsec, state.length) for file, state in zip(files, states, strict=True)]
    return _content_digest(tuple(stamps))


@cache
def _content_digest(stamps: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for file, *_ in stamps:
        with tf.io.gfile.GFile(file, "rb") as content:
            digest.update(hashlib.blake2b(content.read()).digest())
    return digest.hexdigest()


def digest_of(*texts: str) -> str:
    """Names a folder of unfinished work: the same for the same work, and only for it, so that a killed one goes on."""
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()
