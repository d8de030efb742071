"""Opening a catalogue, as a folder or a zip."""

import os
import pickle
import re
import signal
import socket
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.errors import CatalogueError
from components.ingest import files
from components.ingest.catalogue import open_catalogue
from components.ingest.faults import Fault, Reason
from components.ingest.judge import read_checked
from components.ingest.settings import Picture
from components.ingest.table import Row, read_rows
from tests.data.faults import HEADER, draw, encode, good_rows, write_catalogue, write_good_catalogue, zipped
from tests.data.tables import lines_of


def row(product: str) -> Row:
    return Row(2, product, {}, None, ())


LAYOUTS = ["folder", "nested folder", "zip", "nested zip"]


def laid_out(layout, tmp_path, count=3):
    nested = layout == "nested folder"
    folder = write_good_catalogue(tmp_path / "catalogue" / ("fashion" if nested else ""), count)
    if "zip" in layout:
        return zipped(folder, tmp_path / "catalogue.zip", "fashion/" if layout == "nested zip" else "")
    return tmp_path / "catalogue"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_table_and_pictures_are_found_in_every_layout(layout, tmp_path):
    catalogue = open_catalogue(str(laid_out(layout, tmp_path)))
    assert lines_of(catalogue) == [f"{line}\n".encode() for line in (HEADER, *good_rows(3))]
    assert catalogue.read_picture(row("1002")) == encode(draw(seed=2))
    assert catalogue.read_picture(row("9999")) is None


@pytest.mark.parametrize("layout", ["folder", "zip"])
def test_pictures_with_other_suffixes_are_found_after_jpg(layout, tmp_path):
    folder = write_catalogue(tmp_path / "catalogue", [], {"1": b"jpg"})
    for name in ("1.png", "2.jpeg", "3.png"):
        (folder / "images" / name).write_bytes(name.encode())
    path = folder if layout == "folder" else zipped(folder, tmp_path / "c.zip")
    catalogue = open_catalogue(str(path))
    assert [catalogue.read_picture(row(each)) for each in "123"] == [b"jpg", b"2.jpeg", b"3.png"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_catalogue_can_be_sent_to_another_worker_and_read_by_many_threads(layout, tmp_path):
    catalogue = open_catalogue(str(laid_out(layout, tmp_path, count=20)))
    catalogue.read_picture(row("1000"))
    sent = pickle.loads(pickle.dumps(catalogue))
    rows = [row(str(1000 + number % 20)) for number in range(400)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(sent.read_picture, rows))
    assert found == [encode(draw(seed=number % 20)) for number in range(400)]


def test_the_outermost_table_of_a_zip_is_the_catalogue(tmp_path):
    folder = write_good_catalogue(tmp_path / "catalogue", 2)
    copy = folder / "copy"
    write_catalogue(copy, ["7"], {"7": b""})
    catalogue = open_catalogue(str(zipped(folder, tmp_path / "catalogue.zip")))
    assert len(lines_of(catalogue)) == 3


@pytest.mark.parametrize("layout", ["folder", "zip"])
def test_the_digest_changes_with_table_and_pictures_only(layout, tmp_path):
    def digest():
        path = folder if layout == "folder" else zipped(folder, tmp_path / "catalogue.zip")
        return open_catalogue(str(path)).digest()

    folder = write_good_catalogue(tmp_path / "catalogue", 3)
    found = [digest()]
    assert digest() == found[0]
    (folder / "images" / "1001.jpg").write_bytes(encode(draw(seed=99)))
    found.append(digest())
    (folder / "images" / "1002.jpg").unlink()
    found.append(digest())
    (folder / "styles.csv").write_text(HEADER)
    found.append(digest())
    assert len(set(found)) == 4
    (folder / "readme.txt").write_text("not part of the catalogue")
    assert digest() == found[-1]


def test_a_link_to_nowhere_is_a_missing_picture(tmp_path):
    folder = write_good_catalogue(tmp_path / "catalogue", 1)
    os.symlink(tmp_path / "nowhere", folder / "images" / "5.jpg")
    catalogue = open_catalogue(str(folder))
    assert catalogue.read_picture(row("5")) is None
    assert catalogue.digest()


@pytest.mark.parametrize("layout", ["folder", "zip"])
def test_an_oversized_file_is_not_read_into_memory(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_MOST_BYTES", 1 << 20)
    folder = write_catalogue(tmp_path / "catalogue", [], {"1": bytes((1 << 20) + 1), "2": bytes(1 << 20)})
    path = folder if layout == "folder" else zipped(folder, tmp_path / "c.zip")
    catalogue = open_catalogue(str(path))
    with pytest.raises(OSError, match="larger than 1 MiB"):
        catalogue.read_picture(row("1"))
    assert len(catalogue.read_picture(row("2"))) == 1 << 20


def test_copies_of_a_catalogue_and_threads_read_the_directory_of_a_zip_once(tmp_path, monkeypatch):
    path = laid_out("zip", tmp_path)
    opened, real = [], zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: (opened.append(path), time.sleep(0.05), real(path))[2])
    catalogue = open_catalogue(str(path))
    copies = [pickle.loads(pickle.dumps(catalogue)) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: copies[number % 4].read_picture(row("1000")), range(16)))
    assert set(found) == {encode(draw(seed=0))}
    assert len(opened) == 1


def test_a_damaged_member_of_a_zip_costs_only_its_own_picture(tmp_path):
    folder = write_good_catalogue(tmp_path / "catalogue", 2)
    path = zipped(folder, tmp_path / "catalogue.zip")
    with zipfile.ZipFile(path) as packed:
        entry = packed.getinfo("images/1000.jpg")
    content = bytearray(path.read_bytes())
    content[entry.header_offset + 60] ^= 0xFF
    path.write_bytes(content)
    catalogue = open_catalogue(str(path))
    with pytest.raises(OSError, match=r"."):
        catalogue.read_picture(row("1000"))
    assert catalogue.read_picture(row("1001")) == encode(draw(seed=1))


@pytest.fixture
def prompt() -> Iterator[None]:
    """Ends a test that waits for something."""

    def stop(*_: object) -> None:
        raise TimeoutError("it waits")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)


def bind(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(path)


ODD: dict[str, Callable[[str], object]] = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "socket": bind,
    "link to nowhere": lambda path: os.symlink("nowhere", path),
    "link to itself": lambda path: os.symlink(os.path.basename(path), path),
    "link to a device": lambda path: os.symlink("/dev/zero", path),
}


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_among_the_pictures_is_a_fault_of_its_row(kind, tmp_path, monkeypatch):
    folder = write_good_catalogue(tmp_path / "catalogue", 2)
    monkeypatch.chdir(folder / "images")  # the name of a socket must be short
    ODD[kind]("7.jpg")
    catalogue = open_catalogue(str(folder))
    assert catalogue.digest()
    found = read_checked(row("7"), catalogue, Picture())
    assert isinstance(found, Fault)
    assert found.reason == (
        Reason.MISSING_PICTURE if kind in ("link to nowhere", "folder") else Reason.UNREADABLE_PICTURE
    )


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize("name", ["styles.csv", "images", "catalogue", "classes.txt", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_in_the_place_of_a_part_of_a_catalogue_is_refused_at_once(kind, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    others = {
        "styles.csv": (),
        "images": ("styles.csv",),
        "catalogue": (),
        "classes.txt": (f"{part}-{kind}" for part in ("train", "t10k") for kind in FILES),
        "t10k-labels-idx1-ubyte": ("train-images-idx3-ubyte",),
    }
    for other in others[name]:
        (tmp_path / other).write_bytes(FILES.get(other.split("-", 1)[-1], b"id"))
    ODD[kind](name)
    if (name, kind) == ("images", "folder"):
        (tmp_path / name).rmdir()
    with pytest.raises(CatalogueError):
        list(read_rows(open_catalogue(name if name == "catalogue" else str(tmp_path)), ()))


# The parts of a data set in the layout of MNIST, with one picture of two by two pixels.
FILES = {
    "images-idx3-ubyte": bytes((0, 0, 8, 3)) + b"".join(size.to_bytes(4, "big") for size in (1, 2, 2)) + bytes(4),
    "labels-idx1-ubyte": bytes((0, 0, 8, 1)) + (1).to_bytes(4, "big") + bytes(1),
}


@pytest.mark.parametrize("layout", ["folder", "zip"])
def test_a_line_without_an_end_is_refused_by_number_and_not_read_into_memory(layout, tmp_path):
    folder = write_good_catalogue(tmp_path / "catalogue", 3)
    with open(folder / "styles.csv", "ab") as file:
        file.write(b"7," + bytes(64 << 20))
    path = folder if layout == "folder" else zipped(folder, tmp_path / "catalogue.zip")
    catalogue = open_catalogue(str(path))
    tracemalloc.start()
    with pytest.raises(CatalogueError, match=r"styles\.csv: line 5 is longer than 1 MiB"):
        list(read_rows(catalogue, ()))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_the_digest_of_a_folder_does_not_hold_its_table_in_memory(tmp_path):
    folder = write_good_catalogue(tmp_path / "catalogue", 1)
    (folder / "styles.csv").write_bytes((b"x" * 63 + b"\n") * (1 << 19))
    catalogue = open_catalogue(str(folder))
    tracemalloc.start()
    assert catalogue.digest()
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def nothing(tmp_path):
    return tmp_path / "nowhere"


def empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def no_images(tmp_path):
    folder = write_catalogue(tmp_path / "c", [], {})
    (folder / "images").rmdir()
    return folder


def text_file(tmp_path):
    (tmp_path / "catalogue.zip").write_text("not a zip")
    return tmp_path / "catalogue.zip"


def cut_zip(tmp_path):
    path = zipped(write_good_catalogue(tmp_path / "c", 3), tmp_path / "c.zip")
    path.write_bytes(path.read_bytes()[:-40])
    return path


def zip_without_images(tmp_path):
    return zipped(no_images(tmp_path), tmp_path / "c.zip")


def zip_without_table(tmp_path):
    folder = write_good_catalogue(tmp_path / "c", 3)
    (folder / "styles.csv").unlink()
    return zipped(folder, tmp_path / "c.zip")


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (nothing, "there is no such file or folder"),
        (empty_folder, "there is no styles.csv and no other table in it"),
        (no_images, "there is styles.csv, but no picture"),
        (text_file, "cannot be read as a zip"),
        (cut_zip, "cannot be read as a zip"),
        (zip_without_images, "there is styles.csv, but no picture"),
        (zip_without_table, "there is no styles.csv and no other table in it"),
    ],
)
def test_what_is_no_catalogue_is_refused_with_path_rule_and_remedy(build, rule, tmp_path):
    path = build(tmp_path)
    with pytest.raises(CatalogueError) as refusal:
        open_catalogue(str(path))
    assert str(refusal.value).startswith(str(path))
    assert rule in str(refusal.value)
    assert re.search(r"Give (the folder|a folder, a zip)|download it again\.$", str(refusal.value))


def test_a_table_that_breaks_off_inside_a_zip_is_refused(tmp_path):
    folder = write_catalogue(tmp_path / "c", good_rows(500), {"1": b""})
    path = zipped(folder, tmp_path / "c.zip")
    with zipfile.ZipFile(path) as packed:
        entry = packed.getinfo("styles.csv")
    content = bytearray(path.read_bytes())
    middle = entry.header_offset + 60 + entry.compress_size // 2
    content[middle : middle + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=r"styles\.csv: cannot be read"):
        list(read_rows(open_catalogue(str(path)), ()))
