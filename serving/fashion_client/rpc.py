"""The client over TensorFlow Serving's gRPC API."""

import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import grpc
from fashion_client import wire
from fashion_client.answers import Match, Metadata, Signature, TensorInfo, VersionStatus
from fashion_client.client import INPUT, Client, Model
from fashion_client.errors import (
    ClientError,
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProtocolError,
    ServerFailed,
    Unavailable,
    Untrusted,
)
from fashion_client.options import Batches, Retries, Timeouts, Tls
from fashion_client.pictures import Picture
from fashion_client.similar import match_rows, picture_bytes, read_matches
from google.protobuf.message import DecodeError

_PORT = 8500
_MOST_BYTES = 64 << 20  # of an answer; 32 embeddings have less than one
_CODE = grpc.StatusCode
# What gRPC's core says of a handshake, without the names of its functions.
_DISTRUST = re.compile(
    r"(?:OPENSSL_internal|UNAUTHENTICATED): *(.+?)(?:: OK|: Invalid certificate verification context)?$"
)
_ERRORS: Mapping[grpc.StatusCode, type[ClientError]] = {
    _CODE.INVALID_ARGUMENT: InvalidRequest,
    _CODE.OUT_OF_RANGE: InvalidRequest,
    _CODE.FAILED_PRECONDITION: InvalidRequest,
    _CODE.NOT_FOUND: NotFound,
    _CODE.UNAUTHENTICATED: Forbidden,
    _CODE.PERMISSION_DENIED: Forbidden,
    _CODE.RESOURCE_EXHAUSTED: Overloaded,
    _CODE.UNAVAILABLE: Unavailable,
    _CODE.DEADLINE_EXCEEDED: DeadlineExceeded,
    _CODE.UNIMPLEMENTED: ProtocolError,
}


class GrpcClient(Client):
    """Asks over gRPC. Thread-safe; all requests share one connection."""

    def __init__(
        self, address: str, model: Model, timeouts: Timeouts, retries: Retries, batches: Batches,
        headers: Mapping[str, str], tls: Tls,
    ) -> None:  # fmt: skip
        super().__init__(f"{model} at {address}", batches)
        url = urlsplit(address)
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        target, options = f"{host}:{url.port or _PORT}", _channel_options(timeouts, retries)
        if url.scheme == "grpcs":
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(**tls.texts()), options)
        else:
            self._channel = grpc.insecure_channel(target, options)
        self._spec: dict[str, Any] = {"name": model.name}
        if model.version is not None:
            self._spec["version"] = {"value": model.version}
        if model.label is not None:
            self._spec["version_label"] = model.label
        self._headers = tuple((name.lower(), value) for name, value in headers.items())
        self._timeouts = timeouts

    def close(self) -> None:
        self._channel.close()

    def status(self) -> list[VersionStatus]:
        answer = self._call(wire.STATUS, "GetModelStatus", model_spec=self._spec)
        return [
            VersionStatus(each.version, wire.STATES.get(each.state, "UNKNOWN"), each.status.error_message)
            for each in answer.model_version_status
        ]

    def metadata(self) -> Metadata:
        answer = self._call(wire.METADATA, "GetModelMetadata", model_spec=self._spec, metadata_field=["signature_def"])
        signatures = wire.MESSAGES["SignatureDefMap"]()
        for entry in answer.metadata:
            if entry.key == "signature_def":
                self._parse(signatures, entry.value.value)
        return Metadata(
            answer.model_spec.name,
            answer.model_spec.version.value,
            {
                entry.key: Signature(_tensors(entry.value.inputs), _tensors(entry.value.outputs))
                for entry in signatures.signature_def
                if not entry.key.startswith("__")
            },
        )

    def similar(self, pictures: Iterable[Picture] = (), ids: Iterable[str] = (), **query: Any) -> list[Match]:
        sent = {INPUT: picture_bytes(self.where, pictures), "ids": [*map(str.encode, ids)]}
        inputs = {name: wire.strings(rows) for name, rows in sent.items()}
        for name, value in query.items():
            try:
                inputs[name] = wire.scalar(value)
            except (LookupError, struct.error) as error:
                raise InvalidRequest(self.where, f"{name}: give one text, number or truth value") from error
        return read_matches(self.where, match_rows(self._predict("search", lambda name: True, inputs)))

    def _outputs(self, signature: str, wants: Callable[[str], bool], pictures: Sequence[bytes]) -> Mapping[str, Any]:
        return self._predict(signature, wants, {INPUT: wire.strings(pictures)})

    def _predict(self, signature: str, wants: Callable[[str], bool], inputs: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._call(
            wire.PREDICT,
            "Predict",
            model_spec={**self._spec, "signature_name": signature},
            inputs=[{"key": name, "value": tensor} for name, tensor in inputs.items()],
        )
        try:
            # Not sent as `output_filter`: a server refuses that where a model lacks one of them.
            return {entry.key: wire.rows(entry.value) for entry in answer.outputs if wants(entry.key)}
        except ValueError as error:
            raise ProtocolError(self.where, f"the answer holds {error}") from error

    def _call(self, method: str, name: str, **fields: Any) -> Any:
        request = wire.MESSAGES[f"{name}Request"](**fields)
        call = self._channel.unary_unary(method)  # bytes in, bytes out: so that what is not a message can be told apart
        try:
            content = call(request.SerializeToString(), timeout=self._timeouts.total, metadata=self._headers)
        except grpc.RpcError as error:
            raise self._failed(error) from error
        return self._parse(wire.MESSAGES[f"{name}Response"](), content)

    def _parse(self, message: Any, content: bytes) -> Any:
        try:
            message.ParseFromString(content)
        except DecodeError as error:
            raise ProtocolError(self.where, "the answer is not a message of TensorFlow Serving") from error
        return message

    def _failed(self, error: Any) -> ClientError:
        code, detail = error.code(), " ".join((error.details() or "").split())
        kind = _ERRORS.get(code, ServerFailed)
        if code == _CODE.RESOURCE_EXHAUSTED and "larger than max" in detail:
            # gRPC's own limits have the same code as an overload.
            kind = ProtocolError if "CLIENT" in detail else InvalidRequest
        if code == _CODE.UNAVAILABLE and (reason := _DISTRUST.search(detail)):
            return Untrusted(self.where, f"no secure connection: {reason[1]}")
        if code == _CODE.DEADLINE_EXCEEDED:
            detail = f"no answer within {self._timeouts.total:g} s"
        return kind(self.where, f"{code.name}: {detail}" if detail else code.name)


def _channel_options(timeouts: Timeouts, retries: Retries) -> list[tuple[str, Any]]:
    policy = {
        "maxAttempts": retries.attempts,
        "initialBackoff": f"{retries.first}s",
        "maxBackoff": f"{retries.longest}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["RESOURCE_EXHAUSTED", "UNAVAILABLE"],
    }
    methods = {"name": [{}], "retryPolicy": policy} if retries.attempts > 1 else {"name": [{}]}
    return [
        ("grpc.service_config", json.dumps({"methodConfig": [methods]})),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", _MOST_BYTES),
        # How long one attempt to connect may take, despite the name.
        ("grpc.min_reconnect_backoff_ms", int(timeouts.connect * 1000)),
        ("grpc.initial_reconnect_backoff_ms", int(retries.first * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(retries.longest * 1000)),
        # As over REST: proxies of the environment are for the web, not for the servers of the house.
        ("grpc.enable_http_proxy", 0),
    ]


def _tensors(entries: Any) -> dict[str, TensorInfo]:
    return {
        entry.key: TensorInfo(
            wire.DTYPES.get(entry.value.dtype, f"type {entry.value.dtype}"),
            None if entry.value.tensor_shape.unknown_rank else tuple(dim.size for dim in entry.value.tensor_shape.dim),
        )
        for entry in entries
    }
