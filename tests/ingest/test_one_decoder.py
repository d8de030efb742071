"""Ingest, training and the published model see the same pixels of a file, or it is refused by name."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageCms

from benchmarks import fuzz
from components.ingest.faults import Reason, Repair
from components.ingest.picture import CheckedPicture, Refusal, check_picture
from components.ingest.settings import Picture
from serving.decode import decode_pictures, decode_trusted
from tests import HOUSE
from tests.data.faults import chunk, draw, encode, sixteen_bits, transparent

SETTINGS = Picture()
CASES = HOUSE.parent / "shared" / "cases" / "pictures"
DAMAGED, WEBP = "damaged or cut off", "WebP is not supported"

_ask = tf.function(
    lambda encoded: decode_pictures(encoded, SETTINGS.size, SETTINGS.max_pixels),
    input_signature=[tf.TensorSpec([None], tf.string)],
)


def served(data: bytes) -> tuple[np.ndarray, str]:
    pictures, errors = _ask(tf.constant([data]))
    return pictures[0].numpy(), errors[0].numpy().decode()


def trained(checked: CheckedPicture) -> np.ndarray:
    return decode_trusted(tf.constant(checked.data), SETTINGS.size).numpy().astype(np.float32)


def smooth(size: tuple[int, int] = (120, 160), mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 256, (6, 5, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode)


def exif(entries: int = 0, far: int = 0, long: bool = False, order: str = ">") -> bytes:
    """A TIFF block that says 6 behind other entries, its directory `far` bytes away."""
    others = b"".join(struct.pack(order + "HHII", 0x00FE + i, 4, 1, i) for i in range(entries))
    value = struct.pack(order + "HHI", 0x0112, 4, 1) + struct.pack(order + "I", 6)
    if not long:
        value = struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0)
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8 + far) + bytes(far)
    return head + struct.pack(order + "H", entries + 1) + others + value + bytes(4)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(*segments: bytes) -> bytes:
    whole = encode(smooth(), quality=95)
    return whole[:2] + b"".join(segments) + whole[2:]


def png_with(added: bytes, image: Image.Image | None = None, last: bool = False) -> bytes:
    whole = encode(image or smooth(), "PNG")
    at = len(whole) - 12 if last else 33
    return whole[:at] + added + whole[at:]


TURNED = segment(0xE1, b"Exif\0\0" + exif())
SAME: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encode(smooth(), quality=95),
    "large JPEG": lambda: encode(smooth((1800, 2400)), quality=95),
    "progressive JPEG": lambda: encode(smooth((700, 900)), quality=95, progressive=True),
    "grey JPEG": lambda: encode(smooth((700, 900), "L"), quality=95),
    "CMYK JPEG": lambda: encode(smooth(mode="CMYK"), quality=95),
    "flat JPEG": lambda: encode(smooth((2000, 40)), quality=95),
    "narrow PNG": lambda: encode(smooth((40, 2000)), "PNG"),
    "EXIF": lambda: jpeg_with(TURNED),
    "EXIF of the other byte order": lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + exif(order="<"))),
    "EXIF behind XMP": lambda: jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"x" * 4000), TURNED),
    "EXIF behind 200 kB of APP13": lambda: jpeg_with(*[segment(0xED, bytes(65000))] * 3, TURNED),
    "EXIF behind fill bytes": lambda: jpeg_with(b"\xff\xff", TURNED),
    "EXIF as LONG": lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + exif(long=True))),
    "EXIF as LONG of the other byte order": lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + exif(long=True, order="<"))),
    "EXIF with a directory far away": lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + exif(far=30000))),
    "EXIF with 17 entries before": lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + exif(entries=17))),
    "EXIF with a directory beyond the end": lambda: jpeg_with(segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff\xff\xff")),
    "EXIF that stops short": lambda: jpeg_with(segment(0xE1, b"Exif\0\0M")),
    "the word Exif in a comment": lambda: jpeg_with(segment(0xFE, TURNED)),
    "eXIf in PNG": lambda: png_with(chunk(b"eXIf", exif())),
    "eXIf at the end of a PNG": lambda: png_with(chunk(b"eXIf", exif(order="<")), last=True),
    "PNG": lambda: encode(smooth((700, 900)), "PNG"),
    "transparent PNG": lambda: encode(transparent().resize((240, 320)), "PNG"),
    "palette PNG": lambda: encode(smooth(mode="P"), "PNG"),
    "grey PNG": lambda: encode(smooth(mode="L"), "PNG"),
    "1-bit grey PNG": lambda: encode(smooth(mode="1"), "PNG"),
    "1-bit grey PNG with tRNS": lambda: png_with(chunk(b"tRNS", b"\0\0"), smooth(mode="1")),
    "16-bit grey PNG": lambda: encode(sixteen_bits(), "PNG"),
    "16-bit grey PNG with tRNS": lambda: png_with(chunk(b"tRNS", b"\0\0"), sixteen_bits()),
    "PNG with 2 MB of text": lambda: png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2 << 20)))),
}  # fmt: skip
REFUSED: dict[str, tuple[Callable[[], bytes], Reason, str]] = {
    "end marker lost": (lambda: SAME["JPEG"]()[:-2], Reason.BROKEN_PICTURE, DAMAGED),
    "end marker lost, padded": (lambda: SAME["JPEG"]()[:-2] + bytes(2000), Reason.BROKEN_PICTURE, DAMAGED),
    "end marker overwritten": (lambda: SAME["JPEG"]()[:-2] + b"\x17\x23", Reason.BROKEN_PICTURE, DAMAGED),
    "last bytes cut off": (lambda: SAME["JPEG"]()[:-40], Reason.BROKEN_PICTURE, DAMAGED),
    "marker in the scan": (lambda: _overwritten(b"\xff\xe1"), Reason.BROKEN_PICTURE, DAMAGED),
    "lossless JPEG": (lambda: SAME["JPEG"]().replace(b"\xff\xc0", b"\xff\xc3"), Reason.BROKEN_PICTURE, DAMAGED),
    "PNG without IEND": (lambda: SAME["PNG"]()[:-12], Reason.BROKEN_PICTURE, DAMAGED),
    "line break before": (lambda: b"\n" + SAME["JPEG"](), Reason.NOT_A_PICTURE, "not a picture in a known format"),
}


def _overwritten(marker: bytes) -> bytes:
    whole = SAME["JPEG"]()
    return whole[: len(whole) * 3 // 4] + marker + whole[len(whole) * 3 // 4 + 2 :]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
def test_what_is_trained_on_is_what_the_model_is_served(make):
    """A mean difference below 3 of 255: what storing as JPEG and, of large ones, shrinking twice costs."""
    checked = check_picture(data := make(), SETTINGS)
    assert isinstance(checked, CheckedPicture), checked
    picture, error = served(data)
    assert error == ""
    assert np.abs(picture - trained(checked)).mean() < 3
    assert np.array_equal(served(checked.data)[0], trained(checked))


@pytest.mark.parametrize(("make", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_what_the_model_refuses_is_quarantined_by_name(make, reason, words):
    refusal = check_picture(data := make(), SETTINGS)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert words in served(data)[1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: encode(Image.new("L", (8000, 5001))), "8000 x 5001 pixels, more than 40,000,000 in all"),
        (lambda: encode(Image.new("1", (5000, 5001)), "PNG"), "which take 101 MB to decode, more than 100"),
    ],
    ids=["pixels", "memory"],
)
def test_the_model_refuses_by_its_header_what_would_fill_the_memory(make, words):
    assert words in served(make())[1]


@pytest.mark.parametrize("form", ["WEBP", "GIF", "BMP"])
def test_formats_that_the_model_refuses_by_name_are_trained_on_as_jpeg(form):
    data = encode(draw(), form)
    assert isinstance(check_picture(data, SETTINGS), CheckedPicture)
    assert "is not supported: send JPEG or PNG" in served(data)[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Invalid APNG")
def test_no_damage_makes_ingest_keep_what_fails_or_looks_different_later():
    counts = fuzz.count(files=380, seed=2)
    assert sum(row.files for row in counts.values()) == 380
    assert min(sum(row.both for row in counts.values()), sum(row.neither for row in counts.values())) > 50
    for damage, row in counts.items():
        assert (row.failed, row.ingest) == (0, 0), damage
        assert row.difference < fuzz.MOST, damage


def swapped_profile() -> bytes:
    """A profile with red and blue exchanged that calls itself sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_of_another_colour_profile_becomes_srgb_and_is_counted(form):
    checked = check_picture(encode(Image.new("RGB", (60, 80), "red"), form, icc_profile=swapped_profile()), SETTINGS)
    assert checked.repaired == (Repair.PROFILE,)
    kept = Image.open(io.BytesIO(checked.data))
    assert "icc_profile" not in kept.info
    red, _, blue = kept.convert("RGB").getpixel((30, 40))
    assert (red < 12, blue > 243) == (True, True)


@pytest.mark.parametrize("profile", [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"no profile"])
def test_a_picture_in_srgb_keeps_its_very_bytes(profile):
    checked = check_picture(data := encode(draw(), icc_profile=profile), SETTINGS)
    assert (checked.data, checked.repaired) == (data, ())


@pytest.mark.skipif(not CASES.exists(), reason=f"{CASES} is not there")
@pytest.mark.parametrize(
    ("name", "right"),
    [
        *[(f"exif6_{name}.jpg", "turned") for name in ("after_icc", "after_photoshop", "after_xmp", "as_long")],
        ("png_eXIf6.png", "turned"),
        ("gray16_tRNS.png", "white"),
        ("png_zTXt_2MB.png", "same"),
        ("icc_swapped_red_blue.jpg", "converted"),
        *[(name, "refused") for name in ("no_EOI.jpg", "last_40_bytes_gone.jpg", "newline_before.jpg")],
        ("png_without_IEND.png", "refused"),
        ("webp_named.jpg", "named"),
    ],
)
def test_files_of_shops_are_read_rightly_or_refused_by_both(name, right):
    checked = check_picture(data := (CASES / name).read_bytes(), SETTINGS)
    picture, error = served(data)
    if right == "refused":
        assert isinstance(checked, Refusal)
        assert error
        return
    kept = trained(checked)
    assert error == ("WebP is not supported: send JPEG or PNG" if right == "named" else "")
    if right == "converted":
        assert checked.repaired == (Repair.PROFILE,)
        assert kept[80, 80, 2] > kept[80, 80, 0]
        return
    if right != "named":
        assert np.abs(picture - kept).mean() < 1
    if right == "turned":
        assert Image.open(io.BytesIO(checked.data)).size == (120, 160)
        assert kept[20, 80] == pytest.approx([160, 20, 30], abs=12)
        assert kept[140, 80] == pytest.approx([255, 255, 255], abs=3)
    if right == "white":
        assert kept.mean() == pytest.approx(244, abs=2)
