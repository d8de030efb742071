"""Two ways to ask a model server the same questions: over REST, and over gRPC."""

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import numpy as np
import tensorflow as tf
import urllib3
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.contract.endpoint import Endpoint

SECONDS = 60.0
STATUS = {
    400: {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"},
    404: {"NOT_FOUND"},
    501: {"UNIMPLEMENTED"},
    503: {"UNAVAILABLE"},
}


class Refused(Exception):
    """The server's answer is an error.

    Attributes:
        codes: the names of the gRPC codes that its status can stand for.
    """

    def __init__(self, codes: Collection[str], message: str) -> None:
        super().__init__(f"{'/'.join(sorted(codes))}: {message}")
        self.codes, self.message = set(codes), message


@dataclass(frozen=True)
class Which:
    """A model, or one of its versions. An empty model is the endpoint's own."""

    model: str = ""
    version: int | None = None
    label: str | None = None
    signature: str = ""


class Asking(Protocol):
    """What both protocols can do."""

    def predict(self, inputs: Mapping[str, Sequence[bytes]], which: Which = ...) -> dict[str, np.ndarray]: ...

    def statuses(self, which: Which = ...) -> dict[int, str]: ...

    def signatures(self, which: Which = ...) -> dict[str, tuple[set[str], set[str]]]: ...


class Rest:
    """Asks over HTTP, in column format."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._pool = urllib3.PoolManager(maxsize=32, timeout=SECONDS, retries=False)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of one HTTP request; `path` starts after the server's address."""
        response = self._pool.request(method, self._endpoint.rest + path, body=body, headers=headers)
        try:
            return response.status, json.loads(response.data)
        except ValueError:
            return response.status, response.data

    def path(self, which: Which = Which(), end: str = "") -> str:
        choice = f"/versions/{which.version}" if which.version is not None else ""
        choice = f"/labels/{which.label}" if which.label is not None else choice
        return f"/v1/models/{which.model or self._endpoint.model}{choice}{end}"

    def post(self, document: Any, which: Which = Which()) -> tuple[int, Any]:
        return self.send("POST", self.path(which, ":predict"), json.dumps(document).encode())

    def predict(self, inputs: Mapping[str, Sequence[bytes]], which: Which = Which()) -> dict[str, np.ndarray]:
        document: dict[str, Any] = {"inputs": {name: [b64(value) for value in rows] for name, rows in inputs.items()}}
        if which.signature:
            document["signature_name"] = which.signature
        outputs = _answer(*self.post(document, which))["outputs"]
        outputs = outputs if isinstance(outputs, dict) else {"": outputs}
        return {name: np.array(values) for name, values in outputs.items()}

    def statuses(self, which: Which = Which()) -> dict[int, str]:
        answer = _answer(*self.send("GET", self.path(which)))
        return {int(entry["version"]): entry["state"] for entry in answer["model_version_status"]}

    def signatures(self, which: Which = Which()) -> dict[str, tuple[set[str], set[str]]]:
        answer = _answer(*self.send("GET", self.path(which, "/metadata")))
        found = answer["metadata"]["signature_def"]["signature_def"]
        return {name: (set(entry["inputs"]), set(entry["outputs"])) for name, entry in found.items()}


class Grpc:
    """Asks over gRPC."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(endpoint.grpc, options)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def request(self, inputs: Mapping[str, Any], which: Which = Which()) -> Any:
        request = predict_pb2.PredictRequest()
        self._choose(request.model_spec, which)
        for name, rows in inputs.items():
            tensor = rows if isinstance(rows, tf.make_tensor_proto(0).__class__) else strings(rows)
            request.inputs[name].CopyFrom(tensor)
        return request

    def call(self, request: Any, seconds: float = SECONDS) -> Any:
        """The whole answer to a PredictRequest."""
        return _called(self.prediction.Predict, request, seconds)

    def predict(self, inputs: Mapping[str, Sequence[bytes]], which: Which = Which()) -> dict[str, np.ndarray]:
        response = self.call(self.request(inputs, which))
        return {name: _array(tensor) for name, tensor in response.outputs.items()}

    def statuses(self, which: Which = Which()) -> dict[int, str]:
        request = get_model_status_pb2.GetModelStatusRequest()
        self._choose(request.model_spec, which)
        response = _called(self.models.GetModelStatus, request)
        states = get_model_status_pb2.ModelVersionStatus.State
        return {entry.version: states.Name(entry.state) for entry in response.model_version_status}

    def signatures(self, which: Which = Which()) -> dict[str, tuple[set[str], set[str]]]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._choose(request.model_spec, which)
        packed = get_model_metadata_pb2.SignatureDefMap()
        _called(self.prediction.GetModelMetadata, request).metadata["signature_def"].Unpack(packed)
        return {name: (set(entry.inputs), set(entry.outputs)) for name, entry in packed.signature_def.items()}

    def _choose(self, spec: Any, which: Which) -> None:
        spec.name = which.model or self._endpoint.model
        spec.signature_name = which.signature
        if which.version is not None:
            spec.version.value = which.version
        if which.label is not None:
            spec.version_label = which.label


def b64(value: bytes) -> dict[str, str]:
    """Bytes as the REST API takes them."""
    return {"b64": base64.b64encode(value).decode()}


def strings(rows: Sequence[bytes]) -> Any:
    """Bytes as the gRPC API takes them."""
    return tf.make_tensor_proto(list(rows), tf.string, [len(rows)])


def _array(tensor: Any) -> np.ndarray:
    array = tf.make_ndarray(tensor)
    return np.char.decode(array.astype(bytes), "utf-8") if array.dtype == object else array


def _answer(status: int, answer: Any) -> Any:
    if status != 200:
        assert set(answer) == {"error"}, answer
        raise Refused(STATUS.get(status, {str(status)}), answer["error"])
    return answer


def _called(method: Any, request: Any, seconds: float = SECONDS) -> Any:
    try:
        return method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise Refused({error.code().name}, error.details()) from error
