"""The messages of TensorFlow Serving's API, made from arrays and from what the manager knows, and read."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from serving.server.errors import invalid
from serving.server.limits import MOST_DIMENSIONS, Limits
from serving.server.manager import Answer, ModelManager, Spec

SIGNATURE_DEF = "signature_def"  # the only metadata there is
_STRING_BYTES = 32  # of an empty string: numpy's pointer, and TensorFlow's own string

# Where TensorFlow Serving writes the values of an answer. Clients that do without TensorFlow read these fields.
_FIELDS = {
    types_pb2.DT_BOOL: "bool_val", types_pb2.DT_DOUBLE: "double_val", types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_INT8: "int_val", types_pb2.DT_INT16: "int_val", types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT64: "int64_val", types_pb2.DT_STRING: "string_val", types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT32: "uint32_val", types_pb2.DT_UINT64: "uint64_val",
}  # fmt: skip


def array_bytes(name: str, tensor: Any, limits: Limits) -> int:
    """Tells how many bytes a TensorProto that a client sent takes as an array: one value may stand for a billion.

    Raises:
        ServingError: INVALID_ARGUMENT, the proto contradicts itself or is too large.
    """
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid(f"tensor parsing error: {name} has to have a known shape")
    if len(shape) > MOST_DIMENSIONS:
        raise invalid(f"{name} has {len(shape)} dimensions, more than the {MOST_DIMENSIONS} that are read")
    limits.check_rows(name, shape[0] if shape else 0)
    try:
        dtype = np.dtype(tf.dtypes.as_dtype(tensor.dtype).as_numpy_dtype)
    except (TypeError, ValueError, KeyError) as error:
        raise invalid(f"tensor parsing error: {name} has an unknown type") from error
    size = math.prod(shape) * (_STRING_BYTES if tensor.dtype == types_pb2.DT_STRING else dtype.itemsize)
    if size > limits.request_bytes:
        raise invalid(f"{name} of shape {shape} takes {size:,} bytes, more than the limit of {limits.request_bytes:,}")
    limits.check_strings(name, tensor.string_val)
    return size


def to_array(name: str, tensor: Any) -> np.ndarray:
    """Reads a TensorProto that `array_bytes` let pass; strings as an object array of bytes.

    Raises:
        ServingError: INVALID_ARGUMENT, its values are not those that its shape announces.
    """
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    try:
        if tensor.dtype == types_pb2.DT_STRING and len(tensor.string_val) == math.prod(shape):
            flat = np.empty(len(tensor.string_val), object)
            flat[:] = list(tensor.string_val)
            return flat.reshape(shape)
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError) as error:
        raise invalid(f"tensor parsing error: {name} does not hold the values that its shape announces") from error


def tensor_message(array: np.ndarray) -> Any:
    """Writes an array, strings as objects, as TensorFlow Serving does: a TensorProto, values in the type's field."""
    dtype = tf.dtypes.as_dtype(tf.string if array.dtype.kind in "OS" else array.dtype).as_datatype_enum
    if dtype not in _FIELDS:
        return tf.make_tensor_proto(array)
    shape = tensor_shape_pb2.TensorShapeProto()
    for size in array.shape:
        shape.dim.add(size=size)
    return tensor_pb2.TensorProto(dtype=dtype, tensor_shape=shape, **{_FIELDS[dtype]: array.ravel().tolist()})


def predict_message(name: str, answer: Answer) -> Any:
    """What a model answered, as a PredictResponse."""
    response = predict_pb2.PredictResponse()
    response.model_spec.name = name
    response.model_spec.version.value = answer.version
    response.model_spec.signature_name = answer.signature
    for output, array in answer.outputs.items():
        response.outputs[output].CopyFrom(tensor_message(array))
    return response


def status_message(manager: ModelManager, spec: Spec) -> Any:
    """The states of a model's versions, as a GetModelStatusResponse."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for version in manager.status(spec.name, spec.version, spec.label):
        entry = response.model_version_status.add(version=version.version)
        entry.state = get_model_status_pb2.ModelVersionStatus.State.Value(version.state)
        entry.status.error_code = version.error_code
        entry.status.error_message = version.error_message
    return response


def metadata_message(manager: ModelManager, spec: Spec) -> Any:
    """The signatures of a model, as a GetModelMetadataResponse."""
    version, signatures = manager.signatures(spec)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = spec.name
    response.model_spec.version.value = version
    packed = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in signatures.items():
        packed.signature_def[name].CopyFrom(signature)
    response.metadata[SIGNATURE_DEF].Pack(packed)
    return response


def fields_of(message: Any) -> dict[str, Any]:
    """Writes a message as the REST API's JSON has it."""
    return dict(
        json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    )


def metadata_fields(message: Any) -> dict[str, Any]:
    """Writes what `metadata_message` made as JSON; what is packed is shown without its type URL."""
    packed = get_model_metadata_pb2.SignatureDefMap()
    message.metadata[SIGNATURE_DEF].Unpack(packed)
    return {"model_spec": fields_of(message.model_spec), "metadata": {SIGNATURE_DEF: fields_of(packed)}}
