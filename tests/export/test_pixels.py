"""Pixels without TensorFlow are those of the published model's decoder, bit for bit."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf
from fashion_client import pictures
from fashion_client.formats import FormatError
from fashion_client.pixels import read_pixels

from components.export.golden import draw_pictures
from serving.decode import decode_pictures
from tests import PUBLISHED
from tests.ingest.test_one_decoder import REFUSED, SAME
from tests.serving.test_decode import BAD, GOOD, MAX_PIXELS, SIZE, encode, noisy

pytestmark = pytest.mark.slow

MAX_BYTES = 100_000_000
SHAPES = ((60, 80), (61, 83), (225, 300), (48, 48), (47, 160), (900, 1100), (2000, 100), (333, 17))
FILES = {
    **{name: data for name, (data, _) in GOOD.items()},
    **{name: make() for name, make in SAME.items() if name != "large JPEG"},
    **{f"{w} x {h} {form}": encode(noisy((w, h), w), form) for w, h in SHAPES for form in ("JPEG", "PNG")},
    # What models do not read is sent as JPEG.
    **{form: pictures.encode(encode(noisy((61, 83)), form)).data for form in ("WEBP", "AVIF", "TIFF", "BMP", "GIF")},
    **draw_pictures(),
}
REFUSALS = {
    **{name: data for name, (data, _) in BAD.items()},
    **{name: make() for name, (make, *_) in REFUSED.items() if name != "marker in the scan"},
}

_decode = tf.function(
    lambda encoded: decode_pictures(encoded, SIZE, MAX_PIXELS, MAX_BYTES),
    input_signature=[tf.TensorSpec([None], tf.string)],
)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_picture_of_any_kind_has_the_model_s_own_pixels(data):
    [pixels], [error] = _decode(tf.constant([data]))
    assert error == b""
    assert np.array_equal(pixels, read_pixels(data, SIZE, MAX_PIXELS, MAX_BYTES))


@pytest.mark.parametrize("data", REFUSALS.values(), ids=REFUSALS)
def test_what_the_model_refuses_is_refused_in_its_own_words(data):
    said = _decode(tf.constant([data]))[1][0].numpy().decode()
    with pytest.raises(FormatError) as refused:
        read_pixels(data, SIZE, MAX_PIXELS, MAX_BYTES)
    assert str(refused.value) == said


@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"the public catalogue is not there: {PUBLISHED}")
def test_pictures_of_the_public_catalogue_have_the_model_s_own_pixels():
    with zipfile.ZipFile(PUBLISHED) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[:: 40000 // 300]
        files = [archive.read(name) for name in names]
    pixels, errors = _decode(tf.constant(files))
    assert set(errors.numpy()) == {b""}
    ours = np.stack([read_pixels(data, SIZE, MAX_PIXELS, MAX_BYTES) for data in files])
    assert np.array_equal(pixels, ours)
