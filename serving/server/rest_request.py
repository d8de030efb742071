"""The JSON of a predict request, as TensorFlow Serving's REST API has it: from its text to arrays."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2

from serving.server.errors import ServingError, invalid
from serving.server.limits import MOST_DIMENSIONS, Limits

Shape = tuple[int, ...]

_FLOATS: dict[int, type[np.floating[Any]]] = {types_pb2.DT_FLOAT: np.float32, types_pb2.DT_DOUBLE: np.float64}
_INTEGERS: dict[int, type[np.integer[Any]]] = {
    types_pb2.DT_INT8: np.int8, types_pb2.DT_INT16: np.int16, types_pb2.DT_INT32: np.int32,
    types_pb2.DT_INT64: np.int64, types_pb2.DT_UINT8: np.uint8, types_pb2.DT_UINT32: np.uint32,
    types_pb2.DT_UINT64: np.uint64,
}  # fmt: skip
_KINDS = {dict: "Object", list: "Array", str: "String", bool: "Bool", type(None): "Null"}


def parse_request(body: bytes | bytearray, limits: Limits) -> dict[str, Any]:
    """Reads the body of a predict request, as far as it can be without knowing the model.

    The body is JSON in UTF-8; NaN, Infinity and -Infinity are numbers. Above the limits it is not even parsed.

    Raises:
        ServingError: INVALID_ARGUMENT, the body is not a JSON object, or one of too many values.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    limits.check_json(body)
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except RecursionError as error:
        raise invalid("JSON Parse error: Nested too deeply") from error
    except ValueError as error:  # bytes that are no UTF-8, a number of thousands of digits
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_shown(document)} Is not object")
    return document


def signature_of(document: Mapping[str, Any]) -> str:
    """The signature that a request names; "" if it leaves the choice to the server.

    Raises:
        ServingError: INVALID_ARGUMENT, the name is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(f"signature_name: {_shown(name)}: 'signature_name' key must be a string value.")
    return name


def read_inputs(
    document: Mapping[str, Any], declared: Mapping[str, int], limits: Limits
) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the tensors of a predict request, in row or column format.

    Args:
        document: what `parse_request` returned.
        declared: name and `DataType` of each input of the signature; at least one.
        limits: above which the request is refused.

    Returns:
        The arrays by name (strings as object arrays of bytes), and whether the request came in row format.

    Raises:
        ServingError: INVALID_ARGUMENT, the request is not of the documented form, does not fit the signature or is
            above a limit; UNIMPLEMENTED, an input's type cannot be written in JSON.
    """
    by_row = "instances" in document
    if by_row and "inputs" in document:
        raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    if not by_row and "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    names = sorted(declared)
    if by_row and isinstance(document["instances"], list):
        limits.check_rows("instances", len(document["instances"]))
    columns = _columns_of_rows(document["instances"], names) if by_row else _columns(document["inputs"], names)
    for name, (values, _) in columns.items():
        limits.check_rows(name, len(values) if isinstance(values, list) else 0)
    inputs = {name: read_array(values, declared[name], at) for name, (values, at) in columns.items()}
    limits.check(inputs)
    return inputs, by_row


def _columns_of_rows(rows: Any, names: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """Values by input, each with where they stand in the request."""
    if not isinstance(rows, list):
        raise invalid("Expecting 'instances' to be a list/array")
    if not rows:
        raise invalid("No values in 'instances' array")
    by_name = _is_object(rows[0])
    if not by_name and len(names) > 1:
        raise invalid(f"instances is a plain list, but expecting list of objects with the keys: {','.join(names)}")
    for number, row in enumerate(rows):
        if _is_object(row) != by_name:
            expected, got = ("object", "value/list") if by_name else ("value/list", "object")
            raise invalid(f"Expecting {expected} but got {got} at item {number} of input list")
        if by_name and sorted(row) != list(names):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object must only have keys: "
                f"{','.join(names)}; it has: {','.join(sorted(row))[:200]}"
            )
    if by_name:
        return {name: ([row[name] for row in rows], f"instances.{name}") for name in names}
    return {names[0]: (rows, "instances")}


def _columns(inputs: Any, names: Sequence[str]) -> dict[str, tuple[Any, str]]:
    if not _is_object(inputs):
        if len(names) > 1:
            raise invalid(f"inputs is a plain value/list, but expecting an object with the keys: {','.join(names)}")
        return {names[0]: (inputs, "inputs")}
    for name in names:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: (inputs[name], f"inputs.{name}") for name in names}


def read_array(values: Any, dtype: int, at: str) -> np.ndarray:
    """Makes an array of a `DataType` of nested lists; strings as an object array of bytes.

    Raises:
        ServingError: INVALID_ARGUMENT, a value is of another type; UNIMPLEMENTED, JSON cannot write that type.
    """
    shape, leaves = flatten(values, at)
    if dtype == types_pb2.DT_STRING:
        flat = np.empty(len(leaves), object)
        flat[:] = [_bytes(leaf, at, position, shape) for position, leaf in enumerate(leaves)]
    elif dtype in _FLOATS:
        flat = _floats(leaves, _FLOATS[dtype], at, shape)
    elif dtype in _INTEGERS:
        flat = _plain(leaves, _INTEGERS[dtype], {int}, at, shape)
    elif dtype == types_pb2.DT_BOOL:
        flat = _plain(leaves, np.bool_, {bool}, at, shape)
    else:
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED, f"{at}: Conversion of JSON Value to type: {types_pb2.DataType.Name(dtype)}"
        )
    return flat.reshape(shape)


def flatten(values: Any, at: str) -> tuple[Shape, list[Any]]:
    """The shape that nested lists have in common, and their leaves in order; `at` is where they stand in the request.

    Raises:
        ServingError: INVALID_ARGUMENT, they have no shape in common.
    """
    shape: Shape = ()
    first = values
    while isinstance(first, list):
        shape += (len(first),)
        first = first[0] if first else None
    if len(shape) > MOST_DIMENSIONS:
        raise invalid(f"{at}: lists are nested {len(shape)} deep, more than the {MOST_DIMENSIONS} that are read")
    level = [values]
    for depth, size in enumerate(shape):
        for position, item in enumerate(level):
            place = _place(at, position, shape[:depth])
            if not isinstance(item, list):
                raise invalid(f"{place}: JSON Value: {_shown(item)} found at incorrect level: {depth + 1}")
            if len(item) != size:
                raise invalid(f"{place}: Encountered list at unexpected size: {len(item)} expected size: {size}")
        level = list(chain.from_iterable(level))
    for position, leaf in enumerate(level):
        if isinstance(leaf, list):
            raise invalid(f"{_place(at, position, shape)}: Encountered list at unexpected level: {len(shape)}")
    return shape, level


def _bytes(leaf: Any, at: str, position: int, shape: Shape) -> bytes:
    try:
        if isinstance(leaf, str):
            return leaf.encode()
        if _is_base64(leaf):
            text = "".join(leaf["b64"].split())
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except UnicodeEncodeError as error:
        raise invalid(f"{_place(at, position, shape)}: The surrogate pair in string is invalid") from error
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{_place(at, position, shape)}: Unable to base64 decode") from error
    if isinstance(leaf, dict):
        raise invalid(
            f"{_place(at, position, shape)}: JSON Value: {_shown(leaf)} not formatted correctly for base64 data"
        )
    raise _wrong_type(leaf, "string", _place(at, position, shape))


def _floats(leaves: list[Any], dtype: type[np.floating[Any]], at: str, shape: Shape) -> np.ndarray:
    exact = 2 ** (np.finfo(dtype).nmant + 1)
    for position, leaf in enumerate(leaves):
        if type(leaf) is int and abs(leaf) >= exact:
            raise _lossy(leaf, dtype, _place(at, position, shape))
    with np.errstate(over="ignore"):
        flat = _plain(leaves, dtype, {int, float}, at, shape)
    if not np.isfinite(flat).all():
        given = np.array(leaves, np.float64)
        lost = np.flatnonzero(np.isfinite(given) & ~np.isfinite(flat)).tolist()
        if lost:
            raise _lossy(leaves[lost[0]], dtype, _place(at, lost[0], shape))
    return flat


def _plain(leaves: list[Any], dtype: type[np.generic], kinds: set[type], at: str, shape: Shape) -> np.ndarray:
    if not set(map(type, leaves)) <= kinds:
        position = next(position for position, leaf in enumerate(leaves) if type(leaf) not in kinds)
        raise _wrong_type(leaves[position], np.dtype(dtype).name, _place(at, position, shape))
    try:
        return np.array(leaves, dtype)
    except OverflowError as error:
        raise invalid(f"{at}: a number does not fit into type: {np.dtype(dtype).name}") from error


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _place(at: str, position: int, shape: Shape) -> str:
    """Where in the request a leaf stands, e.g. instances[1][0]."""
    return at + "".join(f"[{index}]" for index in np.unravel_index(position, shape)) if shape else at


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return _KINDS[type(value)]
    text = json.dumps(value[:60] if isinstance(value, str) else value)
    return text[:80]


def _wrong_type(leaf: Any, expected: str, place: str) -> ServingError:
    kind = _KINDS.get(type(leaf), "Number")
    return invalid(f"{place}: JSON Value: {_shown(leaf)} Type: {kind} is not of expected type: {expected}")


def _lossy(leaf: float, dtype: type[np.generic], place: str) -> ServingError:
    name = np.dtype(dtype).name
    return invalid(f"{place}: Cannot convert JSON value: {_shown(leaf)} to {name} without loss of precision.")
