"""The transform graph: the same labels as ingest's, exact balance, pictures untouched."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam

from components.transform import words
from components.transform.preprocessing import CLASSES, in_words, label_of, preprocessing_fn
from components.transform.settings import Balance
from components.transform.taxonomy import COLUMNS, Rule, Taxonomy, load_taxonomy
from tests.transform.test_taxonomy import PUBLISHED, real_rows
from tests.transform.test_words import WORDS, spellings

SIX = load_taxonomy("six_class")
GENDER = Taxonomy(name="gender", classes=("Men", "Women"), column="gender", values={"Men": "Men", "Women": "Women"})
TEXTS = (*SIX.fields, *GENDER.fields)
SPEC = {
    "id": tf.io.FixedLenFeature([], tf.string),
    "image_bytes": tf.io.FixedLenFeature([], tf.string),
    **{column: tf.io.VarLenFeature(tf.string) for column in TEXTS},
}
PICTURE = b"\xff\xd8\xff\x00 not decoded here"
SUB_CATEGORIES = {"topwear": "Topwear", "shoes": "Shoes", "underwear": "Innerwear", "none": "Bags"}


ODD = Taxonomy.model_validate_json(r"""{"name": "odd", "classes": ["a", "b", "c"], "rules": [
    {"class": "a", "productDisplayName": ["skirt", "t shirt", "c++", "à la", ".*z", "kilt_2", "鞋", "가방"],
     "unless": {"articleType": ["[x]", "a|b"]}},
    {"class": "none", "articleType": ["sock", "röcke", "ruß", "กระโปรง"]},
    {"class": "b", "articleType": ["\\d", "it's", "x"], "masterCategory": ["long-sleeve", "a", "b"]},
    {"class": "c", "subCategory": ["kit", "sleeve"]}]}""")


class Result(NamedTuple):
    id: int
    label: int
    repeat: int
    picture: str


def example(number: int, fields: Mapping[str, str]) -> dict[str, Any]:
    texts = {column: [fields[column].encode()] if column in fields else [] for column in TEXTS}
    return {"id": str(number).encode(), "image_bytes": PICTURE, **texts}


def products(counts: Mapping[str, int], start: int = 0) -> list[dict[str, Any]]:
    names = [name for name, count in counts.items() for _ in range(count)]
    return [example(start + n, {"subCategory": SUB_CATEGORIES[name]}) for n, name in enumerate(names)]


def preprocessing(balance: Balance) -> Callable[[dict[str, Any]], dict[str, tf.Tensor]]:
    tags = f"[{GENDER.model_dump_json()}]"
    config = {"taxonomy": SIX.model_dump_json(), "tags": tags, "balance": balance.model_dump_json(), "code": "0"}
    return lambda inputs: preprocessing_fn(inputs, config)


def transformed(
    folder: Path, train: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]], balance: Balance, batch: int = 100
) -> tuple[list[Result], list[Result]]:
    """Analyses `train`, transforms both, and writes the transform graph to folder/graph; the results by id."""
    folder.mkdir(exist_ok=True)
    metadata = tft.DatasetMetadata.from_feature_spec(SPEC)
    with (
        beam.Pipeline(runner="FnApiRunner") as pipeline,
        tft_beam.Context(temp_dir=str(folder / "temporary"), desired_batch_size=batch),
    ):
        train_set = (pipeline | "Train" >> beam.Create(train), metadata)
        other_set = (pipeline | "Other" >> beam.Create(other), metadata)
        (data, _), graph = train_set | tft_beam.AnalyzeAndTransformDataset(preprocessing(balance))
        (other_data, _) = (other_set, graph) | tft_beam.TransformDataset()
        graph | tft_beam.WriteTransformFn(str(folder / "graph"))
        for name, results in (("train", data), ("other", other_data)):
            results | f"Plain {name}" >> beam.Map(_plain) | f"Write {name}" >> beam.io.WriteToText(str(folder / name))
    return _read(folder, "train"), _read(folder, "other")


def _plain(result: Any) -> str:
    picture = bytes(result["image_bytes"]).hex()
    return json.dumps([int(result["id"]), int(result["label"]), int(result["repeat"]), picture])


def _read(folder: Path, name: str) -> list[Result]:
    lines = [line for path in folder.glob(f"{name}-*") for line in path.read_text().splitlines()]
    return sorted(Result(*json.loads(line)) for line in lines)


def uses(results: Sequence[Result]) -> dict[int, int]:
    total: Counter[int] = Counter()
    for result in results:
        total[result.label] += result.repeat
    return dict(total)


def labels_by_graph(taxonomy: Taxonomy, rows: Sequence[Mapping[str, str]]) -> list[int]:
    texts = {
        column: tf.constant([row.get(column, "").encode("utf-8", "surrogateescape") for row in rows])
        for column in COLUMNS
    }
    return label_of(taxonomy, texts, tf.zeros(len(rows))).numpy().tolist()


@pytest.mark.parametrize(("column", "kinds"), [("articleType", [b"Belts", b""]), ("usage", [b"", b""])])
def test_examples_say_what_they_are_where_the_recipe_has_outsiders(column, kinds):
    config = {"taxonomy": SIX.model_dump_json(), "tags": "[]", "balance": Balance().model_dump_json()}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        texts = {name: tf.SparseTensor([[0, 0]], [b"Belts"], [2, 1]) for name in SIX.fields}
        inputs = texts | {"id": tf.constant([b"1", b"2"]), "image_bytes": tf.constant([PICTURE, PICTURE])}
        assert session.run(preprocessing_fn(inputs, config | {"kind": column})["kind"]).tolist() == kinds
        assert "kind" not in preprocessing_fn(inputs, config | {"kind": ""})


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.exists(), reason="needs the public catalogue")
def test_graph_labels_the_public_catalogue_as_ingest_does():
    rows = list(real_rows())
    named = [{"productDisplayName": row["productDisplayName"]} for row in rows if "productDisplayName" in row]
    for each in (rows, named):
        assert labels_by_graph(SIX, each) == [SIX.index_of(SIX.class_of(row)) for row in each]


@pytest.mark.slow
def test_graph_labels_adversarial_texts_as_ingest_does():
    words = (
        "skirt SKIRT ſkirt s\u212airt t shirt kilt_2 kilt sock 7 long sleeve kit it's a b x à la À LA é ß İ 鞋 运动鞋"
    )
    signs = r"c++ C++x .*z abz [x] a|b \d ( ) $ ^ \ _ -"
    odd = ["", "  ", *"\U0001f45f\udce9\udcff\n\t\v\f\r\0\x1c\u00a0\u2028 "]
    pieces = [*words.split(), *signs.split(), *odd]
    source = random.Random(1)
    rows = [
        {column: "".join(source.choices(pieces, k=source.randint(0, 4))) for column in COLUMNS if source.random() < 0.8}
        for _ in range(20_000)
    ]
    rows += [{column: piece} for piece in pieces for column in COLUMNS]
    expected = [ODD.index_of(ODD.class_of(row)) for row in rows]
    found = labels_by_graph(ODD, rows)
    assert [row for row, a, b in zip(rows, found, expected, strict=True) if a != b] == []
    assert {label for label, count in Counter(expected).items() if count > 30} == {-1, 0, 1, 2}


def test_graph_labels_texts_of_many_scripts_as_ingest_does():
    source = random.Random(2)
    found = 0
    for word in WORDS:
        others = source.sample(WORDS, 3)
        taxonomy = Taxonomy(
            name="t",
            classes=("a", "b"),
            rules=(
                Rule(**{"class": "a"}, productDisplayName=(word, others[0])),
                Rule(**{"class": "b"}, productDisplayName=(others[1],)),
            ),
        )
        pieces = [
            *spellings(word),
            *spellings(others[0]),
            *others,
            *word,
            "",
            " ",
            "-",
            "\u0308",
            "ß",
            "ſ",
            "\u3099",
            "x",
        ]
        rows = [{"productDisplayName": "".join(source.choices(pieces, k=source.randint(1, 4)))} for _ in range(300)]
        expected = [taxonomy.index_of(taxonomy.class_of(row)) for row in rows]
        assert labels_by_graph(taxonomy, rows) == expected, word
        found += sum(label == 0 for label in expected)
    assert 0.1 < found / (300 * len(WORDS)) < 0.9


def test_graph_cuts_texts_of_any_characters_into_words_as_ingest_does():
    source = random.Random(3)
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF or 0xDC80 <= code <= 0xDCFF]
    texts = ["".join(every[start : start + 64]) for start in range(0, len(every), 64)]
    texts += ["".join(source.choices(every[:0x20000], k=source.randint(0, 12))) for _ in range(5_000)]
    by_graph = in_words(tf.constant([text.encode("utf-8", "surrogateescape") for text in texts])).numpy()
    assert [each.decode("utf-8", "replace") for each in by_graph] == [words.in_words(text) for text in texts]


def test_graph_labels_by_the_values_of_a_column_as_ingest_does():
    values = {"Shirts": "tops", "Tops": "tops", "Heels": "shoes", "à la": "odd"}
    taxonomy = Taxonomy(name="t", classes=("odd", "shoes", "tops"), column="articleType", values=values)
    rows = [{"articleType": text} for text in (*values, "shirts", "Shirts ", "Shirts Tops", "")] + [{}]
    assert labels_by_graph(taxonomy, rows) == [taxonomy.index_of(taxonomy.class_of(row)) for row in rows]
    assert labels_by_graph(taxonomy, rows) == [2, 2, 1, 0, -1, -1, -1, -1, -1]


def test_column_that_the_schema_lacks_reads_as_missing():
    texts = {"articleType": tf.constant(["Shirts", "Bra"])}
    assert label_of(SIX, texts, tf.zeros(2)).numpy().tolist() == [0, 2]


@pytest.mark.slow
def test_caps_are_exact_whatever_the_shard_order_and_the_other_splits(tmp_path):
    counts = {"topwear": 700, "shoes": 120, "underwear": 33, "none": 9}
    train, balance = products(counts), Balance(cap=100, oversample=80)
    first, _ = transformed(tmp_path / "a", train, products({"topwear": 5}, start=10_000), balance)
    shuffled = random.Random(2).sample(train, len(train))
    second, other = transformed(tmp_path / "b", shuffled, products({"underwear": 400}, 20_000), balance, batch=7)
    assert uses(first) == {0: 100, 1: 100, 2: 80, -1: 0}
    assert first == second
    assert {result.repeat for result in first if result.label == 0} == {0, 1}
    assert {result.repeat for result in other} == {2, 3}


@pytest.fixture(scope="module")
def balanced(tmp_path_factory) -> tuple[list[Result], list[Result], tft.TFTransformOutput]:
    folder = tmp_path_factory.mktemp("balanced")
    train = [*products({"topwear": 40, "shoes": 8, "none": 2}), example(100, {"articleType": "Bra"})]
    results, other = transformed(folder, train, [example(200, {}), example(201, {})], Balance(cap=20, oversample=3))
    return results, other, tft.TFTransformOutput(str(folder / "graph"))


def test_large_classes_are_capped_small_ones_repeated_and_rows_of_no_class_left_out(balanced):
    results, _, _ = balanced
    assert uses(results) == {0: 20, 1: 8, 2: 3, -1: 0}


def test_picture_and_id_pass_unchanged(balanced):
    results, _, _ = balanced
    assert [result.id for result in results] == [*range(50), 100]
    assert {result.picture for result in results} == {PICTURE.hex()}


def test_example_without_any_text_has_no_label_and_no_use(balanced):
    _, other, _ = balanced
    assert other == [Result(200, -1, 0, PICTURE.hex()), Result(201, -1, 0, PICTURE.hex())]


def test_class_list_travels_with_the_graph_in_label_order(balanced):
    *_, graph = balanced
    assert [name.decode() for name in graph.vocabulary_by_name(CLASSES)] == list(SIX.classes)


def test_saved_graph_labels_examples_it_has_not_seen(balanced):
    *_, graph = balanced
    spec = {"id": SPEC["id"], **{column: SPEC[column] for column in TEXTS}}
    texts = ({"subCategory": b"Sandal", "gender": b"Women"}, {"subCategory": b"Eyewear"}, {"gender": b"Men"}, {})
    raw = tf.io.parse_example([serialize({"id": b"5", **values}) for values in texts], spec)
    labelled = graph.transform_features_layer()(raw)
    assert labelled["label"].numpy().tolist() == [1, 5, -1, -1]
    assert labelled["gender_label"].numpy().tolist() == [1, -1, 0, -1]  # a missing value is no class


def serialize(values: Mapping[str, bytes]) -> bytes:
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
