"""The REST face of the Open Inference Protocol: `/v2`, with its extension for tensors in binary."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import numpy as np

from serving.server.errors import invalid
from serving.server.inference import (
    SIGNATURE,
    count_values,
    datatype_of,
    is_ready,
    model_metadata,
    read_raw,
    read_version,
    server_metadata,
    tensor_type,
    write_raw,
)
from serving.server.limits import Limits
from serving.server.manager import Answer, ModelManager, Spec, said_by
from serving.server.rest_answer import json_values
from serving.server.rest_request import flatten, parse_request, read_array
from serving.server.runner import OFF_LOOP_FROM, maybe_off_loop

PATH = re.compile(
    r"/v2(?:/|/health/(?P<health>live|ready)"
    r"|/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<verb>/ready|/infer)?)?"
)
# What has to be said of a tensor.
_WANTED: Mapping[str, tuple[Mapping[str, type], str]] = {
    "inputs": (
        {"name": str, "datatype": str, "shape": list},
        "name, datatype (BYTES for encoded pictures) and shape ([1] for one)",
    ),
    "outputs": ({"name": str}, "name"),
}
JSON_LENGTH = "Inference-Header-Content-Length"  # bytes of the JSON before the tensors in binary


@dataclass(frozen=True)
class InferRequest:
    """What a request asks."""

    id: str
    signature: str  # "" for the default
    inputs: dict[str, np.ndarray]
    outputs: Mapping[str, bool]  # that are wanted, and whether in binary; none for all
    binary: bool  # whether outputs are that were not asked for by name


def tell(manager: ModelManager, found: re.Match[str]) -> tuple[int, dict[str, Any]]:
    """Status and JSON of what is asked with GET, of a path that `PATH` matches; readiness of the server aside.

    Raises:
        ServingError: there is no such model or version.
    """
    if found["health"]:
        return 200, {"live": True}
    if not found["name"]:
        return 200, server_metadata()
    spec = Spec(unquote(found["name"]), read_version(found["version"]))
    if found["verb"]:
        ready = is_ready(manager, spec)
        return 200 if ready else 503, {"name": spec.name, "ready": ready}
    return 200, model_metadata(manager, spec)


async def infer(
    manager: ModelManager, spec: Spec, headers: Mapping[str, str], body: bytearray, limits: Limits
) -> tuple[bytes, int | None]:
    """Answers a request; see `read_infer` and `write_infer`.

    Raises:
        ServingError: as `read_infer` and `ModelManager.predict` do.
    """
    manager.signatures(spec)  # there has to be such a model, whatever it is asked
    request = await maybe_off_loop(len(body) > OFF_LOOP_FROM, read_infer, body, headers.get(JSON_LENGTH), limits)
    sent = {"request": request.id} if request.id else {}
    spec = replace(spec, signature=request.signature, caller=sent | said_by(headers))
    answer = await manager.predict(spec, request.inputs, list(request.outputs))
    large = sum(array.nbytes for array in answer.outputs.values()) > OFF_LOOP_FROM // 8
    return await maybe_off_loop(large, write_infer, spec.name, request, answer)


def read_infer(body: bytes | bytearray, json_length: str | None, limits: Limits) -> InferRequest:
    """Reads the body of a request; `json_length` is its header of that name.

    Raises:
        ServingError: INVALID_ARGUMENT, it is not of the protocol, or above a limit.
    """
    length = _json_length(json_length, len(body))
    document = parse_request(body if length == len(body) else body[:length], limits)
    _check_parameters(document)
    parameters, given = document.get("parameters") or {}, document.get("id", "")
    signature = parameters.get(SIGNATURE, "")
    if not isinstance(signature, str) or not isinstance(given, str):
        raise invalid(f"id and {SIGNATURE}: give strings")
    inputs = _inputs(_entries(document, "inputs"), parameters, memoryview(body)[length:], limits)
    limits.check(inputs)
    binary = parameters.get("binary_data_output") is True
    outputs = {
        entry["name"]: (entry.get("parameters") or {}).get("binary_data", binary) is True
        for entry in _entries(document, "outputs")
    }
    return InferRequest(given, signature, inputs, outputs, binary)


def write_infer(model: str, request: InferRequest, answer: Answer) -> tuple[bytes, int | None]:
    """Writes an answer; the length of its JSON, where tensors in binary follow it, else None."""
    entries, binary = [], []
    for name, array in answer.outputs.items():
        entry: dict[str, Any] = {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}
        if request.outputs.get(name, request.binary):
            binary.append(write_raw(array))
            entry["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            entry["data"] = json_values("", array.ravel())
        entries.append(entry)
    head = {"model_name": model, "model_version": str(answer.version), "outputs": entries}
    text = json.dumps({"id": request.id, **head} if request.id else head).encode()
    return b"".join([text, *binary]), len(text) if binary else None


def _json_length(told: str | None, length: int) -> int:
    if told is None:
        return length
    if not re.fullmatch(r"[0-9]{1,18}", told) or int(told) > length:
        raise invalid(f"{JSON_LENGTH} '{told[:40]}' is not the length of JSON that a body of {length:,} bytes has")
    return int(told)


def _inputs(
    entries: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], binary: memoryview, limits: Limits
) -> dict[str, np.ndarray]:
    """Reads tensors by name; those in binary follow each other in `binary`."""
    inputs: dict[str, np.ndarray] = {}
    for entry in entries:
        name, own = entry["name"], {**parameters, **(entry.get("parameters") or {})}
        if name in inputs:
            raise invalid(f"inputs: {name} comes twice")
        size = own.get("binary_data_size")
        if size is None:
            inputs[name] = _tensor(entry, own.get("content_type") == "base64", limits)
        elif type(size) is int and 0 <= size <= len(binary):
            inputs[name] = read_raw(name, entry["datatype"], entry["shape"], binary[:size], limits)
            binary = binary[size:]
        else:
            raise invalid(f"{name}: binary_data_size {size} is not what follows the JSON: {len(binary):,} bytes")
    if len(binary):
        raise invalid(f"{len(binary):,} bytes after the JSON belong to no input: give {JSON_LENGTH}, binary_data_size")
    return inputs


def _tensor(entry: Mapping[str, Any], base64: bool, limits: Limits) -> np.ndarray:
    """A tensor whose values are in the JSON: in a flat list, or nested as its shape."""
    name, datatype, shape = entry["name"], entry["datatype"], entry["shape"]
    if not isinstance(entry.get("data"), list):
        raise invalid(f"{name}: 'data' has to be a list, or the tensor has to follow the JSON in binary")
    _, leaves = flatten(entry["data"], f"{name}.data")
    if len(leaves) != count_values(name, shape, limits):
        raise invalid(f"{name}: {len(leaves):,} values do not fill shape {shape}")
    if base64 and datatype == "BYTES":
        leaves = [{"b64": leaf} for leaf in leaves]
    return read_array(leaves, tensor_type(datatype), f"{name}.data").reshape(shape)


def _entries(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The tensors that a request lists, each with what has to be said of it."""
    wanted, words = _WANTED[key]
    entries = document.get(key, [])
    if not isinstance(entries, list) or (key == "inputs" and not entries):
        raise invalid(f"'{key}' has to be a list of tensors, each with {words}")
    for entry in entries:
        if not isinstance(entry, dict) or not all(isinstance(entry.get(name), kind) for name, kind in wanted.items()):
            raise invalid(f"'{key}' has to be a list of tensors, each with {words}")
        _check_parameters(entry)
    return entries


def _check_parameters(entry: Mapping[str, Any]) -> None:
    if not isinstance(entry.get("parameters") or {}, dict):
        raise invalid("'parameters' has to be an object")
