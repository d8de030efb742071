"""Clients that connect and say nothing, or half of what they have to: others are answered all the same."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from logging.handlers import BufferingHandler

import pytest

from serving.server.repeats import Repeats
from tests.contract.asking import Grpc, Refused, Rest, b64
from tests.contract.conftest import drawn
from tests.contract.endpoint import Endpoint, ServerProcess
from tests.serving.serving_model import write_model

PICTURE = drawn(1)
FILES = 400  # that the server may have open
SECONDS = 60  # in which everybody is answered; REST takes 0.1, and gRPC the 10 that half a connection may live


@pytest.fixture(scope="module")
def process(tmp_path_factory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny" / "1")
    server = ServerProcess("--model-base", folder, files=FILES)
    yield server
    assert server.end() == 0, server.log()


HALVES = {
    "nothing": b"",
    "half a header": b"POST /v1/models/tiny:predict HTTP/1.1\r\nContent-Le",
    "half a body": b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
    "half a preface": b"PRI * HTTP/2",
}


def answered(ask: Callable[[], object]) -> bool:
    """Whether a client that tries again is answered in time."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            ask()
            return True
        except Refused:
            time.sleep(0.2)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
@pytest.mark.parametrize("face", [0, 1], ids=["rest", "grpc"])
def test_more_half_open_connections_than_files_keep_nobody_out(process, half, face):
    endpoint, before = Endpoint(process.rest, process.grpc, "tiny"), len(process.log())
    with ExitStack() as stack:
        for _ in range(FILES * 2):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", process.ports[face])))
            connection.sendall(half)
        assert Rest(endpoint).send("GET", "/healthz")[0] == 200
        assert Rest(endpoint).post({"instances": [b64(PICTURE)]})[0] == 200
        assert answered(lambda: Grpc(endpoint).predict({"image_bytes": [PICTURE]}))
    assert len(process.log()) - before < 20_000


def test_line_that_comes_a_hundred_times_is_logged_a_few_times_and_counted():
    # Not pytest's own handler, on which a server that another test started in this process may have left its filter.
    log, handler = logging.getLogger("tests.repeats"), BufferingHandler(1000)
    handler.addFilter(Repeats(most=3, seconds=2))
    log.addHandler(handler)
    try:
        for number in range(100):
            log.warning("connection %d failed\nTraceback", number)
        log.warning("something else")
        end = time.monotonic() + 60
        while len(handler.buffer) < 5 and time.monotonic() < end:
            time.sleep(0.05)
        log.warning("connection %d failed", 100)
    finally:
        log.removeHandler(handler)
    lines = [record.getMessage().partition("\n")[0] for record in handler.buffer]
    assert lines == [
        *(f"connection {number} failed" for number in range(3)),
        "something else",
        "connection 3 failed … repeated 97 times",
        "connection 100 failed",
    ]
