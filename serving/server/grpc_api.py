"""The gRPC face: TensorFlow Serving's services, the Open Inference Protocol's, and gRPC's own health service."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.server.access import AccessLog, known_by
from serving.server.connections import HEADER_SECONDS
from serving.server.errors import ServingError, invalid, not_found, unserved
from serving.server.inference_grpc import SERVICE, Inference
from serving.server.lifecycle import AVAILABLE
from serving.server.limits import Limits, Waiting
from serving.server.manager import Answer, ModelManager, Spec, said_by
from serving.server.messages import (
    SIGNATURE_DEF,
    array_bytes,
    metadata_message,
    predict_message,
    status_message,
    to_array,
)
from serving.server.metrics import Metrics
from serving.server.runner import OFF_LOOP_FROM, maybe_off_loop
from serving.server.searching import SEARCH, matches_as_outputs, read_tensors
from serving.server.wire import check_message

_log = logging.getLogger(__name__)

_DETAILS = 2000  # characters of an error: headers of more than 8 kB are cut off on their way
_WATCH_SECONDS = 0.5
_IDLE_MILLISECONDS = 300_000  # after which a connection without a call is closed; clients open another unasked
_MOST_CALLS = 128  # on one connection at once

_SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", SERVICE)

Context = Any


def grpc_server(
    manager: ModelManager, metrics: Metrics, limits: Limits, waiting: Waiting, connections: int,
    closing: asyncio.Event, access: AccessLog,
) -> grpc.aio.Server:  # fmt: skip
    """Makes a server with all services, not yet bound to a port. Keep a reference: one that is garbage-collected stops.

    More than `connections` clients are turned away; whoever watches the health is told once `closing` is set.
    """
    options = [
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", -1),
        # Otherwise a second server takes the same port, and each gets some of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.server_handshake_timeout_ms", int(1000 * HEADER_SECONDS)),
        ("grpc.max_connection_idle_ms", _IDLE_MILLISECONDS),
        ("grpc.max_concurrent_streams", _MOST_CALLS),
    ]
    server = grpc.aio.server(interceptors=[_Reading(limits, waiting, metrics, access)], options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(manager, limits, metrics), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(manager), server)
    server.add_generic_rpc_handlers((Inference(manager, limits, metrics).handler(),))
    health_pb2_grpc.add_HealthServicer_to_server(_Health(manager, closing), server)
    return server


class _Reading(grpc.aio.ServerInterceptor):
    """Refuses requests that are too much, or too many, before they are parsed, and turns errors into gRPC's status."""

    def __init__(self, limits: Limits, waiting: Waiting, metrics: Metrics, access: AccessLog) -> None:
        self._limits, self._waiting, self._metrics, self._access = limits, waiting, metrics, access

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        predicts = details.method.endswith(("/Predict", "/ModelInfer"))

        async def answer(data: bytes, context: Context) -> Any:
            early, status, began, size = predicts, grpc.StatusCode.CANCELLED, time.monotonic(), len(data)
            known = known_by(dict(context.invocation_metadata() or ()))
            context.set_trailing_metadata(tuple(known.items()))
            try:
                with self._waiting.place() if predicts else contextlib.nullcontext(int) as hold:
                    hold(len(data))
                    work = handler.unary_unary(self._parsed(data, handler.request_deserializer), context)
                    early = False
                    message = await work
                status = grpc.StatusCode.OK
                return message
            except ServingError as error:
                status, message = error.code, error.message[:_DETAILS]
                _log.debug("%s: %s %s", details.method, status.name, message)
            except Exception:  # noqa: BLE001 - a bug met by one request is not to end the server
                status, message = grpc.StatusCode.INTERNAL, "Internal error; the server's log says more"
                _log.exception("%s failed", details.method)
            finally:
                self._access.write("gRPC", context.peer(), details.method, status.name, size, began, known)
            if early:
                self._metrics.requests.labels("", status.name).inc()
            # gRPC holds on to what abort raises, and so to this frame, until garbage is collected.
            del data
            return await context.abort(status, message)

        return grpc.unary_unary_rpc_method_handler(answer, response_serializer=handler.response_serializer)

    def _parsed(self, data: bytes, parse: Any) -> Any:
        check_message(data, parse.__self__.DESCRIPTOR, self._limits)
        try:
            return parse(data)
        except DecodeError as error:  # of which gRPC itself would log a stack trace
            # The code that gRPC's C++ server, and so TensorFlow Serving, answers with.
            message = "Error parsing the request: it is not of this method"
            raise ServingError(grpc.StatusCode.INTERNAL, message) from error


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, manager: ModelManager, limits: Limits, metrics: Metrics) -> None:
        self._manager, self._limits, self._metrics = manager, limits, metrics

    async def Predict(self, request: Any, context: Context) -> Any:
        # A deadline that has passed arrives here as a cancellation, when gRPC has told the client already.
        with self._metrics.request(self._manager.known(request.model_spec.name), "GRPC", context.time_remaining):
            return await self._predict(request, said_by(dict(context.invocation_metadata() or ())))

    async def _predict(self, request: Any, caller: dict[str, str]) -> Any:
        spec = replace(_spec(request), caller=caller)
        if spec.signature != SEARCH:
            self._manager.signatures(spec)  # there has to be such a model, whatever it is asked
        size = sum(array_bytes(name, tensor, self._limits) for name, tensor in request.inputs.items())
        inputs = await maybe_off_loop(
            size > OFF_LOOP_FROM, lambda: {name: to_array(name, tensor) for name, tensor in request.inputs.items()}
        )
        if spec.signature == SEARCH:
            found = await self._manager.search(spec, read_tensors(inputs, self._limits))
            outputs = matches_as_outputs(found, request.output_filter)
            return predict_message(spec.name, Answer(int(found["model_version"]), SEARCH, outputs))
        answer = await self._manager.predict(spec, inputs, list(request.output_filter))
        large = sum(array.nbytes for array in answer.outputs.values()) > OFF_LOOP_FROM
        return await maybe_off_loop(large, predict_message, spec.name, answer)

    async def GetModelMetadata(self, request: Any, context: Context) -> Any:
        spec = _spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        return metadata_message(self._manager, spec)

    async def Classify(self, request: Any, context: Context) -> Any:
        raise unserved("Classify", "Predict")

    async def Regress(self, request: Any, context: Context) -> Any:
        raise unserved("Regress", "Predict")

    async def MultiInference(self, request: Any, context: Context) -> Any:
        raise unserved("MultiInference", "Predict")


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def GetModelStatus(self, request: Any, context: Context) -> Any:
        return status_message(self._manager, _spec(request))

    async def HandleReloadConfigRequest(self, request: Any, context: Context) -> Any:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid("HandleReloadConfigRequest takes a model_config_list, and nothing else")
        await self._manager.reload(request.config)
        return model_management_pb2.ReloadConfigResponse()


class _Health(health_pb2_grpc.HealthServicer):
    """Health of the server under the name "" and those of its services, and of each model under its own."""

    def __init__(self, manager: ModelManager, closing: asyncio.Event) -> None:
        self._manager, self._closing = manager, closing

    async def Check(self, request: Any, context: Context) -> Any:
        state = self._state(request.service)
        if state == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            raise not_found(f"There is no model {request.service}")
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
        responses, serves = health_pb2.HealthCheckResponse, self._manager.ready
        if service and service not in _SERVICES:
            try:
                serves = any(version.state == AVAILABLE for version in self._manager.status(service))
            except ServingError:
                return int(responses.SERVICE_UNKNOWN)
        return int(responses.SERVING if serves else responses.NOT_SERVING)


def _spec(request: Any) -> Spec:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    asked = request.model_spec
    version = asked.version.value if asked.HasField("version") else None
    return Spec(asked.name, version, asked.version_label or None, asked.signature_name)
