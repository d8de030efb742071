"""Messages that no package at hand ships: TensorFlow Serving's configuration files, and the Open Inference Protocol."""

from fashion_client.wire import messages

# Each wrapped, so that what is left out can be told from 0. Numbers are free: only text is ever parsed.
_BATCHING = {
    "max_batch_size": "Int64Value", "batch_timeout_micros": "Int64Value", "max_enqueued_batches": "Int64Value",
    "num_batch_threads": "Int64Value", "thread_pool_name": "StringValue", "enable_large_batch_splitting": "BoolValue",
    "max_execution_batch_size": "Int64Value", "allowed_batch_sizes": "int64[]",
}  # fmt: skip

_CONFIGURATION = messages(
    "tensorflow_serving",
    {
        "Int64Value": [("value", 1, "int64")],
        "StringValue": [("value", 1, "string")],
        "BoolValue": [("value", 1, "bool")],
        "BatchingParameters": [(name, number, kind) for number, (name, kind) in enumerate(_BATCHING.items(), 1)],
        "SSLConfig": [
            ("server_key", 1, "string"),
            ("server_cert", 2, "string"),
            ("custom_ca", 3, "string"),
            ("client_verify", 4, "bool"),
        ],
    },
)
BatchingParameters, SSLConfig = _CONFIGURATION["BatchingParameters"], _CONFIGURATION["SSLConfig"]

# Of https://github.com/kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto.
_TENSOR = [("name", 1, "string"), ("datatype", 2, "string"), ("shape", 3, "int64[]")]
_VALUES = [*_TENSOR, ("parameters", 4, "ParameterEntry[]"), ("contents", 5, "InferTensorContents")]
_WHICH = [("name", 1, "string"), ("version", 2, "string")]
_CALL = [
    ("model_name", 1, "string"), ("model_version", 2, "string"), ("id", 3, "string"),
    ("parameters", 4, "ParameterEntry[]"),
]  # fmt: skip
INFERENCE = messages(
    "inference",
    {
        "InferParameter": [("bool_param", 1, "bool"), ("int64_param", 2, "int64"), ("string_param", 3, "string")],
        "ParameterEntry": [("key", 1, "string"), ("value", 2, "InferParameter")],
        "InferTensorContents": [
            ("bool_contents", 1, "bool[]"), ("int_contents", 2, "int32[]"), ("int64_contents", 3, "int64[]"),
            ("uint_contents", 4, "uint32[]"), ("uint64_contents", 5, "uint64[]"), ("fp32_contents", 6, "float[]"),
            ("fp64_contents", 7, "double[]"), ("bytes_contents", 8, "bytes[]"),
        ],
        "TensorMetadata": _TENSOR,
        "InferTensor": _VALUES,
        "InferRequestedOutput": [("name", 1, "string"), ("parameters", 2, "ParameterEntry[]")],
        "ServerLiveRequest": [],
        "ServerLiveResponse": [("live", 1, "bool")],
        "ServerReadyRequest": [],
        "ServerReadyResponse": [("ready", 1, "bool")],
        "ModelReadyRequest": _WHICH,
        "ModelReadyResponse": [("ready", 1, "bool")],
        "ServerMetadataRequest": [],
        "ServerMetadataResponse": [("name", 1, "string"), ("version", 2, "string"), ("extensions", 3, "string[]")],
        "ModelMetadataRequest": _WHICH,
        "ModelMetadataResponse": [
            ("name", 1, "string"), ("versions", 2, "string[]"), ("platform", 3, "string"),
            ("inputs", 4, "TensorMetadata[]"), ("outputs", 5, "TensorMetadata[]"),
        ],
        "ModelInferRequest": [
            *_CALL, ("inputs", 5, "InferTensor[]"), ("outputs", 6, "InferRequestedOutput[]"),
            ("raw_input_contents", 7, "bytes[]"),
        ],
        "ModelInferResponse": [*_CALL, ("outputs", 5, "InferTensor[]"), ("raw_output_contents", 6, "bytes[]")],
    },
)  # fmt: skip
