"""Finding similar products: what is found, what is left out, and which index is refused."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from components.index.content import make_searchable, with_numbers
from components.index.settings import Index as Settings
from serving.search.filters import FilterError, parse_filter, select
from serving.search.index import FACTS, PRODUCTS, VECTORS, Index, IndexRefused, check, file_digests, transformed
from serving.search.indexes import choose
from serving.search.query import Query, QueryError, search
from tests.index.small import DIGEST, fan, make

TABLE = pa.table(
    {
        "gender": ["Men", "Women", None, "Women"],
        "baseColour": ["Black", "Red", "Blue", None],
        "year": [2010, 2012, None, 2016],
    }
)


def test_columns_of_numbers_become_numbers_that_json_has():
    texts = pa.table(
        {"price": ["9.5", "nan", "inf", None], "size": ["38", "M", None, "40"], "year": ["1", "2", "3", "4"]}
    )
    columns = with_numbers(texts, ["price", "size", "other"]).to_pydict()
    assert columns == {**texts.to_pydict(), "price": [9.5, None, None, None]}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("gender = 'Women' and baseColour != 'Black'", [1]),
        ("gender = 'Women' or year = 2010", [0, 1, 3]),
        ("gender = 'Men' or gender = 'Women' and year > 2012", [0, 3]),
        ("(gender = 'Men' or gender = 'Women') and year > 2012", [3]),
        ("not (gender = 'Men' or year < 2012)", [1, 3]),
        ("not not gender = 'Men'", [0]),
        ("baseColour in ('Black', 'Red')", [0, 1]),
        ("baseColour not in ('Black', 'Red')", [2]),
        ("baseColour is null", [3]),
        ("gender is not null and year between 2011 and 2014", [1]),
        ("GENDER LIKE 'W%'", [1, 3]),
        ("\"gender\" = 'Men'", [0]),
        ("year = 2012.5", []),
        ("gender = 'O''Neill'", []),
        ("(" * 60 + "year = 2010" + ")" * 60, [0]),
    ],
)
def test_filter_chooses_as_sql_does(text, rows):
    assert np.flatnonzero(select(TABLE, parse_filter(text))).tolist() == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gendr = 'Men'", "did you mean 'gender'"),
        ("gender = ", "character 10"),
        ("gender = 'Men' gender = 'Women'", "character 16"),
        ("year = 'x'", "without quotes"),
        ("gender = 'Men'; drop table products", "character 15"),
        ("(" * 900 + "year = 1" + ")" * 900, "nested"),
        ("year = 1 or " * 300 + "year = 1", "characters"),
    ],
)
def test_filter_that_makes_no_sense_is_refused_with_the_place(text, said):
    with pytest.raises(FilterError, match=said):
        select(TABLE, parse_filter(text))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("six") / "1"
    settings = Settings(colour=0.0, duplicate=0.9999, family="name")
    columns = {"name": ["a", "a", "a", "b", "b", "c"], "year": [1, 2, 3, 4, 5, 6]}
    columns |= {"gender": ["M", "M", "W", "M", "M", "M"], "subCategory": ["shoe", "shoe", "hat", "hat", "hat", None]}
    return Index(make(folder, fan(6), settings, **columns), DIGEST)


def ids(matches):
    return [match.id for match in matches]


def test_nearest_come_first_and_the_product_itself_is_left_out(index):
    matches = search(index, Query(k=3), ids=["p0"])
    assert ids(matches) == ["p1", "p2", "p3"]
    assert matches[0].score == pytest.approx(np.cos(0.1), abs=1e-6)
    assert matches[0].attributes == {"name": "a", "year": 2, "gender": "M", "subCategory": "shoe"}


def test_picture_finds_its_own_product(index):
    assert ids(search(index, Query(k=1), vectors=index.project(fan(6)[2:3]))) == ["p2"]


def test_filter_holds_before_the_nearest_are_counted(index):
    assert ids(search(index, Query(k=2, where="year >= 4"), ids=["p0"])) == ["p3", "p4"]
    assert search(index, Query(where="year > 9"), ids=["p0"]) == []


def test_several_products_are_asked_about_by_their_middle(index):
    assert ids(search(index, Query(k=1), ids=["p0", "p4"])) == ["p2"]


def test_at_most_n_of_a_family_are_named(index):
    assert ids(search(index, Query(k=6, per_family=1), ids=["p0"])) == ["p1", "p3", "p5"]


def test_what_goes_with_it_is_of_another_category_for_the_same_person(index):
    assert ids(search(index, Query(goes_with=True), ids=["p0"])) == ["p3"]
    assert ids(search(index, Query(goes_with=True, per_family=2), ids=["p0"])) == ["p3", "p4"]


def test_products_that_look_the_same_are_folded(tmp_path):
    vectors = fan(3, 0.5)[[0, 1, 1, 2, 0]]
    index = Index(make(tmp_path / "six" / "1", vectors))
    found = search(index, Query(k=5), ids=["p0"])
    assert [(match.id, match.same) for match in found] == [("p1", ("p2",)), ("p3", ())]
    assert ids(search(index, Query(k=5, fold=False), ids=["p0"])) == ["p4", "p1", "p2", "p3"]


def test_folding_looks_further_until_there_are_enough(tmp_path):
    index = Index(make(tmp_path / "six" / "1", np.concatenate([np.repeat(fan(2, 0.3)[1:], 500, axis=0), fan(9, 0.3)])))
    assert len(search(index, Query(k=8), vectors=fan(1))) == 8


def test_diversity_prefers_what_is_unlike_the_chosen(tmp_path):
    vectors = np.array([[1, 0.3, 0], [1, 0.31, 0.02], [1, 0, 0.4], [0, 1, 1]])
    index = Index(make(tmp_path / "six" / "1", vectors, Settings(colour=0.0, duplicate=1.0)))
    asked = np.array([[1.0, 0, 0]], np.float32)
    assert ids(search(index, Query(k=2), vectors=asked)) == ["p0", "p1"]
    assert ids(search(index, Query(k=2, diversity=0.5), vectors=asked)) == ["p0", "p2"]


@pytest.mark.parametrize(
    ("query", "asked", "said"),
    [
        ({"where": "gendr = 1"}, ["p0"], "where: products have no column"),
        ({}, ["p99"], "'p99'"),
        ({}, [], "nothing was asked"),
        ({"k": 0}, ["p0"], "k is 0"),
        ({"diversity": 1.0}, ["p0"], "diversity"),
    ],
)
def test_question_without_sense_is_refused(index, query, asked, said):
    with pytest.raises(QueryError, match=said):
        search(index, Query(**query), ids=asked)


def cut(folder):
    (folder / VECTORS).write_bytes((folder / VECTORS).read_bytes()[:-1])


def swap(folder):
    other = make(folder.with_name("other"), fan(4))
    shutil.copy(other / PRODUCTS, folder / PRODUCTS)


def future(folder):
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps({**facts, "format": 99}))


def forge(folder):
    """A file that is no index, with the digest that it has."""
    (folder / VECTORS).write_bytes(b"IxFI")
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps({**facts, "files": file_digests(folder)}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, "vectors.faiss is missing, cut off or changed"),
        (swap, "products.parquet is missing, cut off or changed"),
        (lambda folder: (folder / PRODUCTS).unlink(), "products.parquet is missing"),
        (lambda folder: (folder / VECTORS).unlink(), "vectors.faiss is missing"),
        (lambda folder: (folder / FACTS).unlink(), "no index.json"),
        (lambda folder: (folder / FACTS).write_text('{"format": 1}'), "keys are missing"),
        (forge, "cannot be read"),
        (lambda folder: (folder / FACTS).write_text("{"), "cannot be read"),
        (future, "format 99"),
    ],
)
def test_index_that_is_not_whole_is_refused_by_name(tmp_path, harm, said):
    folder = make(tmp_path / "six" / "1", fan(6))
    check(folder, DIGEST)
    harm(folder)
    with pytest.raises(IndexRefused, match=said) as refused:
        Index(folder, DIGEST)
    assert str(folder) in str(refused.value)


def test_index_of_another_model_is_refused_by_name(tmp_path):
    folder = make(tmp_path / "six" / "1", fan(6))
    with pytest.raises(IndexRefused, match=r"six/1@d1d1d1d1d1d1, not with the model @e2e2"):
        Index(folder, "e2" * 32)


def test_newest_whole_index_of_the_model_answers_and_the_stable_one_before_it(tmp_path):
    store = tmp_path / "indexes" / "six"
    for version in (1, 2, 3, 4):
        make(store / str(version), fan(6), digest="e2" * 32 if version == 4 else DIGEST)
    cut(store / "3")
    assert choose(store, DIGEST).folder.name == "2"
    config = (
        "model_config_list { config { name: 'six' base_path: '/x/six' model_version_policy { specific { versions: 1 "
    )
    (store.parent / "models.config").write_text(
        config + "} } version_labels { key: 'stable' value: 1 } model_platform: 'tensorflow' } }"
    )
    assert choose(store, DIGEST).folder.name == "1"
    assert choose(store, DIGEST, prefer_stable=False).folder.name == "2"
    assert choose(store, "f3" * 32) is None


@pytest.mark.parametrize("where", ["", "half = 1", "tenth = 1", "hundredth = 1"])
def test_approximate_index_finds_what_the_exact_one_does(pair, where, monkeypatch):
    monkeypatch.setattr("serving.search.index._FEW", 100)  # of the filters only the last leaves so few
    exact, cells = pair
    assert exact.facts["probes"] == 0 < cells.facts["probes"] < 200
    assert cells.facts["recall"] >= 0.99
    query = Query(k=10, where=where)
    pairs = [(ids(search(exact, query, ids=[f"p{n}"])), ids(search(cells, query, ids=[f"p{n}"]))) for n in range(100)]
    assert np.mean([len({*one} & {*other}) / len(one) for one, other in pairs]) >= (1 if "hundredth" in where else 0.97)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The same 4,000 products in an exact and an approximate index."""
    random, folder = np.random.default_rng(0), tmp_path_factory.mktemp("six")
    vectors = random.normal(size=(100, 16)).repeat(40, axis=0) + 0.5 * random.normal(size=(4000, 16))
    columns = {
        name: (random.random(4000) < 1 / of).astype(int)
        for name, of in (("half", 2), ("tenth", 10), ("hundredth", 100))
    }
    approximate = Settings(colour=0.0, approximate_from=1000)
    return [Index(make(folder / name, vectors, each, **columns)) for name, each in (("1", None), ("2", approximate))]


def test_projection_is_kept_in_the_file(tmp_path):
    import faiss

    from components.index.content import Content
    from tests.index.small import NOBODY

    raw = np.random.default_rng(0).normal(size=(100, 12)).astype(np.float32)
    reduce = faiss.PCAMatrix(12, 4)
    reduce.train(raw)
    transforms = [reduce, faiss.NormalizationTransform(4, 2.0)]
    content = Content(pa.table({"id": ["x"]}), transformed(transforms, raw), transforms, 100, 100, NOBODY)
    whole, _, _ = make_searchable(content, Settings())
    faiss.write_index(whole, str(tmp_path / "file"))
    again = faiss.read_index(str(tmp_path / "file"))
    scores, rows = again.search(raw[:5], 1)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert scores[:, 0] == pytest.approx(1, abs=1e-5)
