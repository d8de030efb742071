"""The whole of ingest on Beam: a catalogue in, examples and a quarantine out."""

import csv
import itertools
import json
import random
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.components import StatisticsGen
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import Metadata, sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import Examples

from components import features, progress
from components.artifacts import Quarantine
from components.errors import CatalogueError
from components.ingest import chunks, shards
from components.ingest.catalogue import open_catalogue
from components.ingest.component import CatalogueExampleGen
from components.ingest.faults import Reason
from components.settings import OUTSIDE_SPLITS, SPLITS
from components.transform.taxonomy import load_taxonomy
from pipeline.beam import Beam, beam_args
from tests.data.faults import (
    HEADER,
    draw,
    encode,
    good_rows,
    write_catalogue,
    write_faulty_catalogue,
    write_good_catalogue,
    zipped,
)

pytestmark = pytest.mark.slow

BEAM = beam_args(Beam())
TAXONOMY = load_taxonomy("six_class").model_dump_json()
EXAMPLE = "example"
UNMAPPED = "unmapped"

ANSWERS = {
    "missing picture": Reason.MISSING_PICTURE,
    "zero bytes": Reason.EMPTY_PICTURE,
    "text": Reason.NOT_A_PICTURE,
    "truncated JPEG": Reason.BROKEN_PICTURE,
    "JPEG without its end, padded": Reason.BROKEN_PICTURE,
    "PNG named .jpg": EXAMPLE,
    "GIF named .jpg": EXAMPLE,
    "WebP named .jpg": EXAMPLE,
    "greyscale": EXAMPLE,
    "CMYK": EXAMPLE,
    "RGBA": EXAMPLE,
    "palette": EXAMPLE,
    "16 bits": EXAMPLE,
    "EXIF-rotated": EXAMPLE,
    "animated GIF": Reason.ANIMATED_PICTURE,
    "1x1": Reason.SMALL_PICTURE,
    "12,000x12,000 PNG": Reason.LARGE_PICTURE,
    "unmapped": UNMAPPED,
    "empty label": Reason.MISSING_LABEL,
    "unknown article type": UNMAPPED,
    "extra commas": EXAMPLE,
    "missing values": EXAMPLE,
    "year in words": EXAMPLE,
    "not UTF-8": EXAMPLE,
    "stray quotation mark": EXAMPLE,
    "too few values": Reason.BAD_ROW,
    "id with ../": Reason.BAD_ID,
    "duplicate id": Reason.DUPLICATE_ID,
}


class Result:
    """What one run of ingest wrote."""

    def __init__(self, folder: Path) -> None:
        self.examples, self.quarantine = Examples(), Quarantine()
        self.examples.uri, self.quarantine.uri = str(folder / "examples"), str(folder / "quarantine")

    def files(self, split: str) -> list[Path]:
        return sorted(Path(self.examples.uri, f"Split-{split}").iterdir())

    def records(self, split: str) -> list[bytes]:
        files = [str(path) for path in self.files(split)]
        return [record.numpy() for record in tf.data.TFRecordDataset(files, "GZIP")]

    def by_id(self) -> dict[str, tf.train.Example]:
        parsed = [tf.train.Example.FromString(record) for split in SPLITS for record in self.records(split)]
        return {each.features.feature[features.ID].bytes_list.value[0].decode(): each for each in parsed}

    def table(self, name: str) -> list[dict[str, str]]:
        with Path(self.quarantine.uri, name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def summary(self) -> dict:
        return json.loads(Path(self.quarantine.uri, "summary.json").read_text("utf-8"))


def ingest(data: Path, out: Path, settings: str = "{}", digest: str = "") -> Result:
    """Runs the component's own executor, without the orchestration around it."""
    result = Result(out)
    executor = CatalogueExampleGen.EXECUTOR_SPEC.executor_class(
        BaseBeamExecutor.Context(beam_pipeline_args=BEAM, tmp_dir=str(out / "tmp"), unique_id="1")
    )
    parameters = {"data": str(data), "digest": digest, "settings": settings, "taxonomy": TAXONOMY}
    executor.Do({}, {"examples": [result.examples], "quarantine": [result.quarantine]}, parameters)
    return result


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    identities = write_faulty_catalogue(folder / "catalogue")
    return identities, folder / "catalogue", ingest(folder / "catalogue", folder / "out")


@pytest.mark.parametrize(("fault", "answer"), ANSWERS.items())
def test_every_fault_has_its_answer(faulty, fault, answer):
    identities, _, result = faulty
    identity = identities[fault]
    quarantined = [row["reason"] for row in result.table("quarantine.csv") if row["id"] == identity]
    unmapped = [row["id"] for row in result.table("unmapped.csv") if row["id"] == identity]
    if fault == "duplicate id":
        assert identity in result.by_id(), "the first of the two is kept"
    elif answer == EXAMPLE:
        assert identity in result.by_id()
    else:
        assert identity not in result.by_id()
    assert quarantined == ([answer] if isinstance(answer, Reason) else [])
    assert len(unmapped) == (answer == UNMAPPED)


def test_the_table_of_answers_knows_every_fault(faulty):
    assert set(faulty[0]) == set(ANSWERS)


def test_every_row_is_an_example_or_quarantined_or_unmapped(faulty):
    _, data, result = faulty
    rows = len((data / "styles.csv").read_bytes().splitlines()) - 1
    examples = {split: len(result.records(split)) for split in SPLITS}
    quarantined, unmapped = result.table("quarantine.csv"), result.table("unmapped.csv")
    assert rows == sum(examples.values()) + len(quarantined) + len(unmapped)
    summary = result.summary()
    assert summary["rows"] == rows
    assert summary["examples"] == examples
    assert summary["quarantined"] == Counter(row["reason"] for row in quarantined)
    assert summary["unmapped"] == Counter(row["articleType"] for row in unmapped)
    assert {split: sum(by[split] for by in summary["classes"].values()) for split in SPLITS} == examples
    assert summary["repaired"] == {"commas": 1, "encoding": 1, "quotes": 1, "year": 1}


def test_quarantined_rows_are_named_with_the_remedy(faulty):
    identities, _, result = faulty
    details = {row["id"]: row["detail"] for row in result.table("quarantine.csv")}
    product = identities["12,000x12,000 PNG"]
    assert f"id {product}: its picture has 12,000×12,000 pixels, more than max_pixels" in details[product]
    assert "id '../x' cannot be a picture's name" in details["../x"]
    assert f"there is no images/{identities['missing picture']}.jpg" in details[identities["missing picture"]]
    assert all(text.startswith("styles.csv, row ") and text.endswith(".") for text in details.values())


def test_an_example_holds_the_documented_features_and_no_placeholders(faulty):
    identities, data, result = faulty
    whole = result.by_id()["1000"].features.feature
    assert set(whole) == {
        *features.COLUMNS,
        features.IMAGE_BYTES,
        features.PICTURE_HASH,
        features.WIDTH,
        features.HEIGHT,
    }
    assert whole[features.IMAGE_BYTES].bytes_list.value[0] == (data / "images" / "1000.jpg").read_bytes()
    assert whole[features.YEAR].int64_list.value == [2012]
    assert (whole[features.WIDTH].int64_list.value, whole[features.HEIGHT].int64_list.value) == ([60], [80])
    assert whole["subCategory"].bytes_list.value == [b"Topwear"]
    sparse = result.by_id()[identities["missing values"]].features.feature
    assert set(whole) - set(sparse) == {"baseColour", "season", "year", "usage", "productDisplayName"}
    named = result.by_id()[identities["extra commas"]].features.feature
    assert named["productDisplayName"].bytes_list.value == [b"Shirt, blue, large"]


def test_every_kept_picture_decodes_in_tensorflow(faulty):
    for example in faulty[2].by_id().values():
        data = example.features.feature[features.IMAGE_BYTES].bytes_list.value[0]
        assert max(tf.io.decode_jpeg(data, channels=3).shape) <= 300


def test_a_second_run_writes_the_same_bytes(faulty, tmp_path):
    _, data, first = faulty
    second = ingest(data, tmp_path)
    for one, other in ((first.examples, second.examples), (first.quarantine, second.quarantine)):
        names = sorted(str(path.relative_to(one.uri)) for path in Path(one.uri).rglob("*") if path.is_file())
        assert len(names) == (3 if one is first.examples else 5)
        assert [Path(one.uri, name).read_bytes() for name in names] == [
            Path(other.uri, name).read_bytes() for name in names
        ]


def test_folder_and_zip_and_any_size_of_chunk_give_the_same_examples(faulty, tmp_path, monkeypatch):
    _, data, whole = faulty
    monkeypatch.setattr(chunks, "ROWS_PER_CHUNK", 7)
    monkeypatch.setattr(shards, "PRODUCTS_PER_SHARD", 5)
    parts = ingest(zipped(data, tmp_path / "catalogue.zip", "nested/"), tmp_path)
    for split in SPLITS:
        total = max(1, -(-len(whole.records(split)) // 5))
        assert [path.name for path in parts.files(split)] == [
            f"data_tfrecord-{number:05d}-of-{total:05d}.gz" for number in range(total)
        ]
        assert parts.records(split) == whole.records(split)
    assert parts.summary() == whole.summary()
    assert parts.table("unmapped.csv") == whole.table("unmapped.csv")
    found = parts.table("quarantine.csv")  # details name the table, which lies in a folder
    assert [row | {"detail": row["detail"].removeprefix("nested/")} for row in found] == whole.table("quarantine.csv")


def test_identical_pictures_never_cross_splits(tmp_path):
    images = {str(1000 + number): encode(draw(seed=number // 4)) for number in range(80)}
    result = ingest(write_catalogue(tmp_path / "catalogue", good_rows(80), images), tmp_path / "out")
    splits: dict[bytes, set[str]] = {}
    for split in SPLITS:
        for record in result.records(split):
            feature = tf.train.Example.FromString(record).features.feature
            splits.setdefault(feature[features.IMAGE_BYTES].bytes_list.value[0], set()).add(split)
    assert len(splits) == 20
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == set(SPLITS)


def splits_of(result: Result) -> dict[str, str]:
    """Id of a product to its split."""
    return {
        tf.train.Example.FromString(record).features.feature[features.ID].bytes_list.value[0].decode(): split
        for split in SPLITS
        for record in result.records(split)
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A catalogue of 90 products, as lines and pictures, and what ingest makes of it in the order of its ids."""
    folder, lines = tmp_path_factory.mktemp("drawn"), good_rows(90)
    images = {str(1000 + number): draw(seed=number + 1) for number in range(90)}
    data = write_catalogue(folder / "catalogue", lines, {name: encode(image) for name, image in images.items()})
    return lines, images, ingest(data, folder / "out")


ORDERS = {
    "reversed": lambda lines: lines[::-1],
    "sorted by type": lambda lines: sorted(lines, key=lambda line: line.split(",")[4]),
    "shuffled": lambda lines: random.Random(1).sample(lines, len(lines)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_order_of_the_table_changes_no_byte(drawn, order, tmp_path, monkeypatch):
    lines, images, first = drawn
    monkeypatch.setattr(chunks, "ROWS_PER_CHUNK", 16)
    content = {name: encode(image) for name, image in images.items()}
    second = ingest(write_catalogue(tmp_path / "catalogue", ORDERS[order](lines), content), tmp_path / "out")
    for split in SPLITS:
        assert [path.name for path in second.files(split)] == [path.name for path in first.files(split)]
        assert [path.read_bytes() for path in second.files(split)] == [path.read_bytes() for path in first.files(split)]
    members = (Path(result.quarantine.uri, "members.parquet").read_bytes() for result in (first, second))
    assert next(members) == next(members)


def test_sorted_table_is_trained_mixed(drawn, tmp_path):
    lines, images, _ = drawn
    content = {name: encode(image) for name, image in images.items()}
    by_type = ORDERS["sorted by type"](lines)
    result = ingest(write_catalogue(tmp_path / "catalogue", by_type, content), tmp_path / "out")
    types = [
        tf.train.Example.FromString(record).features.feature["articleType"].bytes_list.value[0]
        for record in result.records("train")
    ]
    # Six types in turn by chance: five of six neighbours differ; by type, six of ninety would.
    assert sum(one != other for one, other in pairwise(types)) > 0.6 * len(types)


def test_a_catalogue_saved_anew_keeps_every_product_in_its_split(drawn, tmp_path):
    lines, images, first = drawn
    anew = {name: encode(image, quality=80, subsampling=2) for name, image in images.items()}
    second = ingest(write_catalogue(tmp_path / "catalogue", lines, anew), tmp_path / "out")
    assert all(anew[name] != encode(image) for name, image in images.items())
    assert splits_of(second) == splits_of(first)


def test_variants_that_the_table_tells_stay_together(drawn, tmp_path):
    lines, images, first = drawn
    named = [f"{line},style {number // 5}" for number, line in enumerate(lines)]
    content = {name: encode(image) for name, image in images.items()}
    data = write_catalogue(tmp_path / "catalogue", named, content, header=f"{HEADER},style")
    splits = splits_of(ingest(data, tmp_path / "out", json.dumps({"split": {"together": ["style"]}})))
    assert len({(number // 5, splits[str(1000 + number)]) for number in range(90)}) == 18
    assert splits != splits_of(first)
    with pytest.raises(CatalogueError, match="there is no column 'shape'"):
        ingest(data, tmp_path / "other", json.dumps({"split": {"together": ["shape"]}}))


def test_nothing_is_left_of_the_scratch_files(drawn):
    assert sorted(path.name for path in Path(drawn[2].examples.uri).iterdir()) == [
        f"Split-{split}" for split in sorted(SPLITS)
    ]


def test_a_split_by_year_tests_on_odd_years_and_counts_the_pictures_that_both_sides_show(tmp_path):
    years = ["2011", "2012", "NA"] * 20
    rows = [row.replace("2012", year) for row, year in zip(good_rows(60), years, strict=True)]
    images = {
        str(1000 + number): encode(draw(seed=max(number, 1))) for number in range(60)
    }  # 1000 shows what 1001 does
    data = write_catalogue(tmp_path / "catalogue", rows, images)
    result = ingest(data, tmp_path / "out", json.dumps({"split": {"by": "year", "train": 1, "eval": 1}}))
    found: dict[str, set[int | None]] = {}
    for split in SPLITS:
        for record in result.records(split):
            year = tf.train.Example.FromString(record).features.feature[features.YEAR].int64_list.value
            found.setdefault(split, set()).add(year[0] if year else None)
    assert found == {"train": {2012, None}, "eval": {2012, None}, "test": {2011}}
    assert result.summary()["examples"]["test"] == 20
    odd, rest = (
        {images[str(1000 + n)] for n in range(60) if (years[n] == "2011") is tested} for tested in (True, False)
    )
    shared = result.summary()["shared"]
    assert sum(shared.values()) == len(odd & rest) > 0
    assert all(pair.endswith("and test") for pair in shared)


def test_the_settings_of_the_recipe_are_obeyed(tmp_path):
    data = write_good_catalogue(tmp_path / "catalogue", 12)
    settings = {"picture": {"size": 16, "stored_side": 40}, "split": {"train": 1, "eval": 1, "test": 1_000_000}}
    result = ingest(data, tmp_path / "out", json.dumps(settings))
    assert result.summary()["examples"] == {"train": 0, "eval": 0, "test": 12}
    for example in result.by_id().values():
        picture = tf.io.decode_jpeg(example.features.feature[features.IMAGE_BYTES].bytes_list.value[0])
        assert picture.shape[:2] == (40, 30)


def test_corrected_labels_reach_the_examples_and_every_decision_is_listed_with_its_outcome(tmp_path):
    data, decisions = write_good_catalogue(tmp_path / "catalogue", 12), tmp_path / "corrections.csv"
    decisions.write_text("id,old,new\n1000,topwear,shoes\n1011,eyewear,none\n9,shoes,topwear\n")
    result = ingest(data, tmp_path / "out", json.dumps({"corrections": str(decisions)}))
    examples = result.by_id()
    assert set(examples) == {str(1000 + number) for number in range(11)}
    assert examples["1000"].features.feature["subCategory"].bytes_list.value == [b"Shoes"]
    assert sum(result.summary()["classes"]["shoes"].values()) == 3
    assert result.summary()["corrections"] == {"applied": 1, "left out": 1, "not applied": 1}
    outcomes = [row["outcome"] for row in result.table("corrections.csv")]
    assert outcomes == ["applied", "left out", "not applied: there is no readable row with this id"]


def test_progress_counts_every_row(faulty, tmp_path):
    _, data, result = faulty
    seen = []
    with progress.listen(seen.append):
        ingest(data, tmp_path)
    rows = result.summary()["rows"]
    assert [each.done for each in seen] == sorted({each.done for each in seen})
    assert (seen[-1].part, seen[-1].done, seen[-1].total) == ("pictures", rows, rows)


def empty_table(folder):
    write_catalogue(folder, [], {"0": b""})
    (folder / "styles.csv").write_bytes(b"")


def header_only(folder):
    write_catalogue(folder, [], {"0": b""})


def no_article_type(folder):
    write_catalogue(folder, ["1,Topwear"], {"0": b""}, header="id,subCategory")


def no_images(folder):
    write_catalogue(folder, good_rows(1), {})
    (folder / "images").rmdir()


def nothing(folder):
    pass


def not_a_zip(folder):
    folder.write_bytes(b"PK\x03\x04 and then nothing")


def nothing_usable(folder):
    write_catalogue(
        folder, [*good_rows(3), "9,Men,Accessories,Bags,Backpacks,Black,Summer,2012,Casual,Bag"], {"0": b""}
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (empty_table, "styles.csv is empty"),
        (header_only, "has a header and no rows"),
        (no_article_type, "there is no column 'articleType'"),
        (no_images, "there is styles.csv, but no picture"),
        (nothing, "there is no such file or folder"),
        (not_a_zip, "cannot be read as a zip"),
        (nothing_usable, r"none of its 4 rows became an example \(3 missing picture, 1 unmapped\)"),
    ],
)
def test_a_catalogue_that_cannot_be_used_is_refused_plainly(build, message, tmp_path):
    build(tmp_path / "catalogue")
    with pytest.raises(CatalogueError, match=message):
        ingest(tmp_path / "catalogue", tmp_path / "out")


def test_several_pictures_of_a_product_are_counted_or_each_an_example_in_its_split(tmp_path):
    data = write_good_catalogue(tmp_path / "catalogue", 40)
    for number in range(40):
        for view in (2, 3):
            (data / "images" / f"{1000 + number}_{view}.jpg").write_bytes(encode(draw(seed=100 * view + number)))
    (data / "images" / "1007_3.jpg").write_bytes(b"no picture")
    products = {str(1000 + number) for number in range(40)}

    main = ingest(data, tmp_path / "main")
    assert set(main.by_id()) == products
    assert (main.summary()["rows"], main.summary()["further_pictures"]) == (40, 80)

    whole = ingest(data, tmp_path / "all", settings='{"catalogue": {"pictures": "all"}}')
    expected = {f"{product}{view}" for product in products for view in ("", "/2", "/3")} - {"1007/3"}
    assert set(whole.by_id()) == expected
    summary = whole.summary()
    assert (summary["rows"], summary["further_pictures"], sum(summary["examples"].values())) == (40, 80, 119)
    quarantined = whole.table("quarantine.csv")
    assert [(row["id"], row["reason"]) for row in quarantined] == [("1007/3", Reason.NOT_A_PICTURE)]
    assert "images/1007_3.jpg starts with" in quarantined[0]["detail"]
    splits = defaultdict(set)
    for split, record in ((name, record) for name in SPLITS for record in whole.records(name)):
        identity = tf.train.Example.FromString(record).features.feature[features.ID].bytes_list.value[0].decode()
        splits[identity.partition("/")[0]].add(split)
    assert {len(found) for found in splits.values()} == {1}
    assert {split for found in splits.values() for split in found} == set(SPLITS)


def test_a_table_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    data = write_good_catalogue(tmp_path / "catalogue", 5)
    kind = type(open_catalogue(str(data)))
    open_table, readings = kind.open_table, itertools.count(5)

    def growing(catalogue, name):
        (data / "styles.csv").write_text("\n".join([HEADER, *good_rows(next(readings))]))
        return open_table(catalogue, name)

    monkeypatch.setattr(kind, "open_table", growing)
    with pytest.raises(CatalogueError, match=f"{data} has changed since its digest was read"):
        ingest(data, tmp_path / "out")


def test_a_drop_that_replaces_the_catalogue_after_its_digest_was_read_is_refused_by_name(tmp_path):
    data = write_good_catalogue(tmp_path / "catalogue", 5)
    digest = open_catalogue(str(data)).digest()
    assert ingest(data, tmp_path / "out", digest=digest).summary()["rows"] == 5
    (data / "images" / "1003.jpg").write_bytes((data / "images" / "1002.jpg").read_bytes())
    with pytest.raises(CatalogueError, match=f"{data} has changed since its digest was read"):
        ingest(data, tmp_path / "again", digest=digest)


def run_pipeline(data: Path, root: Path) -> list[mlmd.Execution]:
    """Ingest and the stock StatisticsGen through TFX; returns the executions of ingest so far."""
    example_gen = CatalogueExampleGen(
        data=str(data), digest=open_catalogue(str(data)).digest(), settings="{}", taxonomy=TAXONOMY
    )
    statistics = StatisticsGen(examples=example_gen.outputs["examples"])
    connection = sqlite_metadata_connection_config(str(root / "metadata.db"))
    pipeline = Pipeline(
        "ingest",
        str(root / "artifacts"),
        components=[example_gen, statistics],
        enable_cache=True,
        metadata_connection_config=connection,
        beam_pipeline_args=BEAM,
    )
    LocalDagRunner().run(pipeline)
    with Metadata(connection) as metadata:
        return metadata.store.get_executions_by_type(example_gen.type)


def test_stock_components_read_the_examples_and_the_cache_sees_a_changed_catalogue(tmp_path):
    data = write_good_catalogue(tmp_path / "catalogue", 60)
    run_pipeline(data, tmp_path)
    (data / "images" / "1003.jpg").write_bytes(b"")
    for _ in range(2):
        executions = run_pipeline(data, tmp_path)
    states = [mlmd.Execution.State.Name(each.last_known_state) for each in executions]
    assert sorted(states) == ["CACHED", "COMPLETE", "COMPLETE"]
    counts = Counter()
    for path in (tmp_path / "artifacts" / "StatisticsGen" / "statistics").glob("*/Split-*/FeatureStats.pb"):
        loaded = tfdv.load_stats_binary(str(path))
        counts[path.parts[-3]] += loaded.datasets[0].num_examples
    assert sorted(counts.values()) == [59, 60]


def test_a_refused_catalogue_keeps_its_message_through_tfx(tmp_path):
    data = write_catalogue(tmp_path / "catalogue", [], {"0": b""}, header="id,gender")
    with pytest.raises(CatalogueError, match="there is no column"):
        run_pipeline(data, tmp_path)


def test_products_of_no_class_get_splits_of_their_own_and_move_no_other(tmp_path):
    kinds = {"Watches": "Accessories,Watches", "Belts": "Accessories,Belts", "Jeans": "Apparel,Bottomwear"}
    lines, images = good_rows(60), {str(1000 + number): encode(draw(seed=number + 1)) for number in range(60)}
    for number in range(60, 150):
        kind = list(kinds)[number % 3]
        lines.append(f"{1000 + number},Men,{kinds[kind]},{kind},Black,Summer,2012,Casual,Name {number}")
        images[str(1000 + number)] = encode(draw(seed=number + 1))
    images["1070"] = b""
    data = write_catalogue(tmp_path / "catalogue", lines, images)
    without = ingest(data, tmp_path / "without")
    result = ingest(data, tmp_path / "with", '{"outside": {"unseen": ["Jeans"], "most": 80}}')
    assert "outside" not in without.summary()
    assert json.loads(result.examples.split_names) == [*SPLITS, *OUTSIDE_SPLITS]
    for split in SPLITS:
        assert [file.read_bytes() for file in result.files(split)] == [
            file.read_bytes() for file in without.files(split)
        ]
    assert result.table("unmapped.csv") == without.table("unmapped.csv"), (
        "with examples or without, they are of no class"
    )
    summary = result.summary()
    counts, found = summary.pop("outside"), {}
    assert summary == without.summary()
    for split, name in zip(SPLITS, OUTSIDE_SPLITS, strict=True):
        found[split] = Counter()
        for record in result.records(name):
            texts = tf.train.Example.FromString(record).features.feature
            found[split][texts["articleType"].bytes_list.value[0].decode()] += 1
            assert texts[features.IMAGE_BYTES].bytes_list.value[0].startswith(b"\xff\xd8")
    assert counts["kinds"] == {
        kind: {split: found[split][kind] for split in SPLITS} for kind in ("Belts", "Jeans", "Watches")
    }
    assert counts["kinds"]["Jeans"]["train"] == counts["kinds"]["Jeans"]["eval"] == 0
    assert counts["left"] == 10
    unreadable = [row["id"] for row in result.table("quarantine.csv")]
    assert (unreadable, counts["unreadable"]) in [(["1070"], {"empty picture": 1}), ([], {})]
    assert sum(map(Counter.total, found.values())) + len(unreadable) + counts["alike"] == 80
