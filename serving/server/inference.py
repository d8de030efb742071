"""The Open Inference Protocol, version 2, as far as REST and gRPC share it: tensors in bytes, metadata, readiness."""

import math
import struct
from collections.abc import Sequence
from importlib.metadata import distributions
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from serving.server.errors import invalid, not_found
from serving.server.lifecycle import AVAILABLE
from serving.server.limits import MOST_DIMENSIONS, Limits
from serving.server.manager import ModelManager, Spec
from serving.server.servable import DEFAULT_SIGNATURE

# The protocol has no signatures; a request may name one as TensorFlow Serving's do, among its parameters.
SIGNATURE = "signature_name"

NUMPY: dict[str, Any] = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16, "FP32": np.float32,
    "FP64": np.float64, "BYTES": np.object_,
}  # fmt: skip
_NAMES = {np.dtype(kind): name for name, kind in NUMPY.items()}
_LENGTH = struct.Struct("<I")


def tensor_type(datatype: str) -> int:
    """TensorFlow's `DataType` of one of the protocol's.

    Raises:
        ServingError: INVALID_ARGUMENT, there is none.
    """
    if datatype not in NUMPY:
        raise invalid(f"datatype '{datatype}' is none of the protocol's: {', '.join(NUMPY)}")
    return int(types_pb2.DT_STRING if datatype == "BYTES" else tf.as_dtype(NUMPY[datatype]).as_datatype_enum)


def datatype_of(array: np.ndarray) -> str:
    """The protocol's name of an array's type; strings are object arrays of bytes."""
    return _NAMES[array.dtype]


def count_values(name: str, shape: Sequence[int], limits: Limits) -> int:
    """Tells how many values a tensor announces.

    Raises:
        ServingError: INVALID_ARGUMENT, the shape is none, or above a limit.
    """
    if len(shape) > MOST_DIMENSIONS or any(type(size) is not int or size < 0 for size in shape):
        raise invalid(f"{name}: shape {list(shape)[:MOST_DIMENSIONS]} has to be a list of sizes, 0 or more")
    limits.check_rows(name, shape[0] if shape else 0)
    return math.prod(shape)


def read_raw(name: str, datatype: str, shape: Sequence[int], data: memoryview, limits: Limits) -> np.ndarray:
    """Reads a tensor in binary: values one after the other, in BYTES each after its length of four bytes.

    Raises:
        ServingError: INVALID_ARGUMENT, the data is not what shape and type announce, or above a limit.
    """
    tensor_type(datatype)
    count, kind = count_values(name, shape, limits), np.dtype(NUMPY[datatype])
    if datatype == "BYTES":
        limits.check_values(0, count)
        strings = _strings(data, count)
        if strings is None:
            raise invalid(f"{name}: {len(data):,} bytes are not {count:,} strings, each after its length of 4 bytes")
        flat = np.empty(count, object)
        flat[:] = strings
        return flat.reshape(shape)
    if len(data) != count * kind.itemsize:
        raise invalid(f"{name}: {len(data):,} bytes are not {count:,} values of type {datatype}")
    return np.frombuffer(data, kind.newbyteorder("<")).astype(kind).reshape(shape)


def write_raw(array: np.ndarray) -> bytes:
    """Writes a tensor as `read_raw` reads it."""
    if array.dtype == object:
        return b"".join(_LENGTH.pack(len(value)) + value for value in array.ravel().tolist())
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def server_metadata() -> dict[str, Any]:
    """What server this is."""
    version = next((found.version for found in distributions(name="fashion-pipeline")), "unknown")
    return {"name": "fashion serve", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(manager: ModelManager, spec: Spec) -> dict[str, Any]:
    """Versions that serve, and the inputs and outputs of the signature, of one version if it is named.

    Raises:
        ServingError: NOT_FOUND, nothing answers.
    """
    _, signatures = manager.signatures(spec)
    if DEFAULT_SIGNATURE not in signatures:
        raise not_found(f"{spec.name} has no signature {DEFAULT_SIGNATURE}, which is what this protocol shows")
    signature = signatures[DEFAULT_SIGNATURE]
    serving = [each.version for each in manager.status(spec.name) if each.state == AVAILABLE]
    versions = [spec.version] if spec.version is not None else serving
    return {
        "name": spec.name,
        "versions": [str(number) for number in versions],
        "platform": "tensorflow_savedmodel",
        "inputs": _described(signature.inputs),
        "outputs": _described(signature.outputs),
    }


def is_ready(manager: ModelManager, spec: Spec) -> bool:
    """Whether a model, or one of its versions, serves.

    Raises:
        ServingError: NOT_FOUND, there is none.
    """
    return any(each.state == AVAILABLE for each in manager.status(spec.name, spec.version))


def read_version(text: str | None) -> int | None:
    """Reads the version that a request names; None if it names none.

    Raises:
        ServingError: INVALID_ARGUMENT, it is no number.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63):
        raise invalid(f"version '{text[:40]}' is no number, as versions are here")
    return int(text)


def _strings(data: memoryview, count: int) -> list[bytes] | None:
    """So many strings; None if one is cut off, or something is left."""
    values, at = [], 0
    for _ in range(count):
        if at + _LENGTH.size > len(data):
            return None
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + size
        if at > len(data):
            return None
        values.append(bytes(data[at - size : at]))
    return values if at == len(data) else None


def _described(infos: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "datatype": _NAMES[np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype)],
            "shape": [dimension.size for dimension in info.tensor_shape.dim],
        }
        for name, info in sorted(infos.items())
    ]
