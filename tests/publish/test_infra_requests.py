"""What a model is asked before it is published, and its warm-up: real pictures, and nothing else of a product."""

import numpy as np
import pytest

from tests.publish.infra import NAME, drawn
from tests.publish.infra import records as records


@pytest.mark.slow
def test_every_signature_is_asked_about_products_one_by_one_and_in_batches(records):
    from components.examples import example_of
    from components.features import IMAGE_BYTES
    from components.infra.requests import ask, picture_of

    asked = {}

    class Model:
        def run(self, signature, inputs):
            [(name, rows)] = inputs.items()
            asked.setdefault((signature, name), []).append(list(rows))
            return {"error": np.array([b""] * len(rows), object)}

    assert [len(answer.rows) for answer in ask(Model(), records, 3)][:7] == [1, 1, 1, 1, 1, 3, 2]
    pictures = [picture_of(record) for record in records]
    bare = [example_of({IMAGE_BYTES: picture}) for picture in pictures]
    assert asked == {
        ("serving_default", "image_bytes"): [*([picture] for picture in pictures), pictures[:3], pictures[3:]],
        # At last with all that is known of the products.
        ("examples", "examples"): [*([each] for each in bare), bare[:3], bare[3:], *([record] for record in records)],
        ("embed", "image_bytes"): [*([picture] for picture in pictures), pictures[:3], pictures[3:]],
        ("evaluate", "examples"): [records[:3], records[3:]],
    }


def read_warmup(path):
    """Rows of the requests in a warm-up file, by signature, as TensorFlow's C++ runtime reads their tensors."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    found = {}
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        [tensor] = request.inputs.values()
        rows = tf.io.parse_tensor(tensor.SerializeToString(), tf.string).numpy().tolist()
        found.setdefault(request.model_spec.signature_name, []).append(rows)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sides", "batch", "distinct"),
    [
        ([24] * 16, 32, 4),
        ([24] * 16, 2, 2),
        ([24], 8, 1),
        ([60, 24, 120, 24, 500, 24], 32, 4),  # the smallest of them
        ([104] * 4, 32, 2),  # one more would be too large
        ([400], 32, 1),  # too large, but all there is
    ],
)
def test_warmup_is_small_and_fills_batches_with_real_pictures(tmp_path, sides, batch, distinct):
    from components.infra.requests import WARMUP, picture_of, write_warmup

    pictures = [drawn(number, side) for number, side in enumerate(sides)]
    write_warmup(str(tmp_path / WARMUP), NAME, pictures, batch)
    smallest = sorted(pictures, key=len)[:distinct]
    filled = [*smallest, *[smallest[-1]] * (batch - distinct)]
    found = read_warmup(tmp_path / WARMUP)
    assert found["serving_default"] == found["embed"] == found["observe"] == [smallest[:1], filled]
    assert [[picture_of(row) for row in rows] for rows in found["examples"]] == found["embed"]
    if sides != [400]:
        assert (tmp_path / WARMUP).stat().st_size < 205_000


@pytest.mark.slow
def test_warmup_tells_nothing_of_a_product_but_its_picture(tmp_path, records):
    from components.infra.requests import picture_of, write_warmup

    for name in ("first", "again"):
        write_warmup(str(tmp_path / name), NAME, map(picture_of, records), 32)
    content = (tmp_path / "first").read_bytes()
    assert b"Blue shirt" in records[0]
    assert b"Blue shirt" not in content
    assert content == (tmp_path / "again").read_bytes()
