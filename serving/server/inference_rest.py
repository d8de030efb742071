"""The REST face of the Open Inference Protocol: `/v2`, with its extension for tensors in binary."""

import json
import re
from collections.abc import Mapping
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
    length = len(body)
    if json_length is not None:
        if not re.fullmatch(r"[0-9]{1,18}", json_length) or int(json_length) > len(body):
            raise invalid(f"{JSON_LENGTH} '{json_length[:40]}' is not the length of JSON that a body of {length:,} has")
        length = int(json_length)
    document = parse_request(body[:length], limits)
    parameters = _parameters("the request", document)
    rest = memoryview(body)[length:]
    inputs: dict[str, np.ndarray] = {}
    for entry in _entries(document, "inputs"):
        name = entry["name"]
        if name in inputs:
            raise invalid(f"inputs: {name} comes twice")
        own = {**parameters, **_parameters(name, entry)}
        size = own.get("binary_data_size")
        if size is None:
            inputs[name] = _tensor(entry, own.get("content_type") == "base64", limits)
            continue
        if type(size) is not int or not 0 <= size <= len(rest):
            raise invalid(f"{name}: binary_data_size {size} is not what follows the JSON: {len(rest):,} bytes")
        inputs[name] = read_raw(name, _datatype(entry), _shape(entry), rest[:size], limits)
        rest = rest[size:]
    if len(rest):
        raise invalid(f"{len(rest):,} bytes after the JSON belong to no input: give {JSON_LENGTH}, binary_data_size")
    limits.check(inputs)
    binary = parameters.get("binary_data_output") is True
    outputs = {
        entry["name"]: _parameters(entry["name"], entry).get("binary_data", binary) is True
        for entry in _entries(document, "outputs")
    }
    signature, given = parameters.get(SIGNATURE, ""), document.get("id", "")
    for key, value in ((SIGNATURE, signature), ("id", given)):
        if not isinstance(value, str):
            raise invalid(f"{key}: give a string")
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


def _tensor(entry: Mapping[str, Any], base64: bool, limits: Limits) -> np.ndarray:
    """A tensor whose values are in the JSON: in a flat list, or nested as its shape."""
    name, datatype, shape = entry["name"], _datatype(entry), _shape(entry)
    if not isinstance(entry.get("data"), list):
        raise invalid(f"{name}: 'data' has to be a list, or the tensor has to follow the JSON in binary")
    _, leaves = flatten(entry["data"], f"{name}.data")
    if len(leaves) != count_values(name, shape, limits):
        raise invalid(f"{name}: {len(leaves):,} values do not fill shape {shape}")
    if base64 and datatype == "BYTES":
        leaves = [{"b64": leaf} for leaf in leaves]
    return read_array(leaves, tensor_type(datatype), f"{name}.data").reshape(shape)


def _entries(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = document.get(key, [])
    if not isinstance(entries, list) or (key == "inputs" and not entries):
        raise invalid(f"'{key}' has to be a list of tensors, each with its name")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise invalid(f"'{key}' has to be a list of tensors, each with its name")
    return entries


def _parameters(owner: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    parameters = entry.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise invalid(f"{owner}: 'parameters' has to be an object")
    return parameters


def _datatype(entry: Mapping[str, Any]) -> str:
    if not isinstance(entry.get("datatype"), str):
        raise invalid(f"{entry['name']}: 'datatype' is missing, e.g. BYTES for encoded pictures")
    return str(entry["datatype"])


def _shape(entry: Mapping[str, Any]) -> list[int]:
    if not isinstance(entry.get("shape"), list):
        raise invalid(f"{entry['name']}: 'shape' is missing, e.g. [1] for one picture")
    return list(entry["shape"])
