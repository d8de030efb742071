"""What the Evaluator computes, and what a model must reach."""

import json
from collections.abc import Iterator, Mapping, Sequence

from tensorflow_model_analysis.proto import config_pb2

from components.digest import code_digest
from components.evaluate.evidence import ROUNDING
from components.evaluate.figures import CONFUSION, JUDGED_FIGURES, OVERALL_FIGURES, REGRESSION, SLICES
from components.evaluate.settings import Gate
from components.features import LABEL

Limits = Mapping[str, tuple[str, float]]  # figure to the bound of a threshold and its value


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
    confusion = config_pb2.MetricConfig(
        class_name="MultiClassConfusionMatrixAtThresholds",
        # The highest probability counts, however low it is.
        config=json.dumps({"name": CONFUSION, "thresholds": [0.0]}),
    )
    overall = config_pb2.MetricsSpec(
        metrics=[
            *_figures((*OVERALL_FIGURES, REGRESSION), _overall_limits(gate), classes, gate),
            config_pb2.MetricConfig(class_name="ExampleCount"),
            confusion,
        ]
    )
    class_limits: Limits = {
        "judged_recall": ("lower_bound", gate.recall),
        "judged_precision": ("lower_bound", gate.precision),
        REGRESSION: ("upper_bound", gate.class_regression + ROUNDING),
    }
    by_class = config_pb2.MetricsSpec(
        # The others of `CLASS_FIGURES` come with these.
        metrics=_figures(JUDGED_FIGURES, class_limits, classes, gate),
        binarize=config_pb2.BinarizationOptions(class_ids={"values": range(len(classes))}),
    )
    model = config_pb2.ModelSpec(
        signature_name="evaluate", prediction_key="probabilities", label_key=LABEL,
        preprocessing_function_names=["transform_features"],
    )  # fmt: skip
    slices = [config_pb2.SlicingSpec(feature_keys=keys) for keys in ([], *([feature] for feature in SLICES))]
    return config_pb2.EvalConfig(model_specs=[model], slicing_specs=slices, metrics_specs=[overall, by_class])


def _overall_limits(gate: Gate) -> Limits:
    limits = {
        "accuracy": ("lower_bound", gate.accuracy),
        "macro_f1": ("lower_bound", gate.macro_f1),
        "macro_auprc": ("lower_bound", gate.macro_auprc),
        "ece": ("upper_bound", gate.ece),
        REGRESSION: ("upper_bound", gate.regression + ROUNDING),
    }
    return {name: (bound, value) for name, (bound, value) in limits.items() if value is not None}


def _figures(
    names: Sequence[str], limits: Limits, classes: Sequence[str], gate: Gate
) -> Iterator[config_pb2.MetricConfig]:
    code = code_digest("components.evaluate.metrics")
    for name in names:
        figure = config_pb2.MetricConfig(
            class_name="Figure",
            module="components.evaluate.metrics",
            config=json.dumps({"name": name, "classes": len(classes), "gate": gate.model_dump(), "code": code}),
        )
        if name in limits:
            bound, value = limits[name]
            threshold = config_pb2.MetricThreshold(value_threshold={bound: {"value": value}})
            # A threshold that names no slice applies to each of them, and most classes are absent from some slice.
            figure.per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)
        yield figure
