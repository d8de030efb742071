"""Asks a running model server, and tells a verdict on the model from none.

A server that says of the model or of a request that something is wrong has given a verdict: ValidationFailed. One that
says nothing, because it is gone, stuck or overloaded, has not.
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tfx.components.infra_validator import error_types
from tfx.components.infra_validator.model_server_runners import base_runner

from components.errors import PublishError
from serving.contract import ContractBroken
from serving.server.errors import ServingError

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 60.0
_NO_VERDICT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
_State = get_model_status_pb2.ModelVersionStatus.State


class ServedModel:
    """A model that a server has loaded; may be asked as `serving.contract.Model`."""

    def __init__(self, name: str, channel: grpc.Channel) -> None:
        self._name, self._service = name, prediction_service_pb2_grpc.PredictionServiceStub(channel)

    @cached_property
    def signatures(self) -> Mapping[str, Any]:
        """TensorFlow's SignatureDefs by name."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self._name
        answer = _call(self._service.GetModelMetadata, request, "metadata")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return dict(signatures.signature_def)

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Asks a signature; texts are object arrays of bytes.

        Raises:
            ServingError: the model fails, or the server refuses.
            JobAborted: it gave no answer.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = self._name, signature
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype=tf.string, shape=values.shape))
        answer = _call(self._service.Predict, request, signature)
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}


@contextlib.contextmanager
def served(runner: base_runner.BaseModelServerRunner, model: str, seconds: float) -> Iterator[ServedModel]:
    """Waits until a server that was started has loaded a model, and stops it at the end.

    Raises:
        ValidationFailed: the server cannot load the model, and says why; or whoever asks finds a breach of contract.
        PublishError: the server gave no verdict, or none within `seconds`.
    """
    try:
        deadline = time.time() + seconds
        runner.WaitUntilRunning(deadline)
        with grpc.insecure_channel(runner.GetEndpoint()) as channel:
            _wait_until_loaded(model_service_pb2_grpc.ModelServiceStub(channel), model, deadline)
            yield ServedModel(model, channel)
    except error_types.DeadlineExceeded as error:
        _log(runner)
        raise PublishError(
            f"{model} was not loaded within {seconds:g} s by {runner!r}: {error}. Give it more time with --set "
            "serving.timeout=SECONDS, or run again on a machine less busy. Nothing was published."
        ) from error
    except error_types.JobAborted as error:
        _log(runner)
        raise PublishError(
            f"{model} could not be tried in {runner!r}: {error}. What led to it is in the log; run again when that is "
            "fixed. Nothing was published."
        ) from error
    except (error_types.ValidationFailed, ContractBroken, ServingError) as error:
        _log(runner)
        raise error_types.ValidationFailed(str(error)) from error
    finally:
        try:
            runner.Stop()
        except Exception:
            logging.exception("%r could not be stopped", runner)


def _wait_until_loaded(service: Any, model: str, deadline: float) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    said = "it has not answered yet"
    while (left := deadline - time.time()) > 0:
        try:
            statuses: Sequence[Any] = service.GetModelStatus(request, timeout=left).model_version_status
        except grpc.RpcError as error:  # it listens before it knows the model, and may not even listen yet
            statuses, said = (), _first_line(error.details())
        for status in statuses:
            if status.state == _State.AVAILABLE:
                return
            if status.state == _State.END:
                raise error_types.ValidationFailed(f"it cannot be loaded: {_first_line(status.status.error_message)}")
            said = f"it says {_State.Name(status.state)}"
        time.sleep(_POLL_SECONDS)
    raise error_types.DeadlineExceeded(said)


def _call(method: Any, request: Any, title: str) -> Any:
    try:
        return method(request, timeout=_ANSWER_SECONDS)
    except grpc.RpcError as error:
        said = _first_line(error.details())
        if error.code() in _NO_VERDICT:
            raise error_types.JobAborted(f"it gave no answer, {title}: {error.code().name}: {said}") from error
        raise ServingError(error.code(), said) from error


def _first_line(text: str | None) -> str:
    """The rest of what TensorFlow says are stacks and node definitions."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "no reason given")


def _log(runner: base_runner.BaseModelServerRunner) -> None:
    # The log of a container that has ended may be gone, and is not what failed.
    with contextlib.suppress(Exception):
        logging.error("%r wrote:\n%s", runner, runner.GetLogs())
