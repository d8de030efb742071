"""The gRPC face of the Open Inference Protocol: `inference.GRPCInferenceService`."""

from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from serving.server.errors import ServingError, invalid
from serving.server.inference import (
    NUMPY,
    SIGNATURE,
    count_values,
    datatype_of,
    is_ready,
    model_metadata,
    read_raw,
    read_version,
    server_metadata,
    tensor_type,
    write_raw,
)
from serving.server.limits import Limits
from serving.server.manager import Answer, ModelManager, Spec, said_by
from serving.server.metrics import Metrics
from serving.server.protos import INFERENCE
from serving.server.runner import OFF_LOOP_FROM, maybe_off_loop

SERVICE = "inference.GRPCInferenceService"

# Where values stand that do not come in binary; there is no place for FP16.
_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip

Context = Any


class Inference:
    """Answers out of a manager, as the protocol has it."""

    def __init__(self, manager: ModelManager, limits: Limits, metrics: Metrics) -> None:
        self._manager, self._limits, self._metrics = manager, limits, metrics

    def handler(self) -> grpc.GenericRpcHandler:
        """The service, to be added to a server."""
        methods = {
            "ServerLive": self._live, "ServerReady": self._ready, "ServerMetadata": self._server,
            "ModelReady": self._model_ready, "ModelMetadata": self._model, "ModelInfer": self._infer,
        }  # fmt: skip
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    method, INFERENCE[f"{name}Request"].FromString, INFERENCE[f"{name}Response"].SerializeToString
                )
                for name, method in methods.items()
            },
        )

    async def _live(self, request: Any, context: Context) -> Any:
        return INFERENCE["ServerLiveResponse"](live=True)

    async def _ready(self, request: Any, context: Context) -> Any:
        return INFERENCE["ServerReadyResponse"](ready=self._manager.ready)

    async def _server(self, request: Any, context: Context) -> Any:
        return INFERENCE["ServerMetadataResponse"](**server_metadata())

    async def _model_ready(self, request: Any, context: Context) -> Any:
        ready = is_ready(self._manager, Spec(request.name, read_version(request.version)))
        return INFERENCE["ModelReadyResponse"](ready=ready)

    async def _model(self, request: Any, context: Context) -> Any:
        spec = Spec(request.name, read_version(request.version))
        return INFERENCE["ModelMetadataResponse"](**model_metadata(self._manager, spec))

    async def _infer(self, request: Any, context: Context) -> Any:
        with self._metrics.request(self._manager.known(request.model_name), "GRPC", context.time_remaining):
            parameters = {entry.key: entry.value.string_param for entry in request.parameters}
            sent = {"request": request.id} if request.id else {}
            caller = sent | said_by(dict(context.invocation_metadata() or ()))
            version = read_version(request.model_version)
            spec = Spec(request.model_name, version, None, parameters.get(SIGNATURE, ""), caller)
            self._manager.signatures(spec)  # there has to be such a model, whatever it is asked
            large = request.ByteSize() > OFF_LOOP_FROM
            inputs = await maybe_off_loop(large, read_inputs, request, self._limits)
            answer = await self._manager.predict(spec, inputs, [each.name for each in request.outputs])
            large = sum(array.nbytes for array in answer.outputs.values()) > OFF_LOOP_FROM
            return await maybe_off_loop(large, _write, request, answer)


def read_inputs(request: Any, limits: Limits) -> Mapping[str, np.ndarray]:
    """Reads the tensors of a ModelInferRequest, in binary or by value; strings as object arrays of bytes.

    Raises:
        ServingError: INVALID_ARGUMENT, they are not of the protocol, or above a limit.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise invalid(f"raw_input_contents holds {len(raw)} tensors for {len(request.inputs)} inputs")
    inputs: dict[str, np.ndarray] = {}
    for number, tensor in enumerate(request.inputs):
        if tensor.name in inputs:
            raise invalid(f"inputs: {tensor.name} comes twice")
        if raw:
            data = memoryview(raw[number])
            inputs[tensor.name] = read_raw(tensor.name, tensor.datatype, list(tensor.shape), data, limits)
        else:
            inputs[tensor.name] = _read_contents(tensor, limits)
    limits.check(inputs)
    return inputs


def _read_contents(tensor: Any, limits: Limits) -> np.ndarray:
    tensor_type(tensor.datatype)
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise invalid(f"{tensor.name}: {tensor.datatype} is sent in raw_input_contents only")
    count, values = count_values(tensor.name, list(tensor.shape), limits), getattr(tensor.contents, field)
    if len(values) != count:
        raise invalid(f"{tensor.name}: {field} holds {len(values):,} values for shape {list(tensor.shape)}")
    flat = np.empty(count, NUMPY[tensor.datatype])
    try:
        flat[:] = list(values)
    except OverflowError as error:
        raise invalid(f"{tensor.name}: a number does not fit into {tensor.datatype}") from error
    return flat.reshape(tensor.shape)


def _write(request: Any, answer: Answer) -> Any:
    """Outputs in the form of the inputs: in binary, or by value."""
    response = INFERENCE["ModelInferResponse"](
        model_name=request.model_name, model_version=str(answer.version), id=request.id
    )
    for name, array in answer.outputs.items():
        datatype = datatype_of(array)
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if request.raw_input_contents:
            response.raw_output_contents.append(write_raw(array))
        elif datatype in _CONTENTS:
            getattr(tensor.contents, _CONTENTS[datatype]).extend(array.ravel().tolist())
        else:
            raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"{name} is {datatype}: ask with raw_input_contents")
    return response
