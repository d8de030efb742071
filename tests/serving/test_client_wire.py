"""The client's messages are TensorFlow Serving's, and tensors are read however they are packed."""

import numpy as np
import pytest
from fashion_client import ProtocolError, wire
from fashion_client.similar import match_rows, read_matches


def tensor(shape: list[int], **values: object) -> object:
    dims = {"dim": [{"size": size} for size in shape]}
    return wire.MESSAGES["TensorProto"](dtype=wire.FLOAT, tensor_shape=dims, **values)


@pytest.mark.parametrize(
    ("shape", "values", "expected"),
    [
        ([2], {"float_val": [1, 2]}, [1, 2]),
        ([3], {"float_val": [1, 2]}, [1, 2, 2]),  # the last value stands for the rest
        ([2], {}, [0, 0]),
        ([2], {"tensor_content": np.float32([1, 2]).tobytes()}, [1, 2]),
        ([2, 2], {"float_val": [1, 2, 3, 4]}, [[1, 2], [3, 4]]),
        ([2, 0], {}, [[], []]),
        ([2, 1, 2], {"float_val": [1, 2, 3, 4]}, [[[1, 2]], [[3, 4]]]),
        ([1, 2, 0], {}, [[[], []]]),
    ],
)
def test_tensors_are_read_however_they_are_packed(shape, values, expected):
    assert np.asarray(wire.rows(tensor(shape, **values))).tolist() == expected


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ([], {}),
        ([-1], {}),
        ([1, 1, 1, 1], {}),
        ([1 << 20, 1 << 20, 0], {}),
        ([2], {"tensor_content": b"123"}),
        ([1], {"float_val": [1, 2]}),
        ([1 << 40], {}),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(shape, values):
    with pytest.raises(ValueError, match="a tensor of"):
        wire.rows(tensor(shape, **values))


@pytest.mark.parametrize(
    "matches",
    [
        None,
        [{"id": "a", "score": 1.0}],
        [{"id": "a", "score": "high", "attributes": {}, "same": []}],
        match_rows({"id": ["a"]}),
        match_rows({"id": ["a"], "score": [1.0], "attributes": ["{"], "same": ["[]"]}),
        match_rows({"id": ["a"], "score": [1.0], "attributes": ["{}"], "same": []}),
    ],
)
def test_matches_that_are_not_as_promised_are_said_to_be_none(matches):
    with pytest.raises(ProtocolError, match="not as promised"):
        read_matches("a server", matches)


@pytest.mark.slow
def test_messages_are_those_of_tensorflow_serving_and_live_beside_them():
    from google.protobuf import descriptor_pool
    from tensorflow.core.framework import tensor_pb2  # noqa: F401
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2  # noqa: F401

    pool = descriptor_pool.Default()
    homes = {"Int64Value": "google.protobuf.", "Any": "google.protobuf.", "Dim": "tensorflow.TensorShapeProto."}
    framework = ("TensorProto", "TensorShapeProto", "TensorInfo", "SignatureDef")
    homes.update(dict.fromkeys(framework, "tensorflow."))
    for message, fields in wire.FIELDS.items():
        if message.endswith("Entry"):
            continue
        name = (
            "tensorflow.TensorShapeProto.Dim"
            if message == "Dim"
            else homes.get(message, "tensorflow.serving.") + message
        )
        theirs = pool.FindMessageTypeByName(name)
        ours = wire.MESSAGES[message].DESCRIPTOR
        for field, _, _ in fields:
            mine, other = ours.fields_by_name[field], theirs.fields_by_name[field]
            same_type = mine.type == other.type or (mine.cpp_type, other.cpp_type) == (1, 8)  # an enum goes as an int
            assert (mine.number, mine.is_repeated, same_type) == (other.number, other.is_repeated, True), (name, field)
    request = wire.MESSAGES["PredictRequest"](
        model_spec={"name": "m", "version": {"value": 3}},
        inputs=[{"key": "image_bytes", "value": wire.strings([b"a", b"b"])}],
    )
    read = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    assert (read.model_spec.name, read.model_spec.version.value) == ("m", 3)
    assert list(read.inputs["image_bytes"].string_val) == [b"a", b"b"]
