"""Training as a whole: it learns, only improves, goes on after a kill, and does so on one device or many."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import RecipeError
from components.progress import Progress, listen
from components.settings import Augment, Finetune, Head, Model, Picture, Train
from components.train import backbones, strategy
from components.train.callbacks import saved_loss
from components.train.data import Pictures, open_pictures
from components.train.fit import Job, fit
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


@pytest.fixture(autouse=True, scope="module")
def small_backbone():
    real = backbones.BACKBONES["efficientnet_lite0"]
    put_small_trunk()
    yield
    backbones.BACKBONES["efficientnet_lite0"] = real


def write_examples(file: Path, labels: Sequence[int], repeats: Sequence[int], seed: int) -> None:
    """Writes examples as Transform does; the picture's strongest colour tells its label, most of the time."""
    random = np.random.default_rng(seed)
    with tf.io.TFRecordWriter(str(file), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for label, repeat in zip(labels, repeats, strict=True):
            picture = random.integers(0, 160, (SIZE, SIZE, 3))
            picture[..., label] += random.integers(40, 95)
            features = {
                "image_bytes": bytes_feature(tf.io.encode_png(picture.astype(np.uint8)).numpy()),
                "label": int_feature(label),
                "repeat": int_feature(repeat),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def int_feature(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_examples(folder / "train-0.gz", [0, 1, 2] * 8, [1] * 24, seed=0)
    write_examples(folder / "train-1.gz", [0, 1, 2] * 8, [1] * 24, seed=1)
    write_examples(folder / "eval-0.gz", [0, 1, 2] * 10, [1] * 30, seed=2)
    return folder


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


def child(folder: Path, script: str, **environment: str) -> subprocess.Popen[str]:
    code = (
        f"from pathlib import Path\nfrom tests.train import test_train as t\nfolder = Path({str(folder)!r})\n{script}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=HOUSE,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", **environment},
    )


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory) -> tuple[Job, keras.Model]:
    job = job_of(data, tmp_path_factory.mktemp("fitted"))
    return job, fit(job)


@pytest.mark.slow
def test_training_learns_and_writes_its_history(fitted):
    job, network = fitted
    right = (answers(network, job.eval_pictures).argmax(1) == job.eval_pictures.labels).mean()
    assert right > 0.7
    for stage, epochs in (("head", 8), ("finetune", 3)):
        rows = history(job.work, stage)
        assert [int(row["epoch"]) for row in rows] == list(range(epochs))
        assert set(rows[0]) == {"epoch", "accuracy", "loss", "val_accuracy", "val_loss", "learning_rate", "seconds"}


@pytest.mark.slow
def test_returned_network_has_the_best_loss_of_all_epochs(fitted):
    job, network = fitted
    losses = [float(row["val_loss"]) for stage in ("head", "finetune") for row in history(job.work, stage)]
    assert loss_of(network, job.eval_pictures) == pytest.approx(min(losses), abs=1e-4)


@pytest.mark.slow
def test_calibration_lowers_the_loss_on_eval_and_changes_no_answer(fitted):
    job, network = fitted
    calibrated = fit(replace(job, train=job.train.model_copy(update={"calibrate": True})))
    before, after = (answers(each, job.eval_pictures) for each in (network, calibrated))
    assert (before.argmax(1) == after.argmax(1)).all()
    assert loss_of(calibrated, job.eval_pictures) < loss_of(network, job.eval_pictures) - 1e-3


@pytest.mark.slow
def test_same_seed_gives_the_same_network(fitted, data, tmp_path):
    job, network = fitted
    again = fit(job_of(data, tmp_path))
    assert np.allclose(answers(network, job.eval_pictures), answers(again, job.eval_pictures), atol=1e-3)


@pytest.mark.slow
def test_fine_tuning_changes_what_it_may_and_nothing_else(data, tmp_path):
    stage = Finetune(epochs=2, learning_rate=1e-2, unfreeze_from="block7")
    job = job_of(data, tmp_path, TRAIN.model_copy(update={"finetune": None}))
    before = trunk_weights(fit(job))
    (tmp_path / "head.npz").unlink()
    after = trunk_weights(fit(job_of(data, tmp_path, TRAIN.model_copy(update={"finetune": stage}))))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert history(tmp_path, "finetune")
    assert changed == {"block7_conv/kernel"}


def trunk_weights(network: keras.Model) -> dict[str, np.ndarray]:
    trunk = next(layer for layer in network.layers if layer.name not in ("pictures", "head"))
    return {weight.path: weight.numpy() for weight in trunk.weights}


@pytest.mark.slow
def test_fine_tuning_that_spoils_the_network_leaves_the_head_stage_result(data, tmp_path):
    absurd = Finetune(epochs=2, learning_rate=1.0, unfreeze_from="stem", schedule="constant")
    job = job_of(data, tmp_path, TRAIN.model_copy(update={"finetune": absurd, "ema": 0.0}))
    network = fit(job)
    head_loss = min(float(row["val_loss"]) for row in history(tmp_path, "head"))
    assert all(float(row["val_loss"]) > head_loss for row in history(tmp_path, "finetune"))
    assert loss_of(network, job.eval_pictures) == pytest.approx(head_loss, abs=1e-4)


@pytest.mark.slow
def test_mixed_precision_gives_a_float32_network_of_the_same_quality(data, tmp_path, monkeypatch):
    monkeypatch.setattr(strategy, "_policy", lambda setting: "mixed_float16")
    job = job_of(data, tmp_path)
    network = fit(job)
    assert {weight.dtype for weight in network.weights} <= {"float32", "uint32"}
    assert {output.dtype for output in network(np.zeros((1, SIZE, SIZE, 3)))} == {tf.float32}
    assert keras.config.dtype_policy().name == "float32"
    assert (answers(network, job.eval_pictures).argmax(1) == job.eval_pictures.labels).mean() > 0.7


LONG = TRAIN.model_copy(update={"finetune": Finetune(epochs=5, learning_rate=1e-3, patience=5)})
STEPS = 6  # batches in an epoch


def train_until(folder: Path, part: str, done: int, saves: int = 0) -> None:
    """Trains, and kills itself at a report, or after it when a number of files were written but not yet in place."""
    reached, left = False, saves
    replace = Path.replace

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def heard(progress: Progress) -> None:
        nonlocal reached
        reached = reached or (progress.part, progress.done) == (part, done)
        if reached and not saves:
            kill()

    def counted(path: Path, target: Path) -> Path:
        nonlocal left
        left -= reached
        if saves and not left:
            kill()
        return replace(path, target)

    Path.replace = counted  # type: ignore[method-assign]
    put_small_trunk()
    with listen(heard):
        fit(job_of(folder, folder / "work", LONG))


def killed(folder: Path, *arguments: object) -> None:
    process = child(folder, f"t.train_until(folder, *{arguments!r})")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors


def resumed(folder: Path) -> list[Progress]:
    """Trains to the end in this process; what it reported."""
    seen: list[Progress] = []
    with listen(seen.append):
        fit(job_of(folder, folder / "work", LONG))
    return seen


@pytest.fixture
def own_data(data, tmp_path) -> Path:
    for file in data.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.slow
def test_training_killed_in_each_stage_goes_on_from_there_and_ends_as_well(own_data):
    work = own_data / "work"
    killed(own_data, "features eval", 30)
    assert names(work) == {"features-train.npy", "features-eval.partial"}
    computed = (work / "features-train.npy").stat().st_mtime_ns
    killed(own_data, "head", 2 * STEPS + 1)
    assert names(work) == {"features-train.npy", "features-eval.npy", "head.csv", "head-best.npz"}
    killed(own_data, "finetune", 3 * STEPS, 1)
    assert (work / "features-train.npy").stat().st_mtime_ns == computed
    assert [int(row["epoch"]) for row in history(work, "head")] == list(range(8))
    assert [int(row["epoch"]) for row in history(work, "finetune")] == [0, 1]
    assert names(work / "backup") == {"2.weights.h5", "partial.weights.h5"}

    seen = resumed(own_data)
    assert {progress.part for progress in seen} == {"finetune"}
    assert seen[0].done == 2 * STEPS + 1
    assert seen[0].note.startswith("epoch 3/5 · ")
    assert [int(row["epoch"]) for row in history(work, "finetune")] == list(range(5))
    losses = [float(row["val_loss"]) for stage in ("head", "finetune") for row in history(work, stage)]
    assert saved_loss(work / "finetune.npz") == pytest.approx(min(losses), abs=1e-6)
    assert resumed(own_data) == []


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "environment", "words"),
    [
        ("multi_worker", {}, "TF_CONFIG, which is not set"),
        ("multi_worker", {"TF_CONFIG": "{"}, "is no JSON object"),
        ("auto", {"TF_CONFIG": "7"}, "is no JSON object"),
        ("auto", {"TF_CONFIG": '{"cluster": {"worker": ["localhost:1"]}}'}, "this process's task"),
        ("tpu", {}, "no TPU was found"),
        ("tpu", {"TPU_NAME": "nowhere"}, "no TPU was found"),
        ("auto", {"TPU_NAME": "nowhere"}, "no TPU was found"),
    ],
)
def test_strategy_that_is_not_there_is_said_at_once(name, environment, words, monkeypatch):
    for variable in ("TF_CONFIG", "TPU_NAME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(RecipeError, match=words) as caught:
        make_strategy(name)
    assert "\n" not in str(caught.value)


def test_bare_machine_trains_on_the_default_device(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    assert make_strategy("auto") is tf.distribute.get_strategy()


def test_workers_that_join_too_late_are_told_so(monkeypatch):
    tf.constant(1) + 1
    cluster = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(RecipeError, match="first use of TensorFlow"):
        make_strategy("multi_worker")


# Without chance, but for the order of the pictures.
BRIEF = TRAIN.model_copy(
    update={
        "augment": PLAIN,
        "head": TRAIN.head.model_copy(update={"epochs": 3}),
        "finetune": Finetune(epochs=1, learning_rate=3e-3),
    }
)


def train_and_tell(data: Path, work: Path, name: str) -> None:
    """Trains with a strategy and prints the figures of the network."""
    put_small_trunk()
    job = job_of(data, work, BRIEF.model_copy(update={"strategy": name}), dropout=0.0)
    written: set[str] = set()
    sys.addaudithook(lambda event, details: note_writing(work, event, details, written))
    network = fit(job)
    files = sorted(written)
    if name == "mirrored":
        tf.saved_model.save(network, str(data / "export"))
    figures = {"loss": loss_of(network, job.eval_pictures), "replicas": job.strategy.num_replicas_in_sync}
    sys.stdout.write(json.dumps({"written": files, **figures}) + "\n")


def note_writing(folder: Path, event: str, details: tuple[Any, ...], written: set[str]) -> None:
    changes = event == "os.rename" or (event == "open" and details[1] in ("w", "wb", "w+b", "a", "x"))
    if changes and str(details[0]).startswith(str(folder)):
        written.add(Path(details[0]).name)


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


MIRRORED = """
import tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
t.train_and_tell(folder, folder / "mirrored", "mirrored")
"""


@pytest.mark.slow
def test_two_devices_or_two_workers_train_as_well_as_one(own_data):
    mirrored = child(own_data, MIRRORED)
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    cluster = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    script = 't.train_and_tell(folder, folder / "workers", "auto")'
    workers = [child(own_data, script, TF_CONFIG=json.dumps(task)) for task in cluster]
    try:
        job = job_of(own_data, own_data / "alone", BRIEF, dropout=0.0)
        alone = loss_of(fit(job), job.eval_pictures)
        results = [told(process) for process in (mirrored, *workers)]
    finally:
        for process in (mirrored, *workers):
            process.kill()  # a worker waits for one that has failed
    assert [result["replicas"] for result in results] == [2, 2, 2]
    assert [bool(result["written"]) for result in results] == [True, True, False]
    losses = [result["loss"] for result in results]
    assert losses == pytest.approx([alone] * 3, abs=0.1)
    assert losses[1:] == pytest.approx([losses[0]] * 2, abs=1e-3)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.slow
def test_trainer_exports_the_model_and_its_history_and_leaves_no_work_behind(data, tmp_path):
    from tfx.components.trainer.fn_args_utils import FnArgs

    from components.train.trainer import TrainerConfig, run_fn
    from tests.serving.test_signatures import transform_graph

    config = TrainerConfig(
        picture=Picture(size=SIZE),
        model=Model(backbone="efficientnet_lite0", weights="none"),
        train=TRAIN.model_copy(update={"prior": 0.5}),
        classes=("topwear", "shoes", "underwear"),
        work=str(tmp_path / "work"),
        code="0",
    )
    run_fn(
        FnArgs(
            train_files=[f"{data}/train*"],
            eval_files=[f"{data}/eval*"],
            transform_graph_path=str(transform_graph(tmp_path)),
            serving_model_dir=str(tmp_path / "model" / "Format-Serving"),
            model_run_dir=str(tmp_path / "run"),
            custom_config={"config": config.model_dump_json()},
        )
    )
    exported = tf.saved_model.load(str(tmp_path / "model" / "Format-Serving"))
    answer = exported.signatures["serving_default"](image_bytes=tf.constant([b"no picture"]))
    assert answer["probabilities"].shape == (1, CLASSES)
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["finetune.csv", "head.csv"]
    assert list((tmp_path / "work").iterdir()) == []
