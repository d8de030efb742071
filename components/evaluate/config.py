"""What the Evaluator computes, and what a model must reach."""

import json
from collections.abc import Sequence

from tensorflow_model_analysis.proto import config_pb2

from components.digest import code_digest
from components.evaluate.figures import CLASS_FIGURES, CONFUSION, JUDGED_FIGURES, OVERALL_FIGURES, SLICES
from components.features import LABEL
from components.settings import Gate

# A loss of exactly the tolerance is allowed, and 0.968 - 0.973 is a little less than -0.005.
_ROUNDING = 1e-9


def eval_config(classes: Sequence[str], gate: Gate) -> config_pb2.EvalConfig:
    """Configures TFX's Evaluator for raw examples and a model with the signatures `evaluate` and `transform_features`.

    Every class has a threshold on recall and on precision, even where the gate says 0: the figures of a class that
    does not occur or is never predicted are NaN, which no threshold accepts. With `gate.support` they are thresholds on
    what `figures.judged` makes of them, which is a number for classes that are rare or do not occur. Thresholds against
    the baseline apply where the Evaluator is given one; without, TFX drops them and the others decide alone.

    Args:
        classes: names of the classes, in the order of their labels.
        gate: what a model must reach.

    Returns:
        Metrics overall and by class, for all examples and sliced by label, gender and season. An example that lacks
        the feature of a slice is left out of that slice only.
    """
    overall = config_pb2.MetricsSpec(
        metrics=[
            *(_figure(name, classes, gate, _overall_threshold(name, gate)) for name in OVERALL_FIGURES),
            config_pb2.MetricConfig(class_name="ExampleCount"),
            config_pb2.MetricConfig(
                class_name="MultiClassConfusionMatrixAtThresholds",
                # The highest probability counts, however low it is.
                config=json.dumps({"name": CONFUSION, "thresholds": [0.0]}),
            ),
        ]
    )
    by_class = config_pb2.MetricsSpec(
        metrics=[
            _figure(name, classes, gate, _class_threshold(name, gate))
            for name in CLASS_FIGURES + (JUDGED_FIGURES if gate.support else ())
        ],
        binarize=config_pb2.BinarizationOptions(class_ids={"values": range(len(classes))}),
    )
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name="evaluate",
                prediction_key="probabilities",
                label_key=LABEL,
                preprocessing_function_names=["transform_features"],
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[feature]) for feature in (LABEL, *SLICES)),
        ],
        metrics_specs=[overall, by_class],
    )


def _figure(
    name: str, classes: Sequence[str], gate: Gate, threshold: config_pb2.MetricThreshold | None
) -> config_pb2.MetricConfig:
    code = code_digest("components.evaluate.metrics")
    figure = config_pb2.MetricConfig(
        class_name="Figure",
        module="components.evaluate.metrics",
        config=json.dumps({"name": name, "classes": len(classes), "enough": gate.support or 0, "code": code}),
    )
    if threshold:
        # A threshold that names no slice applies to each of them, and most classes are absent from some slice.
        figure.per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)
    return figure


def _overall_threshold(name: str, gate: Gate) -> config_pb2.MetricThreshold | None:
    match name:
        case "accuracy":
            return _threshold(gate.accuracy, gate.regression)
        case "macro_f1" | "macro_auprc" if (least := getattr(gate, name)) is not None:
            return _threshold(least)
        case "ece" if gate.ece is not None:
            return config_pb2.MetricThreshold(value_threshold={"upper_bound": {"value": gate.ece}})
    return None


def _class_threshold(name: str, gate: Gate) -> config_pb2.MetricThreshold | None:
    recall, precision = ("judged_recall", "judged_precision") if gate.support else ("recall", "precision")
    if name == recall:
        return _threshold(gate.recall, gate.class_regression)
    return _threshold(gate.precision) if name == precision else None


def _threshold(least: float, largest_loss: float | None = None) -> config_pb2.MetricThreshold:
    threshold = config_pb2.MetricThreshold(value_threshold={"lower_bound": {"value": least}})
    if largest_loss is not None:
        threshold.change_threshold.absolute.value = -largest_loss - _ROUNDING
        threshold.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
    return threshold
