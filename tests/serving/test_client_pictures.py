"""Pictures of every kind, from files, folders and zips, reach the server, and a bad one has an error of its own."""

import io
import os
import zipfile

import fashion_client
import numpy as np
import pytest
from fashion_client import SourceError, connect, pictures_in
from PIL import Image

from tests.serving.fake_server import address as address
from tests.serving.fake_server import behaviour as behaviour
from tests.serving.fake_server import protocol as protocol


def test_pictures_of_every_kind_are_answered_in_their_order(address, behaviour, tmp_path):
    path = tmp_path / "path"
    path.write_bytes(b"shoes")
    with connect(address, "tiny") as client, path.open("rb") as file:
        answers = client.predict([path, str(path), b"bags", file, io.BytesIO(b"rings"), bytearray(b"hats")])
    assert [answer.label for answer in answers] == ["shoes", "shoes", "bags", "shoes", "rings", "hats"]
    assert [answer.source for answer in answers] == [str(path), str(path), "", str(path), "", ""]
    scores = (("bags", 0.75), ("other", 0.25))
    assert answers[2] == fashion_client.Prediction(
        "", "bags", 0.75, scores, outside=-2.5, decision="accept", label_set=("bags", "other")
    )
    assert behaviour.requests == 1


def test_bad_pictures_get_their_error_and_no_other_picture_is_touched(address, tmp_path):
    (tmp_path / "good").write_bytes(b"shoes")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(65 << 20)
    os.mkfifo(tmp_path / "pipe")
    paths = [tmp_path / name for name in ("good", "missing", "pipe", "large")]
    with connect(address, "tiny") as client:
        answers = client.predict([*paths, tmp_path, b"bad", b"refuse me", b"bags"])
    assert [answer.label for answer in answers] == ["shoes", "", "", "", "", "", "", "bags"]
    said = ["No such file", "not a file", "larger than 64 MB", "not a file", "this is not a picture", "over the limit"]
    for answer, words in zip(answers[1:-1], said, strict=True):
        assert words in (answer.error or "")
    assert [answer.error for answer in (answers[0], answers[-1])] == [None, None]


def test_no_pictures_are_no_request(address, behaviour):
    with connect(address, "tiny") as client:
        assert client.predict([]) == []
        assert list(client.predict_each([])) == []
    assert behaviour.requests == 0


@pytest.mark.parametrize("one", ["shoe.jpg", b"bytes", io.BytesIO(), np.zeros((2, 2), np.uint8)])
def test_a_picture_instead_of_a_list_is_refused(one):
    with connect("http://127.0.0.1:9", "tiny") as client, pytest.raises(TypeError, match="give a list"):
        client.predict(one)


@pytest.mark.parametrize("nothing", [7, None, io.StringIO("text"), np.zeros((2, 2), np.float32), np.zeros((2, 2, 5))])
def test_what_can_be_no_picture_is_a_mistake_of_the_program(nothing):
    with connect("http://127.0.0.1:9", "tiny") as client, pytest.raises(TypeError):
        client.predict([nothing])


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3), (4, 3, 4)])
def test_arrays_are_sent_without_loss(address, behaviour, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with connect(address, "tiny") as client:
        client.predict([pixels, pixels[::2], Image.fromarray(pixels)])
    ((_, sent),) = behaviour.asked
    for encoded, expected in zip(sent, (pixels, pixels[::2], pixels), strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded))), expected)


def test_a_turned_picture_is_sent_upright(address, behaviour):
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (6, 4)).save(stream, "JPEG", exif=exif)
    with connect(address, "tiny") as client:
        client.predict([Image.open(stream)])
    assert Image.open(io.BytesIO(behaviour.asked[0][1][0])).size == (4, 6)


def test_folder_and_zip_give_the_same_pictures(tmp_path):
    folder = tmp_path / "shop"
    for name in ("b.jpg", "a/c.PNG", "a/d.webp", "styles.csv", ".hidden.jpg", "__MACOSX/e.jpg", ".git/f.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    archive = tmp_path / "shop.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder))
    zipped = pictures_in(archive)
    assert {each.name: each.read() for each in zipped} == {
        f"{archive}/{name}": name.encode() for name in ("b.jpg", "a/c.PNG", "a/d.webp")
    }
    assert zipped.skipped == (f"{archive}/styles.csv",)
    (folder / "__MACOSX" / "e.jpg").unlink()
    found = pictures_in(folder)
    assert [each.name for each in found] == [f"{folder}/{name}" for name in ("b.jpg", "a/c.PNG", "a/d.webp")]
    assert found.skipped == (f"{folder}/styles.csv",)


def test_damaged_entry_of_a_zip_is_an_error_of_its_own(address, tmp_path):
    archive = tmp_path / "shop.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            file.writestr(name, f"picture {name}")
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"picture b.jpg", b"pictUre b.jpg"))
    with connect(address, "tiny") as client:
        first, second, third = client.predict_each(pictures_in(archive))
    assert (first.error, third.error) == (None, None)
    assert "Bad CRC-32" in (second.error or "")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.mkdir(), "nothing in it is a picture"),
        (lambda path: path.write_text("no zip"), "is not a zip"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "nothing in it is a picture"),
    ],
)
def test_a_folder_or_zip_without_pictures_is_refused(tmp_path, make, said):
    make(tmp_path / "shop.zip")
    with pytest.raises(SourceError, match=said):
        pictures_in(tmp_path / "shop.zip")
