"""The messages of TensorFlow Serving's gRPC API, as far as this client speaks it.

The stubs that TensorFlow publishes import TensorFlow. These are made here from a table of field numbers instead, under
a package name and in a descriptor pool of their own, so that both can live in one process. What goes over the wire is
the same: names are not sent.
"""

import math
import struct
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"

# Message to its fields: name, number, type; "[]" repeats. A map is sent as repeated entries of key and value.
FIELDS: Mapping[str, Sequence[tuple[str, int, str]]] = {
    "Int64Value": [("value", 1, "int64")],
    "Any": [("type_url", 1, "string"), ("value", 2, "bytes")],
    "ModelSpec": [
        ("name", 1, "string"), ("version", 2, "Int64Value"), ("signature_name", 3, "string"),
        ("version_label", 4, "string"),
    ],
    "Dim": [("size", 1, "int64")],
    "TensorShapeProto": [("dim", 2, "Dim[]"), ("unknown_rank", 3, "bool")],
    "TensorProto": [
        ("dtype", 1, "int32"), ("tensor_shape", 2, "TensorShapeProto"), ("tensor_content", 4, "bytes"),
        ("float_val", 5, "float[]"), ("string_val", 8, "bytes[]"),
    ],
    "TensorEntry": [("key", 1, "string"), ("value", 2, "TensorProto")],
    "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "TensorEntry[]")],
    "PredictResponse": [("outputs", 1, "TensorEntry[]"), ("model_spec", 2, "ModelSpec")],
    "GetModelStatusRequest": [("model_spec", 1, "ModelSpec")],
    "StatusProto": [("error_code", 1, "int32"), ("error_message", 2, "string")],
    "ModelVersionStatus": [("version", 1, "int64"), ("state", 2, "int32"), ("status", 3, "StatusProto")],
    "GetModelStatusResponse": [("model_version_status", 1, "ModelVersionStatus[]")],
    "GetModelMetadataRequest": [("model_spec", 1, "ModelSpec"), ("metadata_field", 2, "string[]")],
    "MetadataEntry": [("key", 1, "string"), ("value", 2, "Any")],
    "GetModelMetadataResponse": [("model_spec", 1, "ModelSpec"), ("metadata", 2, "MetadataEntry[]")],
    "TensorInfo": [("name", 1, "string"), ("dtype", 2, "int32"), ("tensor_shape", 3, "TensorShapeProto")],
    "TensorInfoEntry": [("key", 1, "string"), ("value", 2, "TensorInfo")],
    "SignatureDef": [
        ("inputs", 1, "TensorInfoEntry[]"), ("outputs", 2, "TensorInfoEntry[]"), ("method_name", 3, "string"),
    ],
    "SignatureDefEntry": [("key", 1, "string"), ("value", 2, "SignatureDef")],
    "SignatureDefMap": [("signature_def", 1, "SignatureDefEntry[]")],
}  # fmt: skip

_MOST_VALUES = 1 << 24  # an answer of a few bytes must not be able to claim all memory

STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
FLOAT, STRING = 1, 7
_SCALARS = {bool: (10, "<?"), int: (9, "<q"), float: (2, "<d")}
DTYPES = {1: "float", 2: "double", 3: "int32", 4: "uint8", 7: "string", 9: "int64", 10: "bool"}


def messages(package: str, tables: Mapping[str, Sequence[tuple[str, int, str]]]) -> dict[str, Any]:
    """Makes the classes of messages from a table like `FIELDS`, in a descriptor pool of their own."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}/wire.proto", package=package, syntax="proto3")
    for message, fields in tables.items():
        described = file.message_type.add(name=message)
        for name, number, kind in fields:
            plain = kind.removesuffix("[]")
            label = field.LABEL_OPTIONAL if plain == kind else field.LABEL_REPEATED
            if plain in tables:
                typed = {"type": field.TYPE_MESSAGE, "type_name": f".{package}.{plain}"}
            else:
                typed = {"type": getattr(field, f"TYPE_{plain.upper()}")}
            described.field.add(name=name, number=number, label=label, **typed)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in tables}


MESSAGES = messages("fashion_client", FIELDS)


def strings(values: Sequence[bytes]) -> Any:
    """A TensorProto of strings, [n]."""
    shape = MESSAGES["TensorShapeProto"](dim=[{"size": len(values)}])
    return MESSAGES["TensorProto"](dtype=STRING, tensor_shape=shape, string_val=values)


def scalar(value: str | bool | int | float) -> Any:
    """A TensorProto of one value.

    Raises:
        LookupError: it is of another type.
        struct.error: it is a number of more than 64 bits.
    """
    if isinstance(value, str):
        return MESSAGES["TensorProto"](dtype=STRING, string_val=[value.encode()])
    dtype, form = _SCALARS[type(value)]
    return MESSAGES["TensorProto"](dtype=dtype, tensor_content=struct.pack(form, value))


def rows(tensor: Any) -> list[Any]:
    """The rows of a TensorProto of one to three axes: str or float of one; of more, lists of str or arrays of float32.

    Raises:
        ValueError: it is of another type or rank, or its values do not fill its shape.
    """
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    fits = len(shape) in (1, 2, 3) and min(shape) >= 0 and math.prod(max(each, 1) for each in shape) <= _MOST_VALUES
    if not fits or tensor.dtype not in (FLOAT, STRING):
        raise ValueError(f"a tensor of type {DTYPES.get(tensor.dtype, tensor.dtype)} and shape {shape}")
    size = math.prod(shape)
    values = _floats(tensor, size) if tensor.dtype == FLOAT else [_text(value) for value in tensor.string_val]
    if len(values) != size:
        raise ValueError(f"a tensor of shape {shape} with {len(values)} values")
    parts: Any = values
    for axis in range(len(shape) - 1, 0, -1):
        width = shape[axis]
        parts = [parts[at * width : (at + 1) * width] for at in range(math.prod(shape[:axis]))]
    return list(parts)


def _floats(tensor: Any, size: int) -> "array[float]":
    if tensor.tensor_content:
        if len(tensor.tensor_content) != 4 * size:
            raise ValueError(f"a tensor of {size} values in {len(tensor.tensor_content)} bytes")
        return array("f", struct.unpack(f"<{size}f", tensor.tensor_content))
    values = array("f", tensor.float_val)
    # A tensor may leave out the end where one value repeats, and all of it where that value is 0.
    if len(values) < size:
        values.extend([values[-1] if values else 0.0] * (size - len(values)))
    return values


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
