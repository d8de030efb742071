"""What the Evaluator computes, and what a model must reach."""

import json
from collections.abc import Sequence

from tensorflow_model_analysis.proto import config_pb2

from components.digest import code_digest
from components.evaluate.evidence import ROUNDING
from components.evaluate.figures import (
    CONFUSION,
    JUDGED_FIGURES,
    OVERALL_FIGURES,
    REGRESSION,
    SLICES,
)
from components.evaluate.settings import Gate
from components.features import LABEL


def eval_config(classes: Sequence[str], gate: Gate) -> config_pb2.EvalConfig:
    """Configures TFX's Evaluator for raw examples and a model with the signatures `evaluate` and `transform_features`.

    Every class has thresholds on recall, precision and loss, even where the gate says 0: what a class that does not
    occur or is never predicted is judged by is NaN, which no threshold accepts. They are set on what
    `figures.judgement` makes of the figures, so that TFMA's comparison with a number decides by intervals and tests.
    Without a baseline nothing is lost.

    Args:
        classes: names of the classes, in the order of their labels.
        gate: what a model must reach.

    Returns:
        Metrics overall and by class, for all examples and sliced by gender and season. An example that lacks
        the feature of a slice is left out of that slice only.
    """
    overall = config_pb2.MetricsSpec(
        metrics=[
            *(_figure(name, classes, gate, _overall_threshold(name, gate)) for name in (*OVERALL_FIGURES, REGRESSION)),
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
            for name in JUDGED_FIGURES  # the others of `CLASS_FIGURES` come with them
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
            *(config_pb2.SlicingSpec(feature_keys=[feature]) for feature in SLICES),
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
        config=json.dumps({"name": name, "classes": len(classes), "gate": gate.model_dump(), "code": code}),
    )
    if threshold:
        # A threshold that names no slice applies to each of them, and most classes are absent from some slice.
        figure.per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)
    return figure


def _overall_threshold(name: str, gate: Gate) -> config_pb2.MetricThreshold | None:
    match name:
        case "accuracy":
            return _at_least(gate.accuracy)
        case "macro_f1" | "macro_auprc" if (least := getattr(gate, name)) is not None:
            return _at_least(least)
        case "ece" if gate.ece is not None:
            return _at_most(gate.ece)
        case "judged_regression":
            return _at_most(gate.regression + ROUNDING)
    return None


def _class_threshold(name: str, gate: Gate) -> config_pb2.MetricThreshold | None:
    match name:
        case "judged_recall":
            return _at_least(gate.recall)
        case "judged_precision":
            return _at_least(gate.precision)
        case "judged_regression":
            return _at_most(gate.class_regression + ROUNDING)
    return None


def _at_least(value: float) -> config_pb2.MetricThreshold:
    return config_pb2.MetricThreshold(value_threshold={"lower_bound": {"value": value}})


def _at_most(value: float) -> config_pb2.MetricThreshold:
    return config_pb2.MetricThreshold(value_threshold={"upper_bound": {"value": value}})
