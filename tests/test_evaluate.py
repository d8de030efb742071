"""A model is approved exactly when it meets the gate for every class, and what is said of it is what was measured."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from components.evaluate import verdict as verdict_module
from components.evaluate.figures import (
    OVERALL_FIGURES,
    average_precision,
    calibration_error,
    figures,
    judged,
    top_accuracy,
)
from components.evaluate.record import Breach, Metric, Record
from components.evaluate.sentences import note_on_rare
from components.evaluate.verdict import Verdict, read_verdict, refusal
from components.report.quality import calibration_of
from components.settings import Gate

CLASSES = ("topwear", "underwear", "eyewear")
GATE = Gate(accuracy=0.9, recall=0.9, precision=0.0, regression=0.02, class_regression=0.05)
OPEN = Gate(accuracy=0, recall=0, precision=0, regression=1, class_regression=1)

# Examples by true class (row) and predicted class (column), in the order of CLASSES.
Confusion = list[list[int]]
PERFECT = [[20, 0, 0], [0, 20, 0], [0, 0, 20]]
RARE = [[30, 0, 0], [0, 15, 0], [0, 8, 4]]


class Example(NamedTuple):
    """One picture of the test split: its class, what the models call it, and what else is known of it."""

    label: int
    predicted: int
    baseline: int | None = None
    gender: bytes | None = None
    season: bytes | None = None


class Outcome(NamedTuple):
    """What the Evaluator left behind: the verdict, and what its blessing says."""

    verdict: Verdict
    blessed: bool


Evaluate = Callable[[list[Example], Gate], Outcome]
Judge = Callable[[Confusion, Gate, list[Breach]], Verdict]


def examples_of(candidate: Confusion, baseline: Confusion | None = None) -> list[Example]:
    examples = []
    for label, row in enumerate(candidate):
        calls = np.repeat(range(len(row)), row).tolist()
        others = np.repeat(range(len(row)), baseline[label]).tolist() if baseline else [None] * len(calls)
        examples += [Example(label, *both) for both in zip(calls, others, strict=True)]
    return examples


def probabilities_of(predicted: int) -> list[float]:
    # No class is above one half: only the highest counts.
    return [0.4 if i == predicted else 0.3 for i in range(len(CLASSES))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models whose answers stand in the examples: the candidate's and the baseline's."""
    import tensorflow as tf

    class Oracle(tf.Module):
        def __init__(self, feature: str) -> None:
            super().__init__()
            self._spec = {
                feature: tf.io.FixedLenFeature([len(CLASSES)], tf.float32),
                "truth": tf.io.FixedLenFeature([], tf.int64),
            }
            self._feature = feature

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            probabilities = tf.io.parse_example(examples, self._spec)[self._feature]
            one_hot = tf.one_hot(tf.argmax(probabilities, axis=-1), len(CLASSES))
            return {"probabilities": probabilities, "one_hot": one_hot}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"label": tf.io.parse_example(examples, self._spec)["truth"]}

    folders = {}
    for name in ("candidate", "baseline"):
        folders[name] = tmp_path_factory.mktemp(name)
        oracle = Oracle(name)
        signatures = {"evaluate": oracle.evaluate, "transform_features": oracle.transform_features}
        tf.saved_model.save(oracle, str(folders[name] / "Format-Serving"), signatures=signatures)
    return folders


@pytest.fixture
def evaluate(models: dict[str, Path], tmp_path: Path) -> Evaluate:
    """Runs TFX's own Evaluator; with a baseline where the examples have one."""
    from tfx.components.evaluator.executor import Executor
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    from components.evaluate.config import eval_config

    def run(examples: list[Example], gate: Gate) -> Outcome:
        data, evaluation, blessing, model, baseline = (
            standard_artifacts.Examples(),
            standard_artifacts.ModelEvaluation(),
            standard_artifacts.ModelBlessing(),
            standard_artifacts.Model(),
            standard_artifacts.Model(),
        )
        data.uri, evaluation.uri, blessing.uri = (str(tmp_path / name) for name in ("data", "evaluation", "blessing"))
        data.split_names = json.dumps(["test"])
        write(examples, tmp_path / "data" / "Split-test" / "examples.tfrecord")
        model.uri, baseline.uri = str(models["candidate"]), str(models["baseline"])
        inputs = {"examples": [data], "model": [model]}
        if any(example.baseline is not None for example in examples):
            inputs["baseline_model"] = [baseline]
        Executor(Executor.Context(beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(tmp_path))).Do(
            inputs,
            {"evaluation": [evaluation], "blessing": [blessing]},
            {
                "eval_config": proto_utils.proto_to_json(eval_config(CLASSES, gate)),
                "example_splits": json.dumps(["test"]),
            },
        )
        blessed = blessing.get_int_custom_property("blessed") == 1
        assert (tmp_path / "blessing" / "BLESSED").exists() == blessed
        return Outcome(read_verdict(evaluation.uri, blessed, CLASSES, gate), blessed)

    return run


def write(examples: list[Example], path: Path) -> None:
    import tensorflow as tf

    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as out:
        for example in examples:
            features = {"truth": tf.train.Feature(int64_list={"value": [example.label]})}
            for name, predicted in (("candidate", example.predicted), ("baseline", example.baseline)):
                if predicted is not None:
                    features[name] = tf.train.Feature(float_list={"value": probabilities_of(predicted)})
            for name, value in (("gender", example.gender), ("season", example.season)):
                if value is not None:
                    features[name] = tf.train.Feature(bytes_list={"value": [value]})
            out.write(tf.train.Example(features={"feature": features}).SerializeToString())


JUDGED: list[tuple[str, Confusion, Confusion | None, Gate, list[str]]] = [
    ("perfect, first run", PERFECT, None, GATE, []),
    ("recall exactly at the gate", [[18, 2, 0], [0, 20, 0], [0, 0, 20]], None, GATE, []),
    (
        "low accuracy",
        [[15, 5, 0], [0, 15, 5], [5, 0, 15]],
        None,
        OPEN.model_copy(update={"accuracy": 0.9}),
        ["accuracy 75.0 % is below 90 %"],
    ),
    (
        "one class missed, all else fine",
        [[20, 0, 0], [3, 17, 0], [0, 0, 20]],
        None,
        GATE,
        ["underwear recall 85.0 % is below 90 % (3 of 20 taken for topwear)"],
    ),
    (
        "one class claimed too often",
        [[20, 0, 0], [3, 17, 0], [0, 0, 20]],
        None,
        OPEN.model_copy(update={"precision": 0.9}),
        ["topwear precision 87.0 % is below 90 % (3 of 23 predicted are underwear)"],
    ),
    (
        "absent class under an open gate",
        [[20, 0, 0], [0, 20, 0], [0, 0, 0]],
        None,
        OPEN,
        ["eyewear does not occur in the test split"],
    ),
    (
        "never predicted class under an open gate",
        [[20, 0, 0], [0, 20, 0], [20, 0, 0]],
        None,
        OPEN,
        ["eyewear was never predicted"],
    ),
    (
        "collapsed",
        [[98, 0, 0], [1, 0, 0], [1, 0, 0]],
        None,
        GATE,
        ["underwear was never predicted", "eyewear was never predicted"],
    ),
    (
        "worse than the baseline",
        [[18, 2, 0], [0, 20, 0], [0, 0, 20]],
        PERFECT,
        GATE,
        [
            "accuracy 96.7 % is 3.3 points below the blessed baseline's 100.0 % (tolerance 2)",
            "topwear recall 90.0 % is 10.0 points below the blessed baseline's 100.0 % (tolerance 5)",
        ],
    ),
    (
        "better overall, worse for one class",
        [[20, 0, 0], [2, 18, 0], [0, 0, 20]],
        [[18, 2, 0], [0, 20, 0], [2, 0, 18]],
        GATE,
        ["underwear recall 90.0 % is 10.0 points below the blessed baseline's 100.0 % (tolerance 5)"],
    ),
    ("worse by exactly the tolerance", [[19, 1, 0], [0, 20, 0], [0, 0, 20]], PERFECT, GATE, []),
    ("better than a poor baseline", PERFECT, [[10, 10, 0], [0, 20, 0], [0, 20, 0]], GATE, []),
    (
        "better than a poor baseline, and still below the gate",
        [[20, 0, 0], [4, 16, 0], [0, 0, 20]],
        [[20, 0, 0], [20, 0, 0], [20, 0, 0]],
        GATE,
        ["underwear recall 80.0 % is below 90 % (4 of 20 taken for topwear)"],
    ),
    (
        "poor means and poor calibration",
        [[15, 5, 0], [0, 15, 5], [5, 0, 15]],
        None,
        OPEN.model_copy(update={"macro_f1": 0.9, "macro_auprc": 0.9, "ece": 0.1}),
        [
            "expected calibration error 35.0 % is above 10 %",
            "macro-F1 75.0 % is below 90 %",
            "macro-AUPRC 64.6 % is below 90 %",
        ],
    ),
    (
        "too rare to be judged, and absent",
        [[20, 0, 0], [2, 1, 0], [0, 0, 0]],
        None,
        GATE.model_copy(update={"support": 10}),
        [],
    ),
    (
        "rare classes together missed, and worse than the baseline",
        RARE,
        [[30, 0, 0], [0, 15, 0], [0, 0, 12]],
        OPEN.model_copy(update={"recall": 0.9, "class_regression": 0.05, "support": 20}),
        [
            "recall of the 2 classes with fewer than 20 test examples together 70.4 % is below 90 %",
            "recall of the 2 classes with fewer than 20 test examples together 70.4 % is 29.6 points below the blessed "
            "baseline's 100.0 % (tolerance 5)",
        ],
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidate", "baseline", "gate", "sentences"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_evaluator_blesses_exactly_what_passes_and_every_refusal_is_explained(
    evaluate: Evaluate, candidate: Confusion, baseline: Confusion | None, gate: Gate, sentences: list[str]
) -> None:
    outcome = evaluate(examples_of(candidate, baseline), gate)
    assert [failure.sentence for failure in outcome.verdict.failures] == sentences
    assert outcome.blessed == outcome.verdict.blessed == (not sentences)
    assert outcome.verdict.confusion == tuple(map(tuple, candidate))


@pytest.mark.slow
def test_figures_of_the_verdict_are_those_of_the_confusion(evaluate: Evaluate) -> None:
    verdict = evaluate(
        examples_of([[18, 2, 0], [0, 20, 0], [0, 1, 9]], [[20, 0, 0], [2, 18, 0], [1, 0, 9]]), GATE
    ).verdict
    assert verdict.examples == 50
    assert verdict.accuracy == pytest.approx(47 / 50)
    assert verdict.baseline_accuracy == pytest.approx(47 / 50)
    assert verdict.loss == pytest.approx((47 * -np.log(0.4) + 3 * -np.log(0.3)) / 50, rel=1e-6)
    topwear, underwear, eyewear = verdict.classes
    assert (topwear.precision, topwear.recall, topwear.baseline_recall) == (1.0, 0.9, 1.0)
    assert underwear.precision == pytest.approx(20 / 23)
    assert (underwear.support, underwear.predicted) == (20, 23)
    assert eyewear.f1 == pytest.approx(2 * 9 / (10 + 9))
    assert verdict.macro_recall == pytest.approx((0.9 + 1 + 0.9) / 3)


@pytest.mark.slow
def test_examples_that_lack_the_feature_of_a_slice_are_left_out_of_that_slice_only(evaluate: Evaluate) -> None:
    examples = examples_of(PERFECT)
    examples[0] = examples[0]._replace(gender=b"Women", season=b"Fall", predicted=1)
    examples[1] = examples[1]._replace(gender=b"Women")
    outcome = evaluate(examples, GATE)
    assert outcome.blessed
    assert outcome.verdict.examples == len(examples)
    slices = [(each.feature, each.value, each.examples, each.accuracy) for each in outcome.verdict.slices]
    assert slices == [("gender", "Women", 2, 0.5), ("season", "Fall", 1, 0.0)]


@pytest.mark.slow
def test_empty_test_split_is_refused(evaluate: Evaluate) -> None:
    outcome = evaluate([], GATE)
    assert not outcome.blessed
    assert "the test split holds no example" in refusal("six_class", outcome.verdict, None)


@pytest.mark.slow
def test_evaluation_and_blessing_of_different_runs_are_not_mixed(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate(examples_of(PERFECT), GATE)
    with pytest.raises(ValueError, match="not of one run"):
        read_verdict(tmp_path / "evaluation", False, CLASSES, GATE)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """A verdict on a confusion, without the Evaluator: what it would have found is given."""

    def judged(confusion: Confusion, gate: Gate, breaches: list[Breach]) -> Verdict:
        labels = np.repeat(range(len(confusion)), [sum(row) for row in confusion])
        calls = np.concatenate([np.repeat(range(len(row)), row) for row in confusion])
        of = figures(labels, np.eye(len(confusion), dtype=np.float32)[calls], len(confusion))
        numbers = {Metric(name): value for name, value in of.overall.items()}
        numbers |= {
            Metric(name, i): float(value) for name, values in of.classes.items() for i, value in enumerate(values)
        }
        numbers = {metric: value for metric, value in numbers.items() if not np.isnan(value)}
        counts = {(i, j): count for i, row in enumerate(confusion) for j, count in enumerate(row)}
        record = Record(ok=not breaches, breaches=tuple(breaches), slices={(): numbers}, confusion=counts)
        monkeypatch.setattr(verdict_module, "read_record", lambda _: record)
        names = [f"class{i}" for i in range(len(confusion))]
        return read_verdict("anywhere", not breaches, names, gate)

    return judged


def test_refusal_names_the_class_and_what_still_serves(judge: Judge) -> None:
    verdict = judge([[912, 88], [0, 1000]], Gate(), [Breach("recall", 0, False)])
    assert refusal("six_class", verdict, 1795228152) == (
        "six_class refused: class0 recall 91.2 % is below 95 % (88 of 1,000 taken for class1). "
        "Nothing was published; version 1795228152 still serves."
    )
    assert refusal("six_class", verdict, None).endswith("Nothing was published; nothing serves yet.")


def test_class_that_does_not_occur_is_told_once_and_before_all_else_about_it(judge: Judge) -> None:
    breaches = [Breach("recall", 1, False), Breach("recall", 1, True), Breach("precision", 1, False)]
    verdict = judge([[9, 1], [0, 0]], Gate(), breaches)
    assert [failure.sentence for failure in verdict.failures] == ["class1 does not occur in the test split"]


def test_refusal_of_a_collapsed_model_stays_readable(judge: Judge) -> None:
    confusion = [[10] + 58 * [0] for _ in range(59)]
    verdict = judge(confusion, Gate(), [Breach("precision", i, False) for i in range(1, 59)])
    assert len(verdict.failures) == 58
    assert "class6 was never predicted; and 52 more. Nothing was published" in refusal("edgenet", verdict, 3)


@pytest.mark.parametrize(
    ("right", "shown"),
    [(9499, "94.99 % is below 95 %"), (9400, "94.0 % is below 95 %"), (9496, "94.96 % is below 95 %")],
)
def test_figure_below_the_gate_never_reads_as_the_gate(judge: Judge, right: int, shown: str) -> None:
    confusion = [[right, 10_000 - right], [0, 10_000]]
    assert shown in judge(confusion, Gate(), [Breach("recall", 0, False)]).failures[0].sentence


def test_published_figures_are_json_with_null_for_what_does_not_exist(judge: Judge) -> None:
    verdict = judge([[10, 0], [0, 0]], Gate(), [Breach("recall", 1, False), Breach("precision", 1, False)])
    written = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert written["classes"][1] == {
        "name": "class1", "precision": None, "recall": None, "f1": None, "auprc": None,
        "support": 0, "predicted": 0, "baseline_recall": None,
    }  # fmt: skip
    assert written["failures"] == [{"name": "class1", "sentence": "class1 does not occur in the test split"}]
    assert written["confusion"] == [[10, 0], [0, 0]]
    assert written["gate"]["recall"] == 0.95


@pytest.mark.parametrize(
    ("confusion", "support", "note"),
    [
        (RARE, None, ""),
        (RARE, 12, ""),
        (RARE, 15, "1 class with fewer than 15 test examples, 12 in all, is not judged: class2."),
        (
            RARE,
            16,
            "2 classes with fewer than 16 test examples, 27 in all, are judged together by their recall, 70.4 %: "
            "class1, class2.",
        ),
        (
            [[9, 0, 0], [1, 0, 0], [0, 0, 0]],
            5,
            "2 classes with fewer than 5 test examples, 1 in all, are not judged: class1, class2. "
            "Not in the test split at all: class2.",
        ),
    ],
)
def test_classes_that_are_not_judged_by_themselves_are_named(
    judge: Judge, confusion: Confusion, support: int | None, note: str
) -> None:
    verdict = judge(confusion, OPEN.model_copy(update={"support": support}), [])
    assert note_on_rare(verdict) == note
    names = verdict.as_json()["rare"]["names"] if note else ()
    assert all(name in note for name in names)


def test_reading_code_starts_without_tensorflow() -> None:
    check = "import sys, components.evaluate.verdict; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parent.parent).returncode == 0


@pytest.mark.parametrize(
    ("positive", "scores", "area"),
    [
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 1.0),
        ([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1], (1 / 3 + 2 / 4) / 2),
        ([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1], (1 + 2 / 3) / 2),
        ([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], 1 / 4),
        ([0, 0, 1, 0], [0.5, 0.5, 0.5, 0.5], 1 / 4),
    ],
)
def test_area_under_precision_and_recall_is_the_mean_precision_of_the_positives(
    positive: list[int], scores: list[float], area: float
) -> None:
    assert average_precision(np.array(positive, bool), np.array(scores, np.float32)) == pytest.approx(area)


@pytest.mark.parametrize("seed", range(3))
def test_area_under_precision_and_recall_is_the_sum_over_all_thresholds(seed: int) -> None:
    random = np.random.default_rng(seed)
    positive, scores = random.random(60) < 0.3, random.integers(0, 12, 60).astype(np.float32)
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        called = scores >= threshold
        recall = (called & positive).sum() / positive.sum()
        area += (recall - recall_before) * (called & positive).sum() / called.sum()
        recall_before = recall
    assert average_precision(positive, scores) == pytest.approx(area)


def drawn(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that lean towards them."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    logits = random.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy_bin_by_bin() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.92, 0.08], [0.61, 0.39], [0.0, 1.0]], np.float32)
    # 0.9 and 0.92 share a bin, both right; 0.61 is wrong; 1.0 is right.
    assert calibration_error(labels, probabilities) == pytest.approx((2 * 0.09 + 0.61 + 0) / 4)


def test_calibration_error_is_what_the_report_shows() -> None:
    labels, probabilities = drawn(500, 7)
    probabilities[0] = np.eye(7)[2] * np.float32(1.0000001)
    shown = calibration_of(labels, probabilities).ece
    assert calibration_error(labels, probabilities) == pytest.approx(shown)
    assert 0.02 < shown < 0.5


@pytest.mark.parametrize("top", [1, 2, 5])
def test_top_accuracy_is_how_often_the_class_is_among_the_most_probable(top: int) -> None:
    labels, probabilities = drawn(300, 7)
    probabilities[:50] = np.round(probabilities[:50], 1)  # so that some are equal
    found = [
        label in sorted(range(7), key=lambda i, row=row: -row[i])[:top] and row[label] > 0
        for label, row in zip(labels, probabilities, strict=True)
    ]
    assert top_accuracy(labels, probabilities, top) == pytest.approx(np.mean(found))
    assert top > 1 or top_accuracy(labels, probabilities, 1) == figures(labels, probabilities, 7).overall["accuracy"]


def test_top_five_of_five_classes_are_no_figure() -> None:
    assert np.isnan(figures(*drawn(20, 5), 5).overall["top5_accuracy"])
    assert figures(*drawn(20, 6), 6).overall["top5_accuracy"] > 0.5


COUNTS = {"right": [90, 4, 1, 0, 0], "support": [100, 8, 2, 1, 0], "predicted": [99, 10, 2, 0, 0]}


@pytest.mark.parametrize(
    ("enough", "recall", "precision"),
    [
        (0, [0.9, 0.5, 0.5, 0, np.nan], [90 / 99, 0.4, 0.5, np.nan, np.nan]),
        (3, [0.9, 0.5, 1 / 3, 1 / 3, 1 / 3], [90 / 99, 0.4, 1, 1, 1]),
        (4, [0.9, 0.5, 1, 1, 1], [90 / 99, 0.4, 1, 1, 1]),
        (10, [0.9, 5 / 11, 5 / 11, 5 / 11, 5 / 11], [90 / 99, 1, 1, 1, 1]),
        (200, [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
    ],
)
def test_no_judgement_rests_on_fewer_examples_than_are_enough(
    enough: int, recall: list[float], precision: list[float]
) -> None:
    of = judged(*(np.array(counts) for counts in COUNTS.values()), enough)
    np.testing.assert_allclose(of["judged_recall"], recall)
    np.testing.assert_allclose(of["judged_precision"], precision)


def test_macro_figures_leave_out_classes_that_do_not_occur() -> None:
    of = figures(np.array([0, 0, 1]), np.array([[0.9, 0.1, 0], [0, 1, 0], [0, 1, 0]], np.float32), 3)
    assert of.overall["macro_recall"] == pytest.approx(0.75)
    assert np.isnan(of.classes["recall"][2])
    assert np.isnan(of.classes["precision"][2])


def test_picture_without_an_answer_counts_as_a_mistake() -> None:
    of = figures(np.array([0, 0]), np.array([[1, 0], [0, 0]], np.float32), 2)
    assert of.overall["accuracy"] == 0.5
    assert of.classes["predicted"].tolist() == [1, 0]


def test_no_examples_give_no_figures() -> None:
    of = figures(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), 2)
    assert all(np.isnan(of.overall[name]) for name in OVERALL_FIGURES)


@pytest.mark.parametrize(("labels", "columns"), [([-1], 2), ([2], 2), ([0], 3)])
def test_labels_or_scores_of_another_class_list_are_refused(labels: list[int], columns: int) -> None:
    with pytest.raises(ValueError, match=r"labels go from|have shape"):
        figures(np.array(labels), np.ones((1, columns), np.float32), 2)
