"""Requests as no good client sends them: random, or good ones with something changed."""

import json
import math
from random import Random
from typing import Any

from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2

from tests.contract.asking import b64, strings

_KEYS = ("instances", "inputs", "signature_name", "b64", "image_bytes", "examples", "x")
_SIGNATURES = ("", "serving_default", "examples", "embed", "transform_features", "nobody")
_SIZES = (-1, 0, 1, 1, 2, 3, 1000, 2**40, 2**63 - 1)
_TYPES = types_pb2.DataType.values()


def body(random: Random, picture: bytes) -> bytes:
    """The body of an HTTP request: random bytes, random JSON, or a good request with a few bytes changed."""
    kind = random.random()
    if kind < 0.2:
        return random.randbytes(random.randrange(200))
    if kind < 0.6:
        return json.dumps(
            {random.choice(_KEYS[:2]): _value(random, 3), random.choice(_KEYS): _value(random, 1)}
        ).encode()
    return changed(random, json.dumps({"instances": [b64(picture)]}).encode())


def path(random: Random, model: str) -> str:
    """Where such a body may be sent to: mostly where it is expected."""
    name = model if random.random() < 0.9 else "nobody"
    number = random.choice(("1", "0", "7", "-1", "x", "9" * random.choice((19, 5000))))
    choice = random.choice(("",) * 8 + (f"/versions/{number}", "/labels/stable", "/%2e%2e/%00"))
    return f"/v1/models/{name}{choice}:{random.choice(('predict',) * 9 + ('classify',))}"


def message(random: Random, picture: bytes, model: str) -> bytes:
    """A PredictRequest on the wire: random bytes, a good one with a few bytes changed, or one of a wrong tensor."""
    kind = random.random()
    if kind < 0.2:
        return random.randbytes(random.randrange(1, 200))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    if kind < 0.6:
        request.inputs["image_bytes"].CopyFrom(strings([picture]))
        return changed(random, request.SerializeToString())
    request.model_spec.signature_name = random.choice(_SIGNATURES)
    if random.random() < 0.2:
        request.model_spec.version.value = random.choice(_SIZES)
    request.inputs[random.choice(("image_bytes", "examples", "x"))].CopyFrom(_tensor(random, picture))
    return request.SerializeToString()


def changed(random: Random, good: bytes) -> bytes:
    """A few bytes changed, or the end cut off."""
    data = bytearray(good)
    for _ in range(random.randrange(1, 4)):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data[: random.randrange(len(data))] if random.random() < 0.2 else data)


def _value(random: Random, depth: int) -> Any:
    """Any JSON value, with the words of the API more often than chance would have it."""
    kind = random.random()
    if depth and kind < 0.3:
        return [_value(random, depth - 1) for _ in range(random.randrange(4))]
    if depth and kind < 0.6:
        return {random.choice(_KEYS): _value(random, depth - 1) for _ in range(random.randrange(3))}
    if kind < 0.63:
        nested: Any = "x"
        for _ in range(random.choice((40, 70, 500))):
            nested = [nested]
        return nested
    leaves = (None, True, 0, -7, 10**30, 0.5, math.nan, math.inf, "", "x", "\ud800", "serving_default", "%%%", "AAAA")
    return random.choice(leaves)


def _tensor(random: Random, picture: bytes) -> Any:
    """A tensor of any type and shape, whose values need not fit either."""
    tensor = tensor_pb2.TensorProto(dtype=random.choice(_TYPES))
    for _ in range(random.choice((0, 1, 1, 2, 3, 70, 300))):
        tensor.tensor_shape.dim.add(size=random.choice(_SIZES))
    match random.randrange(5):
        case 0:
            tensor.tensor_content = random.randbytes(random.randrange(64))
        case 1:
            tensor.float_val.extend([math.nan, 1.0][: random.randrange(3)])
        case 2:
            tensor.int64_val.append(random.choice(_SIZES))
        case 3:
            tensor.tensor_shape.unknown_rank = True
        case 4:
            tensor.dtype = types_pb2.DT_STRING
            tensor.string_val.extend([picture, b"", random.randbytes(20)][: random.randrange(4)])
    return tensor
