"""The gate refuses data unfit to train on, tells every reason at once, and ends the run."""

import hashlib
import json
from pathlib import Path

import pytest

from components.errors import DataRefused, RecipeError
from components.settings import SPLITS
from components.validate.gate import Anomaly, Verdict, judge
from components.validate.settings import Validation, find_schema
from components.validate.shares import Summary
from pipeline.beam import Beam, beam_args
from tests import HOUSE
from tests.validate import examples

CLASSES = ("topwear", "shoes", "eyewear")
FIT = {
    "rows": 1_500,
    "examples": {"train": 960, "eval": 120, "test": 120},
    "classes": {name: {"train": 320, "eval": 40, "test": 40} for name in CLASSES},
    "quarantined": {"truncated picture": 7, "duplicate id": 3},
    "unmapped": {"Watches": 285},
    "repaired": {},
}


def judged(*anomalies: Anomaly, settings: Validation | None = None, **changes: object) -> Verdict:
    summary = Summary.model_validate({**FIT, **changes})
    return judge(anomalies, summary, settings or Validation(), CLASSES, "lists")


def of_eyewear(**counts: int) -> dict[str, object]:
    return {"classes": {**FIT["classes"], "eyewear": counts}}


def only(*names: str) -> dict[str, object]:
    return {"classes": {name: FIT["classes"][name] for name in names}}


def test_fit_data_pass_with_the_figures_they_were_judged_by():
    verdict = judged()
    assert verdict.ok
    told = json.loads(json.dumps(verdict.as_json()))
    assert told["ok"] is True
    assert told["examples"] == FIT["examples"]
    assert told["quarantined"] == FIT["quarantined"]


PROBLEMS = {
    "quarantine above its limit": (
        {"quarantined": {"duplicate id": 5, "truncated picture": 15}, "rows": 2_000},
        "20 of 1,220 rows (1.64 %) are quarantined, those outside the classes aside, more than the 1 % that "
        "validation.quarantine allows: truncated picture 15, duplicate id 5. "
        "Correct what lists/quarantine.csv lists, or raise the limit.",
    ),
    "nearly half of the pictures that were looked at": (
        {"quarantined": {"broken picture": 950}, "rows": 100_000, "unmapped": {}},
        "950 of 2,150 rows (44.2 %) are quarantined, more than the 1 % that validation.quarantine allows: "
        "broken picture 950. Correct what lists/quarantine.csv lists, or raise the limit.",
    ),
    "most pictures of one class": (
        {"class_quarantined": {"eyewear": 40}, **of_eyewear(train=24, eval=2, test=2), "quarantined": {"x": 12}},
        "eyewear: 40 of 68 products (58.8 %) are quarantined, more than the 5 % that validation.class_quarantine "
        "allows. Correct what lists/quarantine.csv lists, or raise the limit.",
    ),
    "most rows outside the classes": (
        {"unmapped": {"Tee Shirts": 7_000, "Trainers": 2_785}, "rows": 11_000},
        "9,785 of 11,000 rows (89 %) are outside the classes, more than the 50 % that validation.unmapped allows, "
        "above all Tee Shirts 7,000, Trainers 2,785. Map what lists/unmapped.csv lists by rules of the taxonomy, or "
        "raise the limit.",
    ),
    "empty split": (
        {"examples": {"train": 960, "eval": 120}, "classes": {name: {"train": 320, "eval": 40} for name in CLASSES}},
        "Split test is empty (train 960, eval 120, test 0). Training needs all of train, eval, test: "
        "add products, or raise split.test.",
    ),
    "class without an example": (
        only("topwear", "shoes"),
        "eyewear has no example at all. Every class of the taxonomy needs some: add products, add rules that map those "
        "in lists/unmapped.csv, or take the class out of the taxonomy.",
    ),
    "class absent from one split": (
        of_eyewear(train=320, eval=40),
        "eyewear has no example in test (train 320, eval 40, test 0). "
        "Every class must be in every split: add products of this class, or take it out of the taxonomy.",
    ),
    "class absent from two splits": (
        of_eyewear(eval=40, train=0),
        "eyewear has no example in train and test (train 0, eval 40, test 0). "
        "Every class must be in every split: add products of this class, or take it out of the taxonomy.",
    ),
    "class below the minimum": (
        of_eyewear(train=9, eval=40, test=40),
        "eyewear has 9 pictures to train on (train 9, eval 40, test 40), fewer than the 10 that "
        "validation.class_minimum asks for. Add products of this class, or lower the limit.",
    ),
    "one class only": (
        only("shoes"),
        "shoes is the only class with examples (train 320, eval 40, test 40). A classifier needs at least two: "
        "add products of other classes, or rules that map those in lists/unmapped.csv.",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_is_told_once_with_its_figures_and_a_remedy(changes, sentence):
    assert judged(**changes).problems == (sentence,)


ALLOWED = {
    "quarantine exactly at its limit": (
        Validation(),
        {"quarantined": {"no picture": 12}, "examples": {"train": 960, "eval": 120, "test": 108}},
    ),
    "one broken picture of five": (
        Validation(class_minimum=2),
        {"class_quarantined": {"eyewear": 1}, **of_eyewear(train=2, eval=1, test=1)},
    ),
    "classes that may lose all": (Validation(class_quarantine=1), {"class_quarantined": {"eyewear": 4_000}}),
    "rows outside exactly at their limit": (Validation(), {"unmapped": {"Watches": 1_200}, "rows": 2_400}),
    "a limit that binary fractions cannot hold": (
        Validation(quarantine=0.29),
        {"quarantined": {"x": 29}, "examples": {"train": 69, "eval": 1, "test": 1}},
    ),
    "quarantine below a higher limit": (Validation(quarantine=0.5), {"quarantined": {"no picture": 750}}),
    "class exactly at the minimum": (Validation(), of_eyewear(train=10, eval=1, test=1)),
    "class exactly at a lower minimum": (Validation(class_minimum=2), of_eyewear(train=2, eval=1, test=1)),
}


@pytest.mark.parametrize(("settings", "changes"), ALLOWED.values(), ids=ALLOWED.keys())
def test_limits_are_inclusive_and_the_recipe_s_own(settings, changes):
    assert judged(settings=settings, **changes).ok


def test_catalogue_without_any_example_is_refused_for_its_empty_splits_alone():
    problems = judged(examples={}, classes={}, quarantined={}).problems
    assert [problem.split(" is empty")[0] for problem in problems] == [f"Split {split}" for split in SPLITS]


def outside(unmapped: dict[str, int], rows: int) -> Summary:
    return Summary.model_validate({**FIT, "unmapped": unmapped, "rows": rows})


@pytest.mark.parametrize(
    ("before", "now", "grown"),
    [
        (
            outside({"Watches": 330}, 1_000),
            outside({"Watches": 330, "Tee": 20, "Trainers": 90}, 1_000),
            "Trainers 90, Tee 20",
        ),
        (outside({}, 1_000), outside({"Tee": 101}, 1_000), "Tee 101"),
        (outside({"Watches": 330}, 1_000), outside({"Watches": 425}, 1_000), None),
        (outside({"Watches": 40}, 100), outside({"Watches": 50}, 100), None),
        (outside({"Watches": 10}, 30), outside({"Watches": 14}, 30), None),  # as chance brings it
        (outside({"Watches": 425}, 1_000), outside({"Watches": 330}, 1_000), None),
        (None, outside({"Watches": 500}, 1_000), None),
    ],
)
def test_renamed_categories_are_refused_beside_the_last_run_and_named(before, now, grown):
    problems = judge([], now, Validation(), CLASSES, "lists", before).problems
    assert len(problems) == bool(grown)
    if grown:
        share, earlier = (f"{100 * each.outside:.3g} %" for each in (now, before))
        assert problems[0] == (
            f"{share} of the rows are outside the classes, and {earlier} were in the last run whose data were fit; "
            f"validation.unmapped_rise allows 10 points more. The most grown article types among them: {grown}. "
            "Map what lists/unmapped.csv lists by rules of the taxonomy, or raise the limit."
        )
        assert judge([], now, Validation(unmapped_rise=0.5), CLASSES, "lists", before).ok


def test_the_last_accepted_data_are_those_of_the_same_experiment(tmp_path):
    from components.validate.earlier import last_accepted

    assert last_accepted(str(tmp_path / "none"), "six_class") is None
    for number, name in ((9, "six_class"), (10, "six_class"), (11, "sub_category"), (12, None)):
        folder = tmp_path / str(number)
        folder.mkdir()
        if name:  # the gate of run 12 refused its data, or is at work
            told = judged(rows=number * 1_000).as_json()
            (folder / "verdict.json").write_text(json.dumps({"name": name} | told))
    found = last_accepted(str(tmp_path), "six_class")
    assert found is not None
    assert (found.rows, found.unmapped) == (10_000, FIT["unmapped"])
    assert last_accepted(str(tmp_path), "article_type") is None


def test_findings_of_a_feature_are_one_sentence_that_names_splits_and_remedy():
    verdict = judged(
        Anomaly("train", "year", True, "Unexpectedly small value: 1066."),
        Anomaly("train", "gender", True, "Unknown value: Kids (~2%). "),
        Anomaly("eval", "gender", True, "Unknown value: Kids (~3%). "),
        Anomaly("test", "gender", True, "Unknown value: Kids (~2%). "),
        settings=Validation(schema_file="schema"),
    )
    remedy = (
        "Correct the catalogue, or schema/schema.pbtxt where the data are right. "
        "Another shop's catalogue: `fashion inspect DATA --draft DIR` writes a recipe for it."
    )
    assert verdict.problems == (
        "gender does not fit the schema: Unknown value: Kids (~2%) (train, test); Unknown value: Kids (~3%) (eval). "
        f"{remedy}",
        f"year does not fit the schema: Unexpectedly small value: 1066 (train). {remedy}",
    )


def test_columns_that_nothing_depends_on_are_noted_whatever_is_odd_about_them():
    odd = [Anomaly("train", name, True, "Unknown value: 7") for name in ("articleType", "usage", "year", "width")]
    verdict = judge(odd, Summary.model_validate(FIT), Validation(), CLASSES, "lists", used=["articleType"])
    assert [problem.split()[0] for problem in verdict.problems] == ["articleType", "width"]
    assert verdict.notes == tuple(
        f"{name} does not fit the schema: Unknown value: 7 (train). Neither labels nor splits depend on it."
        for name in ("usage", "year")
    )


def test_finding_about_a_whole_split_names_no_feature():
    (problem,) = judged(Anomaly("eval", "", True, "Too few examples")).problems
    assert problem.startswith("The data as a whole does not fit the schema: Too few examples (eval).")


def test_lesser_findings_are_noted_and_let_the_data_pass():
    verdict = judged(Anomaly("train", "brand", False, "New column"))
    assert verdict.ok
    assert verdict.notes[0].startswith("brand does not fit the schema: New column (train).")
    assert verdict.as_json()["notes"] == list(verdict.notes)


def test_the_schema_to_correct_is_the_one_that_the_data_were_held_against():
    for schema_file, shown in (("fashion_mnist", "schema/fashion_mnist.pbtxt"), ("shop/mine.pbtxt", "shop/mine.pbtxt")):
        problem = judged(Anomaly("eval", "year", True, "New"), settings=Validation(schema_file=schema_file)).problems[0]
        assert f"Correct the catalogue, or {shown} where the data are right." in problem
        assert ("--draft" in problem) is (schema_file == "fashion_mnist"), "one's own schema is of one's own catalogue"


def test_schemas_are_found_by_name_or_path_and_unknown_ones_refused(tmp_path):
    (tmp_path / "mine.pbtxt").touch()
    assert find_schema("schema") == SCHEMA
    assert find_schema(str(tmp_path / "mine.pbtxt")) == tmp_path / "mine.pbtxt"
    with pytest.raises(
        RecipeError, match=r"'shema': there is none; did you mean 'schema'\? known: fashion_mnist, open, schema"
    ):
        find_schema("shema")
    with pytest.raises(RecipeError, match="there is no such file"):
        find_schema(str(tmp_path / "other.pbtxt"))


@pytest.mark.parametrize(
    ("counts", "note"),
    [
        (
            {"train": 3, "eval": 1},
            "eyewear has no example in test (train 3, eval 1, test 0); validation.scarce lets it",
        ),
        ({"train": 3, "eval": 1, "test": 1}, "eyewear has 3 pictures to train on (train 3, eval 1, test 1); "),
    ],
)
def test_scarce_classes_that_a_recipe_allows_are_noted(counts, note):
    verdict = judged(settings=Validation(scarce="note"), **of_eyewear(**counts))
    assert verdict.ok
    assert verdict.notes[0].startswith(note)
    assert not judged(settings=Validation(scarce="note"), **of_eyewear()).ok, "without any example"


def test_pictures_in_two_splits_are_noted():
    verdict = judged(shared={"train and test": 12})
    assert verdict.ok
    assert verdict.notes[0].startswith(
        "12 pictures are in both train and test: split.by=given and split.by=year move none"
    )
    assert verdict.as_json()["shared"] == {"train and test": 12}


def test_endless_findings_are_cut():
    (problem,) = judged(Anomaly("train", "usage", True, "x" * 5_000)).problems
    assert len(problem) < 500
    assert "x … (train)" in problem


def test_all_problems_are_told_at_once():
    verdict = judged(
        Anomaly("train", "gender", True, "Unknown value: Kids."),
        quarantined={"no picture": 100},
        **of_eyewear(train=3, eval=1),
    )
    assert [problem.split()[0] for problem in verdict.problems] == ["gender", "100", "eyewear"]


SCHEMA = HOUSE / "schema" / "schema.pbtxt"


def product(number: int, **changes: object) -> dict[str, object]:
    """The needed features of one product."""
    return examples.product(number, **{"baseColour": None, "usage": None, "year": None} | changes)


def write_ingested(root: Path, products: dict[str, list[dict[str, object]]], quarantined: dict[str, int]) -> None:
    """Writes what ingest would have written: examples and the summary of its quarantine, half of each split shoes."""
    import tensorflow as tf

    def feature(value: object) -> tf.train.Feature:
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    for split, rows in products.items():
        file = root / "examples" / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
        file.parent.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
            for row in rows:
                features = tf.train.Features(feature={name: feature(value) for name, value in row.items()})
                writer.write(tf.train.Example(features=features).SerializeToString())
    counts = {split: len(rows) for split, rows in products.items()}
    halves = {split: count // 2 for split, count in counts.items()}
    summary = {
        "rows": sum(counts.values()) + sum(quarantined.values()),
        "examples": counts,
        "classes": {"topwear": halves, "shoes": halves},
        "quarantined": quarantined,
    }
    (root / "quarantine").mkdir()
    (root / "quarantine" / "summary.json").write_text(json.dumps(summary))


def run_chain(root: Path, schema: Path) -> Path:
    """Runs the stages from statistics to gate; returns where the verdict is."""
    import tfx.v1 as tfx

    from components.artifacts import Quarantine
    from components.validate.component import DataGate, ReviewedSchema

    examples = tfx.dsl.Importer(
        source_uri=str(root / "examples"),
        artifact_type=tfx.types.standard_artifacts.Examples,
        properties={"split_names": json.dumps(SPLITS)},
        custom_properties={"file_format": "tfrecords_gzip", "payload_format": "FORMAT_TF_EXAMPLE"},
    ).with_id("ingest")
    quarantine = tfx.dsl.Importer(source_uri=str(root / "quarantine"), artifact_type=Quarantine).with_id("quarantine")
    reviewed = ReviewedSchema(file=str(schema), digest=hashlib.sha256(schema.read_bytes()).hexdigest())
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["result"], schema=reviewed.outputs["schema"])
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=reviewed.outputs["schema"]
    )
    gate = DataGate(
        anomalies=validator.outputs["anomalies"],
        quarantine=quarantine.outputs["result"],
        name="six_class",
        settings=Validation().model_dump_json(),
        classes=json.dumps(["topwear", "shoes"]),
        used=json.dumps(["gender"]),
    )
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="validate",
            pipeline_root=str(root / "artifacts"),
            components=[examples, quarantine, reviewed, statistics, validator, gate],
            enable_cache=True,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root / "db")),
            beam_pipeline_args=beam_args(Beam()),
        )
    )
    return root / "artifacts" / "DataGate" / "verdict"


@pytest.mark.slow
def test_refused_run_goes_on_once_the_schema_is_corrected(tmp_path):
    products = {split: [product(number) for number in range(24)] for split in SPLITS}
    products["eval"][0] = product(0, gender=b"Kids")
    write_ingested(tmp_path, products, quarantined={})
    schema = tmp_path / "schema.pbtxt"
    schema.write_text(SCHEMA.read_text())
    with pytest.raises(DataRefused, match=r"^gender does not fit the schema: .*Kids \(~4%\) \(eval\)\.") as refusal:
        run_chain(tmp_path, schema)
    assert len(str(refusal.value).splitlines()) == 1
    schema.write_text(SCHEMA.read_text().replace('"Girls",', '"Girls", "Kids",'))
    (verdict,) = run_chain(tmp_path, schema).glob("*/verdict.json")
    assert json.loads(verdict.read_text())["examples"] == {"train": 24, "eval": 24, "test": 24}


@pytest.mark.slow
def test_run_on_bad_data_ends_with_every_reason(tmp_path):
    products = {split: [product(number, width=0) for number in range(24)] for split in SPLITS} | {"test": []}
    write_ingested(tmp_path, products, quarantined={"no picture": 9})
    with pytest.raises(DataRefused) as refusal:
        run_chain(tmp_path, SCHEMA)
    starts = [
        "width does not fit the schema: Unexpectedly small value: 0 (train, eval).",
        "9 of 57 rows",
        "Split test is",
    ]
    reasons = str(refusal.value).splitlines()
    assert [reason[: len(start)] for reason, start in zip(reasons, starts, strict=True)] == starts
    assert str(tmp_path / "quarantine" / "quarantine.csv") in reasons[1]
    assert not list((tmp_path / "artifacts").glob("DataGate/verdict/*/verdict.json"))


@pytest.mark.slow
def test_schema_that_cannot_be_read_is_refused_by_line(tmp_path):
    write_ingested(tmp_path, {split: [product(1)] for split in SPLITS}, quarantined={})
    schema = tmp_path / "schema.pbtxt"
    schema.write_text('feature {\n  nam: "gender"\n}\n')
    with pytest.raises(RecipeError, match=r"schema\.pbtxt:2:\d+ .*nam"):
        run_chain(tmp_path, schema)
