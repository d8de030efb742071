"""The client: the same questions and answers over REST and gRPC, many at once and in their order."""

import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import fashion_client
import numpy as np
import pytest
from fashion_client import Batches, NotFound, ProtocolError, Retries, Timeouts, Unexplained, connect

from tests.serving.fake_server import address as address
from tests.serving.fake_server import behaviour as behaviour
from tests.serving.fake_server import protocol as protocol
from tests.serving.fake_server import rest_server


def test_embeddings_are_float32_that_numpy_takes_without_a_copy(address):
    with connect(address, "tiny") as client:
        good, bad = client.embed([b"four", b"bad"])
    vector = np.asarray(good.vector)
    assert vector.dtype == np.float32
    assert vector.tolist() == pytest.approx([0.6, 4, -0.8])
    assert (len(bad.vector), bad.error) == (0, "this is not a picture")


def test_an_explanation_is_the_answer_with_a_map_that_numpy_takes(address, behaviour):
    behaviour.signatures.append("explain")
    behaviour.tags = True
    with connect(address, "tiny") as client:
        good, bad = client.explain([b"four", b"bad"])
        [plain] = client.predict([b"four"])
    heat = np.asarray(good.explanation)
    assert heat.dtype == np.float32
    assert heat.tolist() == [[2.5, -1.0, 0.0], [0.5, 1.0, 1.5]]
    assert good == replace(plain, explanation=good.explanation)
    assert (bad.explanation, bad.label, bad.error) == (None, "", "this is not a picture")


def test_a_model_that_cannot_be_asked_why_is_refused_by_name_and_nothing_is_sent(address, behaviour):
    with connect(address, "tiny") as client, pytest.raises(Unexplained) as refused:
        client.explain([b"four"])
    assert "tiny at" in str(refused.value)
    assert "no signature 'explain'. Train and publish it anew" in str(refused.value)
    assert behaviour.asked == []


def test_answers_in_further_columns_come_by_their_names(address, behaviour):
    behaviour.tags = True
    with connect(address, "tiny") as client:
        good, bad = client.predict([b"four", b"bad"])
    assert good.tags == {"baseColour": fashion_client.Tag("Red", 0.5)}
    assert (good.label, bad.tags, bad.error) == ("four", {}, "this is not a picture")


def test_status_and_metadata_are_told_alike(address):
    with connect(address, "tiny") as client:
        assert client.status() == [fashion_client.VersionStatus(3, "AVAILABLE")]
        metadata = client.metadata()
    info = fashion_client.TensorInfo("string", (-1,))
    assert (metadata.model, metadata.version) == ("tiny", 3)
    signature = fashion_client.Signature({"image_bytes": info}, {})
    assert metadata.signatures == {"serving_default": signature, "embed": signature}


@pytest.mark.parametrize(
    ("batches", "sizes"),
    [
        (Batches(rows=3), [3, 3, 1]),
        (Batches(bytes=10), [2, 2, 2, 1]),
        (Batches(bytes=1), [1] * 7),
        (Batches(), [7]),
    ],
)
def test_many_pictures_are_split_by_rows_and_bytes(address, behaviour, batches, sizes):
    pictures = [f"pic-{number}".encode() for number in range(7)]
    with connect(address, "tiny", batches=batches) as client:
        assert [answer.label.encode() for answer in client.predict(pictures)] == pictures
    assert [len(asked) for _, asked in behaviour.asked] == sizes


def test_a_refused_picture_is_found_among_many(address, behaviour):
    pictures = [b"refuse me" if number == 21 else str(number).encode() for number in range(32)]
    with connect(address, "tiny") as client:
        answers = client.predict(pictures)
    assert [number for number, answer in enumerate(answers) if answer.error] == [21]
    assert [answer.label for answer in answers if not answer.error] == [str(n) for n in range(32) if n != 21]
    assert behaviour.requests == 12  # halves, 1 + 2 for each of 5 levels, and once whether the model is at fault


def test_a_model_of_another_kind_is_told_and_not_blamed_on_the_pictures(address, behaviour):
    behaviour.signatures = ["classify"]
    with connect(address, "tiny") as client, pytest.raises(ProtocolError, match="no signature 'serving_default'"):
        client.predict([b"refuse me", b"shoes"])


def test_many_requests_are_under_way_at_once_and_answers_keep_their_order(address, behaviour):
    behaviour.delay = 0.02
    pictures = [str(number).encode() for number in range(200)]
    with connect(address, "tiny", batches=Batches(rows=5, parallel=3)) as client:
        answers = [answer.label.encode() for answer in client.predict_each(pictures)]
    assert answers == pictures
    assert behaviour.most_running == 3


def test_no_more_is_read_ahead_than_is_asked_at_once(address):
    taken = itertools.count()
    highest = [0]

    def endless() -> Iterator[bytes]:
        for number in taken:
            highest[0] = number
            yield b"shoes"

    with connect(address, "tiny", batches=Batches(rows=4, parallel=2)) as client:
        answers = client.predict_each(endless())
        for _ in range(10):
            next(answers)
        answers.close()  # type: ignore[attr-defined]
    assert highest[0] < 10 + 4 * (2 + 2)


def test_one_connection_serves_many_requests(behaviour):
    with rest_server(behaviour) as address, connect(address, "tiny") as client:
        for _ in range(20):
            client.predict([b"shoes"])
    assert len(behaviour.connections) == 1


def test_a_client_may_be_shared_by_threads(address):
    with connect(address, "tiny") as client, ThreadPoolExecutor(8) as pool:
        pictures = [str(number).encode() for number in range(160)]
        answers = list(pool.map(lambda picture: client.predict([picture])[0].label.encode(), pictures))
    assert answers == pictures


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ({}, "/v1/models/tiny:predict"),
        ({"version": 7}, "/v1/models/tiny/versions/7:predict"),
        ({"label": "can/ary"}, "/v1/models/tiny/labels/can%2Fary:predict"),
    ],
)
def test_version_label_gateway_path_and_headers_reach_the_server(where, path):
    seen: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/gateway/"
        asked = connect(address, "tiny", headers={"Authorization": "Bearer x"}, **where)
        with asked as client, pytest.raises(NotFound):
            client.predict([b"shoes"])
        thread.join()
    assert f"POST /gateway{path} HTTP/1.1".encode() in seen[0]
    assert b"Authorization: Bearer x" in seen[0]


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "localhost:8501", "ftp://a:1", "grpc://a:1/path", "http://", "http://a:x", "http://u@a"],
)
def test_an_address_of_no_use_is_refused_at_once(address):
    with pytest.raises(ValueError, match=r"(?i)address|port"):
        connect(address, "tiny")


@pytest.mark.parametrize(
    "make",
    [
        lambda: connect("http://a:1", ""),
        lambda: connect("http://a:1", "m", version=1, label="canary"),
        lambda: Timeouts(read=0),
        lambda: Retries(attempts=6),
        lambda: Retries(first=9),
        lambda: Batches(rows=0),
    ],
)
def test_options_of_no_use_are_refused_at_once(make):
    with pytest.raises(ValueError, match=r"give|ha(s|ve) to be"):
        make()


def test_import_is_light_and_either_protocol_needs_neither_tensorflow_nor_numpy():
    probe = """
import sys
import fashion_client
heavy = {"grpc", "urllib3", "google.protobuf", "PIL"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
once = fashion_client.Retries(attempts=1)
for scheme in ("http", "grpc"):
    try:
        with fashion_client.connect(f"{scheme}://127.0.0.1:9", "m", retries=once) as client:
            client.predict([b"x"])
    except fashion_client.Unavailable:
        pass
print(*{"numpy", "tensorflow", "tfx", "tensorflow_serving"} & set(sys.modules))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(fashion_client.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
