"""Checking pictures and bringing them into the form in which they are kept."""

import io
import random
import time
import warnings

import pytest
from PIL import Image

from components.ingest.faults import Reason
from components.ingest.picture import CheckedPicture, Refusal, check_picture
from components.ingest.settings import Picture
from tests.data.faults import animated, draw, encode, rotated, sixteen_bits, transparent, vast_gif, vast_png

SETTINGS = Picture()
RED, WHITE, BLUE = (255, 0, 0), (255, 255, 255), (0, 0, 255)


def accepted(data: bytes, settings: Picture = SETTINGS) -> Image.Image:
    checked = check_picture(data, settings)
    assert isinstance(checked, CheckedPicture), checked
    image = Image.open(io.BytesIO(checked.data))
    assert image.format == "JPEG"
    assert image.mode in ("RGB", "L")
    image.load()
    return image


def is_near(image: Image.Image, point: tuple[int, int], colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    found = image.convert("RGB").getpixel(point)
    return all(abs(a - b) <= tolerance for a, b in zip(found, colour, strict=True))


@pytest.mark.parametrize(
    "data",
    [encode(draw()), encode(draw("L")), encode(draw(), progressive=True), encode(draw(size=(300, 280)))],
    ids=["RGB", "greyscale", "progressive", "just small enough"],
)
def test_a_small_upright_jpeg_keeps_its_very_bytes(data):
    checked = check_picture(data, SETTINGS)
    assert isinstance(checked, CheckedPicture)
    assert checked.data is data
    assert (checked.width, checked.height) == Image.open(io.BytesIO(data)).size


@pytest.mark.parametrize(
    "data",
    [
        encode(draw(), "PNG"),
        encode(draw(), "GIF"),
        encode(draw(), "WEBP", lossless=True),
        encode(draw(), "BMP"),
        encode(draw(), "TIFF"),
        encode(draw(), "AVIF", quality=95),
        encode(draw("P"), "PNG"),
        encode(draw("CMYK"), quality=95),
    ],
    ids=["PNG", "GIF", "WebP", "BMP", "TIFF", "AVIF", "palette", "CMYK"],
)
def test_other_formats_become_a_jpeg_that_looks_the_same(data):
    image = accepted(data)
    assert image.size == (60, 80)
    assert is_near(image, (10, 10), RED)
    assert is_near(image, (50, 10), WHITE)


def test_no_colour_is_lost_to_subsampling():
    assert accepted(encode(draw(), "PNG")).layer[1][1:3] == (1, 1)


def test_a_black_and_white_picture_becomes_grey():
    assert accepted(encode(draw("1"), "PNG")).mode == "L"


@pytest.mark.parametrize(
    "image", [transparent(), transparent().convert("P"), transparent().resize((1200, 1600))], ids=["RGBA", "P", "large"]
)
def test_transparency_becomes_white(image):
    kept = accepted(encode(image, "PNG", **({"transparency": 0} if image.mode == "P" else {})))
    assert is_near(kept, (kept.width // 6, kept.height // 2), WHITE)
    assert is_near(kept, (kept.width * 5 // 6, kept.height // 2), BLUE)


def test_sixteen_bits_are_scaled_to_eight():
    kept = accepted(encode(sixteen_bits(), "PNG"))
    assert kept.mode == "L"
    for row in range(0, 64, 7):
        assert abs(kept.getpixel((32, row)) - row * 255 / 63) <= 3


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(2, (50, 10)), (3, (50, 70)), (4, (10, 70)), (5, (10, 10)), (6, (70, 10)), (7, (70, 50)), (8, (10, 50))],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_upright_as_its_exif_data_says(orientation, corner, form):
    kept = accepted(rotated(orientation, form))
    assert "exif" not in kept.info
    assert kept.size == ((60, 80) if orientation < 5 else (80, 60))
    assert is_near(kept, corner, RED)
    assert is_near(kept, (kept.width - 1 - corner[0], kept.height - 1 - corner[1]), WHITE, 40)


def test_width_and_height_are_those_of_the_file():
    checked = check_picture(rotated(6), SETTINGS)
    assert (checked.width, checked.height) == (60, 80)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_does_not_cost_the_picture():
    assert accepted(encode(draw(), exif=b"Exif\x00\x00MM\x00*" + b"\xff" * 40)).size == (60, 80)


@pytest.mark.parametrize(
    ("size", "kept"),
    [((1800, 2400), (225, 300)), ((2400, 1800), (300, 225)), ((301, 100), (300, 100)), ((9000, 16), (300, 16))],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_picture_is_shrunk_to_the_stored_side(size, kept, form):
    data = encode(draw(size=size), form)
    checked = check_picture(data, SETTINGS)
    assert (checked.width, checked.height) == size
    image = accepted(data)
    assert image.size == kept
    assert is_near(image, (kept[0] // 4, kept[1] // 4), RED)
    assert is_near(image, (kept[0] * 3 // 4, kept[1] // 8), WHITE)


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", Reason.EMPTY_PICTURE, "no content"),
        (b"<html>404</html>", Reason.NOT_A_PICTURE, "starts with b'<html>40'"),
        (b"\0\0\0\x20ftypqt  ", Reason.NOT_A_PICTURE, "JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF, HEIC"),
        (b"II*\x00" + bytes(99), Reason.BROKEN_PICTURE, "cannot be decoded"),
        (encode(draw())[:-200], Reason.BROKEN_PICTURE, "cut off"),
        (encode(draw(size=(1800, 2400)))[:9000], Reason.BROKEN_PICTURE, "cut off"),
        (encode(draw(), "PNG")[:-60], Reason.BROKEN_PICTURE, "cannot be decoded"),
        (encode(draw())[:3], Reason.BROKEN_PICTURE, "cannot be decoded"),
        (animated("GIF"), Reason.ANIMATED_PICTURE, "several frames"),
        (animated("WEBP"), Reason.ANIMATED_PICTURE, "several frames"),
        (animated("PNG"), Reason.ANIMATED_PICTURE, "several frames"),
        (encode(draw(size=(2, 2)).crop((0, 0, 1, 1))), Reason.SMALL_PICTURE, "1×1 pixels, its shorter side below"),
        (encode(draw(size=(15, 80))), Reason.SMALL_PICTURE, "min_side 16"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_with_the_reason(data, reason, words):
    refusal = check_picture(data, SETTINGS)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert words in refusal.detail


@pytest.mark.parametrize("data", [vast_png(), vast_gif()], ids=["432 MB PNG", "400 MB GIF"])
def test_a_picture_that_would_fill_the_memory_is_refused_from_its_header(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = time.perf_counter()
        refusal = check_picture(data, SETTINGS)
        seconds = time.perf_counter() - start
    assert refusal.reason == Reason.LARGE_PICTURE
    assert "raise picture.max_pixels" in refusal.detail
    assert seconds < 0.1


@pytest.mark.parametrize(("limit", "refused"), [(4800, False), (4799, True)])
def test_a_picture_of_exactly_max_pixels_is_accepted(limit, refused):
    checked = check_picture(encode(draw()), Picture(max_pixels=limit))
    assert isinstance(checked, Refusal) == refused


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_nothing_is_raised_whatever_the_bytes(form):
    chance = random.Random(form)
    whole = encode(draw(), form)
    settings = Picture(max_pixels=100_000)
    answers = set()
    for _ in range(600):
        damaged = bytearray(whole[: chance.randrange(12, len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randrange(8)):
            damaged[chance.randrange(min(400, len(damaged)))] = chance.randrange(256)
        answers.add(type(check_picture(bytes(damaged), settings)))
    assert answers == {CheckedPicture, Refusal}
