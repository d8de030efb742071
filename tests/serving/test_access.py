"""What a request is known by, in the headers of its answer and in the access log; and health by names of services."""

import io
import json
import re
from collections.abc import Iterator

import grpc
import pytest
import urllib3
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from serving.server.access import AccessLog, known_by
from serving.server.config import Options
from serving.server.limits import Limits
from tests.contract.endpoint import Endpoint, running

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NEW = r"[0-9a-f]{32}"


@pytest.mark.parametrize(
    ("sent", "request_id", "trace"),
    [
        ({"x-request-id": "shop-7/a", "traceparent": TRACE}, "shop-7/a", TRACE),
        ({}, NEW, None),
        ({"x-request-id": ""}, NEW, None),
        ({"x-request-id": "i" * 201}, NEW, None),
        ({"x-request-id": "two\nlines"}, NEW, None),
        ({"x-request-id": "ä"}, NEW, None),
        ({"traceparent": TRACE.upper()}, NEW, None),
        ({"traceparent": "ff" + TRACE[2:]}, NEW, None),
        ({"traceparent": TRACE + "\r\nx: y"}, NEW, None),
    ],
)
def test_request_keeps_the_id_and_trace_it_came_with_or_gets_an_id(sent, request_id, trace):
    known = known_by(sent)
    assert re.fullmatch(request_id, known["x-request-id"])
    assert known.get("traceparent") == trace


def test_log_that_cannot_be_written_harms_nobody():
    stream = io.StringIO()
    stream.close()
    AccessLog(stream).write("REST", "127.0.0.1", "GET /", 200, None, 0.0, {})


@pytest.fixture(scope="module")
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory, log) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("models")
    (folder / "broken" / "1").mkdir(parents=True)
    with running(folder, Limits(), Options(), access_log=log) as endpoint:
        yield endpoint


def ask_rest(endpoint: Endpoint, model: str, headers: dict[str, str]) -> tuple[dict[str, str], int]:
    answer = urllib3.request("GET", f"{endpoint.rest}/v1/models/{model}", headers=headers)
    return {name.lower(): value for name, value in answer.headers.items()}, answer.status


def ask_grpc(endpoint: Endpoint, model: str, headers: dict[str, str]) -> tuple[dict[str, str], str]:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    with grpc.insecure_channel(endpoint.grpc) as channel:
        status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus
        try:
            _, call = status.with_call(request, metadata=tuple(headers.items()), timeout=20)
        except grpc.RpcError as error:
            call = error
        return dict(call.trailing_metadata()), call.code().name


@pytest.mark.parametrize(
    ("ask", "fine", "refused", "path"),
    [
        (ask_rest, 200, 404, "GET /v1/models/{}"),
        (ask_grpc, "OK", "NOT_FOUND", "/tensorflow.serving.ModelService/GetModelStatus"),
    ],
)
def test_each_answer_says_what_its_request_is_known_by_and_has_a_line(endpoint, log, ask, fine, refused, path):
    log.truncate(log.seek(0))
    headers, status = ask(endpoint, "broken", {"x-request-id": "shop-7", "traceparent": TRACE})
    assert (headers["x-request-id"], headers["traceparent"], status) == ("shop-7", TRACE, fine)
    headers, status = ask(endpoint, "nobody", {})
    assert (re.fullmatch(NEW, headers["x-request-id"]) is not None, status) == (True, refused)
    first, second = map(json.loads, log.getvalue().splitlines())
    assert (first["path"], first["status"], first["x-request-id"]) == (path.format("broken"), fine, "shop-7")
    assert (first["traceparent"], second["status"], second["x-request-id"]) == (TRACE, refused, headers["x-request-id"])
    assert "127.0.0.1" in first["peer"]
    assert first["ms"] >= 0


@pytest.mark.parametrize(
    "service",
    ["tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "inference.GRPCInferenceService"],
)
def test_health_is_told_by_the_name_of_each_service(endpoint, service):
    with grpc.insecure_channel(endpoint.grpc) as channel:
        asked = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=20)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING  # its one model cannot be loaded
