"""The gRPC face: TensorFlow Serving's PredictionService and ModelService, and gRPC's own health service."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.server.errors import ServingError
from serving.server.lifecycle import AVAILABLE
from serving.server.limits import Limits
from serving.server.manager import ModelManager, Spec
from serving.server.messages import SIGNATURE_DEF, metadata_message, status_message, tensor_message, to_array

_log = logging.getLogger(__name__)

_DETAILS = 2000  # characters of an error: headers of more than 8 kB are cut off on their way
_WATCH_SECONDS = 0.5

Context = Any
Method = Callable[[Any, Any, Context], Awaitable[Any]]


def grpc_server(manager: ModelManager, limits: Limits, closing: asyncio.Event) -> grpc.aio.Server:
    """Makes a server with all services, not yet bound to a port.

    Args:
        manager: the models.
        limits: above which a request is refused.
        closing: once set, whoever watches the health is told that it ends.

    Returns:
        The server. Keep a reference to it: one that is garbage-collected stops.
    """
    options = [
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", -1),
        # Otherwise a second server takes the same port, and each gets some of the calls.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(interceptors=[_Reading()], options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(manager, limits), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(manager), server)
    health_pb2_grpc.add_HealthServicer_to_server(_Health(manager, closing), server)
    return server


def _answering(method: Method) -> Method:
    """Turns errors into the status that a client gets."""

    @functools.wraps(method)
    async def answer(self: Any, request: Any, context: Context) -> Any:
        try:
            return await method(self, request, context)
        except ServingError as error:
            _log.debug("%s: %s %s", method.__name__, error.code.name, error.message)
            await context.abort(error.code, error.message[:_DETAILS])
        except Exception:  # noqa: BLE001 - a bug met by one request is not to end the server
            _log.exception("%s failed", method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "Internal error; the server's log says more")

    return answer


class _Reading(grpc.aio.ServerInterceptor):
    """Refuses bytes that are not the message of their method; gRPC itself would log a stack trace for each."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def read(data: bytes, context: Context) -> Any:
            try:
                request = handler.request_deserializer(data)
            except DecodeError:
                # The code that gRPC's C++ server, and so TensorFlow Serving, answers with.
                await context.abort(grpc.StatusCode.INTERNAL, "Error parsing the request: it is not of this method")
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(read, response_serializer=handler.response_serializer)


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, manager: ModelManager, limits: Limits) -> None:
        self._manager, self._limits = manager, limits

    @_answering
    async def Predict(self, request: Any, context: Context) -> Any:
        spec = _spec(request)
        limit = self._limits.request_bytes
        inputs = {name: to_array(name, tensor, limit) for name, tensor in request.inputs.items()}
        self._limits.check(inputs)
        answer = await self._manager.predict(spec, inputs, list(request.output_filter), entrypoint="GRPC")
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = answer.version
        response.model_spec.signature_name = answer.signature
        for name, array in answer.outputs.items():
            response.outputs[name].CopyFrom(tensor_message(array))
        return response

    @_answering
    async def GetModelMetadata(self, request: Any, context: Context) -> Any:
        spec = _spec(request)
        if not request.metadata_field:
            raise _invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise _invalid(f"Metadata field {field} is not supported")
        return metadata_message(self._manager, spec)

    @_answering
    async def Classify(self, request: Any, context: Context) -> Any:
        _unimplemented("Classify")

    @_answering
    async def Regress(self, request: Any, context: Context) -> Any:
        _unimplemented("Regress")

    @_answering
    async def MultiInference(self, request: Any, context: Context) -> Any:
        _unimplemented("MultiInference")


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    @_answering
    async def GetModelStatus(self, request: Any, context: Context) -> Any:
        return status_message(self._manager, _spec(request))

    @_answering
    async def HandleReloadConfigRequest(self, request: Any, context: Context) -> Any:
        if request.config.WhichOneof("config") != "model_config_list":
            raise _invalid("HandleReloadConfigRequest takes a model_config_list, and nothing else")
        await self._manager.reload(request.config)
        return model_management_pb2.ReloadConfigResponse()


class _Health(health_pb2_grpc.HealthServicer):
    """Health of the server under the name "", and of each model under its own."""

    def __init__(self, manager: ModelManager, closing: asyncio.Event) -> None:
        self._manager, self._closing = manager, closing

    @_answering
    async def Check(self, request: Any, context: Context) -> Any:
        state = self._state(request.service)
        if state == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            raise ServingError(grpc.StatusCode.NOT_FOUND, f"There is no model {request.service}")
        return health_pb2.HealthCheckResponse(status=state)

    async def Watch(self, request: Any, context: Context) -> AsyncIterator[Any]:
        last = None
        while not self._closing.is_set():
            state = self._state(request.service)
            if state != last:
                yield health_pb2.HealthCheckResponse(status=state)
            last = state
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _WATCH_SECONDS)
        yield health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)

    def _state(self, service: str) -> int:
        responses = health_pb2.HealthCheckResponse
        if not service:
            return int(responses.SERVING if self._manager.ready else responses.NOT_SERVING)
        try:
            versions = self._manager.status(service)
        except ServingError:
            return int(responses.SERVICE_UNKNOWN)
        available = any(version.state == AVAILABLE for version in versions)
        return int(responses.SERVING if available else responses.NOT_SERVING)


def _spec(request: Any) -> Spec:
    if not request.HasField("model_spec"):
        raise _invalid("Missing ModelSpec")
    asked = request.model_spec
    version = asked.version.value if asked.HasField("version") else None
    return Spec(asked.name, version, asked.version_label or None, asked.signature_name)


def _unimplemented(method: str) -> NoReturn:
    raise ServingError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"{method} is not served: it takes tf.Examples and signatures made for it. Use Predict",
    )


def _invalid(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
