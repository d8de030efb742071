"""The message of TensorFlow Serving's batching parameters file, which tensorflow-serving-api does not ship."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

# All of them wrapped, so that one that is left out can be told from 0. Numbers are free: only text is ever parsed.
_FIELDS = {
    "max_batch_size": "Int64Value", "batch_timeout_micros": "Int64Value", "max_enqueued_batches": "Int64Value",
    "num_batch_threads": "Int64Value", "thread_pool_name": "StringValue", "enable_large_batch_splitting": "BoolValue",
    "max_execution_batch_size": "Int64Value",
}  # fmt: skip
_REPEATED = "allowed_batch_sizes"


def empty_parameters() -> Any:
    """A BatchingParameters message without values, to be parsed into."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batching_parameters.proto", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    fields = file.message_type.add(name="BatchingParameters").field
    for number, (name, wrapper) in enumerate(_FIELDS.items(), 1):
        type_name = f".google.protobuf.{wrapper}"
        fields.add(name=name, number=number, type=kinds.TYPE_MESSAGE, type_name=type_name, label=kinds.LABEL_OPTIONAL)
    fields.add(name=_REPEATED, number=len(_FIELDS) + 1, type=kinds.TYPE_INT64, label=kinds.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))()
