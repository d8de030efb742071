"""The figures of `figures.py` as metrics of TensorFlow Model Analysis.

TFMA's own binarized metrics run one combiner for each class, slice and example: on 59 classes and 2,650 pictures they
take minutes, here all figures together take seconds. Theirs also judge by P(class) > 0.5, these by the highest
probability, which is what a caller is given.
"""

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate.figures import CLASS_FIGURES, JUDGED_FIGURES, OVERALL_FIGURES, figures

_SCORES = "_scores"  # TFMA keeps names with a leading underscore to itself

# Labels int64 [n] and probabilities float32 [n, k], in pieces.
Scores = list[tuple[NDArray[np.int64], NDArray[np.float32]]]


class Figure(metric_types.Metric):
    """One figure, of each class (a spec with `binarize`) or overall (a spec without).

    However many are asked for, all are computed together, once for a model and slice. A slice is held in memory:
    four bytes for each example and class.
    """

    def __init__(self, name: str, classes: int, enough: int = 0, code: str = "") -> None:
        """Creates the metric.

        Args:
            name: one of `CLASS_FIGURES`, `JUDGED_FIGURES` or `OVERALL_FIGURES`.
            classes: number of classes.
            enough: examples of a class that are needed to judge it by itself.
            code: digest of the code that computes it, so that an edit makes another configuration.
        """
        super().__init__(_computations, name=name, classes=classes, enough=enough, code=code)


def _computations(
    name: str,
    classes: int,
    enough: int = 0,
    code: str = "",
    eval_config: config_pb2.EvalConfig | None = None,
    model_names: list[str] | None = None,
    example_weighted: bool = False,
) -> metric_types.MetricComputations:
    computations: metric_types.MetricComputations = []
    for model_name in model_names or [""]:
        scores = metric_types.MetricKey(name=_SCORES, model_name=model_name, example_weighted=example_weighted)
        computations.append(
            metric_types.MetricComputation(keys=[scores], preprocessors=None, combiner=_Collect(scores, eval_config))
        )
        # The same keys whatever figure is asked for: TFMA drops all but the first of equal computations.
        keys = [scores._replace(name=figure) for figure in OVERALL_FIGURES]
        for figure in CLASS_FIGURES + (JUDGED_FIGURES if enough else ()):
            keys += [scores._replace(name=figure, sub_key=metric_types.SubKey(class_id=i)) for i in range(classes)]
        computations.append(
            metric_types.DerivedMetricComputation(keys=keys, result=_result(scores, keys, classes, enough))
        )
    return computations


def _result(
    scores: metric_types.MetricKey, keys: Iterable[metric_types.MetricKey], classes: int, enough: int
) -> Callable[[dict[metric_types.MetricKey, Any]], dict[metric_types.MetricKey, float]]:
    def result(metrics: dict[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
        labels, probabilities = metrics[scores]
        of = figures(labels, probabilities, classes, enough)
        return {
            key: float(of.classes[key.name][key.sub_key.class_id]) if key.sub_key else of.overall[key.name]
            for key in keys
        }

    return result


class _Collect(beam.CombineFn):
    """Gathers the labels and probabilities of a slice."""

    def __init__(self, key: metric_types.MetricKey, eval_config: config_pb2.EvalConfig | None) -> None:
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self) -> Scores:
        return []

    def add_input(self, accumulator: Scores, element: metric_types.StandardMetricInputs) -> Scores:
        for label, probabilities, _ in metric_util.to_label_prediction_example_weight(
            element, eval_config=self._eval_config, model_name=self._key.model_name, flatten=False
        ):
            accumulator.append((np.reshape(label, (1,)).astype(np.int64), np.reshape(probabilities, (1, -1))))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Scores]) -> Scores:
        return [piece for accumulator in accumulators for piece in accumulator]

    def compact(self, accumulator: Scores) -> Scores:
        return [_joined(accumulator)] if accumulator else []

    def extract_output(self, accumulator: Scores) -> dict[metric_types.MetricKey, Any]:
        return {self._key: _joined(accumulator)}


def _joined(pieces: Scores) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    labels, probabilities = zip(*pieces, strict=True)
    return np.concatenate(labels), np.concatenate(probabilities)
