"""The Open Inference Protocol beside TensorFlow Serving's: read, answered, and asked by Triton's own clients."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from serving.server.config import Options
from serving.server.errors import ServingError
from serving.server.inference import read_raw, write_raw
from serving.server.inference_grpc import read_inputs
from serving.server.inference_rest import read_infer
from serving.server.limits import Limits
from serving.server.protos import INFERENCE
from tests.contract.conftest import drawn
from tests.contract.endpoint import Endpoint, running
from tests.serving.serving_model import write_model

LIMITS = Limits(request_bytes=2**20, rows=50, string_bytes=1000)
PICTURE = drawn(1)
WORDS = np.array([b"", b"\xff\x00", b"word"], object)


def document(**tensor: Any) -> dict[str, Any]:
    entry = {"name": "x", "shape": [1], "datatype": "BYTES", "data": ["word"], **tensor}
    return {"inputs": [{name: value for name, value in entry.items() if value is not None}]}


def read(body: dict[str, Any], binary: bytes = b"", length: str | None = None) -> Any:
    text = json.dumps(body).encode()
    return read_infer(text + binary, (length or str(len(text))) if binary or length else None, LIMITS)


@pytest.mark.parametrize("array", [WORDS, np.ones((2, 3), np.float32), np.zeros((0, 4), np.int64), np.array([True])])
def test_tensor_in_binary_is_read_as_it_was_written(array):
    datatype = {"O": "BYTES", "f": "FP32", "i": "INT64", "b": "BOOL"}[array.dtype.kind]
    back = read_raw("x", datatype, array.shape, memoryview(write_raw(array)), LIMITS)
    assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())


@pytest.mark.parametrize(
    ("tensor", "array"),
    [
        ({"data": ["ä"]}, ["ä".encode()]),
        ({"data": [base64.b64encode(b"\xff").decode()], "parameters": {"content_type": "base64"}}, [b"\xff"]),
        ({"datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4.5]}, [[1, 2], [3, 4.5]]),
        ({"datatype": "INT64", "shape": [2, 1], "data": [[1], [2]]}, [[1], [2]]),
    ],
)
def test_tensor_in_json_is_flat_or_nested_and_pictures_are_base64(tensor, array):
    assert read(document(**tensor)).inputs["x"].tolist() == array


@pytest.mark.parametrize(
    ("body", "binary", "length", "answer"),
    [
        ({"instances": [1]}, b"", None, "'inputs' has to be a list of tensors, each with name"),
        ({"inputs": [{"shape": [1]}]}, b"", None, "each with name, datatype .BYTES for encoded pictures. and shape"),
        ({"inputs": document()["inputs"] * 2}, b"", None, "x comes twice"),
        (document(datatype=None), b"", None, "each with name, datatype"),
        (document(datatype="TEXT"), b"", None, "datatype 'TEXT' is none of the protocol's: BOOL"),
        (document(shape=None), b"", None, "each with name, datatype"),
        (document(shape=[-1]), b"", None, "has to be a list of sizes, 0 or more"),
        (document(shape=[2]), b"", None, r"1 values do not fill shape \[2\]"),
        (document(shape=[10**30]), b"", None, "more than the limit of 50"),
        (document(data="word"), b"", None, "'data' has to be a list"),
        (document(data=[1]), b"", None, r"x.data\[0\]: .* is not of expected type: string"),
        (document(data=["?"], parameters={"content_type": "base64"}), b"", None, "Unable to base64 decode"),
        (document(data=["w" * 1001]), b"", None, "send a smaller picture"),
        (document() | {"id": 3}, b"", None, "id and signature_name: give strings"),
        (document(data=None, parameters={"binary_data_size": 9}), b"12345678", None, "binary_data_size 9 is not what"),
        (document(data=None, parameters={"binary_data_size": 5}), b"\x02\0\0\0w", None, "5 bytes are not 1 strings"),
        (document(), b"left", None, "4 bytes after the JSON belong to no input"),
        (document(), b"", "99999", "is not the length of JSON that a body of"),
        (document(), b"", "-1", "is not the length of JSON that a body of"),
    ],
)
def test_request_that_breaks_the_protocol_is_refused_by_its_rule(body, binary, length, answer):
    with pytest.raises(ServingError, match=answer) as caught:
        read(body, binary, length)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("tensor", "raw", "answer"),
    [
        ({"datatype": "INT8", "contents": {"int_contents": [300]}}, [], "does not fit into INT8"),
        ({"datatype": "FP16"}, [], "FP16 is sent in raw_input_contents only"),
        ({"datatype": "BYTES", "contents": {"bytes_contents": [b"a", b"b"]}}, [], r"holds 2 values for shape \[1\]"),
        ({"datatype": "FP32"}, [b"123"], "3 bytes are not 1 values of type FP32"),
        ({"datatype": "FP32"}, [b"1234", b"1234"], "holds 2 tensors for 1 inputs"),
        ({"datatype": "FLOAT"}, [b"1234"], "datatype 'FLOAT' is none of the protocol's"),
    ],
)
def test_grpc_request_that_breaks_the_protocol_is_refused_by_its_rule(tensor, raw, answer):
    inputs = [{"name": "x", "shape": [1], **tensor}]
    with pytest.raises(ServingError, match=answer):
        read_inputs(INFERENCE["ModelInferRequest"](inputs=inputs, raw_input_contents=raw), LIMITS)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory) -> Iterator[Endpoint]:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny" / "1")
    (folder / "broken" / "1").mkdir(parents=True)
    with running(folder, LIMITS_OF_SERVER, Options()) as endpoint:
        yield Endpoint(endpoint.rest, endpoint.grpc, "tiny")


LIMITS_OF_SERVER = Limits(request_bytes=2**18)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status", "fields"),
    [
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 503, {}),
        ("/v2", 200, {"name": "fashion serve", "extensions": ["binary_tensor_data"]}),
        ("/v2/models/tiny", 200, {"name": "tiny", "versions": ["1"], "platform": "tensorflow_savedmodel"}),
        ("/v2/models/tiny/versions/1/ready", 200, {"name": "tiny", "ready": True}),
        ("/v2/models/broken/ready", 503, {"ready": False}),
        ("/v2/models/tiny/versions/7/ready", 404, {"error": "Could not find version 7 of model tiny"}),
        ("/v2/models/tiny/versions/one", 400, {"error": "version 'one' is no number, as versions are here"}),
        ("/v2/models/nobody", 404, {"error": "Servable not found for request: Latest(nobody)"}),
        ("/v2/models/tiny/config", 404, {"error": "GET /v2/models/tiny/config is not of the Open Inference Protocol"}),
    ],
)
def test_health_and_metadata_are_told_over_rest(rest, path, status, fields):
    answer = rest.send("GET", path)
    assert (answer[0], {name: answer[1][name] for name in fields}) == (status, fields)


@pytest.mark.slow
def test_answers_are_those_of_tensorflow_serving_s_protocol(rest):
    expected = rest.predict({"image_bytes": [PICTURE]})
    tensor = document(name="image_bytes", data=[base64.b64encode(PICTURE).decode()])["inputs"]
    body = {"inputs": tensor, "parameters": {"content_type": "base64"}, "outputs": [{"name": "label"}], "id": "7"}
    status, answer = rest.send("POST", "/v2/models/tiny/infer", json.dumps(body).encode())
    label = {"name": "label", "datatype": "BYTES", "shape": [1], "data": expected["label"].tolist()}
    assert (status, answer) == (200, {"id": "7", "model_name": "tiny", "model_version": "1", "outputs": [label]})


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http", "grpc"])
class TestTriton:
    """What Triton's own clients see."""

    @pytest.fixture
    def library(self, protocol) -> Any:
        reason = "pip install --no-deps tritonclient python-rapidjson geventhttpclient gevent brotli"
        return pytest.importorskip(f"tritonclient.{protocol}", reason=reason)

    @pytest.fixture
    def client(self, library, protocol, endpoint) -> Iterator[Any]:
        where = endpoint.rest.removeprefix("http://") if protocol == "http" else endpoint.grpc
        with library.InferenceServerClient(where) as client:
            yield client

    def ask(self, library: Any, client: Any, pictures: list[bytes], model: str = "tiny", **how: Any) -> Any:
        given = library.InferInput(how.pop("name", "image_bytes"), [len(pictures)], "BYTES")
        given.set_data_from_numpy(np.array(pictures, object))
        return client.infer(model, [given], **how)

    def test_health_and_metadata(self, client, protocol):
        assert (client.is_server_live(), client.is_server_ready(), client.is_model_ready("tiny")) == (True, False, True)
        assert not client.is_model_ready("broken")
        named = {"as_json": True} if protocol == "grpc" else {}
        assert client.get_server_metadata(**named)["name"] == "fashion serve"
        metadata = client.get_model_metadata("tiny", "1", **named)
        (given,) = metadata["inputs"]
        assert (given["name"], given["datatype"], [int(size) for size in given["shape"]]) == (
            "image_bytes",
            "BYTES",
            [-1],
        )
        assert "label" in {output["name"] for output in metadata["outputs"]}

    def test_pictures_are_answered_as_by_tensorflow_serving_s_protocol(self, library, client, rest):
        expected = rest.predict({"image_bytes": [PICTURE, b"none"]})
        answer = self.ask(library, client, [PICTURE, b"none"])
        assert answer.as_numpy("label").astype(str).tolist() == expected["label"].tolist()
        np.testing.assert_allclose(answer.as_numpy("probabilities"), expected["probabilities"], atol=1e-6)
        assert answer.as_numpy("error").astype(str).tolist() == expected["error"].tolist()

    def test_signature_is_a_parameter_and_outputs_are_chosen(self, library, client):
        wanted = [library.InferRequestedOutput("embedding")]
        answer = self.ask(library, client, [PICTURE], outputs=wanted, parameters={"signature_name": "embed"})
        assert answer.as_numpy("embedding").dtype == np.float32
        assert answer.as_numpy("error") is None

    @pytest.mark.parametrize(
        ("how", "answer"),
        [
            ({"model": "nobody"}, "Servable not found for request: Latest.nobody."),
            ({"model_version": "9"}, "Servable not found for request: Specific.tiny, 9."),
            ({"name": "picture"}, "input tensor alias not found in signature: picture"),
            ({"outputs": "nothing"}, "output tensor alias not found in signature: nothing"),
            ({"parameters": {"signature_name": "nothing"}}, 'Serving signature key "nothing" not found'),
            ({"pictures": [bytes(2**18)]}, "larger than"),
        ],
    )
    def test_faults(self, library, client, how, answer):
        from tritonclient.utils import InferenceServerException

        if "outputs" in how:
            how = {"outputs": [library.InferRequestedOutput(how["outputs"])]}
        with pytest.raises(InferenceServerException, match=answer):
            self.ask(library, client, **{"pictures": [PICTURE], **how})
