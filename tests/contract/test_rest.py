"""TensorFlow Serving's REST API in particular: its two formats, its JSON, and its errors."""

import pytest

from tests.contract.asking import Rest, Which, b64

pytestmark = pytest.mark.slow


def test_rows_with_several_outputs_are_answered_by_objects(rest: Rest, pictures):
    status, answer = rest.post({"instances": [b64(picture) for picture in pictures[:2]]})
    assert (status, set(answer)) == (200, {"predictions"})
    assert [sorted(row) for row in answer["predictions"]] == [
        ["confidence", "error", "label", "probabilities", "top_labels", "top_scores"]
    ] * 2
    row = answer["predictions"][0]
    assert isinstance(row["label"], str)
    assert isinstance(row["confidence"], float)
    assert row["top_labels"][0] == row["label"]


def test_rows_with_one_output_are_answered_by_values(rest: Rest):
    status, answer = rest.post({"signature_name": "evaluate", "instances": ["", ""]})
    assert (status, set(answer)) == (200, {"predictions"})
    assert [set(row) for row in answer["predictions"]] == [{0.0}, {0.0}]


def test_columns_with_one_output_are_answered_by_a_tensor(rest: Rest):
    status, answer = rest.post({"signature_name": "evaluate", "inputs": ["", ""]})
    assert (status, set(answer)) == (200, {"outputs"})
    assert [set(row) for row in answer["outputs"]] == [{0.0}, {0.0}]


def test_columns_with_several_outputs_are_answered_by_name(rest: Rest, pictures):
    status, answer = rest.post({"inputs": {"image_bytes": [b64(picture) for picture in pictures[:2]]}})
    assert (status, set(answer)) == (200, {"outputs"})
    assert {len(values) for values in answer["outputs"].values()} == {2}


def test_all_ways_to_write_a_request_are_answered_alike(rest: Rest, pictures):
    values = [b64(picture) for picture in pictures[:2]]
    rows = [
        rest.post({"instances": values}),
        rest.post({"instances": [{"image_bytes": value} for value in values]}),
        rest.post({"signature_name": "serving_default", "instances": values}),
    ]
    columns = [rest.post({"inputs": values}), rest.post({"inputs": {"image_bytes": values}})]
    assert {status for status, _ in rows + columns} == {200}
    by_column = columns[0][1]["outputs"]
    assert columns[1][1]["outputs"]["label"] == by_column["label"]
    for _, answer in rows:
        assert [row["label"] for row in answer["predictions"]] == by_column["label"]
        for row, confidence in zip(answer["predictions"], by_column["confidence"], strict=True):
            assert row["confidence"] == pytest.approx(confidence, abs=1e-5)


def test_metadata_have_the_documented_form(rest: Rest, endpoint):
    status, answer = rest.send("GET", rest.path(end="/metadata"))
    assert status == 200
    assert answer["model_spec"]["name"] == endpoint.model
    assert int(answer["model_spec"]["version"]) in rest.statuses()
    picture = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["image_bytes"]
    assert picture["dtype"] == "DT_STRING"
    assert picture["tensor_shape"]["dim"][0]["size"] == "-1"


def test_status_has_the_documented_form(rest: Rest):
    version = max(version for version, state in rest.statuses().items() if state == "AVAILABLE")
    assert rest.send("GET", rest.path(Which(version=version))) == (
        200,
        {
            "model_version_status": [
                {"version": str(version), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            ]
        },
    )


DOCUMENTS = {
    "empty body": b"",
    "no JSON": b"instances = [1, 2]",
    "cut off": b'{"instances": [',
    "no object": b"[1, 2]",
    "neither format": b"{}",
    "both formats": b'{"instances": ["x"], "inputs": ["x"]}',
    "rows are no list": b'{"instances": "x"}',
    "no rows": b'{"instances": []}',
    "signature is no text": b'{"signature_name": 7, "instances": ["x"]}',
    "a number for a picture": b'{"instances": [7]}',
    "nothing for a picture": b'{"instances": [null]}',
    "true for a picture": b'{"inputs": [true]}',
    "bad base64": b'{"instances": [{"b64": "%%%%"}]}',
    "base64 of a number": b'{"instances": [{"b64": 7}]}',
    "key besides b64": b'{"instances": [{"image_bytes": {"b64": "AAAA", "x": 1}}]}',
    "unknown key": b'{"instances": [{"pixels": "x"}]}',
    "key too many": b'{"instances": [{"image_bytes": "x", "pixels": "x"}]}',
    "missing column": b'{"inputs": {"pixels": ["x"]}}',
    "objects, then values": b'{"instances": [{"image_bytes": "x"}, "x"]}',
    "values, then objects": b'{"instances": ["x", {"image_bytes": "x"}]}',
    "ragged rows": b'{"instances": [["x"], ["x", "x"]]}',
    "ragged columns": b'{"inputs": [["x"], ["x", "x"]]}',
    "a list among values": b'{"inputs": ["x", ["x"]]}',
    "bytes that are no UTF-8, unquoted": b"\xff\xfe\xfd",
}


@pytest.mark.parametrize("body", DOCUMENTS.values(), ids=DOCUMENTS)
def test_malformed_request_gets_status_400_and_a_reason(rest: Rest, body):
    status, answer = rest.send("POST", rest.path(end=":predict"), body)
    assert (status, list(answer)) == (400, ["error"])
    assert answer["error"]


def test_signature_without_inputs_cannot_be_asked(rest: Rest):
    status, answer = rest.post({"signature_name": "__saved_model_init_op", "instances": ["x"]})
    assert (status, list(answer)) == (400, ["error"])
    assert rest.post({"signature_name": "__saved_model_init_op", "inputs": {}})[0] == 400


def test_browser_may_ask_beforehand_whether_it_may_ask(rest: Rest):
    path = rest.path(end=":predict")
    assert rest.send("OPTIONS", path, Origin="https://shop.example")[0] == 200
    assert rest.send("OPTIONS", path)[0] == 400


PATHS = {
    "no such call": ("GET", "/v1/nothing"),
    "no model": ("GET", "/v1/models"),
    "no such verb": ("POST", "/v1/models/{model}:paint"),
    "predict by GET": ("GET", "/v1/models/{model}:predict"),
    "status by POST": ("POST", "/v1/models/{model}"),
    "version is not a number": ("GET", "/v1/models/{model}/versions/new"),
    "version is too large": ("GET", "/v1/models/{model}/versions/99999999999999999999"),
    "version of thousands of digits": ("GET", f"/v1/models/{{model}}/versions/{'9' * 5000}"),
    "version and label": ("GET", "/v1/models/{model}/versions/1/labels/stable"),
}


@pytest.mark.parametrize(("method", "path"), PATHS.values(), ids=PATHS)
def test_call_that_the_api_does_not_have_gets_status_400(rest: Rest, endpoint, method, path):
    status, answer = rest.send(method, path.format(model=endpoint.model), b"" if method == "POST" else None)
    assert (status, list(answer)) == (400, ["error"])


def test_path_outside_the_api_gets_status_404(rest: Rest):
    assert rest.send("GET", "/somewhere")[0] == 404
