"""An index in a Qdrant database finds what it finds in memory, and is published in one step; in the client's store."""

import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from qdrant_client import QdrantClient

from components.errors import PublishError
from components.index import qdrant as module
from components.index.qdrant import publish_index
from components.index.settings import Index as Settings
from serving.search.index import Index, IndexRefused
from serving.search.qdrant import Collection, Place
from serving.search.query import Query, QueryError, search
from tests.index.small import DIGEST, fan, make

COLUMNS = {
    "gender": ["Men", "Women", None, "Women", "Men", None],
    "Größe, EU": ["S", "M", None, "L", "M", "S"],
    "subCategory": ["shoe", "shoe", "hat", None, "hat", "bag"],
    "name": ["a", "a", "b", "b", None, None],
    "year": [2010, 2012, None, 2016, 2012, 2011],
    "price": [9.5, 20.0, None, 30.0, 12.0, 9.5],
}
WHERE = [
    "gender = 'Men'", "gender != 'Men'", "not gender = 'Men'", "not gender != 'Men'", "gender is null",
    "gender is not null", "\"größe, eu\" in ('S', 'L')", "\"Größe, EU\" not in ('S', 'L')", "year = 2012",
    "year != 2012", "not year < 2012", "year between 2010.5 and 2012", "price > 9.5 and price <= 20",
    "not (gender = 'Men' or year < 2012)", "not (gender = 'Men' and year < 2012)", "year > 2020",
    "gender = 'Men' or not (year = 2016 or price is null)", "GENDER = 'Women' and id != 'p1'",
]  # fmt: skip
QUERIES = [{"per_family": 1}, {"fold": False}, {"diversity": 0.6}, {"k": 2}, {"goes_with": True, "where": "year > 0"}]


def indexed(folder, version=1, **columns):
    settings = Settings(colour=0.0, family="name", duplicate=0.99)
    vectors = fan(6, 0.3)[[0, 1, 2, 2, 4, 5]] + np.linspace(0, 0.01, 6)[:, np.newaxis]
    return Index(make(folder / "indexes" / "six" / str(version), vectors, settings, **{**COLUMNS, **columns}), DIGEST)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An index, and the same in a database."""
    folder = tmp_path_factory.mktemp("shop")
    index, place = indexed(folder), Place.read(f"qdrant://{folder}/database/shop")
    publish_index(place, index, 5)
    with place.connect() as client:
        yield index, Collection(client, place, folder / "indexes" / "six", DIGEST)


@pytest.mark.parametrize("query", [*({"where": where} for where in WHERE), *QUERIES], ids=str)
def test_database_finds_the_same_as_the_index_in_memory(database, query):
    for ids in (["p0"], ["p3"], ["p4", "p1"]):
        known, found = (search(each, Query(**query), ids=ids) for each in database)
        assert [(each.id, each.attributes, each.same) for each in found] == [
            (each.id, each.attributes, each.same) for each in known
        ]
        assert [each.score for each in found] == pytest.approx([each.score for each in known], abs=1e-6)


def test_pictures_are_made_vectors_by_the_files_of_the_same_version(database):
    index, collection = database
    assert collection.of_pictures(fan(3), [b""] * 3) == pytest.approx(index.of_pictures(fan(3), [b""] * 3))
    known, found = (search(each, Query(), fan(1)) for each in database)
    assert [match.id for match in found] == [match.id for match in known]


@pytest.mark.parametrize(
    ("query", "ids", "said"),
    [
        ({"where": "gender like 'W%'"}, ["p0"], "Qdrant cannot tell gender like"),
        ({"where": "not gender like 'W%'"}, ["p0"], "Qdrant cannot tell gender like"),
        ({"where": "not gender >= 'Men'"}, ["p0"], "Qdrant cannot tell gender >="),
        ({"where": "gendr = 'Men'"}, ["p0"], "did you mean 'gender'"),
        ({"where": "year = 'x'"}, ["p0"], "without quotes"),
        ({}, ["p0", "p99"], "'p99'"),
    ],
)
def test_question_that_the_database_cannot_answer_is_refused_by_name(database, query, ids, said):
    with pytest.raises(QueryError, match=said):
        search(database[1], Query(**query), ids=ids)


@pytest.fixture
def shared():
    """A database in memory, that several have opened."""
    client = QdrantClient(":memory:")

    class Shared(Place):
        @contextmanager
        def connect(self):
            yield client

    return client, Shared("qdrant:///x/shop", None, "x", "shop")


def names(client):
    """Collections without what tells their contents."""
    return {each.name.rpartition("-")[0] for each in client.get_collections().collections}


def current(client, place):
    return place.current(client).rpartition("-")[0]


def test_publishing_switches_the_alias_and_keeps_what_others_may_still_read(shared, tmp_path):
    client, place = shared
    client.create_collection("shop-window", vectors_config={})
    publish_index(place, indexed(tmp_path, 1), 1)
    before = Collection(client, place, tmp_path, DIGEST)
    publish_index(place, indexed(tmp_path, 2, gender=["Unisex"] * 6), 1)
    after = Collection(client, place, tmp_path, DIGEST)
    counts = [len(search(each, Query(where="gender = 'Unisex'"), ids=["p0"])) for each in (before, after)]
    assert (counts[0], counts[1] > 0) == (0, True)
    publish_index(place, indexed(tmp_path, 3), 1)
    assert names(client) == {"shop-2", "shop-3", "shop"}  # and shop-window
    assert current(client, place) == "shop-3"


def test_copy_that_was_stopped_goes_on_and_the_collection_before_answers(shared, tmp_path, monkeypatch):
    client, place = shared
    publish_index(place, indexed(tmp_path, 1), 5)
    monkeypatch.setattr(module, "_BATCH", 2)
    copied = []

    def stop(_, done, total):
        copied.append(done)
        if len(copied) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "report", stop)
    with pytest.raises(KeyboardInterrupt):
        publish_index(place, indexed(tmp_path, 2), 5)
    assert current(client, place) == "shop-1"
    publish_index(place, indexed(tmp_path, 2), 5)
    assert copied == [2, 4, 4, 6]
    assert current(client, place) == "shop-2"
    publish_index(place, indexed(tmp_path, 2, gender=["Men"] * 6), 5)  # of another root
    query = Query(where="gender = 'Men'", fold=False)
    assert len(search(Collection(client, place, tmp_path, DIGEST), query, ids=["p0"])) == 5


def test_copy_that_is_not_whole_is_not_published(shared, tmp_path, monkeypatch):
    client, place = shared
    publish_index(place, indexed(tmp_path, 1), 5)
    monkeypatch.setattr(client, "upsert", lambda *_, **__: None)
    with pytest.raises(PublishError, match="has 0 of 6 products"):
        publish_index(place, indexed(tmp_path, 2), 5)
    assert current(client, place) == "shop-1"


def test_collection_of_another_model_and_one_that_is_no_alias_are_refused(shared, tmp_path):
    client, place = shared
    with pytest.raises(IndexRefused, match="no such collection"):
        Collection(client, place, tmp_path, DIGEST)
    publish_index(place, indexed(tmp_path), 5)
    with pytest.raises(IndexRefused, match=r"was made with six/1@d1d1d1d1d1d1, not with the model @e2e2"):
        Collection(client, place, tmp_path, "e2" * 32)
    client.delete_collection(place.current(client))
    client.create_collection("shop", vectors_config={})
    with pytest.raises(PublishError, match="is a collection itself"):
        publish_index(place, indexed(tmp_path, 2), 5)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://localhost/shop", "write qdrant://HOST:6333/COLLECTION"),
        ("qdrant://localhost", "write qdrant://"),
        ("qdrant://localhost/a/b", "one name behind the host"),
        ("qdrant:///shop", "a folder and a name"),
        ("qdrant://user:secret@localhost/shop", "Set QDRANT_API_KEY"),
        ("qdrant://localhost/shop?api_key=secret", "Set QDRANT_API_KEY"),
    ],
)
def test_address_is_refused_without_repeating_a_key(url, said):
    with pytest.raises(IndexRefused, match=said) as refused:
        Place.read(url)
    assert "secret" not in str(refused.value)


def test_server_that_cannot_be_reached_is_named_and_the_key_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    with warnings.catch_warnings(action="ignore"), pytest.raises(PublishError) as refused:
        publish_index(Place.read("qdrant://127.0.0.1:9/shop"), indexed(tmp_path), 5)
    assert "qdrant://127.0.0.1:9/shop" in str(refused.value)
    assert "The collection before goes on" in str(refused.value)
    assert "secret" not in str(refused.value)
