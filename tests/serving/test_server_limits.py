"""What one request may ask of the local server: each limit is told by name, and costs the server nothing."""

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
import urllib3
from tensorflow.core.framework import types_pb2

from serving.server.config import Options
from serving.server.errors import ServingError
from serving.server.limits import Limits, Waiting
from tests.contract.asking import Refused, Rest, b64, strings
from tests.contract.conftest import drawn
from tests.contract.endpoint import Endpoint, running
from tests.serving.serving_model import write_model

MEGABYTE = 2**20
SMALL = Limits(request_bytes=MEGABYTE, rows=50, string_bytes=100_000, values=5000)
PICTURE = drawn(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny" / "1")
    return folder


@pytest.fixture(scope="module")
def endpoint(base) -> Iterator[Endpoint]:
    with running(base, SMALL, Options()) as endpoint:
        yield endpoint


def png_of(width: int, height: int) -> bytes:
    """A PNG that only announces its pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


BODIES = {
    "rows": ({"instances": [b64(PICTURE)] * 51}, 400, "51 rows, more than the limit of 50"),
    "picture": ({"instances": [b64(b"x" * 100_001)]}, 400, "100,001 bytes, more than the limit of 100,000"),
    "values": ({"instances": [[0] * 6000]}, 400, "more than 5,000 values"),
    "body": ({"instances": [b64(b"x" * MEGABYTE)]}, 413, "larger than the limit of 1,048,576 bytes"),
}


@pytest.mark.parametrize(("document", "expected", "said"), BODIES.values(), ids=BODIES)
def test_request_above_a_limit_is_told_which(rest, document, expected, said):
    status, answer = rest.post(document)
    assert (status, list(answer)) == (expected, ["error"])
    assert said in answer["error"]


def test_requests_beyond_what_may_wait_are_told_to_come_again_later():
    waiting = Waiting(Limits(waiting=2, waiting_bytes=8 * MEGABYTE))
    with waiting.place() as hold, waiting.place():
        hold(6 * MEGABYTE)
        with pytest.raises(ServingError, match="requests of 6,291,456 bytes to answer, as many as it takes"):
            hold(2 * MEGABYTE)
        with pytest.raises(ServingError, match="2 requests to answer, as many as it takes"), waiting.place():
            pass
    with waiting.place() as hold:
        hold(7 * MEGABYTE)


def test_body_of_unannounced_length_is_limited_too(rest):
    parts = (b"x" * 65536 for _ in range(64))
    assert rest.send("POST", rest.path(end=":predict"), parts)[0] == 413


CALLS = {
    "rows": ([PICTURE] * 51, "INVALID_ARGUMENT"),
    "picture": ([b"x" * 100_001], "INVALID_ARGUMENT"),
    "message": ([b"x" * MEGABYTE], "RESOURCE_EXHAUSTED"),
}


@pytest.mark.parametrize(("rows", "code"), CALLS.values(), ids=CALLS)
def test_call_above_a_limit_is_refused(calls, rows, code):
    with pytest.raises(Refused) as refused:
        calls.predict({"image_bytes": rows})
    assert refused.value.codes == {code}


@pytest.mark.parametrize("dtype", [types_pb2.DT_FLOAT, types_pb2.DT_STRING])
def test_tensor_of_one_value_that_claims_a_billion_is_refused(calls, dtype):
    tensor = tf.make_tensor_proto([b"x"] if dtype == types_pb2.DT_STRING else [1.0])
    tensor.tensor_shape.dim[0].size = 10**9
    with pytest.raises(Refused, match="more than the limit") as refused:
        calls.call(calls.request({"image_bytes": tensor}))
    assert refused.value.codes == {"INVALID_ARGUMENT"}


@pytest.mark.parametrize("fault", ["negative", "too many values", "dimensions", "unknown type", "resource"])
def test_tensor_that_contradicts_itself_is_refused(calls, fault):
    tensor = strings([PICTURE, PICTURE])
    if fault == "negative":
        tensor.tensor_shape.dim[0].size = -2
    elif fault == "too many values":
        tensor.tensor_shape.dim[0].size = 1
    elif fault == "dimensions":
        for _ in range(40):
            tensor.tensor_shape.dim.add(size=1)
    else:
        tensor.dtype = 77 if fault == "unknown type" else types_pb2.DT_RESOURCE
    with pytest.raises(Refused) as refused:
        calls.call(calls.request({"image_bytes": tensor}))
    assert refused.value.codes == {"INVALID_ARGUMENT"}


def test_picture_of_wrong_rank_is_refused(rest, calls):
    assert rest.post({"instances": [[b64(PICTURE)]]})[0] == 400
    with pytest.raises(Refused) as refused:
        calls.call(calls.request({"image_bytes": tf.make_tensor_proto([[PICTURE]], tf.string)}))
    assert refused.value.codes == {"INVALID_ARGUMENT"}


def test_picture_of_too_many_pixels_fails_its_row(rest):
    status, answer = rest.post({"instances": [b64(png_of(20_000, 20_000)), b64(PICTURE)]})
    assert status == 200
    errors = [row["error"] for row in answer["predictions"]]
    assert "20000 x 20000 pixels" in errors[0]
    assert errors[1] == ""


def memory(what: str) -> int:
    """Bytes of this process, which the server runs in: VmRSS for now, VmHWM for the most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) * 1024


def gzipped(rest: Rest, body: bytes) -> tuple[int, dict]:
    return rest.send("POST", rest.path(end=":predict"), body, **{"Content-Encoding": "gzip"})


def test_gzipped_request_is_read(rest):
    document = json.dumps({"instances": [b64(PICTURE)]}).encode()
    assert gzipped(rest, gzip.compress(document))[0] == 200


def test_what_a_small_body_inflates_to_is_limited(rest):
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([packer.compress(bytes(MEGABYTE)) for _ in range(400)] + [packer.flush()])
    assert len(bomb) < SMALL.request_bytes
    Path("/proc/self/clear_refs").write_text("5")  # forgets the largest memory so far
    before = memory("VmRSS")
    status, answer = gzipped(rest, bomb)
    assert (status, list(answer)) == (413, ["error"])
    assert memory("VmHWM") - before < 50 * MEGABYTE


def test_body_that_is_not_gzipped_as_announced_is_refused(rest):
    assert gzipped(rest, b'{"instances": []}')[0] == 400


def test_answer_is_gzipped_for_who_accepts_it(endpoint, rest):
    body = json.dumps({"instances": [b64(PICTURE)] * 10})
    url = endpoint.rest + rest.path(end=":predict")
    sent = [
        urllib3.request("POST", url, body=body, headers=headers, decode_content=False)
        for headers in ({}, {"Accept-Encoding": "gzip"})
    ]
    assert [response.headers.get("Content-Encoding") for response in sent] == [None, "gzip"]
    assert gzip.decompress(sent[1].data) == sent[0].data
