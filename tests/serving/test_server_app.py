"""The local model server beyond the contract: its limits, its health, its end, and models that change under load."""

import asyncio
import contextlib
import json
import random
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import urllib3
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import classification_pb2

from pipeline.commands.serve import serve as serve_command
from serving.server.app import CannotListen, Network, serve
from serving.server.config import Batching, Options, model_base
from serving.server.limits import Limits
from serving.server.manager import ModelManager
from tests.contract import noise
from tests.contract.asking import Grpc, Refused, Rest, Which, b64
from tests.contract.conftest import drawn
from tests.contract.endpoint import Endpoint, ServerProcess, running
from tests.contract.load import publish, under_load, write_version
from tests.serving.serving_model import write_model

pytestmark = pytest.mark.slow

MEGABYTE = 2**20
LIMITS, OPTIONS = Limits(), Options(poll_seconds=0.05)
WAIT = 30


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny" / "1")
    return folder


@pytest.fixture(scope="module")
def endpoint(base) -> Iterator[Endpoint]:
    with running(base, LIMITS, OPTIONS) as endpoint:
        yield endpoint


PICTURE = drawn(1)


def health(calls: Grpc, name: str) -> int:
    stub = health_pb2_grpc.HealthStub(calls.channel)
    return int(stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=WAIT).status)


def test_health_is_told_of_the_server_and_of_each_model(rest, calls):
    serving = health_pb2.HealthCheckResponse.SERVING
    assert (health(calls, ""), health(calls, "tiny")) == (serving, serving)
    assert [rest.send("GET", path)[0] for path in ("/healthz", "/readyz")] == [200, 200]
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        health(calls, "nobody")


def test_server_is_alive_and_not_ready_while_a_model_has_no_version(tmp_path, base):
    shutil.copytree(base / "tiny", tmp_path / "tiny")
    (tmp_path / "broken" / "1").mkdir(parents=True)
    with running(tmp_path, LIMITS, OPTIONS) as endpoint:
        rest, calls = Rest(endpoint), Grpc(endpoint)
        assert [rest.send("GET", path)[0] for path in ("/healthz", "/readyz")] == [200, 503]
        assert health(calls, "") == health(calls, "broken") == health_pb2.HealthCheckResponse.NOT_SERVING
        assert health(calls, "tiny") == health_pb2.HealthCheckResponse.SERVING
        assert rest.post({"instances": [b64(PICTURE)]}, Which(model="tiny"))[0] == 200


def counted(endpoint: Endpoint) -> dict[tuple[str, str], float]:
    """How many requests the metrics page shows, by model and outcome."""
    page = urllib3.request("GET", endpoint.rest + "/monitoring/prometheus/metrics").data.decode()
    pattern = r'^:tensorflow:serving:request_count\{model_name="(.*)",status="(.*)"\} (\S+)$'
    return {(name, status): float(count) for name, status, count in re.findall(pattern, page, re.MULTILINE)}


def test_every_request_is_counted_by_what_it_ended_with(base):
    limits = Limits(request_bytes=MEGABYTE, rows=50)
    with running(base, limits, OPTIONS) as endpoint:
        rest, calls = Rest(endpoint), Grpc(endpoint)
        assert rest.post({"instances": [b64(PICTURE)]})[0] == 200
        assert rest.post({"instances": [b64(PICTURE)] * 51})[0] == 400
        assert rest.send("POST", rest.path(end=":predict"), b"{")[0] == 400
        assert rest.send("POST", rest.path(end=":predict"), bytes(MEGABYTE + 1))[0] == 413
        assert rest.post({"instances": ["x"]}, Which(model="nobody"))[0] == 404
        for rows in ([PICTURE], [PICTURE] * 51):
            with contextlib.suppress(Refused):
                calls.predict({"image_bytes": rows})
        with pytest.raises(Refused):
            calls.call(calls.request({"image_bytes": [PICTURE]}, Which(model="nobody")))
        assert counted(endpoint) == {
            ("tiny", "OK"): 2,
            ("tiny", "INVALID_ARGUMENT"): 3,
            ("tiny", "RESOURCE_EXHAUSTED"): 1,
            ("", "NOT_FOUND"): 2,
        }


def test_request_that_is_too_slow_is_counted_as_that(base, monkeypatch):
    predict = ModelManager.predict

    async def slow(*arguments, **named):
        await asyncio.sleep(0.5)
        return await predict(*arguments, **named)

    monkeypatch.setattr(ModelManager, "predict", slow)
    with running(base, LIMITS, OPTIONS, rest_timeout_seconds=0.1) as endpoint:
        assert Rest(endpoint).post({"instances": [b64(PICTURE)]})[0] == 504
        calls = Grpc(endpoint)
        with pytest.raises(Refused, match="DEADLINE_EXCEEDED"):
            calls.call(calls.request({"image_bytes": [PICTURE]}), seconds=0.1)
        time.sleep(0.5)
        assert counted(endpoint) == {("tiny", "DEADLINE_EXCEEDED"): 2}


def test_metrics_tell_what_the_process_takes(endpoint):
    page = urllib3.request("GET", endpoint.rest + "/monitoring/prometheus/metrics")
    assert page.headers["Content-Type"].startswith("text/plain")
    for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds"):
        assert re.search(rf"^process_{name} [1-9]", page.data.decode(), re.MULTILINE)


@pytest.mark.parametrize("cors", [False, True])
def test_pages_of_other_servers_may_ask_if_they_are_told_so(base, cors):
    with running(base, LIMITS, OPTIONS, cors=cors) as endpoint:
        url = endpoint.rest + Rest(endpoint).path(end=":predict")
        asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        answers = [
            urllib3.request("OPTIONS", url, headers=asked),
            urllib3.request("POST", url, headers=asked, json={"instances": [b64(PICTURE)]}),
            urllib3.request("POST", url, headers=asked, body=b"{"),
        ]
        assert [answer.status for answer in answers] == [200, 200, 400]
        for answer in answers:
            sent = {name: text for name, text in answer.headers.items() if name.startswith("Access-Control")}
            assert sent == (
                {
                    "Access-Control-Allow-Origin": "*",
                    "Access-Control-Allow-Methods": "POST, GET",
                    "Access-Control-Allow-Headers": "Content-Type",
                }
                if cors
                else {}
            )


def test_wrong_method_on_a_page_gets_status_405(rest):
    status, answer = rest.send("POST", "/healthz", b"")
    assert (status, list(answer)) == (405, ["error"])


def test_classify_and_regress_say_what_to_use_instead(rest, calls):
    for verb in ("classify", "regress"):
        status, answer = rest.send("POST", rest.path(end=f":{verb}"), b'{"examples": [{}]}')
        assert (status, "Use :predict" in answer["error"]) == (501, True)
    with pytest.raises(grpc.RpcError, match="Use Predict"):
        calls.prediction.Classify(classification_pb2.ClassificationRequest(), timeout=WAIT)


def test_request_that_takes_too_long_gets_status_504(base):
    with running(base, LIMITS, OPTIONS, rest_timeout_seconds=0.001) as endpoint:
        status, answer = Rest(endpoint).post({"instances": [b64(PICTURE)] * 50})
        assert (status, "--rest-timeout" in answer["error"]) == (504, True)


@pytest.mark.parametrize("batching", [None, Batching.for_requests(1024)], ids=["alone", "batched"])
def test_versions_come_and_go_without_a_failed_or_a_mixed_answer(tmp_path, batching):
    for version in (1, 2, 3):
        write_version(tmp_path / "made", version)
    models = tmp_path / "served" / "tiny"
    models.mkdir(parents=True)
    publish(models, tmp_path / "made" / "1")
    options = Options(poll_seconds=0.05, batching=batching)
    with running(tmp_path / "served", LIMITS, options) as endpoint, under_load(endpoint, [PICTURE] * 3) as load:
        publish(models, tmp_path / "made" / "2")
        load.until_answered_by(2)
        (models / "9").mkdir()  # half-copied
        (models / "9" / "saved_model.pb").write_bytes(b"no model")
        publish(models, tmp_path / "made" / "3")
        time.sleep(0.5)
        shutil.rmtree(models / "9")
        load.until_answered_by(3)
    assert set(load.answers) == {"version1", "version2", "version3"}


def test_model_config_is_followed_and_a_bad_one_changes_nothing(tmp_path, caplog):
    folder, config = tmp_path / "models", tmp_path / "models.config"
    for version in (1, 2):
        write_version(folder / "tiny", version)
    entry = f"""name: "tiny" base_path: "{folder / "tiny"}" model_platform: "tensorflow" """

    def write(more: str) -> None:
        (tmp_path / "new").write_text(f"model_config_list {{ config {{ {entry} {more} }} }}")
        (tmp_path / "new").rename(config)

    write("model_version_policy { specific { versions: 1 versions: 2 } }")
    options = Options(poll_seconds=0.05, config_file=config)
    with running(folder, LIMITS, options) as endpoint, under_load(endpoint, [PICTURE]) as load:
        load.until_answered_by(2)
        write("model_version_policy { specific { versions: 1 } }")
        load.until_answered_by(1)
        write("model_version_policy { specific { versions: 7 } } nonsense")
        time.sleep(0.5)
        load.until_answered_by(1)
        write('version_labels { key: "stable" value: 2 }')  # not loaded yet: refused, as TensorFlow Serving does
        time.sleep(0.5)
        load.until_answered_by(1)
        write("")
        load.until_answered_by(2)
    told = [record.getMessage() for record in caplog.records if "is not taken over" in record.getMessage()]
    assert len(told) == 2


def test_server_that_is_stopped_answers_what_runs_and_refuses_what_comes(base, monkeypatch):
    started = threading.Semaphore(0)
    predict = ModelManager.predict

    async def slow(*arguments, **named):
        started.release()
        await asyncio.sleep(1.5)
        return await predict(*arguments, **named)

    monkeypatch.setattr(ModelManager, "predict", slow)
    inputs = {"image_bytes": [PICTURE]}

    def late(ask) -> set[str]:
        time.sleep(0.5)
        with pytest.raises(Refused) as refused:
            ask.predict(inputs)
        return refused.value.codes

    with ThreadPoolExecutor(4) as pool:
        with running(base, LIMITS, OPTIONS) as endpoint:
            both = Rest(endpoint), Grpc(endpoint)
            early = [pool.submit(ask.predict, inputs) for ask in both]
            assert all(started.acquire(timeout=WAIT) for _ in both)
            later = [pool.submit(late, ask) for ask in both]
        assert [answer.result(WAIT)["error"].tolist() for answer in early] == [[""], [""]]
        assert [codes.result(WAIT) for codes in later] == [{"UNAVAILABLE"}] * 2


def test_server_writes_nothing_into_the_model_folder(tmp_path, base):
    shutil.copytree(base / "tiny", tmp_path / "tiny")

    def listing() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))}

    before = listing()
    with running(tmp_path, LIMITS, OPTIONS) as endpoint:
        assert Rest(endpoint).post({"instances": [b64(PICTURE)]})[0] == 200
        assert listing() == before
    assert listing() == before


@pytest.fixture(scope="module")
def process(base) -> Iterator[ServerProcess]:
    """A server that was killed, and started again on the same ports."""
    killed = ServerProcess("--model-base", base)
    assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    server = ServerProcess("--model-base", base, ports=killed.ports)
    assert server.ports == killed.ports
    yield server
    server.end()


def test_killed_server_starts_again_where_it_was(process):
    answer = Rest(Endpoint(process.rest, process.grpc, "tiny")).predict({"image_bytes": [PICTURE]})
    assert answer["error"].tolist() == [""]


def test_server_says_nothing_at_its_start_and_leaves_keras_out(process):
    assert "I0000" not in process.log()
    assert "E0000" not in process.log()
    loaded = process.libraries()
    assert "tensorflow" in loaded
    assert "sklearn" not in loaded


def test_thousand_requests_good_and_bad_leave_it_alive_and_no_larger(process):
    endpoint = Endpoint(process.rest, process.grpc, "tiny")
    rest, calls, generator = Rest(endpoint), Grpc(endpoint), random.Random(1)

    def ask(number: int) -> None:
        if number % 2:
            status, _ = rest.send("POST", rest.path(end=":predict"), noise.body(generator, PICTURE))
            assert status in (200, 400)
        else:
            calls.predict({"image_bytes": [PICTURE, generator.randbytes(100)]})

    for number in range(300):
        ask(number)
    before = process.memory()
    for number in range(1000):
        ask(number)
    assert process.memory() - before < 20 * MEGABYTE
    assert rest.post({"instances": [b64(PICTURE)]})[0] == 200


def test_bytes_that_are_no_message_are_refused_in_one_line_of_the_log(process):
    before = len(process.log())
    with grpc.insecure_channel(process.grpc) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict", request_serializer=bytes)
        for _ in range(3):
            with pytest.raises(grpc.RpcError, match="Error parsing the request"):
                predict(b"\xff\xff no message", timeout=WAIT)
    assert "Traceback" not in process.log()[before:]


def test_error_that_quotes_the_picture_is_still_the_clients_fault(calls):
    with pytest.raises(Refused) as refused:
        calls.predict({"examples": [PICTURE]}, Which(signature="examples"))
    assert refused.value.codes == {"INVALID_ARGUMENT"}
    assert "Could not parse example" in refused.value.message


def test_terminated_server_answers_what_it_was_asked_before(process):
    rest = Rest(Endpoint(process.rest, process.grpc, "tiny"))
    body = json.dumps({"instances": [b64(PICTURE)] * 100}).encode()
    begun, proceed = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield body[:1000]
        begun.set()
        assert proceed.wait(WAIT)
        yield body[1000:]

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(rest.send, "POST", rest.path(end=":predict"), slowly())
        assert begun.wait(WAIT)
        time.sleep(0.2)
        process.send(signal.SIGTERM)
        time.sleep(0.5)
        proceed.set()
        status, answer = asked.result(WAIT)
    assert (status, len(answer["predictions"])) == (200, 100)
    assert process.wait() == 0


@pytest.mark.parametrize("face", ["rest", "grpc"])
def test_port_in_use_is_one_clear_error(base, face):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"rest_port": 0, "grpc_port": 0, f"{face}_port": port}
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port} .*--{face}-port"):
            asyncio.run(
                serve(
                    model_base(base),
                    Options(),
                    network=Network(**ports),
                    limits=LIMITS,
                    ready=lambda listening: None,
                    closing=asyncio.Event(),
                )
            )


WRONG = {
    "two sources": (["--model-base", "a", "--model-config", "b"], 2, "exclude each other"),
    "name without path": (["--model-name", "a"], 2, "--model-path go together"),
    "no such folder": (["--model-base", "nowhere"], 1, "nowhere"),
    "no such config": (["--model-config", "nowhere"], 1, "nowhere"),
    "no such parameters": (["--model-base", "{base}", "--batching-parameters", "nowhere"], 1, "nowhere"),
    "port out of range": (["--rest-port", "70000"], 2, "70000"),
}


@pytest.mark.parametrize(("options", "code", "said"), WRONG.values(), ids=WRONG)
def test_wrong_option_is_told_in_one_line(base, options, code, said):
    done = CliRunner().invoke(serve_command, [option.format(base=base) for option in options])
    assert done.exit_code == code
    assert said in done.stderr
    assert "Traceback" not in done.output
