"""TensorFlow Serving's gRPC API in particular: its messages and its codes."""

import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2, predict_pb2

from tests.contract.asking import Grpc, Refused, Which, strings

pytestmark = pytest.mark.slow


def test_answer_says_which_model_version_and_signature_it_is_from(grpc: Grpc, endpoint, pictures):
    spec = grpc.call(grpc.request({"image_bytes": pictures[:1]})).model_spec
    assert (spec.name, spec.signature_name) == (endpoint.model, "serving_default")
    assert grpc.statuses()[spec.version.value] == "AVAILABLE"
    spec = grpc.call(grpc.request({"image_bytes": pictures[:1]}, Which(signature="embed"))).model_spec
    assert spec.signature_name == "embed"


def test_only_the_outputs_asked_for_are_sent(grpc: Grpc, pictures):
    request = grpc.request({"image_bytes": pictures[:1]})
    request.output_filter.extend(["label", "confidence"])
    assert set(grpc.call(request).outputs) == {"label", "confidence"}


def test_expired_deadline_is_told(grpc: Grpc, pictures):
    with pytest.raises(Refused) as refused:
        grpc.call(grpc.request({"image_bytes": pictures * 5}), seconds=0.001)
    assert refused.value.codes == {"DEADLINE_EXCEEDED"}


def changed(grpc: Grpc, pictures: list[bytes], fault: str) -> predict_pb2.PredictRequest:
    """A good request with one fault."""
    request = grpc.request({"image_bytes": pictures[:1]})
    tensor = request.inputs["image_bytes"]
    if fault == "no model":
        request.ClearField("model_spec")
    elif fault == "no input":
        request.ClearField("inputs")
    elif fault == "input too many":
        request.inputs["pixels"].CopyFrom(strings([b"x"]))
    elif fault == "wrong type":
        tensor.CopyFrom(tf.make_tensor_proto([1.0, 2.0]))
    elif fault == "no type":
        tensor.CopyFrom(tensor_pb2.TensorProto())
    elif fault == "output unknown":
        request.output_filter.append("pixels")
    elif fault == "output twice":
        request.output_filter.extend(["label", "label"])
    return request


@pytest.mark.parametrize(
    "fault", ["no model", "no input", "input too many", "wrong type", "no type", "output unknown", "output twice"]
)
def test_request_that_does_not_fit_the_signature_is_an_invalid_argument(grpc: Grpc, pictures, fault):
    with pytest.raises(Refused) as refused:
        grpc.call(changed(grpc, pictures, fault))
    assert refused.value.codes == {"INVALID_ARGUMENT"}


def test_signature_without_inputs_cannot_be_asked(grpc: Grpc):
    with pytest.raises(Refused) as refused:
        grpc.call(grpc.request({}, Which(signature="__saved_model_init_op")))
    assert refused.value.codes <= {"INVALID_ARGUMENT", "FAILED_PRECONDITION"}


METADATA_FAULTS = {"no field": [], "unknown field": ["weather"]}


@pytest.mark.parametrize("fields", METADATA_FAULTS.values(), ids=METADATA_FAULTS)
def test_metadata_other_than_the_signatures_are_an_invalid_argument(grpc: Grpc, endpoint, fields):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = endpoint.model
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        grpc.prediction.GetModelMetadata(request, timeout=30)


def test_status_without_a_model_is_an_invalid_argument(grpc: Grpc):
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        grpc.models.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(), timeout=30)


def test_reload_without_a_list_of_models_changes_nothing(grpc: Grpc):
    before = grpc.statuses()
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        grpc.models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), timeout=30)
    assert grpc.statuses() == before
