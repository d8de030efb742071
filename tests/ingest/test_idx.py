"""A data set in the layout of MNIST is a catalogue like any other, and what is wrong with its files is named."""

import gzip
import hashlib
import io
import pickle
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import CatalogueError, RecipeError
from components.ingest.catalogue import open_catalogue
from components.ingest.idx import COLUMN, NAMES_FILE, IdxCatalogue
from components.ingest.judge import IngestSettings, columns_of, judge
from components.ingest.labels import taxonomy_of
from components.ingest.settings import Labels, Split
from components.ingest.split import check_split, divide
from components.ingest.table import Row, read_rows
from tests.data.faults import write_good_catalogue
from tests.data.tables import lines_of

NAMES = ("Shirt", "Ankle boot", "T-shirt/top")
TRAIN, TEST = 7, 4
SIZE = (28, 20)
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def row(product: str) -> Row:
    return Row(2, product, {}, None, ())


def drawn(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE)).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def contents() -> dict[str, bytes]:
    arrays = (drawn(TRAIN, 1), np.arange(TRAIN) % 3, drawn(TEST, 2), np.arange(TEST) % 2)
    return {name: idx(array.astype(np.uint8)) for name, array in zip(FILES, arrays, strict=True)}


def write(folder: Path, suffix: str = "") -> Path:
    """Writes a small data set of 28 × 20 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents().items():
        (folder / (name + suffix)).write_bytes(gzip.compress(content) if suffix else content)
    (folder / NAMES_FILE).write_text("".join(f"{name}\n" for name in NAMES))
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("below", ["", "raw"])
def test_rows_and_pictures_are_those_of_the_files(tmp_path, suffix, below):
    write(tmp_path / below, suffix)
    catalogue = open_catalogue(str(tmp_path))
    header, *rows = (line.decode().strip() for line in lines_of(catalogue))
    assert header == "id,articleType"
    assert rows == [
        f"{number},{NAMES[label]}" for number, label in enumerate([*(np.arange(TRAIN) % 3), *(np.arange(TEST) % 2)])
    ]
    for number, picture in enumerate([*drawn(TRAIN, 1), *drawn(TEST, 2)]):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(catalogue.read_picture(row(str(number)))))), picture)
    assert [catalogue.part_of(str(n)) for n in (0, TRAIN - 1, TRAIN, TRAIN + TEST - 1)] == 2 * ["train"] + 2 * ["test"]


@pytest.mark.parametrize("product", [str(TRAIN + TEST), "007", "99999999999999999999"])
def test_an_id_that_no_row_has_is_no_picture(tmp_path, product):
    catalogue = open_catalogue(str(write(tmp_path)))
    assert catalogue.read_picture(row(product)) is None
    assert catalogue.part_of(product) is None


def test_bytes_of_a_picture_never_change_or_the_split_would(tmp_path):
    catalogue = open_catalogue(str(write(tmp_path)))
    digest = hashlib.sha256(catalogue.read_picture(row("0"))).hexdigest()
    assert digest == "a5908cdfbd6ab059b837e215b692dda3c8e93a24767851b45fb22d7e3095c1e7"


def test_a_catalogue_can_be_sent_to_another_worker_and_read_by_many_threads(tmp_path):
    catalogue = open_catalogue(str(write(tmp_path, ".gz")))
    expected = [catalogue.read_picture(row(str(number))) for number in range(TRAIN + TEST)]
    sent = pickle.loads(pickle.dumps(catalogue))
    assert len(pickle.dumps(catalogue)) < 2_000
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(sent.read_picture, (row(str(number)) for number in range(TRAIN + TEST)))) == expected


def test_the_digest_changes_with_each_file_and_nothing_else(tmp_path):
    found = [open_catalogue(str(write(tmp_path))).digest()]
    for name in (*FILES, NAMES_FILE):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content + b"\n")
        found.append(open_catalogue(str(tmp_path)).digest())
    assert len(set(found)) == 6
    (tmp_path / "LICENSE").write_text("MIT")
    assert open_catalogue(str(tmp_path)).digest() == found[-1]


def test_a_changed_file_is_read_anew(tmp_path):
    write(tmp_path, ".gz")
    before = open_catalogue(str(tmp_path)).read_picture(row("0"))
    (tmp_path / f"{FILES[0]}.gz").write_bytes(gzip.compress(idx(drawn(TRAIN, 9))))
    assert open_catalogue(str(tmp_path)).read_picture(row("0")) != before


def test_the_values_of_the_column_are_classes(tmp_path):
    taxonomy = taxonomy_of(Labels(column="articleType"), write(tmp_path))
    assert taxonomy.classes == tuple(sorted(NAMES))


Change = Callable[[Path], object]


def put(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def without(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


FAULTS: dict[str, tuple[Change, str]] = {
    "missing file": (without(FILES[1]), "there is no train-labels-idx1-ubyte, plain or with .gz"),
    "cut short": (put(FILES[0], contents()[FILES[0]][:-1]), "holds 3,935 bytes, and its header announces 3,936"),
    "cut in the header": (put(FILES[0], contents()[FILES[0]][:9]), "holds 9 bytes"),
    "too long": (put(FILES[3], contents()[FILES[3]] + b"\0"), "holds 13 bytes, and its header announces 12"),
    "labels in place of pictures": (put(FILES[0], contents()[FILES[1]]), "begins with 00 00 08 01"),
    "no idx file": (put(FILES[1], b"<html>"), "begins with 3c 68 74 6d; an idx file of bytes in 1 dimensions"),
    "no bytes": (put(FILES[1], b""), "begins with ;"),
    "nothing in it": (put(FILES[1], idx(np.zeros(0, np.uint8))), "in the shape (0,)"),
    "cut gzip": (put(FILES[0], gzip.compress(contents()[FILES[0]])[:-20]), "cannot be read"),
    "damaged gzip": (put(FILES[0], gzip.compress(contents()[FILES[0]])[:10] + b"\xff" * 90), "cannot be read"),
    "counts that differ": (put(FILES[2], contents()[FILES[0]]), "7 pictures and t10k-labels-idx1-ubyte 4 labels"),
    "label without a name": (
        put(FILES[3], idx(np.array([0, 1, 3, 0], np.uint8))),
        "t10k-labels-idx1-ubyte: label 3 at position 2 has no name among the 3 of",
    ),
    "no names": (without(NAMES_FILE), "its labels are not Fashion-MNIST's, and without classes.txt they have no names"),
    "two names alike": (put(NAMES_FILE, b"a\nb\na\n"), "classes.txt, line 3: 'a' is not the name of a class"),
    "name with a comma": (put(NAMES_FILE, b"a\nb, c\nd\n"), "line 2: 'b, c' is not the name"),
    "names not in UTF-8": (put(NAMES_FILE, b"a\nb\n\xff\n"), "classes.txt: cannot be read"),
}


@pytest.mark.parametrize(("change", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_file_is_refused_by_name_and_with_a_remedy(tmp_path, change, said):
    change(write(tmp_path))
    with pytest.raises(CatalogueError) as refusal:
        lines_of(open_catalogue(str(tmp_path)))
    assert str(refusal.value).startswith(str(tmp_path))
    assert said in str(refusal.value)


def test_files_that_are_gone_cost_the_picture_and_not_the_program(tmp_path):
    catalogue = open_catalogue(str(write(tmp_path)))
    for name in FILES:
        (tmp_path / name).unlink()
    with pytest.raises(OSError, match="cannot be read"):
        catalogue.read_picture(row("0"))


def test_fashion_mnist_is_known_by_its_labels(tmp_path, monkeypatch):
    write(tmp_path)
    (tmp_path / NAMES_FILE).unlink()
    digest = hashlib.sha256((np.arange(TRAIN) % 3).astype(np.uint8).tobytes()).hexdigest()
    monkeypatch.setattr("components.ingest.idx._FASHION_MNIST", digest)
    assert lines_of(open_catalogue(str(tmp_path)))[1:4] == [
        b"0,T-shirt/top\n",
        b"1,Trouser\n",
        b"2,Pullover\n",
    ]


def test_a_table_beside_the_files_is_the_catalogue(tmp_path):
    write(write_good_catalogue(tmp_path, 2))
    assert not isinstance(open_catalogue(str(tmp_path)), IdxCatalogue)


def test_only_a_catalogue_with_parts_offers_its_own_split(tmp_path):
    given = Split(by="given")
    check_split(given, open_catalogue(str(write(tmp_path / "idx"))))
    shop = open_catalogue(str(write_good_catalogue(tmp_path / "shop", 2)))
    check_split(Split(), shop)
    with pytest.raises(RecipeError, match=r"catalogue has none. Give --set split\.by=picture"):
        check_split(given, shop)


def test_pictures_in_both_parts_stay_where_they_were_published_and_are_counted(tmp_path):
    write(tmp_path)
    pictures = drawn(TEST, 2)
    pictures[:2] = drawn(TRAIN, 1)[:2]
    (tmp_path / FILES[2]).write_bytes(idx(pictures))
    catalogue, taxonomy = open_catalogue(str(tmp_path)), taxonomy_of(Labels(column="articleType"), tmp_path)
    settings = IngestSettings(split=Split(by="given", train=10**9, eval=1))
    rows = read_rows(catalogue, [COLUMN])
    products = [judge(row, catalogue, taxonomy, settings) for row in rows]
    division = divide(columns_of(products, taxonomy, settings.together), settings.split)
    assert np.bincount(division.splits, minlength=3).tolist() == [TRAIN, 0, TEST]
    assert division.shared == {"train and test": 2}
