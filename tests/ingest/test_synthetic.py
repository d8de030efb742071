"""The synthetic catalogue: what is promised about its rows, its pictures, its faults and its seed."""

import colorsys
import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from components.errors import CatalogueError
from components.features import COLUMNS
from components.ingest.catalogue import open_catalogue
from components.ingest.faults import Fault, Reason
from components.ingest.judge import IngestSettings, judge
from components.ingest.table import Row, read_rows
from components.transform.taxonomy import load_taxonomy
from pipeline.synthetic import Summary, write_catalogue
from pipeline.synthetic.articles import ARTICLES, COLOURS
from pipeline.synthetic.catalogue import PERIODS, fault_of
from pipeline.synthetic.draw import Brush, vary
from pipeline.synthetic.others import handbag
from pipeline.synthetic.photo import photograph

PRODUCTS = 200
HUES = ("Red", "Blue", "Green", "Yellow", "Pink", "Purple", "Orange")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("synthetic") / "catalogue"
    return out, write_catalogue(out, PRODUCTS, seed=5)


def rows_of(catalogue: Path) -> list[dict[str, str]]:
    """Rows by column, a name cut by unquoted commas put together again."""
    header, *lines = (catalogue / "styles.csv").read_text(encoding="utf-8").splitlines()
    assert tuple(header.split(",")) == COLUMNS
    return [dict(zip(COLUMNS, line.split(",", len(COLUMNS) - 1), strict=True)) for line in lines]


def digests(catalogue: Path) -> dict[str, str]:
    files = (path for path in catalogue.rglob("*") if path.is_file())
    return {str(path.relative_to(catalogue)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pictures_of(catalogue: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (catalogue / "images").iterdir()}


def test_same_seed_gives_the_same_bytes_and_another_seed_other_ones(tmp_path):
    for name, seed in (("a", 2), ("b", 2), ("c", 3)):
        write_catalogue(tmp_path / name, 15, seed)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert not set(digests(tmp_path / "a").values()) & set(digests(tmp_path / "c").values())


def test_first_products_of_a_longer_catalogue_are_those_of_a_shorter_one(tmp_path, written):
    long, _ = written
    short = tmp_path / "short"
    write_catalogue(short, 30, seed=5)
    assert (long / "styles.csv").read_text().startswith((short / "styles.csv").read_text())
    kept = digests(short)
    del kept["styles.csv"]
    assert kept.items() <= digests(long).items()


def test_every_row_has_the_ten_columns_and_ids_name_the_pictures(written):
    catalogue, summary = written
    rows = rows_of(catalogue)
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids) == summary.products == PRODUCTS
    assert all(product.isdigit() for product in ids)
    pictures = pictures_of(catalogue)
    assert len(pictures) == summary.pictures == PRODUCTS - summary.faults["missing_picture"]
    assert pictures.keys() <= set(ids)


def test_each_of_six_classes_has_at_least_eleven_percent_and_the_rest_has_none(written):
    taxonomy = load_taxonomy("six_class")
    classes = Counter(taxonomy.class_of(row) for row in rows_of(written[0]))
    assert set(classes) == {*taxonomy.classes, None}
    assert min(classes[name] for name in taxonomy.classes) >= 0.11 * PRODUCTS
    assert classes[None] == pytest.approx(0.15 * PRODUCTS, rel=0.2)


def test_every_article_of_the_list_occurs(written):
    sold = {"/".join((row["masterCategory"], row["subCategory"], row["articleType"])) for row in rows_of(written[0])}
    assert sold == {article.category for article in ARTICLES}


def test_quotas_make_a_hundred():
    assert sum(article.quota for article in ARTICLES) == 100


def test_all_sound_pictures_are_jpegs_on_a_light_ground(written):
    catalogue, summary = written
    sizes: Counter[tuple[int, int]] = Counter()
    broken = dim = grey = 0
    for path in (catalogue / "images").iterdir():
        try:
            with Image.open(path) as picture:
                picture.load()
        except OSError:
            broken += 1
            continue
        assert picture.format == "JPEG"
        sizes[picture.size] += 1
        grey += picture.mode == "L"
        border = np.concatenate([np.asarray(picture.convert("L"))[edge].ravel() for edge in (0, -1)])
        dim += bool(np.median(border) < 180)
    assert broken == summary.faults["truncated_picture"] + summary.faults["empty_picture"]
    assert grey == summary.faults["grey_picture"]
    assert sizes[120, 160] == sizes.total() - summary.faults["other_size"]
    assert dim == 0


@pytest.mark.parametrize("name", HUES)
def test_the_drawn_colour_is_the_named_one(name):
    seen = []
    for number in range(9):
        rng = Random(number)
        brush = Brush(rng, vary(COLOURS[name], rng), COLOURS["Grey"])
        handbag(brush)
        with photograph(brush.layer, rng) as picture:
            seen.append(np.asarray(picture, float)[70:100, 45:75].reshape(-1, 3))
    turn = hue(np.median(np.concatenate(seen), axis=0))
    assert min(HUES, key=lambda other: abs((turn - hue(COLOURS[other]) + 0.5) % 1 - 0.5)) == name


def hue(colour: Iterable[float]) -> float:
    return colorsys.rgb_to_hsv(*(float(channel) / 255 for channel in colour))[0]


def test_ingest_quarantines_exactly_the_faulty_pictures_and_repairs_the_commas(written):
    catalogue, summary = written
    opened, taxonomy, settings = open_catalogue(str(catalogue)), load_taxonomy("six_class"), IngestSettings()
    rows = list(read_rows(opened, taxonomy.fields))
    assert sum(bool(row.repaired) for row in rows if isinstance(row, Row)) == summary.faults["unquoted_comma"]
    judged = [judge(row, opened, taxonomy, settings) if isinstance(row, Row) else row for row in rows]
    assert Counter(fault.reason for fault in judged if isinstance(fault, Fault)) == {
        Reason.MISSING_PICTURE: summary.faults["missing_picture"],
        Reason.EMPTY_PICTURE: summary.faults["empty_picture"],
        Reason.BROKEN_PICTURE: summary.faults["truncated_picture"],
    }


def test_a_shared_picture_lies_under_two_ids_of_one_class(written):
    catalogue, summary = written
    classes = {row["id"]: row["articleType"] for row in rows_of(catalogue)}
    owners: dict[bytes, list[str]] = {}
    for product, picture in pictures_of(catalogue).items():
        owners.setdefault(picture, []).append(product)
    shared = [ids for ids in owners.values() if len(ids) > 1]
    assert len(shared) == summary.faults["shared_picture"]
    assert all(len(ids) == 2 and classes[ids[0]] == classes[ids[1]] for ids in shared)


@pytest.mark.parametrize(
    ("fault", "column", "blank"),
    [
        ("missing_colour", "baseColour", "NA"),
        ("missing_season", "season", ""),
        ("missing_year", "year", ""),
        ("missing_usage", "usage", "NA"),
    ],
)
def test_some_values_are_missing_as_the_real_set_writes_them(written, fault, column, blank):
    catalogue, summary = written
    assert sum(row[column] == blank for row in rows_of(catalogue)) == summary.faults[fault] > 0


@pytest.mark.parametrize("seed", range(20))
def test_every_fault_occurs_from_a_hundred_products_up(seed):
    assert {fault_of(index, seed) for index in range(100)} == {None, *PERIODS}


@pytest.mark.parametrize("products", [600, 601, 900, 1_000, 3_000])
def test_no_more_than_seven_in_a_thousand_rows_are_lost_from_600_products_up(products):
    lost = [
        fault_of(index, 1) in ("missing_picture", "truncated_picture", "empty_picture") for index in range(products)
    ]
    assert 0 < sum(lost) / products <= 0.007


def test_report_counts_up_to_the_number_of_products(tmp_path):
    reports: list[tuple[int, int]] = []
    write_catalogue(tmp_path / "catalogue", 3, report=lambda done, total: reports.append((done, total)))
    assert reports == [(1, 3), (2, 3), (3, 3)]


def test_an_empty_folder_is_filled_and_missing_parents_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "new" / "deep"):
        assert write_catalogue(out, 1).products == len(rows_of(out)) == 1


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(CatalogueError, match=r"not an empty folder.*--out"):
        write_catalogue(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_file_in_the_place_of_the_folder_or_its_parent_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "catalogue"):
        with pytest.raises(CatalogueError, match="--out"):
            write_catalogue(out, 1)


@pytest.mark.parametrize("products", [0, -5])
def test_less_than_one_product_is_refused(tmp_path, products):
    with pytest.raises(CatalogueError, match="below 1"):
        write_catalogue(tmp_path / "catalogue", products)


def test_an_interrupted_catalogue_is_never_visible(tmp_path):
    def stop(done: int, total: int) -> None:
        assert not (tmp_path / "catalogue").exists()
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_catalogue(tmp_path / "catalogue", 5, report=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shops")
    for shape in ("german", "shopify"):
        write_catalogue(folder / shape, 100, seed=5, shape=shape)
    return folder


def test_a_german_shop_has_semicolons_windows_1252_article_numbers_and_nested_folders(shops):
    table = (shops / "german" / "products.csv").read_bytes()
    assert table.count(b"\r\n") == 101
    rows = list(csv.DictReader(io.StringIO(table.decode("cp1252")), delimiter=";"))
    assert {"Röcke", "Mäntel & Jacken"} < {row["Kategorie"] for row in rows}
    assert min(Counter(row["Kategorie"] for row in rows).values()) >= 12
    assert len({row["Artikelnummer"] for row in rows}) == 100
    assert all(row["Preis"].endswith(",95") for row in rows)
    pictures = {path.name: path for path in (shops / "german").rglob("*.JPG")}
    found = [pictures[row["Bild"]] for row in rows if row["Bild"] in pictures]
    assert len(found) == len(pictures) == 99
    assert {path.relative_to(shops / "german").parts[:2] for path in found} == {
        ("Bilder", "Damen"),
        ("Bilder", "Herren"),
    }


def test_a_shopify_export_repeats_the_handle_for_variants_and_further_pictures(shops):
    text = (shops / "shopify" / "products_export.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    products = [row for row in rows if row["Title"]]
    assert len({row["Handle"] for row in rows}) == len(products) == 100 < len(rows)
    assert all('\n<li>"easy care"' in row["Body (HTML)"] for row in products)
    assert not any(row[column] for row in rows if not row["Title"] for column in ("Type", "Vendor", "Tags"))
    files = {path.name for path in (shops / "shopify" / "images").iterdir()}
    named = [row["Image Src"].split("/")[-1].removesuffix("?v=1") for row in rows if row["Image Src"]]
    assert len(set(named)) == len(named)
    assert set(named) > files
    assert all((shops / "shopify" / "images" / name).read_bytes()[8:12] in (b"WEBP", b"") for name in files)
    assert sum(int(row["Image Position"] or 1) > 1 for row in rows) > 10
