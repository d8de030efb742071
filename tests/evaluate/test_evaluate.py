"""A model is approved exactly when it meets the gate for every class, and what is said of it is what was measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from benchmarks.classes import evaluate as measure_evaluation
from components.evaluate.settings import Gate
from components.evaluate.verdict import Verdict, read_verdict, refusal
from pipeline.beam import Beam, beam_args
from tests.evaluate.confusions import OPEN, PERFECT, RARE, Confusion

CLASSES = ("topwear", "underwear", "eyewear")
GATE = Gate(accuracy=0.9, recall=0.9, precision=0.0, regression=0.02, class_regression=0.05)


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
        Executor(Executor.Context(beam_pipeline_args=beam_args(Beam()), tmp_dir=str(tmp_path))).Do(
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
        [[20, 0, 0], [8, 12, 0], [0, 0, 60]],
        None,
        GATE,
        ["underwear recall 60.0 % (38.7–78.1 %) is below 90 % (8 of 20 taken for topwear)"],
    ),
    ("one class missed by no more than chance", [[20, 0, 0], [3, 17, 0], [0, 0, 20]], None, GATE, []),
    (
        "one class claimed too often",
        [[20, 0, 0], [8, 12, 0], [0, 0, 20]],
        None,
        OPEN.model_copy(update={"precision": 0.9}),
        ["topwear precision 71.4 % (52.9–84.7 %) is below 90 % (8 of 28 predicted are underwear)"],
    ),
    (
        "absent class under an open gate",
        [[20, 0, 0], [0, 20, 0], [0, 0, 0]],
        None,
        OPEN,
        ["eyewear does not occur in the test split"],
    ),
    (
        "absent class that is predicted under an open gate",
        [[20, 0, 0], [0, 19, 1], [0, 0, 0]],
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
        [[92, 8, 0], [0, 100, 0], [0, 0, 100]],
        [[100, 0, 0], [0, 100, 0], [0, 0, 100]],
        GATE,
        [
            "accuracy 97.3 % is worse by 2.7 ± 1.8 points than the blessed baseline's 100.0 % on 300 pictures "
            "(tolerance 2)",
            "topwear recall 92.0 % is worse by 8.0 ± 5.3 points than the blessed baseline's 100.0 % on 100 pictures "
            "(tolerance 5)",
        ],
    ),
    ("worse than the baseline by no more than chance", [[18, 2, 0], [0, 20, 0], [0, 0, 20]], PERFECT, GATE, []),
    (
        "better overall, worse for one class",
        [[100, 0, 0], [8, 92, 0], [0, 0, 100]],
        [[94, 6, 0], [0, 100, 0], [6, 0, 94]],
        GATE,
        [
            "underwear recall 92.0 % is worse by 8.0 ± 5.3 points than the blessed baseline's 100.0 % on 100 pictures "
            "(tolerance 5)"
        ],
    ),
    ("worse by exactly the tolerance", [[19, 1, 0], [0, 20, 0], [0, 0, 20]], PERFECT, GATE, []),
    ("better than a poor baseline", PERFECT, [[10, 10, 0], [0, 20, 0], [0, 20, 0]], GATE, []),
    (
        "better than a poor baseline, and still below the gate",
        [[40, 0, 0], [8, 12, 0], [0, 0, 40]],
        [[40, 0, 0], [20, 0, 0], [40, 0, 0]],
        GATE,
        ["underwear recall 60.0 % (38.7–78.1 %) is below 90 % (8 of 20 taken for topwear)"],
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
            "recall of the 2 classes with fewer than 20 test examples together 70.4 % (51.5–84.1 %) is below 90 %",
            "recall of the 2 classes with fewer than 20 test examples together 70.4 % is worse by 29.6 ± 17.2 points "
            "than the blessed baseline's 100.0 % on 27 pictures (tolerance 5)",
        ],
    ),
]


# What the Evaluator itself is run on; that the others pass is TFMA's own check alone.
REFUSED = [row for row in JUDGED if row[-1] or row[0] == "perfect, first run"]


def is_passed(candidate: Confusion, baseline: Confusion | None, gate: Gate) -> bool:
    """Whether the configured figures meet the configured thresholds, by TFMA's own check and without its pipeline."""
    import tensorflow_model_analysis as tfma
    from tensorflow_model_analysis.evaluators.metrics_validator import validate_metrics
    from tensorflow_model_analysis.metrics.metric_specs import to_computations

    from components.evaluate.config import eval_config

    examples = examples_of(candidate, baseline)
    calls = [[each.predicted for each in examples], *([[each.baseline for each in examples]] if baseline else [])]
    scores = [np.array([probabilities_of(call) for call in of_model], np.float32) for of_model in calls]
    config = tfma.utils.update_eval_config_with_defaults(
        eval_config(CLASSES, gate), has_baseline=baseline is not None, rubber_stamp=True
    )
    figures = next(each for each in to_computations(config.metrics_specs, config) if each.keys[0].name == "_figures")
    labels = np.array([each.label for each in examples])
    metrics = figures.result({figures.keys[0]._replace(name="_scores"): (labels, *scores)})
    return validate_metrics(((), metrics), config).validation_ok


@pytest.mark.parametrize(
    ("candidate", "baseline", "gate", "sentences"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_gate_passes_exactly_what_reaches_it(
    candidate: Confusion, baseline: Confusion | None, gate: Gate, sentences: list[str]
) -> None:
    assert is_passed(candidate, baseline, gate) == (not sentences)


@pytest.mark.parametrize("figure", ["macro_f1", "macro_auprc", "ece", "accuracy", "regression", "class_regression"])
def test_each_limit_of_the_gate_refuses_by_itself(figure: str) -> None:
    candidate, baseline = [[70, 30, 0], [0, 100, 0], [0, 0, 100]], [[100, 0, 0], [0, 100, 0], [0, 0, 100]]
    limit = {figure: 0.0 if figure in ("ece", "regression", "class_regression") else 1.0}
    assert is_passed(candidate, baseline, OPEN)
    assert not is_passed(candidate, baseline, OPEN.model_copy(update=limit))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidate", "baseline", "gate", "sentences"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
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
def test_what_an_evaluation_writes_grows_with_the_classes_and_not_with_their_square(tmp_path: Path) -> None:
    _, _, few, _ = measure_evaluation(20, tmp_path / "few")
    _, _, many, _ = measure_evaluation(80, tmp_path / "many")
    assert many < 5 * few


@pytest.mark.slow
def test_empty_test_split_is_refused(evaluate: Evaluate) -> None:
    outcome = evaluate([], GATE)
    assert not outcome.blessed
    assert "the test split holds no example" in refusal("six_class", outcome.verdict.reasons, None)


@pytest.mark.slow
def test_evaluation_and_blessing_of_different_runs_are_not_mixed(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate(examples_of(PERFECT), GATE)
    with pytest.raises(ValueError, match="not of one run"):
        read_verdict(tmp_path / "evaluation", False, CLASSES, GATE)
