"""The local server under what production brings: versions that come, go and break while clients ask, and nonsense.

The quick forms of both are in tests/serving/test_server_app.py.
"""

import logging
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
import urllib3
from click.testing import CliRunner
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2

from pipeline.commands.models import models
from tests import HOUSE
from tests.contract import noise
from tests.contract.asking import Grpc
from tests.contract.conftest import drawn
from tests.contract.endpoint import Endpoint, ServerProcess
from tests.contract.load import WAIT_SECONDS, Load, publish, under_load, write_version

pytestmark = pytest.mark.slow

LOAD_SECONDS = 60
FUZZERS, WARM, REQUESTS = 4, 2000, 12_000
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
PREDICT = "/tensorflow.serving.PredictionService/Predict"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished versions 1 to 5."""
    folder = tmp_path_factory.mktemp("made")
    for version in range(1, 6):
        write_version(folder, version)
    return folder


@pytest.fixture(params=[["--no-batching"], []], ids=["alone", "batched"])
def server(request: pytest.FixtureRequest, tmp_path: Path, made: Path) -> Iterator[tuple[ServerProcess, Path]]:
    """A server of version 1, and the folder of its versions."""
    base = tmp_path / "serving" / "tiny"
    base.mkdir(parents=True)
    publish(base, made / "1")
    process = ServerProcess("--model-base", base.parent, "--poll-seconds", "0.2", *request.param)
    yield process, base
    assert process.end() == 0, process.log()


def corrupt(base: Path, made: Path, version: int) -> None:
    broken = Path(shutil.copytree(made / "1", base / f".staging-{version}"))
    weights = broken / "variables" / "variables.data-00000-of-00001"
    os.truncate(weights, weights.stat().st_size // 2)
    broken.rename(base / str(version))


def half_copied(base: Path, made: Path, version: int) -> None:
    """File by file into place, and not to the end."""
    (base / str(version) / "variables").mkdir(parents=True)
    shutil.copyfile(made / str(version) / "saved_model.pb", base / str(version) / "saved_model.pb")


def changes(base: Path, made: Path, calls: Grpc, load: Load) -> None:
    """What operators and accidents do to a serving folder, each waited for until it shows or could have shown."""

    def refused(version: int) -> Callable[[], bool]:
        return lambda: calls.statuses().get(version) == "END"

    publish(base, made / "2")
    load.until_answered_by(2)
    shutil.rmtree(base / "2")  # rolled back by removing it
    load.until_answered_by(1)
    corrupt(base, made, 3)
    until(refused(3))
    half_copied(base, made, 4)
    until(refused(4))
    load.until_answered_by(1)
    publish(base, made / "5")
    load.until_answered_by(5)
    shutil.rmtree(base / "3")
    shutil.rmtree(base / "4")
    (base / "5").rename(base / ".vanished")
    load.until_answered_by(1)
    (base / "1").rename(base / ".vanished-too")  # the last one: it goes on from memory
    time.sleep(1)
    load.until_answered_by(1)
    (base / ".vanished-too").rename(base / "1")
    shutil.rmtree(base / ".vanished")


def until(done: Callable[[], bool]) -> None:
    ends = time.monotonic() + WAIT_SECONDS
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_no_request_fails_whatever_happens_to_the_versions(server: tuple[ServerProcess, Path], made: Path) -> None:
    process, base = server
    endpoint, began, rounds = Endpoint(process.rest, process.grpc, "tiny"), time.monotonic(), 0
    calls = Grpc(endpoint)
    with under_load(endpoint, [drawn(number) for number in range(5)]) as load:
        while time.monotonic() < began + LOAD_SECONDS:
            changes(base, made, calls, load)
            rounds += 1
        assert not load.done.is_set()
    assert set(load.answers) == {"version1", "version2", "version5"}
    logging.info("%d rounds, %s, the slowest answer in %.2f s", rounds, dict(load.answers), load.slowest)


def test_no_request_fails_while_versions_are_promoted_and_rolled_back(tmp_path: Path, made: Path) -> None:
    folder = tmp_path / "serving"
    (folder / "tiny").mkdir(parents=True)
    publish(folder / "tiny", made / "1")

    def operate(*arguments: str) -> None:
        done = CliRunner().invoke(models, [*arguments, "--serving", str(folder)], catch_exceptions=False)
        assert done.exit_code == 0, done.output

    operate("promote", "tiny", "1")
    process = ServerProcess("--model-config", folder / "models.config", "--poll-seconds", "0.2")
    with under_load(Endpoint(process.rest, process.grpc, "tiny"), [drawn(1)]) as load:
        publish(folder / "tiny", made / "2")
        time.sleep(1)
        load.until_answered_by(1)
        assert set(load.answers) == {"version1"}  # the new one waits for its label
        for _ in range(3):
            operate("promote", "tiny", "2", "--server", process.rest)
            load.until_answered_by(2)
            operate("rollback", "tiny")
            load.until_answered_by(1)
    assert process.end() == 0
    assert "not taken over" not in process.log()


def test_docs_say_how_to_ask(tmp_path: Path) -> None:
    text = (HOUSE / "docs" / "serving.md").read_text().partition("### Open Inference")[0]
    curl = "".join(line for line in text.splitlines(True) if line.startswith(("    echo", "      curl")))
    over_client, _, over_grpc = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for name in ("shoe.jpg", "ring.png"):
        (tmp_path / name).write_bytes(drawn(1))
    write_version(tmp_path / "serving" / "quickstart", 1)
    try:
        process = ServerProcess("--model-base", tmp_path / "serving", ports=(8501, 8500))
    except AssertionError as taken:
        pytest.skip(str(taken))
    environment = {**os.environ, "PYTHONPATH": str(HOUSE / "serving"), "CUDA_VISIBLE_DEVICES": "-1"}
    for command in (["bash", "-c", curl], *([sys.executable, "-c", code] for code in (over_client, over_grpc))):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "version1" in done.stdout
    assert process.end() == 0


class Fuzzer:
    """Sends nonsense over both protocols, and counts what it is answered."""

    def __init__(self, endpoint: Endpoint, seed: int) -> None:
        self._random, self._picture = random.Random(seed), drawn(seed)
        self._endpoint, self.answers = endpoint, Counter[str]()
        self._http = urllib3.PoolManager(retries=False, timeout=WAIT_SECONDS)
        self._predict = grpc.insecure_channel(endpoint.grpc).unary_unary(PREDICT, request_serializer=bytes)

    def send(self, number: int) -> None:
        for turn in range(number):
            answered = (self._over_rest, self._over_grpc)[turn % 2]()
            if turn % 200 == 0:
                self._no_http()
            self.answers[answered] += 1

    def _over_rest(self) -> str:
        body, path = noise.body(self._random, self._picture), noise.path(self._random, self._endpoint.model)
        answer = self._http.request("POST", self._endpoint.rest + path, body=body)
        expected = {"predictions", "outputs"} if answer.status == 200 else {"error"}
        assert answer.status in (200, 400, 404, 501), (answer.status, answer.data, path, body)
        assert set(answer.json()) <= expected, answer.data
        return f"REST {answer.status}"

    def _over_grpc(self) -> str:
        message = noise.message(self._random, self._picture, self._endpoint.model)
        try:
            self._predict(message, timeout=WAIT_SECONDS)
        except grpc.RpcError as error:
            if error.code().name not in (REFUSALS if readable(message) else {"INTERNAL"}):
                raise AssertionError(f"{error.code()}: {error.details()}, asked with {message!r}") from error
            return f"gRPC {error.code().name}"
        return "gRPC OK"

    def _no_http(self) -> None:
        """Bytes that are no HTTP at all: the connection ends, with or without a word."""
        host, port = self._endpoint.rest.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), WAIT_SECONDS) as connection, suppress(ConnectionError):
            connection.sendall(self._random.randbytes(200) + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass


def readable(message: bytes) -> bool:
    try:
        predict_pb2.PredictRequest.FromString(message)
    except DecodeError:
        return False
    return True


def test_nonsense_is_refused_and_leaves_the_server_alive_and_no_larger(server: tuple[ServerProcess, Path]) -> None:
    process, _ = server
    endpoint = Endpoint(process.rest, process.grpc, "tiny")
    fuzzers = [Fuzzer(endpoint, seed) for seed in range(FUZZERS)]
    with ThreadPoolExecutor(FUZZERS) as pool:
        list(pool.map(lambda fuzzer: fuzzer.send(WARM // FUZZERS), fuzzers))
        warm = process.memory()
        list(pool.map(lambda fuzzer: fuzzer.send((REQUESTS - WARM) // FUZZERS), fuzzers))
    answers = sum((fuzzer.answers for fuzzer in fuzzers), Counter[str]())
    assert answers.total() == REQUESTS
    assert {"REST 200", "REST 400", "REST 404", "gRPC OK", "gRPC INVALID_ARGUMENT"} <= set(answers)
    assert process.memory() < 1.1 * warm
    assert Grpc(endpoint).predict({"image_bytes": [drawn(1)]})["error"].tolist() == [""]
    assert "Traceback" not in process.log()
    logging.info("%s, memory %.0f MB, then %.0f MB", dict(answers), warm / 1e6, process.memory() / 1e6)
