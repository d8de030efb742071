"""Pictures are found however a shop calls them and packs them; what is not found, or not read, is named."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import shutil
import tarfile
import unicodedata
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.errors import CatalogueError
from components.ingest.catalogue import open_catalogue, open_files
from components.ingest.faults import Fault, Reason
from components.ingest.judge import read_checked
from components.ingest.pictures import Pictures, plain
from components.ingest.settings import DRAFT, Layout, Picture
from components.ingest.source import ShopCatalogue
from components.ingest.table import Row, read_rows

CASES = Path(__file__).parents[3] / "shared" / "cases" / "zips"
TABLE = "id,articleType\n"


def row(product: str, picture: str | None = None, *pictures: str) -> Row:
    return Row(2, product, {}, None, (), picture, pictures)


def folder_of(path: Path, names: Mapping[str, bytes] | list[str], ids: list[str] | None = None) -> Path:
    """Writes files below a folder, each holding its own name, and a table of ids."""
    contents = names if isinstance(names, Mapping) else {name: name.encode() for name in names}
    table = TABLE + "".join(f"{product},Shirts\n" for product in ids or ())
    for name, content in {"styles.csv": table.encode(), **contents}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def opened(path: Path, names: list[str], ids: list[str] | None = None, **layout: str) -> ShopCatalogue:
    catalogue = open_catalogue(str(folder_of(path, names, ids)), Layout(**layout))
    assert isinstance(catalogue, ShopCatalogue)
    return catalogue


MACOS = unicodedata.normalize("NFD", "images/Röcke-1.png")
# The id; the files; the product's pictures, the main one first.
BY_ID: dict[str, tuple[str, list[str], list[str]]] = {
    "as Kaggle": ("15970", ["images/15970.jpg"], ["images/15970.jpg"]),
    "capitals": ("15970", ["IMAGES/15970.JPG"], ["IMAGES/15970.JPG"]),
    "capitals of the id": ("sku-10", ["a/SKU-10.jpg"], ["a/SKU-10.jpg"]),
    "capitals tell apart": ("aB3", ["a/Ab3.jpg", "a/aB3.jpg"], ["a/aB3.jpg"]),
    "nested": ("15970", ["data/2024/11/15970.webp"], ["data/2024/11/15970.webp"]),
    "no suffix": ("15970", ["images/15970"], ["images/15970"]),
    "a dot in the id": ("SKU.10", ["images/SKU.10.avif"], ["images/SKU.10.avif"]),
    "accents as macOS writes them": ("Röcke-1", [MACOS], [MACOS]),
    "numbered": ("71", ["p/71_2.jpg", "p/71_10.jpg", "p/71_1.jpg"], ["p/71_1.jpg", "p/71_2.jpg", "p/71_10.jpg"]),
    "numbered but for the main one": ("71", ["p/71-2.jpg", "p/71.jpg"], ["p/71.jpg", "p/71-2.jpg"]),
    "copies of a browser": ("71", ["p/71 (1).jpg", "p/71.jpg"], ["p/71.jpg", "p/71 (1).jpg"]),
    "words": ("71", ["p/71_back.jpg", "p/71_front.jpg"], ["p/71_front.jpg", "p/71_back.jpg"]),
    "a folder each": ("71", ["71/back.jpg", "71/front.jpg", "71/2.jpg"], ["71/front.jpg", "71/2.jpg", "71/back.jpg"]),
    "two formats are one picture": ("71", ["p/71.png", "p/71.jpg"], ["p/71.jpg"]),
    "the outermost of copies first": ("71", ["thumbs/s/71.jpg", "z/71.jpg"], ["z/71.jpg", "thumbs/s/71.jpg"]),
    "lost zeros": ("108775015", ["010/0108775015.jpg"], ["010/0108775015.jpg"]),
    "zeros too many": ("0012", ["images/12.jpg"], ["images/12.jpg"]),
}


@pytest.mark.parametrize("case", BY_ID)
def test_pictures_are_found_by_the_id(case, tmp_path):
    product, names, expected = BY_ID[case]
    catalogue = opened(tmp_path, names, [product])
    found = list(catalogue.picture_names(row(product)))
    assert found == expected
    assert catalogue.read_picture(row(product)) == found[0].encode()


def test_a_file_belongs_to_the_product_with_the_longest_id_that_it_begins_with():
    names = ["1/100.jpg", "100/2.jpg", "p/AB-1-2.jpg", "p/AB-1.jpg", "p/AB-2_1.jpg"]
    ids = ["AB", "AB-1", "AB-2", "1", "2", "100"]
    pictures = Pictures(names, "images/", {plain(product) for product in ids}.__contains__)
    assert {product: list(pictures.by_id(product).names) for product in ids} == {
        "AB": [],
        "AB-1": ["p/AB-1.jpg", "p/AB-1-2.jpg"],
        "AB-2": ["p/AB-2_1.jpg"],
        "1": [],
        "2": [],
        "100": ["1/100.jpg", "100/2.jpg"],
    }


BY_COLUMN: dict[str, tuple[str, str]] = {
    "file name": ("front.JPG", "pics/a/front.JPG"),
    "without suffix": ("front", "pics/a/front.JPG"),
    "path": ("pics/b/main.jpg", "pics/b/main.jpg"),
    "path of another machine": (r"C:\shop\export\b\main.jpg", "pics/b/main.jpg"),
    "address": ("https://cdn.example/s/files/x%20y.webp?v=12#top", "pics/x y.webp"),
    "address with the product's folder": ("https://cdn.example/c/main.jpg", "pics/c/main.jpg"),
    "other suffix": ("https://cdn.example/x y.jpg", "pics/x y.webp"),
    "not there, so by the id": ("https://cdn.example/8f3a.jpg", "pics/9.jpg"),
    "one of several, so by the id": ("https://cdn.example/d/main.jpg", "pics/9.jpg"),
}


@pytest.mark.parametrize("case", BY_COLUMN)
def test_pictures_are_found_by_what_a_column_names(case, tmp_path):
    value, expected = BY_COLUMN[case]
    names = ["pics/a/front.JPG", "pics/b/main.jpg", "pics/c/main.jpg", "pics/x y.webp", "pics/9.jpg"]
    assert opened(tmp_path, names).picture_names(row("9", value))[0] == expected


def test_further_pictures_come_from_the_column_and_from_further_rows(tmp_path):
    catalogue = opened(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    assert list(catalogue.picture_names(row("9", "x/a.jpg", "c.jpg", "d.jpg", "A.JPG"))) == ["a.jpg", "c.jpg"]


def test_a_template_says_where_pictures_are(tmp_path):
    catalogue = opened(tmp_path, ["m/IMG_5_x.JPG", "m/5.jpg"], picture="m/IMG_{id}_x.jpg")
    assert list(catalogue.picture_names(row("5"))) == ["m/IMG_5_x.JPG"]
    assert catalogue.read_picture(row("6")) is None


HINTS: dict[str, tuple[Row, list[str], str]] = {
    "format": (row("15970"), ["images/15970.psd"], "there is images/15970.psd: not a format that is read"),
    "zeros": (row("12"), ["a/012.jpg", "a/0012.jpg"], "there is a/0012.jpg and a/012.jpg"),
    "behind other words": (row("15970"), ["a/IMG_15970.jpg"], "there is a/IMG_15970.jpg"),
    "before a long number": (row("15970"), ["a/15970-1002.jpg"], "there is a/15970-1002.jpg"),
    "address": (row("9", "https://cdn.example/8f.jpg"), ["a/1.jpg"],
                "nothing is fetched from https://cdn.example/8f.jpg: put 8f.jpg into the catalogue"),
    "name of many": (row("9", "x/main.jpg"), ["a/main.jpg", "b/main.jpg"],
                     "there is a/main.jpg and b/main.jpg, but not in a folder x"),
    "nothing": (row("9"), ["a/1.jpg"], ""),
}  # fmt: skip


@pytest.mark.parametrize("case", HINTS)
def test_what_is_there_in_place_of_a_picture_is_named(case, tmp_path):
    asked, names, hint = HINTS[case]
    catalogue = opened(tmp_path, names)
    assert not catalogue.picture_names(asked)
    assert catalogue.near_misses(asked) == hint
    fault = read_checked(asked, catalogue, Picture())
    assert isinstance(fault, Fault)
    assert fault.reason == Reason.MISSING_PICTURE
    assert hint in fault.detail


def test_no_name_leads_out_of_a_catalogue(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    catalogue = opened(tmp_path / "shop", ["images/1.jpg"])
    for name in ("../secret", "../secret.jpg", str(tmp_path / "secret.jpg"), "images/../../secret.jpg"):
        assert catalogue.read_picture(row(name)) is None
        assert catalogue.read_picture(row("9", name)) is None
        with pytest.raises(FileNotFoundError):
            catalogue.files.open(name)


def test_scratch_and_copies_of_the_catalogue_are_no_part_of_it(tmp_path):
    scratch = [
        "__MACOSX/images/._1.jpg",
        "images/._1.jpg",
        "images/.DS_Store",
        "images/Thumbs.db",
        "@eaDir/1.jpg/x.jpg",
    ]
    catalogue = opened(
        tmp_path, ["images/1.jpg", *scratch, "copy/styles.csv", "copy/images/1.jpg", "copy/images/2.jpg"]
    )
    assert list(catalogue.picture_names(row("1"))) == ["images/1.jpg"]
    assert not catalogue.picture_names(row("2"))


def packed(folder: Path, file: Path) -> Path:
    """Packs a folder by what the name of the archive says."""
    content = io.BytesIO()
    if file.suffix == ".zip":
        with zipfile.ZipFile(content, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
    else:
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.add(folder, ".")
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(file.suffix, bytes)
    file.write_bytes(pack(content.getvalue()))
    return file


@pytest.mark.parametrize("name", ["c.zip", "c.tar", "c.tar.gz", "c.tar.bz2", "c.tar.xz"])
def test_an_archive_reads_as_its_folder_does_also_elsewhere_and_in_threads(name, tmp_path):
    products = [str(number) for number in range(100, 140)]
    folder = folder_of(tmp_path / "c", [f"two/levels/{product}.JPG" for product in products], products)
    catalogue = pickle.loads(pickle.dumps(open_catalogue(str(packed(folder, tmp_path / name)))))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(catalogue.read_picture, map(row, products)))
    assert found == [f"two/levels/{product}.JPG".encode() for product in products]
    assert [each.id for each in read_rows(catalogue, ["articleType"])] == products
    assert catalogue.read_picture(row("99")) is None
    before = catalogue.digest()
    assert open_catalogue(str(tmp_path / name)).digest() == before
    (folder / "two/levels/100.JPG").write_bytes(b"another")
    assert open_catalogue(str(packed(folder, tmp_path / name))).digest() != before


def test_links_within_a_tar_are_followed(tmp_path):
    folder = folder_of(tmp_path / "c", ["a/1.jpg"])
    os.link(folder / "a/1.jpg", folder / "a/2.jpg")
    os.symlink("1.jpg", folder / "a/3.jpg")
    os.symlink("nowhere.jpg", folder / "a/4.jpg")
    catalogue = open_catalogue(str(packed(folder, tmp_path / "c.tar")))
    assert [catalogue.read_picture(row(each)) for each in "1234"] == [b"a/1.jpg"] * 3 + [None]


NAMES = {"utf-8": "Röcke", "cp437": "Größe", "cp932": "ワンピース", "gb18030": "连衣裙"}


@pytest.mark.parametrize("encoding", NAMES)
def test_names_in_a_zip_are_read_though_it_does_not_say_how_they_are_written(encoding, tmp_path):
    raw = f"images/{NAMES[encoding]}-1.jpg".encode(encoding)
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("styles.csv", TABLE)
        archive.writestr("images/" + "x" * (len(raw) - 7), b"picture")
    content = (tmp_path / "c.zip").read_bytes()
    (tmp_path / "c.zip").write_bytes(content.replace(b"images/" + b"x" * (len(raw) - 7), raw))
    assert open_catalogue(str(tmp_path / "c.zip")).read_picture(row(f"{NAMES[encoding]}-1")) == b"picture"


def write_zip(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"sku,stock\n" if "stock" in name else b"id,articleType\n")
    return path


REFUSED: dict[str, tuple[list[str], str]] = {
    "a zip in a zip": (["archive.zip"], "there is archive.zip: unpack it, and give what lies in it"),
    "pictures packed beside the table": (["styles.csv", "images.zip"], "no picture; there is images.zip: unpack it"),
    "another kind of table": (["products.json", "1.jpg"], "there is products.json, which is not read: save it as CSV"),
    "several tables": (["products.csv", "stock.csv", "1.jpg"], DRAFT),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_lacks_a_table_or_pictures_is_refused_with_what_to_do(case, tmp_path):
    names, message = REFUSED[case]
    path = write_zip(tmp_path / "c.zip", names)
    with pytest.raises(CatalogueError) as refusal:
        open_catalogue(str(path))
    assert message in str(refusal.value)


def test_a_folder_that_holds_one_zip_names_it(tmp_path):
    write_zip(tmp_path / "shop.zip", ["styles.csv", "1.jpg"])
    with pytest.raises(CatalogueError, match=rf"there is shop\.zip: give {tmp_path}/shop\.zip"):
        open_catalogue(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "packed by 7z, which is not read. Give the unpacked folder"),
        (b"Rar!\x1a\x07" + bytes(600), "packed by RAR, which is not read"),
        (b"PK\x03\x04" + bytes(600), "cannot be read as a zip .* directory, at the end of the file, is missing"),
        (gzip.compress(b"no tar", mtime=0), "cannot be read as a zip"),
        (b"", "cannot be read as a zip"),
    ],
)
def test_what_is_no_archive_is_refused_by_what_it_is(content, message, tmp_path):
    (tmp_path / "shop").write_bytes(content)
    with pytest.raises(CatalogueError, match=message):
        open_catalogue(str(tmp_path / "shop"))


@pytest.mark.parametrize(
    ("name", "why"), [("deflate64", "packed with Deflate64"), ("encrypted", "locked with a password")]
)
def test_a_zip_that_is_packed_otherwise_is_refused_with_how_to_pack_again(name, why):
    if not CASES.is_dir():
        pytest.skip(f"there are no cases at {CASES}")
    with pytest.raises(CatalogueError, match=rf"{why}.*zip -r shop\.zip shop") as refusal:
        open_catalogue(str(CASES / f"{name}.zip"))
    assert "61 of 61 files" in str(refusal.value)


def test_a_zip_with_backslashes_reads_as_folders():
    if not CASES.is_dir():
        pytest.skip(f"there are no cases at {CASES}")
    catalogue = open_catalogue(str(CASES / "backslashes.zip"))
    assert list(catalogue.tables()) == ["shop/styles.csv"]
    rows = [each for each in read_rows(catalogue, ["articleType"]) if isinstance(each, Row)]
    assert (len(rows), rows[0].id, rows[0].fields["articleType"]) == (60, "10003", "Briefs")
    assert all(catalogue.read_picture(each) is not None for each in rows)


def test_one_locked_picture_costs_only_its_own_row(tmp_path):
    path = write_zip(tmp_path / "c.zip", ["styles.csv", "images/1.jpg", "images/2.jpg"])
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.rindex(mark, 0, content.rindex(b"images/2.jpg") if mark[2] == 1 else None) + flags] |= 1
    path.write_bytes(content)
    catalogue = open_catalogue(str(path))
    assert catalogue.read_picture(row("1")) == b"id,articleType\n"
    with pytest.raises(OSError, match="locked with a password; pack it again"):
        catalogue.read_picture(row("2"))


def test_tables_with_one_header_are_parts_of_one(tmp_path):
    folder = folder_of(
        tmp_path, {"b.csv": b"id,type\n2,x\n", "a.csv": b"id,type\r\n1,x\n", "old/z.csv": b"id\n", "1.jpg": b""}
    )
    (folder / "styles.csv").unlink()
    assert list(open_catalogue(str(folder)).tables()) == ["a.csv", "b.csv"]
    assert list(open_catalogue(str(folder), Layout(table="B.csv")).tables()) == ["b.csv"]
    assert list(open_catalogue(str(folder), Layout(table="*.csv")).tables()) == ["a.csv", "b.csv", "old/z.csv"]
    with pytest.raises(CatalogueError, match=r"no catalogue\.table 'c\.csv' in it; did you mean 'b\.csv'"):
        open_catalogue(str(folder), Layout(table="c.csv"))


def test_links_in_a_folder_are_followed_once_and_never_in_a_circle(tmp_path):
    folder = folder_of(tmp_path / "shop", ["real/1.jpg"])
    folder_of(tmp_path / "elsewhere", ["2.jpg", "styles.csv"])
    os.symlink(tmp_path / "elsewhere", folder / "images")
    for name, target in (("again", "real"), ("up", ".."), ("itself", "."), ("real/back", "../images"), ("all", "/")):
        os.symlink(target, folder / name)
    os.symlink(folder, tmp_path / "elsewhere" / "circle")
    names = [name for name in open_files(str(folder)).names() if name.endswith(".jpg")]
    assert sorted(os.path.basename(name) for name in names) == ["1.jpg", "2.jpg"]
    assert open_catalogue(str(folder)).read_picture(row("2")) == b"2.jpg"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    folder = folder_of(tmp_path, ["images/1.jpg"])
    (folder / "images").chmod(0)
    with pytest.raises(CatalogueError, match=r"images: cannot be listed .* Allow it to be read"):
        open_catalogue(str(folder))
    (folder / "images").chmod(0o700)
    shutil.rmtree(folder)
