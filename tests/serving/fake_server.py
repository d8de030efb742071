"""A model server that needs no model: it takes a picture's bytes for its class, and misbehaves when told to."""

import base64
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
import pytest
from fashion_client import wire

SPEC = {"name": "tiny", "version": 3}


class Behaviour:
    """What the next requests meet, and what was asked so far.

    Attributes:
        faults: names of faults, one for each request to come; then all is well.
        asked: signature and pictures of each request that was answered.
        requests: how many came.
        running: how many are being answered.
        most_running: the highest of that.
        delay: seconds that each answer takes.
        signatures: that the model has.
        tags: whether it answers a further column.
        connections: addresses of the clients seen (REST).
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.asked: list[tuple[str, list[bytes]]] = []
        self.requests = self.running = self.most_running = 0
        self.delay = 0.0
        self.tags = False
        self.signatures = ["serving_default", "embed"]
        self.connections: set[Any] = set()
        self._lock = threading.Lock()

    def next_fault(self) -> str:
        with self._lock:
            self.requests += 1
            return self.faults.pop(0) if self.faults else ""

    def outputs(self, signature: str, pictures: Sequence[bytes], fault: str = "") -> dict[str, Any] | None:
        """The model's outputs, or None if the server refuses the request for one of the pictures."""
        with self._lock:
            self.asked.append((signature, list(pictures)))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        time.sleep(self.delay)
        with self._lock:
            self.running -= 1
        if any(picture.startswith(b"refuse") for picture in pictures):
            return None
        outputs = _outputs(signature, pictures)
        if self.tags:
            outputs |= {"baseColour_label": [label and "Red" for label in outputs["label"]]}
            outputs |= {"baseColour_confidence": [0.5 * bool(label) for label in outputs["label"]]}
        return _broken(outputs, fault)


def _outputs(signature: str, pictures: Sequence[bytes]) -> dict[str, Any]:
    good = [not picture.startswith(b"bad") for picture in pictures]
    error = ["" if fine else "this is not a picture" for fine in good]
    if signature == "embed":
        vectors = [[0.6, float(len(picture)), -0.8] if fine else [0.0] * 3 for picture, fine in zip(pictures, good)]  # noqa: B905
        return {"embedding": vectors, "error": error}
    labels = [picture.decode("utf-8", "replace")[:9] if fine else "" for picture, fine in zip(pictures, good)]  # noqa: B905
    heat = {"heat": [[[2.5, -1.0, 0.0], [0.5, 1.0, 1.5]] if fine else [[0.0] * 3] * 2 for fine in good]}
    return {
        **(heat if signature == "explain" else {}),
        "label": labels,
        "confidence": [0.75 * fine for fine in good],
        "top_labels": [[label, "other"] for label in labels],
        "top_scores": [[0.75 * fine, 0.25 * fine] for fine in good],
        "probabilities": [[0.75, 0.25] for _ in good],
        "outside": [-2.5 * fine for fine in good],
        "decision": ["accept" * fine for fine in good],
        "label_set": [f"{label}\nother" * fine for label, fine in zip(labels, good)],  # noqa: B905
        "error": error,
        **({"projection": [[0.5] * 64 for _ in good]} if signature == "observe" else {}),
    }


def _broken(outputs: dict[str, Any], fault: str) -> dict[str, Any]:
    if fault == "missing output":
        del outputs["top_labels"]
    elif fault == "older model":
        for name in ("outside", "decision", "label_set"):
            outputs.pop(name, None)
    elif fault == "too few rows":
        outputs["label"] = outputs["label"][:-1]
    elif fault == "wrong type":
        outputs["label"] = outputs["confidence"]
    elif fault == "not a number":
        outputs["confidence"] = [float("nan")] * len(outputs["confidence"])
    return outputs


# HTTP's and gRPC's code of each fault that is a plain refusal.
REFUSALS = {
    "unknown model": (404, grpc.StatusCode.NOT_FOUND),
    "forbidden": (403, grpc.StatusCode.PERMISSION_DENIED),
    "overloaded": (429, grpc.StatusCode.RESOURCE_EXHAUSTED),
    "not ready": (503, grpc.StatusCode.UNAVAILABLE),
    "internal": (500, grpc.StatusCode.INTERNAL),
    "too late": (504, grpc.StatusCode.DEADLINE_EXCEEDED),
    "invalid": (400, grpc.StatusCode.INVALID_ARGUMENT),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self._misbehaved():
            return
        if self.path.endswith("/metadata"):
            shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
            each = {"inputs": {"image_bytes": {"dtype": "DT_STRING", "tensor_shape": shape}}, "outputs": {}}
            signatures = dict.fromkeys(self.behaviour.signatures, each)
            spec = {"name": SPEC["name"], "version": str(SPEC["version"])}
            self._send(200, {"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}})
        else:
            status = {"error_code": "OK", "error_message": ""}
            self._send(200, {"model_version_status": [{"version": "3", "state": "AVAILABLE", "status": status}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self.behaviour.next_fault()
        if self._misbehaved(fault):
            return
        pictures = [base64.b64decode(each["b64"]) for each in body["inputs"]["image_bytes"]]
        outputs = self.behaviour.outputs(body["signature_name"], pictures, fault)
        if outputs is None:
            self._send(400, {"error": "a picture is over the limit"})
        else:
            self._send(200, {"outputs": outputs})

    def _misbehaved(self, fault: str | None = None) -> bool:
        self.behaviour.connections.add(self.client_address)
        fault = self.behaviour.next_fault() if fault is None else fault
        raw = {
            "garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n<html></html",
            "half an answer": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"outputs": {',
            "cut JSON": b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"outputs": {',
            "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "redirect": b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
        }
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault in raw:
            self.wfile.write(raw[fault])
        elif fault == "slow":
            time.sleep(1)
        elif fault == "dripping":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            self._drip()
        elif fault == "huge":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self._flood()
        elif fault in REFUSALS:
            self._send(REFUSALS[fault][0], {"error": f"it is {fault}"})
            return True
        elif fault.startswith("asks for a pause of "):
            self._send(429, {"error": "it is overloaded"}, {"Retry-After": fault.split()[-1]})
            return True
        else:
            return False
        self.close_connection = True
        return True

    def _drip(self) -> None:
        try:
            for _ in range(40):
                self.wfile.write(b" ")
                time.sleep(0.05)
        except OSError:
            pass

    def _flood(self) -> None:
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        try:
            for _ in range(80):
                self.wfile.write(chunk)
        except OSError:
            pass

    def _send(self, status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def rest_server(behaviour: Behaviour, port: int = 0) -> Iterator[str]:
    """Serves REST; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"behaviour": behaviour}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Service(grpc.GenericRpcHandler):
    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def service(self, call: Any) -> Any:
        answer = {wire.PREDICT: self._predict, wire.METADATA: self._metadata, wire.STATUS: self._status}[call.method]

        def guarded(request: bytes, context: Any) -> bytes:
            fault = self._behaviour.next_fault()
            if fault == "garbage":
                return b"<html></html>"
            if fault == "slow":
                time.sleep(1)
            if fault in REFUSALS:
                context.abort(REFUSALS[fault][1], f"it is {fault}")
            if fault.startswith("asks for a pause of "):
                context.set_trailing_metadata((("grpc-retry-pushback-ms", str(1000 * int(fault.split()[-1]))),))
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "it is overloaded")
            return answer(request, context, fault)

        return grpc.unary_unary_rpc_method_handler(guarded)

    def _predict(self, request: bytes, context: Any, fault: str) -> bytes:
        asked = wire.MESSAGES["PredictRequest"].FromString(request)
        (given,) = asked.inputs
        assert given.key == "image_bytes"
        outputs = self._behaviour.outputs(asked.model_spec.signature_name, list(given.value.string_val), fault)
        if outputs is None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a picture is over the limit")
        answer = wire.MESSAGES["PredictResponse"](model_spec={"name": "tiny", "version": {"value": 3}})
        for name, rows in outputs.items():
            answer.outputs.add(key=name, value=_tensor(rows))
        if fault == "huge":
            answer.outputs.add(key="huge", value=wire.strings([bytes(2 << 20)]))
        return answer.SerializeToString()

    def _metadata(self, request: bytes, context: Any, fault: str) -> bytes:
        info = {"dtype": wire.STRING, "tensor_shape": {"dim": [{"size": -1}]}}
        each = {"inputs": [{"key": "image_bytes", "value": info}]}
        signatures = [{"key": name, "value": each} for name in self._behaviour.signatures]
        packed = wire.MESSAGES["SignatureDefMap"](signature_def=signatures).SerializeToString()
        return wire.MESSAGES["GetModelMetadataResponse"](
            model_spec={"name": SPEC["name"], "version": {"value": SPEC["version"]}},
            metadata=[{"key": "signature_def", "value": {"value": packed}}],
        ).SerializeToString()

    def _status(self, request: bytes, context: Any, fault: str) -> bytes:
        return wire.MESSAGES["GetModelStatusResponse"](
            model_version_status=[{"version": 3, "state": 30, "status": {}}]
        ).SerializeToString()


def _tensor(rows: list[Any]) -> Any:
    values = np.array(rows)
    shape, flat = {"dim": [{"size": size} for size in values.shape]}, values.ravel().tolist()
    if isinstance(flat[0], str):
        texts = [value.encode() for value in flat]
        return wire.MESSAGES["TensorProto"](dtype=wire.STRING, tensor_shape=shape, string_val=texts)
    return wire.MESSAGES["TensorProto"](dtype=wire.FLOAT, tensor_shape=shape, float_val=flat)


@contextmanager
def grpc_server(behaviour: Behaviour, port: int = 0) -> Iterator[str]:
    """Serves gRPC; yields the address."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(16), handlers=[_Service(behaviour)], options=options)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


SERVERS = {"rest": rest_server, "grpc": grpc_server}


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture(params=SERVERS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(protocol: str, behaviour: Behaviour) -> Iterator[str]:
    with SERVERS[protocol](behaviour) as address:
        yield address
