"""Asks a running model server about real pictures, and tells a verdict on the model from none.

A server that says of the model or of a request that something is wrong has given a verdict: ValidationFailed. One that
says nothing, because it is gone, stuck or overloaded, has not.
"""

import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from tfx.components.infra_validator import error_types
from tfx.components.infra_validator.model_server_runners import base_runner

from components.errors import PublishError
from components.infra.names import JUDGED, Answer
from components.infra.requests import Question

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 60.0
_NO_VERDICT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
_State = get_model_status_pb2.ModelVersionStatus.State


def ask(
    runner: base_runner.BaseModelServerRunner, model: str, questions: Iterable[Question], seconds: float
) -> list[Answer]:
    """Asks a server that was started, and stops it.

    Args:
        runner: the server.
        model: the name it serves the model under.
        questions: about pictures of the catalogue.
        seconds: that the server has until the model is loaded.

    Returns:
        A whole answer to each.

    Raises:
        ValidationFailed: the server cannot serve the model, and says why.
        PublishError: the server gave no verdict.
    """
    try:
        deadline = time.time() + seconds
        runner.WaitUntilRunning(deadline)
        with grpc.insecure_channel(runner.GetEndpoint()) as channel:
            _wait_until_loaded(model_service_pb2_grpc.ModelServiceStub(channel), model, deadline)
            service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return [_answer(service, question) for question in questions]
    except error_types.GracefulShutdown:
        raise
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
            "mended. Nothing was published."
        ) from error
    except error_types.ValidationFailed:
        _log(runner)
        raise
    finally:
        _stop(runner)


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


def _answer(service: Any, question: Question) -> Answer:
    """Asks, and holds the answer against what was asked: one row for each picture."""
    request, rows = question
    signature, began = str(request.model_spec.signature_name), time.monotonic()
    try:
        response = service.Predict(request, timeout=_ANSWER_SECONDS)
    except grpc.RpcError as error:
        said = f"{signature}: {error.code().name}: {_first_line(error.details())}"
        if error.code() in _NO_VERDICT:
            raise error_types.JobAborted(f"it gave no answer, {said}") from error
        raise error_types.ValidationFailed(said) from error
    seconds = time.monotonic() - began
    outputs = {name: _array(tensor) for name, tensor in response.outputs.items()}
    answered = outputs.get("probabilities" if signature == JUDGED else "error", ())
    if any(len(values) != len(rows) for values in (answered, *outputs.values())):
        raise error_types.ValidationFailed(f"{signature}: {len(rows)} pictures get {len(answered)} answers")
    return Answer(signature, rows, outputs, seconds)


def _array(tensor: Any) -> np.ndarray:
    values = tf.make_ndarray(tensor)
    return np.char.decode(values.astype(bytes), "utf-8", "replace") if values.dtype == object else values


def _first_line(text: str | None) -> str:
    """The rest of what TensorFlow says are stacks and node definitions."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "no reason given")


def _log(runner: base_runner.BaseModelServerRunner) -> None:
    # The log of a container that has ended may be gone, and is not what failed.
    with contextlib.suppress(Exception):
        logging.error("%r wrote:\n%s", runner, runner.GetLogs())


def _stop(runner: base_runner.BaseModelServerRunner) -> None:
    try:
        runner.Stop()
    except Exception:
        logging.exception("%r could not be stopped", runner)
