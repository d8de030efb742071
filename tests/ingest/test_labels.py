"""Classes from a column's own values: which are chosen, merged and left out."""

from collections import Counter

import pytest
from pydantic import ValidationError

from components.errors import CatalogueError, FashionError, RecipeError
from components.ingest.catalogue import open_catalogue
from components.ingest.labels import taxonomies_of, taxonomy_of, taxonomy_of_values
from components.ingest.settings import Labels
from components.transform.taxonomy import NO_LABEL, Taxonomy
from tests.data.faults import write_good_catalogue
from tests.data.tables import lines_of

ROWS = Counter({"Shirts": 50, "Tops": 30, "Tshirts": 30, "Heels": 8, "Flats": 4, "Ipad": 1})


def labels(**settings: object) -> Labels:
    return Labels(column="articleType", **settings)


@pytest.mark.parametrize(
    ("settings", "classes"),
    [
        ({}, ["Flats", "Heels", "Ipad", "Shirts", "Tops", "Tshirts"]),
        ({"top": 2}, ["Shirts", "Tops"]),
        ({"minimum": 8}, ["Heels", "Shirts", "Tops", "Tshirts"]),
        ({"minimum": 8, "top": 3}, ["Shirts", "Tops", "Tshirts"]),
        ({"ignore": ["Shirts", "Ipad"]}, ["Flats", "Heels", "Tops", "Tshirts"]),
        ({"merge": {"Shoes": ["Heels", "Flats"]}, "minimum": 9}, ["Shirts", "Shoes", "Tops", "Tshirts"]),
        ({"merge": {"Tops": ["Tshirts"]}, "top": 1 + 1}, ["Shirts", "Tops"]),
    ],
)
def test_the_policy_chooses_the_classes(settings, classes) -> None:
    assert list(taxonomy_of_values("articleType", labels(**settings), ROWS).classes) == classes


def test_values_find_their_class_exactly_and_others_none() -> None:
    taxonomy = taxonomy_of_values("articleType", labels(merge={"Shoes": ["Heels", "Flats"]}, ignore=["Ipad"]), ROWS)
    found = {value: taxonomy.class_of({"articleType": value}) for value in ("Heels", "Flats", "Tops", "tops", "Ipad")}
    assert found == {"Heels": "Shoes", "Flats": "Shoes", "Tops": "Tops", "tops": None, "Ipad": None}
    assert taxonomy.class_of({"subCategory": "Heels"}) is None
    assert taxonomy.index_of(taxonomy.class_of({})) == NO_LABEL
    assert taxonomy.fields == ("articleType",)


def test_values_of_any_language_are_classes_and_two_forms_of_one_value_are_one() -> None:
    rows = Counter(
        {"Röcke": 5, "Ro\u0308cke": 4, "连衣裙": 3, "Apparel > Tops, Tees": 2, "Kleider": 1, "Ko\u0308rbe": 1}
    )
    taxonomy = taxonomy_of_values("articleType", labels(merge={"Women's (Plus)": ["Kleider"]}, ignore=["Körbe"]), rows)
    assert taxonomy.classes == ("Apparel > Tops, Tees", "Röcke", "Women's (Plus)", "连衣裙")
    found = [taxonomy.class_of({"articleType": value}) for value in ("Röcke", "Ro\u0308cke", "Kleider", "Ko\u0308rbe")]
    assert found == ["Röcke", "Röcke", "Women's (Plus)", None]
    assert taxonomy_of_values("articleType", labels(minimum=9), rows + Counter({"T": 9})).classes == ("Röcke", "T")


def test_it_survives_the_way_through_json() -> None:
    taxonomy = taxonomy_of_values("articleType", labels(top=3), ROWS)
    assert Taxonomy.model_validate_json(taxonomy.model_dump_json()) == taxonomy


def test_the_order_of_rows_changes_nothing() -> None:
    backwards = Counter(dict(reversed(ROWS.items())))
    assert taxonomy_of_values("articleType", labels(top=4), backwards) == taxonomy_of_values(
        "articleType", labels(top=4), ROWS
    )


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"ignore": ["Tshirt"]}, RecipeError, "no row has the value 'Tshirt'; did you mean 'Tshirts'"),
        ({"merge": {"Shoes": ["Heel"]}}, RecipeError, "no row has the value 'Heel'; did you mean 'Heels'"),
        ({"minimum": 51}, CatalogueError, "articleType holds 0 classes to learn, of 6 values"),
        ({"top": 1}, CatalogueError, "holds 1 classes to learn"),
        ({"merge": {"none": ["Heels"]}}, CatalogueError, "'none' cannot name a class"),
    ],
)
def test_what_fits_no_row_is_told(settings, error, said) -> None:
    with pytest.raises(FashionError, match=said) as told:
        taxonomy_of_values("articleType", labels(**settings), ROWS)
    assert type(told.value) is error


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "give either taxonomy or column"),
        ({"taxonomy": "six_class", "column": "articleType"}, "give either taxonomy or column"),
        ({"taxonomy": "six_class", "top": 5}, "go with column"),
        ({"column": "id"}, "masterCategory"),
        ({"column": "gender", "columns": {"gender": {}}}, "gender is the main column"),
        ({"columns": {"gender": {}, "id": {}}}, "masterCategory"),
        ({"column": "articleType", "merge": {"a": ["x"], "b": ["x"]}}, "'x' is merged twice"),
        ({"column": "articleType", "merge": {"a": ["x"]}, "ignore": ["x"]}, "merged and ignored"),
    ],
)
def test_contradictions_are_refused(settings, said) -> None:
    with pytest.raises(ValidationError, match=said):
        Labels(**settings)


def test_the_first_of_several_columns_is_the_main_one_unless_it_is_named() -> None:
    columns = {"subCategory": {"minimum": 2}, "gender": {"weight": 0.5}, "articleType": {}}
    first, named = Labels(columns=columns), Labels(taxonomy="six_class", columns=columns)
    assert (first.column, first.minimum, list(first.columns)) == ("subCategory", 2, ["gender", "articleType"])
    assert Labels.model_validate(first.model_dump()) == first
    assert (named.taxonomy, list(named.columns)) == ("six_class", list(columns))


def test_columns_have_taxonomies_of_their_own_the_finer_first(tmp_path) -> None:
    write_good_catalogue(tmp_path, 12)
    chosen = Labels(columns={"articleType": {}, "masterCategory": {}, "subCategory": {}})
    assert [each.name for each in taxonomies_of(chosen, tmp_path)] == [
        "articleType", "subCategory", "masterCategory"
    ]  # fmt: skip
    assert taxonomies_of(labels(), tmp_path) == (taxonomy_of(chosen, tmp_path),)


def test_a_catalogue_is_counted_as_ingest_reads_it(tmp_path) -> None:
    write_good_catalogue(tmp_path, 12)
    taxonomy = taxonomy_of(labels(), tmp_path)
    types = {line.split(b",")[4].decode() for line in lines_of(open_catalogue(str(tmp_path)))[1:]}
    assert set(taxonomy.classes) == types
