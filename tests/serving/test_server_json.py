"""The REST API's JSON: what clients send becomes exactly the arrays they mean, or an error that says where it fails."""

import json

import grpc
import numpy as np
import pytest
from tensorflow.core.framework import types_pb2

from serving.server.errors import ServingError
from serving.server.limits import Limits
from serving.server.rest_answer import write_outputs
from serving.server.rest_request import parse_request, read_inputs, signature_of

pytestmark = pytest.mark.slow

STRING = {"x": types_pb2.DT_STRING}
FLOAT = {"x": types_pb2.DT_FLOAT}
INT = {"x": types_pb2.DT_INT32}
TWO = {"a": types_pb2.DT_FLOAT, "b": types_pb2.DT_STRING}


def read(text: str, declared) -> dict[str, object]:
    arrays, _ = read_inputs(parse_request(text.encode(), Limits()), declared, Limits())
    return {name: array.tolist() for name, array in arrays.items()}


REQUESTS = {
    "text": ('{"instances": ["ä", ""]}', STRING, {"x": ["ä".encode(), b""]}),
    "bytes": ('{"instances": [{"b64": "/9j/"}]}', STRING, {"x": [b"\xff\xd8\xff"]}),
    "bytes without padding": ('{"instances": [{"b64": "AQ"}]}', STRING, {"x": [b"\x01"]}),
    "bytes on two lines": ('{"instances": [{"b64": "/9\\nj/"}]}', STRING, {"x": [b"\xff\xd8\xff"]}),
    "named rows": ('{"instances": [{"x": 1}, {"x": 2.5}]}', FLOAT, {"x": [1.0, 2.5]}),
    "two inputs in rows": (
        '{"instances": [{"a": 1, "b": "p"}, {"a": 2, "b": "q"}]}',
        TWO,
        {"a": [1, 2], "b": [b"p", b"q"]},
    ),
    "two inputs in columns": ('{"inputs": {"a": [1, 2], "b": ["p", "q"]}}', TWO, {"a": [1, 2], "b": [b"p", b"q"]}),
    "matrix": ('{"inputs": [[1, 2], [3, 4]]}', FLOAT, {"x": [[1, 2], [3, 4]]}),
    "scalar": ('{"inputs": 7}', INT, {"x": 7}),
    "empty column": ('{"inputs": []}', STRING, {"x": []}),
    "infinite": ('{"inputs": [Infinity, -Infinity]}', FLOAT, {"x": [float("inf"), float("-inf")]}),
    "flag": ('{"inputs": [true, false]}', {"x": types_pb2.DT_BOOL}, {"x": [True, False]}),
}


@pytest.mark.parametrize(("text", "declared", "expected"), REQUESTS.values(), ids=REQUESTS)
def test_request_becomes_the_arrays_it_means(text, declared, expected):
    assert read(text, declared) == expected


def test_arrays_have_the_type_that_the_signature_declares():
    arrays, by_row = read_inputs(parse_request(b'{"instances": [{"a": 1, "b": "p"}]}', Limits()), TWO, Limits())
    assert (arrays["a"].dtype, arrays["b"].dtype, by_row) == (np.float32, object, True)


FAULTS = {
    "bad base64": ('{"instances": ["p", {"b64": "%%"}]}', STRING, "instances[1]: Unable to base64 decode"),
    "number for text": ('{"inputs": {"x": [["p"], [7]]}}', STRING, "inputs.x[1][0]: JSON Value: 7 Type: Number"),
    "text for a number": ('{"instances": [1, "1"]}', FLOAT, 'instances[1]: JSON Value: "1" Type: String'),
    "flag for a number": ('{"instances": [true]}', INT, "Type: Bool is not of expected type: int32"),
    "fraction for a whole number": ('{"instances": [1.5]}', INT, "not of expected type: int32"),
    "number beyond its type": ('{"instances": [3000000000]}', INT, "does not fit into type: int32"),
    "number that float32 cannot hold": (
        '{"instances": [1, 16777217]}',
        FLOAT,
        "instances[1]: Cannot convert JSON value",
    ),
    "number beyond float32": ('{"instances": [1e39]}', FLOAT, "without loss of precision"),
    "half a surrogate pair": ('{"instances": ["\\ud800"]}', STRING, "surrogate"),
    "list of another length": ('{"inputs": [[1, 2], [3]]}', FLOAT, "inputs[1]: Encountered list at unexpected size: 1"),
    "list that is too deep": ('{"inputs": [1, [2]]}', FLOAT, "inputs[1]: Encountered list at unexpected level: 1"),
    "value that is not deep enough": (
        '{"inputs": [[1], 2]}',
        FLOAT,
        "inputs[1]: JSON Value: 2 found at incorrect level",
    ),
    "plain rows for two inputs": ('{"instances": [1]}', TWO, "expecting list of objects with the keys: a,b"),
    "plain column for two inputs": ('{"inputs": [1]}', TWO, "expecting an object with the keys: a,b"),
    "key missing in a row": ('{"instances": [{"a": 1, "b": "p"}, {"a": 1}]}', TWO, "element: 1 of 'instances'"),
    "column missing": ('{"inputs": {"a": [1]}}', TWO, "Missing named input: b"),
    "nested a thousandfold": ('{"inputs": ' + "[" * 100_000 + "]" * 100_000 + "}", FLOAT, "Nested too deeply"),
    "nested deeper than arrays are": ('{"inputs": ' + "[" * 40 + "1" + "]" * 40 + "}", FLOAT, "nested 40 deep"),
    "number of thousands of digits": ('{"inputs": ' + "9" * 5000 + "}", FLOAT, "JSON Parse error"),
    "broken off": ('{"inputs": [1', FLOAT, "JSON Parse error: Expecting ',' delimiter at offset: 13"),
}


@pytest.mark.parametrize(("text", "declared", "said"), FAULTS.values(), ids=FAULTS)
def test_fault_is_an_invalid_argument_that_says_where(text, declared, said):
    with pytest.raises(ServingError) as refused:
        read(text, declared)
    assert refused.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert said in refused.value.message
    assert len(refused.value.message) < 500


def test_type_that_json_cannot_carry_is_unimplemented():
    with pytest.raises(ServingError) as refused:
        read('{"instances": [1]}', {"x": types_pb2.DT_HALF})
    assert refused.value.code == grpc.StatusCode.UNIMPLEMENTED


def test_signature_is_the_servers_choice_unless_named():
    assert signature_of({}) == ""
    assert signature_of({"signature_name": "embed"}) == "embed"


def objects(values) -> np.ndarray:
    return np.array(values, object)


ANSWERS = {
    "rows of one output": ({"y": np.array([1, 2])}, True, {"predictions": [1, 2]}),
    "rows of two": (
        {"y": np.array([[1], [2]]), "z": objects([b"p", b"q"])},
        True,
        {"predictions": [{"y": [1], "z": "p"}, {"y": [2], "z": "q"}]},
    ),
    "columns of one output": ({"y": np.array([1, 2])}, False, {"outputs": [1, 2]}),
    "columns of two": ({"y": np.array([1]), "z": np.array(2)}, False, {"outputs": {"y": [1], "z": 2}}),
    "bytes by name": ({"z_bytes": objects([b"\xff"])}, True, {"predictions": [{"b64": "/w=="}]}),
    "text that is none": ({"z": objects([b"a\xff"])}, True, {"predictions": ["a\ufffd"]}),
    "no rows": ({"y": np.zeros((0, 3), np.float32), "z": objects([])}, False, {"outputs": {"y": [], "z": []}}),
    "flags": ({"y": np.array([True])}, True, {"predictions": [True]}),
}


@pytest.mark.parametrize(("outputs", "by_row", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_answer_has_the_form_of_its_request(outputs, by_row, expected):
    assert json.loads(write_outputs(outputs, by_row)) == expected


def test_float32_keeps_its_digits_and_no_others():
    values = np.array([0.2, 1.0, 1 / 3, 1e-30, np.nan, np.inf, -np.inf], np.float32)
    text = write_outputs({"y": values}, True)
    assert text == '{"predictions": [0.2, 1.0, 0.33333334, 1e-30, NaN, Infinity, -Infinity]}'
    assert np.array_equal(np.array(json.loads(text)["predictions"], np.float32), values, equal_nan=True)


@pytest.mark.parametrize(
    "outputs",
    [{"y": np.array(1)}, {"y": np.array([1]), "z": np.array([1, 2])}],
    ids=["no rows", "rows that do not pair up"],
)
def test_outputs_without_common_rows_cannot_answer_rows(outputs):
    with pytest.raises(ServingError, match="Tensor name"):
        write_outputs(outputs, True)
