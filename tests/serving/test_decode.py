"""The decoder of training, evaluation and the published model."""

import io
import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from serving.decode import decode_pictures, decode_trusted
from tests import HOUSE
from tests.data.faults import animated, draw, encode, rotated, sixteen_bits, transparent, vast_png

pytestmark = pytest.mark.slow

SIZE = 48
MAX_PIXELS = 1_000_000
DAMAGED = "the picture is damaged or cut off: send a complete JPEG or PNG"
GROWTH = """
import sys, tensorflow as tf
from pathlib import Path
from serving.decode import decode_pictures
whole, small = (tf.constant([Path(name).read_bytes()]) for name in sys.argv[1:])
decode = tf.function(lambda encoded: decode_pictures(encoded, 160, 40_000_000, 200_000_000)).get_concrete_function(
    tf.TensorSpec([None], tf.string)
)
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
decode(small)
Path("/proc/self/clear_refs").write_text("5")
before = peak()
assert decode(whole)[1].numpy()[0] == b""
print((peak() - before) // 1000)
"""
RELOAD = """
import sys, numpy as np, tensorflow as tf
decode = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
encoded = np.load(sys.argv[2], allow_pickle=True)["encoded"].tolist()
found = decode(image_bytes=tf.constant(encoded))
np.savez(sys.argv[3], pictures=found["pictures"], errors=found["errors"].numpy().astype(str))
"""


class Decoder(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def decode(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pictures, errors = decode_pictures(image_bytes, SIZE, MAX_PIXELS)
        return {"pictures": pictures, "errors": errors}


DECODER = Decoder()


def decoded(encoded: Sequence[bytes]) -> tuple[np.ndarray, list[str]]:
    found = DECODER.decode(tf.constant(list(encoded), tf.string))
    return found["pictures"].numpy(), [error.decode() for error in found["errors"].numpy()]


def noisy(size: tuple[int, int], seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 6, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def resized(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32)


def opened(data: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data)))


def on_white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


GRADED = Image.merge("RGBA", (*noisy((60, 80)).split(), Image.linear_gradient("L").resize((60, 80))))
LARGE = GRADED.resize((750, 1000))
GREY = noisy((60, 80)).convert("L")
JPEGS = {
    "JPEG": encode(noisy((60, 80)), quality=95),
    "progressive JPEG": encode(noisy((60, 80)), quality=95, progressive=True),
    "greyscale JPEG": encode(GREY, quality=95),
    "large JPEG": encode(noisy((900, 1100)), quality=95),
    "JPEG too flat to shrink": encode(noisy((2000, 40)), quality=95),
}
GOOD = {
    **{name: (data, opened(data)) for name, data in JPEGS.items()},
    # Pillow's own conversion from CMYK differs, so the original stands for what is right.
    "CMYK JPEG": (encode(noisy((60, 80)).convert("CMYK"), quality=95), noisy((60, 80))),
    "PNG": (encode(noisy((60, 80)), "PNG"), noisy((60, 80))),
    "greyscale PNG": (encode(GREY, "PNG"), GREY),
    "palette PNG": (encode(draw("P"), "PNG"), draw("P")),
    "PNG of one bit": (encode(draw("1"), "PNG"), draw("1")),
    "PNG with grey and alpha": (encode(GRADED.convert("LA"), "PNG"), on_white(GRADED.convert("LA"))),
    "PNG with a hard mask": (encode(transparent(), "PNG"), on_white(transparent())),
    "PNG with graded transparency": (encode(GRADED, "PNG"), on_white(GRADED)),
    "large PNG with graded transparency": (encode(LARGE, "PNG"), on_white(LARGE)),
    "wide PNG": (encode(noisy((9000, 60)), "PNG"), noisy((9000, 60))),
    "16-bit PNG": (encode(sixteen_bits(), "PNG"), Image.linear_gradient("L").resize((64, 64))),
    "1x1": (encode(Image.new("RGB", (1, 1), "red"), "PNG"), Image.new("RGB", (1, 1), "red")),
}
BAD = {
    "empty": (b"", "the picture is empty: send JPEG or PNG"),
    "text": (b"<html>404 Not Found</html>", "this is not a picture in a known format: send JPEG or PNG"),
    "one byte": (b"\xff", "this is not a picture in a known format: send JPEG or PNG"),
    "WebP": (encode(draw(), "WEBP"), "WebP is not supported: send JPEG or PNG"),
    "GIF": (encode(draw(), "GIF"), "GIF is not supported: send JPEG or PNG"),
    "animated GIF": (animated(), "GIF is not supported: send JPEG or PNG"),
    "BMP": (encode(draw(), "BMP"), "BMP is not supported: send JPEG or PNG"),
    "TIFF": (encode(draw(), "TIFF"), "TIFF is not supported: send JPEG or PNG"),
    "vast PNG": (vast_png(), "the picture has 12000 x 12000 pixels, more than 1,000,000 in all: send a smaller one"),
    "vast JPEG": (
        encode(Image.new("L", (2001, 500))),
        "the picture has 2001 x 500 pixels, more than 1,000,000 in all: send a smaller one",
    ),
    "JPEG cut off": (encode(noisy((60, 80)))[:-200], DAMAGED),
    "JPEG cut in its header": (encode(noisy((60, 80)))[:40], DAMAGED),
    "JPEG mark only": (b"\xff\xd8\xff", DAMAGED),
    "PNG cut off": (encode(noisy((60, 80)), "PNG")[:-200], DAMAGED),
    "PNG cut in its header": (encode(noisy((60, 80)), "PNG")[:20], DAMAGED),
    "PNG of no width": (encode(draw(), "PNG")[:16] + bytes(4) + encode(draw(), "PNG")[20:], DAMAGED),
    "PNG of negative width": (encode(draw(), "PNG")[:16] + b"\xff" * 4 + encode(draw(), "PNG")[20:], DAMAGED),
}


@pytest.mark.parametrize(("data", "image"), GOOD.values(), ids=GOOD)
def test_picture_of_any_kind_becomes_rgb_as_pillow_has_it(data, image):
    pictures, errors = decoded([data])
    assert errors == [""]
    assert pictures.dtype == np.float32
    difference = np.abs(pictures[0] - resized(image))
    assert difference.mean() < 2
    assert np.quantile(difference, 0.99) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("endian", ["<", ">"])
def test_jpeg_is_turned_as_its_exif_orientation_says(orientation, endian):
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "A maker"
    exif[0x0112] = orientation
    data = encode(noisy((60, 80)), quality=95, exif=exif.tobytes())
    pictures, _ = decoded([data])
    assert np.abs(pictures[0] - resized(opened(data))).mean() < 1.5


@pytest.mark.parametrize(
    ("picture", "fine"),
    [
        (encode(Image.new("RGBA", (500, 500)), "PNG"), True),
        (encode(Image.new("RGBA", (500, 501)), "PNG"), False),
        (encode(Image.new("1", (500, 501)), "PNG"), False),
        (encode(Image.new("RGB", (900, 900))), True),  # at an eighth, 38 kB
        (encode(Image.new("RGB", (900, 47))), True),
        (encode(Image.new("RGB", (8000, 47))), False),  # too flat to be shrunk
        (encode(Image.new("RGB", (400, 400)), progressive=True), True),
        (encode(Image.new("RGB", (450, 450)), progressive=True), False),
        (encode(Image.new("L", (450, 450)), progressive=True), True),
    ],
    ids=["RGBA", "too much", "1 bit", "JPEG", "flat", "too flat", "progressive", "too large", "grey"],
)  # fmt: skip
def test_picture_is_refused_by_the_memory_that_decoding_it_takes(picture, fine):
    _, error = decode_pictures(tf.constant([picture]), SIZE, 10_000_000, max_bytes=1_000_000)
    told = error.numpy()[0].decode()
    assert not told if fine else "MB to decode, more than 1: send a smaller one" in told


def test_decoding_takes_little_more_than_the_pixels_themselves(tmp_path):
    (tmp_path / "vast").write_bytes(encode(Image.new("RGBA", (6320, 6320), (10, 200, 30, 120)), "PNG"))
    (tmp_path / "small").write_bytes(encode(GRADED, "PNG"))
    files = [str(tmp_path / name) for name in ("vast", "small")]
    run = subprocess.run([sys.executable, "-c", GROWTH, *files], capture_output=True, text=True, cwd=HOUSE, timeout=300)
    assert run.returncode == 0, run.stderr
    pixels = 4 * 6320 * 6320 / 1e6
    assert pixels < int(run.stdout) < pixels + 60


@pytest.mark.parametrize(("data", "expected"), BAD.values(), ids=BAD)
def test_bad_picture_is_told_what_is_wrong(data, expected):
    pictures, errors = decoded([data])
    assert errors == [expected]
    assert not pictures.any()


def test_bad_picture_fails_its_own_row_and_no_other():
    cases = [*GOOD.values(), *BAD.values()]
    random.Random(3).shuffle(cases)
    together, errors = decoded([data for data, _ in cases])
    for row, (data, answer) in enumerate(cases):
        alone, _ = decoded([data])
        assert np.array_equal(together[row], alone[0])
        assert errors[row] == (answer if isinstance(answer, str) else "")


def test_batch_may_be_empty():
    pictures, errors = decoded([])
    assert pictures.shape == (0, SIZE, SIZE, 3)
    assert errors == []


def test_trusted_pictures_have_the_same_pixels():
    for data, _ in [*GOOD.values(), (rotated(6), None)]:
        assert np.array_equal(decode_trusted(tf.constant(data), SIZE).numpy(), decoded([data])[0][0])


def test_decoding_in_a_tf_data_map_gives_the_same_pixels():
    encoded = [data for data, _ in GOOD.values()]
    pipeline = tf.data.Dataset.from_tensor_slices(encoded).batch(5)
    mapped = pipeline.map(lambda batch: decode_pictures(batch, SIZE, MAX_PIXELS)[0], num_parallel_calls=2)
    assert mapped.element_spec.shape.as_list() == [None, SIZE, SIZE, 3]
    assert np.array_equal(np.concatenate(list(mapped.as_numpy_iterator())), decoded(encoded)[0])


def test_saved_model_decodes_alike_in_another_process(tmp_path):
    encoded = [data for data, _ in (*GOOD.values(), *BAD.values())]
    tf.saved_model.save(DECODER, str(tmp_path / "model"), signatures={"serving_default": DECODER.decode})
    np.savez(tmp_path / "in.npz", encoded=np.array(encoded, object))
    files = [str(tmp_path / name) for name in ("model", "in.npz", "out.npz")]
    subprocess.run([sys.executable, "-c", RELOAD, *files], check=True, cwd=HOUSE, timeout=300)
    found = np.load(tmp_path / "out.npz")
    pictures, errors = decoded(encoded)
    assert np.array_equal(found["pictures"], pictures)
    assert found["errors"].tolist() == errors


def test_many_callers_at_once_each_get_their_own_pictures():
    cases = [data for data, _ in (*GOOD.values(), *BAD.values())]
    pictures, errors = decoded(cases)

    def call(seed: int) -> bool:
        chosen = random.Random(seed).choices(range(len(cases)), k=seed % 6)
        found, told = decoded([cases[row] for row in chosen])
        return np.array_equal(found, pictures[chosen]) and told == [errors[row] for row in chosen]

    with ThreadPoolExecutor(16) as callers:
        assert all(callers.map(call, range(200)))
