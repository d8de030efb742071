"""The reviewed schema accepts the published catalogue as it is, and names the feature that a fault is in."""

from collections.abc import Iterable, Sequence

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import features
from components.ingest.catalogue import open_catalogue
from components.ingest.idx import COLUMN, FASHION_MNIST_NAMES
from components.ingest.table import Row, read_rows
from components.transform.taxonomy import load_taxonomy
from tests import HOUSE, PUBLISHED
from tests.validate.examples import Product, product

SCHEMA, OPEN = (
    text_format.Parse((HOUSE / "schema" / f"{name}.pbtxt").read_text(), schema_pb2.Schema())
    for name in ("schema", "open")
)


DESCRIBING = {*features.TEXT_COLUMNS, features.YEAR}


def products(faulty: int = 0, **changes: object) -> list[Product]:
    """A hundred products, the first `faulty` of them changed."""
    return [product(number, **(changes if number < faulty else {})) for number in range(100)]


def anomalies(
    rows: Sequence[Product], earlier: Sequence[Product] | None = None, schema: schema_pb2.Schema = SCHEMA
) -> dict[str, str]:
    """Feature to finding, judged as StatisticsGen and ExampleValidator judge a split."""
    import tensorflow_data_validation as tfdv

    before = None if earlier is None else _statistics(earlier, schema)
    found = tfdv.validate_statistics(_statistics(rows, schema), schema, previous_statistics=before)
    return {name: info.description for name, info in found.anomaly_info.items()}


def _statistics(rows: Iterable[Product], schema: schema_pb2.Schema) -> object:
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    batch = ExamplesToRecordBatchDecoder(None).DecodeBatch([_example(row) for row in rows])
    return generate_statistics_in_memory(batch, tfdv.StatsOptions(schema=schema))


def _example(row: Product) -> bytes:
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    for name, value in row.items():
        values = value if isinstance(value, list) else [value]
        feature = example.features.feature[name]
        kinds = {bytes: feature.bytes_list, int: feature.int64_list, float: feature.float_list}
        kinds[type(values[0])].value.extend(values)
    return example.SerializeToString()


def test_schema_covers_exactly_what_ingest_writes():
    made = {features.IMAGE_BYTES, features.PICTURE_HASH, features.WIDTH, features.HEIGHT}
    assert {feature.name for feature in SCHEMA.feature} == made | set(features.COLUMNS)


def test_the_open_schema_has_the_same_features_types_and_comparators_but_no_vocabulary():
    theirs = {feature.name: feature for feature in SCHEMA.feature}
    assert {feature.name for feature in OPEN.feature} == set(theirs)
    assert not OPEN.string_domain
    for feature in OPEN.feature:
        other = theirs[feature.name]
        assert (feature.type, feature.WhichOneof("shape_type")) == (other.type, other.WhichOneof("shape_type"))
        assert (feature.drift_comparator, feature.skew_comparator) == (other.drift_comparator, other.skew_comparator)
        assert feature.presence.min_fraction == (1 if feature.name not in DESCRIBING else 0)


def test_every_domain_is_used_sorted_and_without_doubles():
    domains = {domain.name: list(domain.value) for domain in SCHEMA.string_domain}
    assert set(domains) == {feature.domain for feature in SCHEMA.feature if feature.domain}
    assert domains == {name: sorted(set(values)) for name, values in domains.items()}


def test_schema_of_fashion_mnist_covers_what_ingest_makes_of_it():
    schema = text_format.Parse((HOUSE / "schema" / "fashion_mnist.pbtxt").read_text(), schema_pb2.Schema())
    made = {features.IMAGE_BYTES, features.PICTURE_HASH, features.WIDTH, features.HEIGHT, features.ID}
    assert {feature.name for feature in schema.feature} == made | {COLUMN}
    assert {domain.name: tuple(domain.value) for domain in schema.string_domain} == {COLUMN: FASHION_MNIST_NAMES}


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, 100])
def test_clean_products_have_no_anomaly(count):
    assert anomalies(products()[:count]) == {}


LET_PASS = {
    "a new article type among ten": ({"articleType": b"Capes"}, 10),
    "a new sub-category among ten": ({"subCategory": b"Outerwear"}, 10),
    "a new colour among ten": ({"baseColour": b"Puce"}, 10),
    "no article type in one of ten": ({"articleType": None}, 10),
    "no season in one of ten": ({"season": None}, 10),
    "no gender in one of ten": ({"gender": None}, 10),
    "no usage at all": ({"usage": None}, 100),
    "no colour at all": ({"baseColour": None}, 100),
    "no year at all": ({"year": None}, 100),
}


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "faulty"), LET_PASS.values(), ids=LET_PASS.keys())
def test_what_is_normal_in_a_growing_catalogue_passes(changes, faulty):
    assert anomalies(products(faulty, **changes)) == {}


FAULTS = {
    "one unknown gender": ({"gender": b"Kids"}, 1, "missing from the schema: Kids (~1%)"),
    "one unknown master category": ({"masterCategory": b"Toys"}, 1, "missing from the schema: Toys (~1%)"),
    "one unknown season": ({"season": b"Monsoon"}, 1, "missing from the schema: Monsoon (~1%)"),
    "one unknown usage": ({"usage": b"NA"}, 1, "missing from the schema: NA (~1%)"),
    "letter case counts": ({"gender": b"women"}, 1, "missing from the schema: women (~1%)"),
    "a fifth of the article types unknown": ({"articleType": b"Capes"}, 20, "missing from the schema: Capes (~20%)"),
    "a fifth of the sub-categories unknown": ({"subCategory": b"Hats"}, 20, "missing from the schema: Hats (~20%)"),
    "a fifth of the colours unknown": ({"baseColour": b"Puce"}, 20, "missing from the schema: Puce (~20%)"),
    "year 1066": ({"year": 1066}, 1, "small value: 1066"),
    "year 20112": ({"year": 20112}, 1, "large value: 20112"),
    "years as text": ({"year": b"2012"}, 100, "Expected data of type: INT but got STRING"),
    "years as fractions": ({"year": 2012.0}, 100, "Expected data of type: INT but got FLOAT"),
    "width 0": ({"width": 0}, 1, "small value: 0"),
    "height below 0": ({"height": -1}, 1, "small value: -1"),
    "a missing picture": ({"image_bytes": None}, 1, "minimum fraction = 1.000000, actual = 0.990000"),
    "no pictures": ({"image_bytes": None}, 100, "Column is completely missing"),
    "two pictures": ({"image_bytes": [b"\xff\xd8 1", b"\xff\xd8 2"]}, 1, "value lengths vary"),
    "pictures as numbers": ({"image_bytes": 7}, 100, "Expected data of type: BYTES but got INT"),
    "a missing id": ({"id": None}, 1, "minimum fraction = 1.000000"),
    "a missing hash": ({"picture_hash": None}, 1, "minimum fraction = 1.000000"),
    "two genders": ({"gender": [b"Men", b"Women"]}, 1, "more values than expected"),
    "no article types": ({"articleType": None}, 100, "Column is completely missing"),
    "a fifth of the article types missing": ({"articleType": None}, 20, "minimum fraction = 0.850000"),
    "no sub-categories": ({"subCategory": None}, 100, "Column is completely missing"),
    "no master categories": ({"masterCategory": None}, 100, "Column is completely missing"),
    "no genders": ({"gender": None}, 100, "Column is completely missing"),
    "no seasons": ({"season": None}, 100, "Column is completely missing"),
    "no names": ({"productDisplayName": None}, 100, "Column is completely missing"),
    "gender in another encoding": ({"gender": b"M\xe4n"}, 1, "not valid UTF8"),
    "an unknown feature": ({"brand": b"Acme"}, 1, "New column"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "faulty", "finding"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_an_anomaly_of_its_feature_alone(changes, faulty, finding):
    found = anomalies(products(faulty, **changes))
    assert list(found) == list(changes)
    assert finding in found[next(iter(changes))]


ANY_SHOP = {
    "German labels": {"articleType": "Röcke".encode(), "gender": b"Damen", "season": "Frühjahr".encode()},
    "Chinese labels": {"articleType": "连衣裙".encode(), "baseColour": "米色".encode()},
    "nothing but an article type": dict.fromkeys(DESCRIBING - {"articleType"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", ANY_SHOP.values(), ids=ANY_SHOP.keys())
def test_the_open_schema_takes_any_vocabulary(changes):
    assert anomalies(products(100, **changes), schema=OPEN) == {}


@pytest.mark.slow
def test_the_open_schema_tells_faults_of_what_ingest_makes_and_columns_that_shift():
    assert list(anomalies(products(1, width=0), schema=OPEN)) == ["width"]
    moved = products(60, articleType="Röcke".encode())
    assert list(anomalies(moved, earlier=products(), schema=OPEN)) == ["articleType"]


DRIFTS = {
    "master category": {"masterCategory": b"Footwear"},
    "sub-category": {"subCategory": b"Shoes"},
    "article type": {"articleType": b"Jeans"},
    "year": {"year": 2026},
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", DRIFTS.values(), ids=DRIFTS.keys())
def test_a_column_that_shifts_between_runs_is_an_anomaly_of_its_own(changes):
    found = anomalies(products(60, **changes), earlier=products())
    assert list(found) == list(changes)
    assert "Jensen-Shannon divergence between current and previous" in found[next(iter(changes))]


@pytest.fixture(scope="module")
def published() -> list[Row]:
    """The rows of the published catalogue that ingest can read."""
    rows = read_rows(open_catalogue(str(PUBLISHED)), needed=("articleType",))
    return [row for row in rows if isinstance(row, Row)]


def published_product(row: Row) -> Product:
    described = {name: row.fields[name].encode() if name in row.fields else None for name in features.TEXT_COLUMNS}
    return product(int(row.id), year=row.year, **described)


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.exists(), reason="FASHION_DATA names no published catalogue")
@pytest.mark.parametrize("only_six_classes", [True, False], ids=["its six classes", "all of it"])
def test_the_published_catalogue_has_no_anomaly(published, only_six_classes):
    taxonomy = load_taxonomy("six_class")
    rows = [row for row in published if not only_six_classes or taxonomy.class_of(row.fields)]
    assert len(rows) > 25_000
    splits = [[published_product(row) for row in rows if int(row.id) % 10 in digits] for digits in (range(8), [8], [9])]
    assert [anomalies(split) for split in splits] == [{}, {}, {}]
