"""What a model server is asked before a model is published, and what it will replay whenever it loads that model."""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components.examples import Folder, example_of, picture_of, read_examples, texts_of
from components.features import ID, IMAGE_BYTES
from components.infra.names import JUDGED, WHOLE, Answer, choose
from components.transform.taxonomy import Taxonomy
from serving.contract import Model
from serving.interface import OBSERVE
from serving.server.errors import ServingError

WARMUP = "tf_serving_warmup_requests"  # in assets.extra/, where TensorFlow Serving looks for it

_EXAMPLES = "examples"
SIGNATURES = {"serving_default": IMAGE_BYTES, _EXAMPLES: _EXAMPLES, "embed": IMAGE_BYTES}  # name to its input
_REPLAYED = {**SIGNATURES, OBSERVE: IMAGE_BYTES}
_INPUTS = {**_REPLAYED, JUDGED: _EXAMPLES}

_ALONE = 16  # pictures that are asked about one by one as well
_WARMUP_BYTES = 200_000
_WARMUP_PICTURES = 4


def read_records(folder: Folder, taxonomy: Taxonomy, count: int) -> tuple[list[bytes], list[str]]:
    """Reads the products to ask about, see `components.infra.names.choose`.

    Args:
        folder: of a split of ingest's.
        taxonomy: gives their classes, by the rules that Transform applies too.
        count: how many stand for all.

    Returns:
        Serialized tf.train.Examples, and the class name of each.
    """
    records = partial(read_examples, folder)
    products = {at: known for at, record in enumerate(records()) if (known := _known(record, taxonomy))}
    places = list(products)
    chosen = [places[at] for at in choose(list(products.values()), count)]
    wanted = set(chosen)  # read again, because all pictures of a large catalogue do not fit into memory
    found = {at: record for at, record in enumerate(records()) if at in wanted}
    return [found[at] for at in chosen], [products[at][1] for at in chosen]


def _known(record: bytes, taxonomy: Taxonomy) -> tuple[str, str] | None:
    """Id and class name of a product; None for one of no class."""
    fields = texts_of(record)
    name = taxonomy.class_of(fields)
    return (fields[ID], name) if name else None


def ask(model: Model, records: Sequence[bytes], batch: int) -> Iterator[Answer]:
    """Asks about real products: through each signature some one by one, then all in batches; at last what was judged.

    They are asked about by their pictures, as the gate did; some with all that is known of them as well.

    Records are serialized tf.train.Examples with a picture, at least one; a request has at most `batch` rows.

    Yields:
        A whole answer to each request, with one row for each picture.

    Raises:
        ServingError: the model fails, or does not answer by row.
    """
    pictures = [picture_of(record) for record in records]
    bare = [example_of({IMAGE_BYTES: picture}) for picture in pictures]
    inputs = dict.fromkeys(_INPUTS, pictures) | {_EXAMPLES: bare, JUDGED: records, WHOLE: records}
    alone = [range(at, at + 1) for at in range(min(_ALONE, len(records)))]
    together = [range(at, min(at + batch, len(records))) for at in range(0, len(records), batch)]
    for asked, rows in (
        *itertools.product(SIGNATURES, (*alone, *together)),
        *itertools.product((WHOLE,), alone),
        *itertools.product((JUDGED,), together),
    ):
        signature = _EXAMPLES if asked == WHOLE else asked
        began = time.monotonic()
        try:
            fed = np.array([*inputs[asked][rows.start : rows.stop], None], object)[:-1]
            outputs = model.run(signature, {_INPUTS[signature]: fed})
        except ServingError as error:
            raise ServingError(error.code, f"{signature}: {error.code.name}: {error.message}") from error
        seconds = time.monotonic() - began
        counts = {len(values) for values in outputs.values()} or {0}
        if counts != {len(rows)}:
            message = f"{signature}: {len(rows)} pictures get {min(counts)} answers"
            raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)
        yield Answer(asked, rows, {name: _texts(values) for name, values in outputs.items()}, seconds)


def _texts(values: np.ndarray) -> np.ndarray:
    return np.char.decode(values.astype(bytes), "utf-8", "replace") if values.dtype == object else values


def write_warmup(path: str, model: str, pictures: Iterable[bytes], batch: int) -> None:
    """Writes requests that make a server do at loading whatever the first requests would otherwise wait for.

    Through each signature one picture and a full batch, in TensorFlow Serving's format: PredictionLogs in a TFRecord
    file. It holds some of the pictures themselves, nothing else of the products: the smallest, as many as fit into 200
    KB, at most four and at least one. A batch is filled up by naming its last picture again, not by copying it.
    """
    smallest = sorted(pictures, key=len)[: min(batch, _WARMUP_PICTURES)]
    in_batches = itertools.accumulate(map(len, smallest))
    fitting = sum(len(_REPLAYED) * (len(smallest[0]) + size) <= _WARMUP_BYTES for size in in_batches)
    chosen = smallest[: max(fitting, 1)]
    with tf.io.TFRecordWriter(path) as file:
        for signature, (rows, count) in itertools.product(_REPLAYED, ((chosen[:1], 1), (chosen, batch))):
            fed = [example_of({IMAGE_BYTES: picture}) for picture in rows] if signature == _EXAMPLES else rows
            log = prediction_log_pb2.PredictLog(request=_request(model, signature, fed, count))
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString(deterministic=True))


def _request(model: str, signature: str, rows: Sequence[bytes], count: int) -> predict_pb2.PredictRequest:
    """A request of `count` rows; the last of those given stands for all that are missing."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=count)])
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=rows)
    request.inputs[_INPUTS[signature]].CopyFrom(tensor)
    return request
