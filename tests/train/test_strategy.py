"""Training on one device or many, in one process or many."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from components.errors import RecipeError
from components.train.fit import fit
from components.train.settings import Finetune
from components.train.strategy import make_strategy
from tests.train.small import PLAIN, TRAIN, child, job_of, loss_of, put_small_trunk

pytestmark = pytest.mark.usefixtures("small_backbone")


@pytest.mark.parametrize(
    ("name", "environment", "words"),
    [
        ("multi_worker", {}, "TF_CONFIG, which is not set"),
        ("multi_worker", {"TF_CONFIG": "{"}, "is not a JSON object"),
        ("auto", {"TF_CONFIG": "7"}, "is not a JSON object"),
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
from tests.train.test_strategy import train_and_tell
import tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
train_and_tell(folder, folder / "mirrored", "mirrored")
"""


@pytest.mark.slow
def test_two_devices_or_two_workers_train_as_well_as_one(own_data):
    mirrored = child(own_data, MIRRORED)
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    cluster = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}} for index in (0, 1)]
    script = 'from tests.train.test_strategy import train_and_tell; train_and_tell(folder, folder / "workers", "auto")'
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
