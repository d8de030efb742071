"""Pictures in formats that models do not read: the client sends them as JPEG, the very file that ingest would keep."""

import importlib.util
import io
import sys

import pytest
from fashion_client import connect, formats
from fashion_client.pictures import encode, format_of
from PIL import Image, features

from components.ingest.picture import CheckedPicture, Refusal, check_picture
from components.ingest.settings import Picture
from tests.data.faults import animated, draw
from tests.data.faults import encode as encoded
from tests.ingest.test_one_decoder import swapped_profile
from tests.serving.fake_server import address as address
from tests.serving.fake_server import behaviour as behaviour
from tests.serving.fake_server import protocol as protocol

RED, WHITE = (255, 0, 0), (255, 255, 255)


def half_red(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Red on its left; on its right white, or transparent."""
    image = Image.new("RGBA", size, (*RED, 0) if mode == "RGBA" else (*WHITE, 255))
    image.paste((*RED, 255), (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def turned(form: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(half_red(), form, exif=exif)


def sixteen_bits() -> bytes:
    image = Image.new("I;16", (40, 30))
    image.putdata([20_000 if place % 40 < 20 else 65_535 for place in range(40 * 30)])
    return encoded(image, "TIFF")


def heic() -> bytes:
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(half_red()).save(stream, format="HEIF", quality=95)
    return stream.getvalue()


PICTURES = {
    **{f"plain {form}": lambda form=form: encoded(half_red(), form) for form in ("WEBP", "AVIF", "TIFF", "BMP", "GIF")},
    **{f"turned {form}": lambda form=form: turned(form) for form in ("WEBP", "AVIF", "TIFF")},
    **{f"clear {form}": lambda form=form: encoded(half_red("RGBA"), form) for form in ("WEBP", "AVIF", "TIFF", "GIF")},
    "grey TIFF": lambda: encoded(draw("L"), "TIFF"),
    "16-bit TIFF": sixteen_bits,
    "CMYK TIFF": lambda: encoded(half_red("CMYK"), "TIFF"),
    "bilevel TIFF": lambda: encoded(draw("1"), "TIFF"),
    "other colours": lambda: encoded(half_red(), "WEBP", icc_profile=swapped_profile()),
    "HEIC": heic,
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_models_do_not_read_is_sent_as_the_jpeg_that_ingest_keeps(name):
    if name == "HEIC" and not importlib.util.find_spec("pillow_heif"):
        pytest.skip("pillow-heif is not installed")
    if "AVIF" in name and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    data = PICTURES[name]()
    checked = check_picture(data, Picture())
    assert isinstance(checked, CheckedPicture)
    found = encode(data)
    assert (found.error, found.data) == (None, checked.data)
    image = Image.open(io.BytesIO(found.data)).convert("RGB")
    assert image.size == ((30, 40) if "turned" in name else image.size)
    if name.startswith(("plain", "turned", "clear", "CMYK", "HEIC")):
        assert all(abs(a - b) < 16 for a, b in zip(image.getpixel((5, 5)), RED, strict=True))
        assert all(
            abs(a - b) < 16 for a, b in zip(image.getpixel((image.width - 5, image.height - 5)), WHITE, strict=True)
        )
    if name == "16-bit TIFF":
        assert (image.getpixel((5, 5)), image.getpixel((35, 15))) == ((78, 78, 78), WHITE)


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_of_several_frames_the_first_is_sent(form):
    first = Image.open(io.BytesIO(animated(form))).convert("RGB")
    found = Image.open(io.BytesIO(encode(animated(form)).data)).convert("RGB")
    assert found.size == first.size
    assert all(abs(a - b) < 16 for a, b in zip(found.getpixel((9, 9)), first.getpixel((9, 9)), strict=True))


@pytest.mark.parametrize("data", [encoded(draw()), encoded(draw(), "PNG"), animated("PNG"), b"no picture", b""])
def test_what_models_read_or_refuse_themselves_is_sent_as_it_is(data):
    assert encode(data).data is data


def test_a_bad_one_has_an_error_and_the_others_an_answer(address, behaviour, monkeypatch, tmp_path):
    whole = encoded(draw(size=(300, 300)), "WEBP")
    (tmp_path / "cut.webp").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "large.bmp").write_bytes(encoded(Image.new("1", (6400, 6400)), "BMP"))
    (tmp_path / "no.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(64))
    with connect(address, "tiny") as client:
        answers = client.predict([tmp_path / name for name in ("cut.webp", "large.bmp", "no.avif")] + [b"shoes", whole])
    assert [answer.error for answer in answers[:4]] == [
        "the picture is damaged or cut off: send a complete one",
        "the picture has 6400 x 6400 pixels, more than 40,000,000: send a smaller one",
        "the picture is damaged or cut off: send a complete one",
        None,
    ]
    assert format_of(behaviour.asked[0][1][1]) == "JPEG"


@pytest.mark.parametrize(
    ("hidden", "form", "remedy"),
    [
        ("fashion_client.formats", "WEBP", "WebP needs Pillow: pip install 'fashion-client[pictures]', or send JPEG"),
        ("PIL.AvifImagePlugin", "AVIF", "AVIF needs Pillow 11.3 or later: pip install --upgrade pillow"),
        ("pillow_heif.as_plugin", "HEIC", "HEIC needs pillow-heif: pip install pillow-heif"),
    ],
)
def test_a_missing_package_is_named_with_the_remedy(hidden, form, remedy, monkeypatch):
    monkeypatch.setitem(sys.modules, hidden, None)
    data = b"\0\0\0\x1cftypheic" + bytes(64) if form == "HEIC" else encoded(draw(), form)
    assert remedy in (encode(data).error or "")
    if form == "HEIC":
        refusal = check_picture(data, Picture())
        assert isinstance(refusal, Refusal)
        assert remedy in refusal.detail


def test_every_format_that_is_known_can_be_opened():
    assert {"JPEG", "PNG", "WebP", "AVIF", "GIF", "BMP", "TIFF", "HEIC"} == set(formats.FORMATS)
