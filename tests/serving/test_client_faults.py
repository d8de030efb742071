"""Whatever a server does wrong has a precise error, and is tried again only where that is safe and there is time."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fashion_client import (
    Batches,
    ClientError,
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProtocolError,
    Retries,
    ServerFailed,
    Timeouts,
    Unavailable,
    connect,
    rest,
    rpc,
)

from tests.serving.fake_server import SERVERS, grpc_server, rest_server
from tests.serving.fake_server import address as address
from tests.serving.fake_server import behaviour as behaviour
from tests.serving.fake_server import protocol as protocol

SCHEMES = {"http": rest_server, "grpc": grpc_server}
QUICK = Retries(attempts=3, first=0.01, longest=0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


FAULTS = [
    ("unknown model", NotFound, "it is unknown model", 1),
    ("forbidden", Forbidden, "it is forbidden", 1),
    ("overloaded", Overloaded, "it is overloaded", 3),
    ("not ready", Unavailable, "it is not ready", 3),
    ("internal", ServerFailed, "it is internal", 1),
    ("invalid", InvalidRequest, "it is invalid", 3),  # of both pictures, of one, of the model
    ("too late", DeadlineExceeded, "", 1),
    ("slow", DeadlineExceeded, "no answer within 0.3 s", 1),
    ("garbage", ProtocolError, "the answer is no", 1),
    ("huge", ProtocolError, "larger than", 1),
    ("missing output", ProtocolError, "gave no 'top_labels'", 1),
    ("too few rows", ProtocolError, "'label' has 1 rows for 2 pictures", 1),
    ("wrong type", ProtocolError, "'label' is not of the type", 1),
]
REST_FAULTS = [
    ("reset", Unavailable, "the connection was cut", 3),
    ("half an answer", ProtocolError, "not complete", 1),
    ("cut JSON", ProtocolError, "not a JSON object", 1),
    ("not HTTP", ProtocolError, "not HTTP", 1),
    ("redirect", ProtocolError, "HTTP 302", 1),
    ("dripping", DeadlineExceeded, "no complete answer within 0.3 s", 1),
]


@pytest.mark.parametrize(
    ("protocol", "fault", "kind", "said", "requests"),
    [(name, *row) for name in SERVERS for row in FAULTS] + [("rest", *row) for row in REST_FAULTS],
)
def test_every_fault_has_its_error_and_only_safe_ones_are_tried_again(
    address, behaviour, monkeypatch, fault, kind, said, requests
):
    for module in (rest, rpc):
        monkeypatch.setattr(module, "_MOST_BYTES", 1 << 20)
    behaviour.faults = [fault] * 9
    limits = Timeouts(read=0.3, total=5 if requests > 1 else 0.3)
    began = time.monotonic()
    with connect(address, "tiny", timeouts=limits, retries=QUICK) as client, pytest.raises(ClientError) as caught:
        client.predict([b"shoes", b"bags"])
    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"tiny at {address}: ")
    assert str(caught.value).endswith(f". {kind.remedy}")
    assert "\n" not in str(caught.value)
    assert behaviour.requests == requests
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("fault", ["invalid", "unknown model", "not ready", "garbage"])
def test_questions_about_the_model_have_the_same_errors(address, behaviour, fault):
    expected = {row[0]: row[1] for row in FAULTS}[fault]
    behaviour.faults = [fault] * 9
    with connect(address, "tiny", retries=QUICK) as client:
        for ask in (client.status, client.metadata):
            with pytest.raises(expected):
                ask()


def test_an_answer_that_is_not_a_number_is_an_error_of_its_picture(address, behaviour):
    behaviour.faults = ["not a number"]
    with connect(address, "tiny") as client:
        assert client.predict([b"shoes"])[0].error == "the model's answer is not a number"


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_server_that_is_down_is_named(scheme):
    where = f"{scheme}://127.0.0.1:{free_port()}"
    with (
        connect(where, "tiny", version=7, retries=QUICK) as client,
        pytest.raises(Unavailable, match="refused") as caught,
    ):
        client.predict([b"shoes"])
    assert str(caught.value).startswith(f"tiny version 7 at {where}: ")


@pytest.mark.parametrize("fault", ["overloaded", "not ready"])
def test_a_server_that_recovers_is_not_noticed(address, behaviour, fault):
    behaviour.faults = [fault, fault]
    with connect(address, "tiny", retries=QUICK) as client:
        assert client.predict([b"shoes"])[0].label == "shoes"
    assert behaviour.requests == 3


def test_a_server_that_restarts_is_found_again(behaviour):
    port = free_port()
    patient = Retries(attempts=5, first=0.2, longest=1)
    with connect(f"http://127.0.0.1:{port}", "tiny", retries=patient) as client:
        with rest_server(behaviour, port):
            client.predict([b"shoes"])
        with pytest.raises(Unavailable), connect(f"http://127.0.0.1:{port}", "tiny", retries=QUICK) as other:
            other.predict([b"shoes"])
        with rest_server(behaviour, port):
            assert client.predict([b"bags"])[0].label == "bags"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_that_comes_up_late_is_waited_for(scheme, behaviour):
    port = free_port()
    patient = Retries(attempts=5, first=0.2, longest=1)
    with connect(f"{scheme}://127.0.0.1:{port}", "tiny", retries=patient) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.predict, [b"shoes"])
        time.sleep(0.3)
        with SCHEMES[scheme](behaviour, port):
            assert answer.result(10)[0].label == "shoes"


@pytest.mark.parametrize(("pause", "total", "kind"), [(1, 5.0, None), (60, 5.0, Overloaded), (60, 1.0, Overloaded)])
def test_a_pause_that_the_server_asks_for_is_kept_if_there_is_time(behaviour, pause, total, kind):
    behaviour.faults = [f"asks for a pause of {pause}"]
    began = time.monotonic()
    with rest_server(behaviour) as address, connect(address, "tiny", timeouts=Timeouts(total=total)) as client:
        if kind is None:
            client.predict([b"shoes"])
            assert time.monotonic() - began >= pause
        else:
            with pytest.raises(kind):
                client.predict([b"shoes"])
            assert time.monotonic() - began < 1
    assert behaviour.requests == (2 if kind is None else 1)


def test_a_pause_that_a_grpc_server_asks_for_is_kept(behaviour):
    behaviour.faults = ["asks for a pause of 1"]
    began = time.monotonic()
    with grpc_server(behaviour) as address, connect(address, "tiny", retries=QUICK) as client:
        client.predict([b"shoes"])
    assert time.monotonic() - began >= 1


def test_all_attempts_together_keep_the_total_time(address, behaviour):
    behaviour.faults = ["not ready"] * 9
    limits, patient = Timeouts(total=0.5), Retries(attempts=5, first=0.3, longest=5)
    began = time.monotonic()
    with connect(address, "tiny", timeouts=limits, retries=patient) as client, pytest.raises(ClientError):
        client.predict([b"shoes"])
    assert time.monotonic() - began < 1
    assert 1 < behaviour.requests < 5


def test_a_failing_request_ends_the_answers_after_those_before_it(behaviour):
    with rest_server(behaviour) as address:
        batches = Batches(rows=1, parallel=1)
        with connect(address, "tiny", batches=batches, retries=QUICK) as client:
            behaviour.faults = ["", "", "internal"]
            answers = client.predict_each([b"a", b"b", b"c", b"d"])
            assert [next(answers).label, next(answers).label] == ["a", "b"]
            with pytest.raises(ServerFailed):
                next(answers)
