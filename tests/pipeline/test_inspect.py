"""`fashion inspect`: what it finds out about catalogues of all shapes, and that its drafts can be run."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from components.errors import RecipeError
from components.ingest.settings import load_layout
from components.inspect.inspection import Inspection, inspect_catalogue
from components.inspect.plan import plan_of
from pipeline import cli
from pipeline.advice import fits_of
from pipeline.draft import write_draft
from pipeline.experiment import read_experiment
from pipeline.paths import Paths
from pipeline.recipe import load_recipe
from pipeline.synthetic import write_catalogue
from tests import HOUSE
from tests.ingest.test_kinds import KINDS, ROWS

CASES = HOUSE.parent / "shared" / "cases" / "tables"
SHAPES = ("kaggle", "german", "shopify")


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shops")
    for shape in SHAPES:
        write_catalogue(folder / shape, 100, seed=5, shape=shape)
    return folder


@pytest.fixture(scope="module")
def inspections(shops) -> dict[str, Inspection]:
    return {shape: inspect_catalogue(shops / shape) for shape in SHAPES}


def said(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, ["inspect", *map(str, arguments)])


@pytest.mark.parametrize(
    ("shape", "roles"),
    [
        ("kaggle", {role: role for role in ("id", "articleType", "year", "productDisplayName")}),
        ("german", {"id": "Artikelnummer", "articleType": "Kategorie", "productDisplayName": "Bezeichnung",
                    "baseColour": "Farbe", "gender": "Geschlecht", "season": "Saison", "picture": "Bild"}),
        ("shopify", {"id": "Handle", "articleType": "Type", "productDisplayName": "Title", "picture": "Image Src"}),
    ],
)  # fmt: skip
def test_each_column_gets_its_role_and_a_reason(inspections, shape, roles):
    inspection = inspections[shape]
    assert roles.items() <= inspection.roles.items()
    reasons = {use.role: use.reason for use in inspection.uses}
    assert "repeat" in reasons["articleType"]
    assert re.search(r"9[89](\.\d)? %.* name a picture", reasons["picture" if "picture" in roles else "id"])


@pytest.mark.parametrize("shape", SHAPES)
def test_every_product_is_counted_once_and_so_are_the_pictures_that_are_there(inspections, shape):
    inspection = inspections[shape]
    assert inspection.rows.products == inspection.rows.all == 100
    assert inspection.pictures.matched == 99
    assert (inspection.rows.variants > 50) == (inspection.pictures.further > 10) == (shape == "shopify")
    assert len(inspection.pictures.without) == 1
    assert sum(inspection.pictures.formats.values()) == inspection.pictures.files
    assert inspection.pictures.median == (120, 160)


@pytest.mark.parametrize(("shape", "format"), [("german", "JPEG"), ("shopify", "WEBP")])
def test_formats_are_told_by_the_pictures_headers(inspections, shape, format):
    formats = inspections[shape].pictures.formats
    assert formats.most_common(1)[0][0] == format
    assert 1 <= formats["unreadable"] <= 4  # one is empty and one is cut, from both sides


def test_columns_that_no_one_knows_by_name_are_told_by_their_values(shops, tmp_path):
    shop = tmp_path / "shop"
    shutil.copytree(shops / "kaggle", shop)
    _, _, rest = (shop / "styles.csv").read_text().partition("\n")
    (shop / "styles.csv").write_text("c1,c2,c3,c4,c5,c6,c7,c8,c9,c10\n" + rest)
    inspection = inspect_catalogue(shop)
    assert inspection.roles["id"] == "c1"
    assert inspection.roles["productDisplayName"] == "c10"
    assert inspection.roles[plan_of(inspection).column] == "c5"  # most values that repeat, and no colours
    assert inspection.roles["baseColour"] == "c6"
    assert (
        inspection.pictures.matched == 98
    )  # without a column that is the year, the row with stray commas is ambiguous
    assert inspection.rows.faults == {"bad row": 1}
    assert all(fit.obstacle for fit in fits_of(inspection))


def test_what_the_pictures_are_called_is_found_where_they_hold_the_id(shops, tmp_path):
    shop = tmp_path / "shop"
    shutil.copytree(shops / "kaggle", shop)
    for path in list((shop / "images").iterdir()):
        path.rename(path.with_name(f"web{path.stem}x200.jpg"))
    inspection = inspect_catalogue(shop)
    assert inspection.layout.picture == "images/web{id}x200.jpg"
    assert inspection.pictures.matched == 99


def test_ids_that_stand_twice_with_two_labels_are_named(shops, tmp_path):
    shop = tmp_path / "shop"
    shutil.copytree(shops / "kaggle", shop)
    lines = (shop / "styles.csv").read_text().splitlines()
    twice, same = lines[1].split(","), lines[2]
    twice[4] = "Something else"
    (shop / "styles.csv").write_text("\n".join([*lines, ",".join(twice), same]) + "\n")
    rows = inspect_catalogue(shop).rows
    assert rows.faults["duplicate id"] == 2
    assert rows.contradictory == [twice[0]]
    assert "two labels" in said(shop).output


def test_the_recipes_of_the_project_fit_kaggles_vocabulary_alone(inspections):
    fits = {shape: {fit.recipe for fit in fits_of(inspections[shape]) if not fit.obstacle} for shape in SHAPES}
    assert "sub_category" in fits["kaggle"]
    assert not fits["german"]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_printed_fits_and_names_the_next_command(shops, shape):
    shown = said(shops / shape)
    assert shown.exit_code == 0, shown.output
    assert f": fashion inspect {shops / shape} --draft DIR" in shown.output
    assert "99 of 100 products have one" in shown.output


def test_json_holds_the_same_for_programs(shops):
    shown = json.loads(said(shops / "german", "--json").stdout)
    assert {use["role"]: use["column"] for use in shown["columns"]}["id"] == "Artikelnummer"
    assert shown["rows"]["labels"]["articleType"]["Röcke"] >= 12
    assert shown["pictures"]["matched"] == 99


@pytest.mark.parametrize("shape", SHAPES)
def test_a_draft_is_a_recipe_that_a_run_takes(inspections, shops, tmp_path, shape):
    write_draft(inspections[shape], tmp_path / "mine", SCHEMA)
    recipe = load_recipe(str(tmp_path / "mine" / "recipe.yaml"))
    experiment = read_experiment(recipe, Paths(shops / shape, tmp_path / "runs"))
    assert set(experiment.taxonomy.classes) == set(plan_of(inspections[shape]).classes)
    assert len(experiment.taxonomy.classes) > 4
    assert load_layout(tmp_path / "mine" / "catalogue.yaml").columns == inspections[shape].roles


SCHEMA = (HOUSE / "schema" / "open.pbtxt").read_text(encoding="utf-8")


def test_a_draft_that_a_person_has_edited_is_kept(inspections, tmp_path):
    files = write_draft(inspections["german"], tmp_path, SCHEMA)
    write_draft(inspections["german"], tmp_path, SCHEMA)  # as they were: replaced
    files[2].write_text(files[2].read_text() + "publish: {}\n")
    edited = files[2].read_text()
    with pytest.raises(RecipeError, match=r"recipe.yaml.*--force"):
        write_draft(inspections["german"], tmp_path, SCHEMA)
    assert files[2].read_text() == edited
    write_draft(inspections["german"], tmp_path, SCHEMA, force=True)
    assert files[2].read_text() != edited


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "there is no such file"),
        (lambda folder: folder.mkdir(), "no other table"),
        (lambda folder: folder.write_bytes(b"PK\x03\x04 torn"), "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_a_code(tmp_path, make: Callable[[Path], object], words):
    make(tmp_path / "shop")
    shown = said(tmp_path / "shop")
    assert shown.exit_code == 3
    assert shown.output.count("\n") == 1
    assert words in shown.output


@pytest.mark.parametrize("table", sorted(CASES.glob("*.csv")) if CASES.is_dir() else [], ids=lambda path: path.stem)
def test_tables_as_shops_export_them_are_understood(shops, tmp_path, table):
    shop = tmp_path / "shop"
    shutil.copytree(shops / "kaggle", shop)
    shutil.copy(table, shop / "styles.csv")
    if table.stem == "sku_ids":
        for path in list((shop / "images").iterdir()):
            path.rename(path.with_name(f"SKU-{path.name}"))
    inspection = inspect_catalogue(shop)
    assert inspection.rows.all == 60
    assert inspection.rows.products >= (58 if "comma" in table.stem else 60)
    assert inspection.roles["articleType"] == "articleType"
    assert inspection.pictures.matched == inspection.rows.products


def test_of_several_tables_that_with_the_products_is_taken(shops, tmp_path):
    shop = tmp_path / "shop"
    shutil.copytree(shops / "kaggle", shop)
    (shop / "styles.csv").rename(shop / "articles.csv")
    (shop / "customers.csv").write_text("customer,age\n" + "".join(f"{n},{n % 40}\n" for n in range(200)))
    inspection = inspect_catalogue(shop)
    assert (inspection.layout.table, inspection.rows.products) == ("articles.csv", 100)
    write_draft(inspection, tmp_path / "mine", SCHEMA)
    assert load_layout(tmp_path / "mine" / "catalogue.yaml").table == "articles.csv"


def test_a_table_without_names_of_columns_is_refused(shops, tmp_path):
    shop = tmp_path / "shop"
    shutil.copytree(shops / "kaggle", shop)
    _, _, rest = (shop / "styles.csv").read_text().partition("\n")
    (shop / "styles.csv").write_text(rest)
    shown = said(shop)
    assert shown.exit_code == 3
    assert "first row is a product" in shown.output


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_that_ingest_reads_is_understood_and_drafted(tmp_path, kind):
    content, shop = KINDS[kind], tmp_path / "shop"
    (shop / "images").mkdir(parents=True)
    (shop / "styles.csv").write_bytes(content)
    for row in ROWS:
        Image.new("RGB", (60, 80), "red").save(shop / "images" / f"{row['id']}.jpg")
    inspection = inspect_catalogue(shop)
    assert (inspection.rows.products, inspection.pictures.matched) == (len(ROWS), len(ROWS))
    write_draft(inspection, tmp_path / "mine", SCHEMA)
    experiment = read_experiment(load_recipe(str(tmp_path / "mine" / "recipe.yaml")), Paths(shop, tmp_path / "runs"))
    assert experiment.taxonomy.classes == tuple(sorted({row["articleType"] for row in ROWS}))
    assert said(shop).output.count("\n") < 90


def test_a_drafts_limits_leave_room_for_what_is_missing_now(shops, tmp_path):
    shop = tmp_path / "shop"
    shutil.copytree(shops / "kaggle", shop)
    for path in sorted((shop / "images").iterdir())[:20]:
        path.unlink()
    write_draft(inspect_catalogue(shop), tmp_path / "mine", SCHEMA)
    limits = load_recipe(str(tmp_path / "mine" / "recipe.yaml")).validation
    assert 0.21 < limits.quarantine < limits.class_quarantine < 0.6


def test_a_draft_learns_what_products_are_as_finely_as_most_of_them_allow(inspections):
    few, many = Counter({f"type {n}": 10 for n in range(40)}), Counter(Tops=200, Shoes=150, Bags=50)
    for labels, column in (
        ({"articleType": few, "subCategory": many, "gender": Counter(Men=200, Women=200)}, "subCategory"),
        ({"articleType": many, "subCategory": many}, "articleType"),
        ({"articleType": few, "subCategory": few}, "articleType"),
        ({"gender": many}, "gender"),
    ):
        rows = replace(inspections["kaggle"].rows, labels=labels)
        assert plan_of(replace(inspections["kaggle"], rows=rows)).column == column
