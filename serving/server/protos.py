"""Messages of public protocols that no package at hand ships: TensorFlow Serving's configuration files."""

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
