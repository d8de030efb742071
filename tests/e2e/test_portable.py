"""The data stages on Beam's portable contract: a job service and workers, each a process of its own.

Flink, Spark and Dataflow take pipelines by the same contract: all that a step needs has to travel, or be in the image.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from pipeline.synthetic import write_catalogue
from tests import HOUSE
from tests.conftest import Ended, Place

pytestmark = pytest.mark.slow

SECONDS = 120


@dataclass(frozen=True)
class Both:
    """Two runs on one catalogue, up to Transform.

    Attributes:
        local: artifacts of the run in one process.
        portable: artifacts of the run whose work was done elsewhere.
        said: what the second run said.
        workers: log of the workers.
    """

    local: Path
    portable: Path
    said: Ended
    workers: str


@contextmanager
def service(module: str, *args: str, log: Path) -> Iterator[None]:
    """A module of Beam's as a process, ended together with those that it has started."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # workers are started as `python`
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(HOUSE)}
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *args], env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def await_port(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"nobody listens at port {port}")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("portable")
    write_catalogue(folder / "catalogue", products=300, seed=3)
    limits = "validation={class_minimum: 1, quarantine: 0.1, class_quarantine: 0.5}"
    given = ("run", "--data", folder / "catalogue", "--to", "transform", "--set", limits)
    local, elsewhere = Place(folder / "local"), Place(folder / "elsewhere")
    assert local.fashion(*given).code == 0
    jobs, workers = free_port(), free_port()
    options = {
        "job_endpoint": f"localhost:{jobs}",
        "environment_type": "EXTERNAL",
        "environment_config": f"localhost:{workers}",
    }
    with (
        service(
            "apache_beam.runners.portability.local_job_service_main", "--job_port", str(jobs), log=folder / "jobs.log"
        ),
        service(
            "apache_beam.runners.worker.worker_pool_main", "--service_port", str(workers), log=folder / "workers.log"
        ),
    ):
        await_port(jobs)
        await_port(workers)
        said = elsewhere.fashion(*given, "--set", f"beam={{runner: portable, options: {options}}}")
    log = (folder / "workers.log").read_text(errors="replace")
    return Both(local.work / "runs" / "artifacts", elsewhere.work / "runs" / "artifacts", said, log)


def files(artifacts: Path, pattern: str) -> dict[str, bytes]:
    """Files by their paths below a stage's outputs."""
    found = {str(file.relative_to(artifacts)): file for file in artifacts.glob(pattern) if file.is_file()}
    assert found
    return {name: file.read_bytes() for name, file in found.items()}


def examples(artifacts: Path, split: str) -> list[bytes]:
    """The examples that Transform wrote, in a form that equal ones share: the order of features is nobody's promise."""
    shards = sorted(map(str, artifacts.glob(f"transform/transformed_examples/*/Split-{split}/*.gz")))
    records = tf.data.TFRecordDataset(shards, compression_type="GZIP")
    read = (tf.train.Example.FromString(record.numpy()) for record in records)
    return sorted(example.SerializeToString(deterministic=True) for example in read)


def graph(artifacts: Path) -> bytes:
    """Transform's graph without the numbers that a process gives to functions as it traces them, and orders them by."""
    [file] = artifacts.glob("transform/transform_graph/*/transform_fn/saved_model.pb")
    text = str(SavedModel.FromString(file.read_bytes()))
    model = text_format.Parse(re.sub(r'("__inference_\w+)_\d+"', r'\1"', text), SavedModel())
    for part in model.meta_graphs:
        part.graph_def.library.function.sort(key=lambda function: function.signature.name)
    return model.SerializeToString(deterministic=True)


def test_the_work_is_done_by_the_workers(both: Both) -> None:
    assert (both.said.code, both.said.err) == (0, "")
    assert both.workers.count("Starting worker with command") >= 3


@pytest.mark.parametrize(
    "outputs",
    [
        "ingest/examples/*/Split-*/*",
        "ingest/quarantine/*/*",
        "statistics/statistics/*/Split-*/*",
        "validate/anomalies/*/Split-*/*",
        "transform/transform_graph/*/transform_fn/assets/*",
        "transform/transform_graph/*/transform_fn/variables/*",
        "transform/transform_graph/*/metadata/*",
    ],
)
def test_files_are_the_same_byte_for_byte(both: Both, outputs: str) -> None:
    assert files(both.portable, outputs) == files(both.local, outputs)


def test_transform_has_the_same_graph(both: Both) -> None:
    assert graph(both.portable) == graph(both.local)


@pytest.mark.parametrize("split", ["train", "eval"])
def test_transform_writes_the_same_examples(both: Both, split: str) -> None:
    local = examples(both.local, split)
    assert local
    assert examples(both.portable, split) == local
