"""What a model server is asked before a model is published, and what it will replay whenever it loads that model."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components.features import IMAGE_BYTES

WARMUP = "tf_serving_warmup_requests"  # in assets.extra/, where TensorFlow Serving looks for it

_EXAMPLES = "examples"
SIGNATURES = {"serving_default": IMAGE_BYTES, _EXAMPLES: _EXAMPLES, "embed": IMAGE_BYTES}  # name to its input

_WARMUP_BYTES = 200_000
_WARMUP_PICTURES = 4


def read_records(files: Sequence[str], count: int) -> list[bytes]:
    """The first serialized tf.train.Examples of gzipped TFRecord files, at most `count`."""
    return list(tf.data.TFRecordDataset(list(files), compression_type="GZIP").take(count).as_numpy_iterator())


def picture_of(record: bytes) -> bytes:
    """The encoded picture in a serialized tf.train.Example of ours."""
    return tf.train.Example.FromString(record).features.feature[IMAGE_BYTES].bytes_list.value[0]


def build_requests(model: str, records: Sequence[bytes]) -> Iterator[predict_pb2.PredictRequest]:
    """Requests about real products: through each signature one by one, then all at once.

    TFX's own builder would send serialized examples to every signature, and only one by one.

    Args:
        model: the name it is served under.
        records: serialized tf.train.Examples with a picture, at least one.
    """
    pictures = [picture_of(record) for record in records]
    for signature in SIGNATURES:
        rows = records if signature == _EXAMPLES else pictures
        for row in rows:
            yield _request(model, signature, [row], 1)
        yield _request(model, signature, rows, len(rows))


def write_warmup(path: str, model: str, pictures: Iterable[bytes], batch: int) -> None:
    """Writes requests that make a server do at loading whatever the first requests would otherwise wait for.

    Through each signature one picture and a full batch, in TensorFlow Serving's format: PredictionLogs in a TFRecord
    file. It holds some of the pictures themselves, nothing else of the products: the smallest, as many as fit into
    200 KB, at most four and at least one. A batch is filled up by naming its last picture again, not by copying it.

    Args:
        path: the file.
        model: the name it is served under.
        pictures: encoded, at least one.
        batch: rows of the largest batch that servers run.
    """
    smallest = sorted(pictures, key=len)[: min(batch, _WARMUP_PICTURES)]
    in_batches = itertools.accumulate(map(len, smallest))
    fitting = sum(len(SIGNATURES) * (len(smallest[0]) + size) <= _WARMUP_BYTES for size in in_batches)
    chosen = smallest[: max(fitting, 1)]
    with tf.io.TFRecordWriter(path) as file:
        for signature, (rows, count) in itertools.product(SIGNATURES, ((chosen[:1], 1), (chosen, batch))):
            fed = [_example(picture) for picture in rows] if signature == _EXAMPLES else rows
            log = prediction_log_pb2.PredictLog(request=_request(model, signature, fed, count))
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString(deterministic=True))


def _request(model: str, signature: str, rows: Sequence[bytes], count: int) -> predict_pb2.PredictRequest:
    """A request of `count` rows; the last of those given stands for all that are missing."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=count)])
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=rows)
    request.inputs[SIGNATURES[signature]].CopyFrom(tensor)
    return request


def _example(picture: bytes) -> bytes:
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))
    return tf.train.Example(features=tf.train.Features(feature={IMAGE_BYTES: feature})).SerializeToString()
