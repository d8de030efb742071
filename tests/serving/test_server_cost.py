"""What hostile requests cost the server at its default limits: others are answered meanwhile, and memory stays."""

import gzip
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import pytest
import tensorflow as tf
import urllib3
from tensorflow_serving.apis import predict_pb2

from tests.contract.asking import Grpc, Rest, b64
from tests.contract.conftest import drawn
from tests.contract.endpoint import Endpoint, ServerProcess
from tests.serving.serving_model import write_model

pytestmark = pytest.mark.slow

MEGABYTE = 2**20
PICTURE = drawn(1)
WAIT = 60
# Measured at most, on two cores that a dozen processes wanted: 0.9 s (0.07 s with four), 280 MB and 72 MB.
LONGEST = 2.0  # seconds until /healthz is answered
GROWTH, KEPT = 600 * MEGABYTE, 150 * MEGABYTE  # at the height, and soon after


@pytest.fixture(scope="module")
def process(tmp_path_factory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny" / "1")
    write_model(folder / "wide" / "1", [f"class{number}" for number in range(1000)])
    server = ServerProcess("--model-base", folder)
    for model in ("tiny", "wide"):
        Rest(Endpoint(server.rest, server.grpc, model)).post({"instances": [b64(PICTURE)]})
    yield server
    assert server.end() == 0, server.log()


@contextmanager
def bystanders(process: ServerProcess) -> Iterator[None]:
    """Clients that ask for little meanwhile, and have to be answered soon, in a server that stays small."""
    done, waits, statuses = threading.Event(), {"health": 0.0, "answer": 0.0}, set()
    body = json.dumps({"instances": [b64(PICTURE)]}).encode()

    def ask(name: str, method: str, path: str, body: bytes | None, pause: float) -> None:
        pool = urllib3.PoolManager(timeout=WAIT, retries=False)
        while not done.wait(pause):
            began = time.monotonic()
            statuses.add(pool.request(method, process.rest + path, body=body).status)
            waits[name] = max(waits[name], time.monotonic() - began)

    process.forget_peak()
    before = process.memory()
    with ThreadPoolExecutor(2) as pool:
        health = pool.submit(ask, "health", "GET", "/healthz", None, 0.01)
        answer = pool.submit(ask, "answer", "POST", "/v1/models/tiny:predict", body, 0.1)
        time.sleep(0.2)
        try:
            yield
        finally:
            time.sleep(0.2)
            done.set()
        health.result(WAIT), answer.result(WAIT)
    assert statuses == {200}
    assert waits["health"] < LONGEST
    assert process.memory("VmHWM") - before < GROWTH
    until = time.monotonic() + 10
    while process.memory() - before > KEPT and time.monotonic() < until:
        time.sleep(0.1)  # what is free is given back a second later
    assert process.memory() - before < KEPT


def varint(number: int) -> bytes:
    return (bytes([number & 127 | 128]) + varint(number >> 7)) if number > 127 else bytes([number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def call(tensor: bytes) -> bytes:
    """A PredictRequest with this tensor, whatever it is."""
    head = predict_pb2.PredictRequest()
    head.model_spec.name = "tiny"
    return head.SerializeToString() + field(2, field(1, b"image_bytes") + field(2, tensor))


def tensor_of(shape: list[int]) -> bytes:
    tensor = tf.make_tensor_proto([b""])
    tensor.tensor_shape.ClearField("dim")
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return bytes(tensor.SerializeToString())


STRING = b"\x08\x07"  # the type
SMALL = {
    "one value for 8,000,000 rows": call(tensor_of([8_000_000])),
    "one value for 8,000,000 in a row": call(tensor_of([1, 8_000_000])),
    "one value for 2,000,000 in a row": call(tensor_of([1, 2_000_000])),
}
LARGE = {
    "30,000,000 empty strings": call(STRING + field(8, b"") * (30 * MEGABYTE)),
    "30,000,000 dimensions": call(STRING + field(2, field(2, b"") * (30 * MEGABYTE))),
    "60,000,000 flags": call(b"\x08\x0a" + field(11, bytes(60 * MEGABYTE))),
    "30,000,000 outputs": call(STRING) + field(3, b"") * (30 * MEGABYTE),
}


def refuse(process: ServerProcess, data: bytes, times: int) -> None:
    with grpc.insecure_channel(process.grpc) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict", request_serializer=bytes)
        for _ in range(times):
            with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
                predict(data, timeout=WAIT)


@pytest.mark.parametrize("data", SMALL.values(), ids=SMALL)
def test_few_bytes_that_claim_millions_of_values_cost_nothing(process, data):
    assert len(data) < 60
    before = process.processor_seconds()
    with bystanders(process):
        refuse(process, data, 10)
    assert process.processor_seconds() - before < 1.5  # it was 0.3 at most


@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE)
def test_call_of_too_many_values_is_refused_before_it_costs(process, data):
    with bystanders(process):
        refuse(process, data, 3)


BODIES = {
    "empty strings": b'"",' * (20 * MEGABYTE),
    "empty pictures": b'{"b64":""},' * (5 * MEGABYTE),
    "empty lists": b"[]," * (20 * MEGABYTE),
    "numbers": b"0.125," * (10 * MEGABYTE),
    "as many numbers as may be": b"0.125," * (2 * MEGABYTE - 10),
    "one picture": b'{"b64":"' + b"A" * (60 * MEGABYTE) + b'"},',
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("rows", BODIES.values(), ids=BODIES)
def test_body_of_too_many_values_is_refused_before_it_costs(process, rows, packed):
    body = b'{"instances":[' + rows[:-1] + b"]}"
    headers = {"Content-Encoding": "gzip"} if packed else {}
    rest = Rest(Endpoint(process.rest, process.grpc, "tiny"))
    body = gzip.compress(body, 1) if packed else body
    with bystanders(process):
        for _ in range(2):
            assert rest.send("POST", rest.path(end=":predict"), body, **headers)[0] == 400


def test_large_answer_keeps_nobody_waiting(process):
    rest = Rest(Endpoint(process.rest, process.grpc, "wide"))
    body = json.dumps({"instances": [b64(PICTURE)] * 1000}).encode()
    with bystanders(process):
        status, answer = rest.send("POST", rest.path(end=":predict"), body, **{"Accept-Encoding": "gzip"})
        assert (status, len(answer["predictions"])) == (200, 1000)
        assert len(Grpc(Endpoint(process.rest, process.grpc, "wide")).predict({"image_bytes": [PICTURE] * 1000})) == 6


def test_what_waits_is_bounded_and_small_requests_find_room(process):
    """Eight clients of 60 MB each that come to the last byte but one."""
    half = b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (60 * MEGABYTE)
    with bystanders(process), ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        address = ("127.0.0.1", process.ports[0])
        clients = [stack.enter_context(socket.create_connection(address, WAIT)) for _ in range(8)]
        list(pool.map(lambda client: client.sendall(half + bytes(60 * MEGABYTE - 1)), clients))
        for client in clients:
            client.setblocking(False)
        time.sleep(1)
        answers = [client.recv(1000) for client in clients if select.select([client], [], [], 0)[0]]
    assert len(answers) == 5
    assert all(b" 429 " in answer and b"Retry-After: 1" in answer for answer in answers)
