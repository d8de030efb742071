"""Label rules: what they recognise, what they refuse, and how mistakes in them are told."""

import csv
import io
import json
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import RecipeError
from components.transform.taxonomy import NO_LABEL, Taxonomy, load_taxonomy
from tests import PUBLISHED

SHIRTS_AND_SHOES = """
classes: [shirts, shoes]
rules:
  - {class: shirts, subCategory: [topwear], unless: {articleType: [belts]}}
  - {class: none, subCategory: [bags]}
  - {class: shoes, masterCategory: [footwear], productDisplayName: [shoe, flip flop]}
"""


@pytest.fixture(scope="module")
def six() -> Taxonomy:
    return load_taxonomy("six_class")


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def real_rows() -> Iterator[dict[str, str]]:
    with zipfile.ZipFile(PUBLISHED) as archive:
        name = next(each for each in archive.namelist() if each.endswith("styles.csv"))
        rows = csv.reader(io.TextIOWrapper(archive.open(name), "utf-8", newline=""))
        header = next(rows)
        for row in rows:
            values = [*row[:9], ",".join(row[9:])]
            yield {column: value for column, value in zip(header, values, strict=True) if value not in ("", "NA")}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"subCategory": "Topwear", "articleType": "Tshirts"}, "topwear"),
        ({"subCategory": "Topwear", "articleType": "Suspenders"}, None),
        ({"subCategory": "Topwear", "articleType": "Belts", "productDisplayName": "Shirt belt"}, None),
        ({"subCategory": "Flip Flops"}, "shoes"),
        ({"subCategory": "Shoe Accessories", "articleType": "Shoe Laces"}, None),
        ({"subCategory": "Fragrance", "productDisplayName": "Sneaker Shoe Perfume"}, "fragrances"),
        ({"subCategory": "Bags", "productDisplayName": "Shoe bag with sunglasses"}, None),
        ({"articleType": "Perfume and Body Mist", "productDisplayName": "Gold ring"}, "fragrances"),
        ({"articleType": "Lounge Tshirts"}, None),
        ({"subCategory": "Haberdashery", "articleType": "Bra"}, "underwear"),
        ({"subCategory": "Haberdashery", "articleType": "Oddments", "productDisplayName": "Red T-Shirt"}, "topwear"),
        ({"productDisplayName": "Nike Men Air Ring Leader Sports Shoes"}, "shoes"),
        ({"productDisplayName": "Pepe Jeans Unisex Sunglasses"}, "eyewear"),
        ({"productDisplayName": "Nike Sneaker T-Shirt"}, "topwear"),
        ({"productDisplayName": "Shirting"}, None),
        ({"productDisplayName": ""}, None),
        ({"season": "Shoes"}, None),
        ({}, None),
    ],
)
def test_category_is_trusted_over_type_and_type_over_name(six, fields, expected):
    assert six.class_of(fields) == expected


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("Flip Flop", True),
        ("beach FLIP-FLOP, red", True),
        ("flip \t\n flop", True),
        ("my shoe.", True),
        ("shoe2", False),
        ("shoe_", False),
        ("horseshoe", False),
        ("flipflop", False),
        ("ſhoe", True),  # U+017F folds to s
        ("éshoe", False),
        ("flip\u00a0flop", True),
    ],
)
def test_keywords_are_whole_words_whatever_their_case(tmp_path, text, is_found):
    taxonomy = load_taxonomy(written(tmp_path, SHIRTS_AND_SHOES))
    assert (taxonomy.class_of({"masterCategory": "Footwear", "productDisplayName": text}) == "shoes") is is_found


def test_keywords_hold_no_regular_expressions(tmp_path):
    text = SHIRTS_AND_SHOES.replace("[topwear]", "['top.wear (new)', 'c++', 'à la']")
    taxonomy = load_taxonomy(written(tmp_path, text))
    found = [
        taxonomy.class_of({"subCategory": each}) for each in ("Top.Wear (NEW)", "C++", "à La", "topXwear (new)", "ccc")
    ]
    assert found == ["shirts", "shirts", "shirts", None, None]


ANY_LANGUAGE = ("Röcke", "Apparel > Tops, Tees", "连衣裙", "Women's (Plus)", "أحذية", "👗 Dresses", "=1+1", "-", "50")


def test_any_text_names_a_class_in_one_form(tmp_path):
    rules = "".join(
        f"  - {{class: {json.dumps(f' {name} ')}, articleType: [k{i}]}}\n" for i, name in enumerate(ANY_LANGUAGE)
    )
    written_apart = [unicodedata.normalize("NFD", name) for name in ANY_LANGUAGE]
    taxonomy = load_taxonomy(written(tmp_path, f"classes: {json.dumps(written_apart)}\nrules:\n{rules}"))
    assert taxonomy.classes == ANY_LANGUAGE
    assert [taxonomy.class_of({"articleType": f"K{i}"}) for i in range(len(ANY_LANGUAGE))] == list(ANY_LANGUAGE)
    assert Taxonomy.model_validate_json(taxonomy.model_dump_json()) == taxonomy


def test_first_matching_rule_decides_and_every_condition_must_hold(tmp_path):
    taxonomy = load_taxonomy(written(tmp_path, SHIRTS_AND_SHOES))
    shoe = {"masterCategory": "Footwear", "productDisplayName": "Shoe"}
    assert taxonomy.class_of(shoe) == "shoes"
    assert taxonomy.class_of(shoe | {"subCategory": "Topwear"}) == "shirts"
    assert taxonomy.class_of(shoe | {"subCategory": "Bags"}) is None
    assert taxonomy.class_of(shoe | {"masterCategory": "Apparel"}) is None
    assert taxonomy.fields == ("subCategory", "articleType", "masterCategory", "productDisplayName")


def test_labels_follow_the_order_of_the_file(six):
    assert six.classes == ("topwear", "shoes", "underwear", "jewelry", "fragrances", "eyewear")
    assert [six.index_of(name) for name in (*six.classes, "none", None)] == [0, 1, 2, 3, 4, 5, NO_LABEL, NO_LABEL]


def test_taxonomy_survives_the_way_through_json(six):
    again = Taxonomy.model_validate_json(six.model_dump_json())
    assert again == six
    assert again.class_of({"subCategory": "Sandal"}) == "shoes"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("classes: [a, b]\nrules: []", "class 'a' has no rule; add one or remove the class"),
        ("classes: [a]\nrules: [{class: a, articleType: [x]}]", "fewer than two classes"),
        ("classes: [a, a]\nrules: []", "class 'a' is listed twice"),
        ("classes: [a, none]\nrules: []", "'none' cannot name a class"),
        ('classes: [a, "b\\nc"]\nrules: []', "cannot name a class: use 1 to 200 characters, no control"),
        ('classes: [a, "b\\u2028c"]\nrules: []', "no control characters and line breaks"),
        ("classes: [a, ' ']\nrules: []", "'' cannot name a class"),
        (f"classes: [a, {'b' * 201}]\nrules: []", "use 1 to 200 characters"),
        ("classes: [Röcke, 'Ro\u0308cke ']\nrules: []", "class 'Röcke' is listed twice"),
        ("classes: [a, 1]\nrules: []", r"classes\[1\]: 1 should be a valid string"),
        ("rules: []", "classes: is needed and not given"),
        ("classes: [a, b]\nrulse: []", "rulse: unknown key; did you mean 'rules'"),
        ("classes: [a, b]\nrules: [{class: a}]", r"rules\[0\]: a rule for 'a' without keywords"),
        ("classes: [shoes, b]\nrules: [{class: shoos, articleType: [x]}]", "class 'shoos'.*did you mean 'shoes'"),
        (
            "classes: [a, b]\nrules: [{class: a, artcleType: [x]}]",
            r"rules\[0\]\.artcleType: unknown key; did you mean 'articleType'",
        ),
        (
            "classes: [a, b]\nrules: [{class: a, articleType: [x], unless: {nme: [y]}}]",
            r"rules\[0\]\.unless\.nme: unknown key",
        ),
        ("classes: [a, b]\nrules: [{class: a, articleType: []}]", r"rules\[0\]\.articleType: no keywords; give some"),
        (
            "classes: [a, b]\nrules: [{class: a, articleType: x}]",
            r"rules\[0\]\.articleType: 'x' should be a valid list",
        ),
        (
            "classes: [a, b]\nrules: [{class: a, articleType: [no]}]",
            r"rules\[0\]\.articleType\[0\]: False should be a valid string",
        ),
        ("classes: [a, b]\nrules: [{class: a, articleType: [' ']}]", r"rules\[0\]\.articleType: ' ' is not a keyword"),
        ('classes: [a, b]\nrules: [{class: a, articleType: ["x\\ny"]}]', r"'x\\ny' is not a keyword"),
        ("classes: [a, b]\nrules: [{class: a, articleType: [x], articleType: [y]}]", "'articleType' is given twice"),
        ("classes: [a", "not valid YAML"),
        ("classes: &a [*a]", "holds more than lists, names and keywords"),
        ("2012-01-01: x", "holds more than lists, names and keywords"),
        ("", "a taxonomy is a mapping of keys to values, this is empty"),
        ("- a", "a taxonomy is a mapping of keys to values, this is a list"),
    ],
)
def test_mistake_in_a_taxonomy_is_told_with_file_and_place(tmp_path, text, told):
    path = written(tmp_path, text)
    with pytest.raises(RecipeError, match=told) as caught:
        load_taxonomy(path)
    assert "mine.yaml" in str(caught.value)


def test_unknown_taxonomy_is_told_with_those_at_hand(tmp_path):
    with pytest.raises(RecipeError, match=r"'six_clas'.*did you mean 'six_class'\? known: .*six_class"):
        load_taxonomy("six_clas")
    with pytest.raises(RecipeError, match=r"gone\.yaml: there is no such file"):
        load_taxonomy(str(tmp_path / "gone.yaml"))


@pytest.mark.skipif(not PUBLISHED.exists(), reason="FASHION_DATA names no published catalogue")
def test_public_catalogue_falls_into_its_six_classes(six):
    rows = list(real_rows())
    classes = [six.class_of(row) for row in rows]
    expected = {
        "topwear": 13_786,
        "shoes": 8_287,
        "underwear": 1_634,
        "jewelry": 960,
        "fragrances": 916,
        "eyewear": 955,
    }
    assert Counter(classes) == {**expected, None: len(rows) - sum(expected.values())}


@pytest.mark.skipif(not PUBLISHED.exists(), reason="FASHION_DATA names no published catalogue")
@pytest.mark.parametrize(
    ("missing", "agreement"),
    [({"subCategory"}, 0.999), ({"articleType"}, 0.999), ({"subCategory", "articleType"}, 0.98)],
)
def test_public_catalogue_keeps_its_classes_where_columns_are_missing(six, missing, agreement):
    rows = list(real_rows())
    reduced = [{column: value for column, value in row.items() if column not in missing} for row in rows]
    same = sum(six.class_of(whole) == six.class_of(part) for whole, part in zip(rows, reduced, strict=True))
    assert same / len(rows) > agreement
