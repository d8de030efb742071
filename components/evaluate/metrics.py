"""The figures of `figures.py` as metrics of TensorFlow Model Analysis.

TFMA's own binarized metrics run one combiner for each class, slice and example: on 59 classes and 2,650 pictures they
take minutes, here all figures together take seconds. Theirs also judge by P(class) > 0.5, these by the highest
probability, which is what a caller is given.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray
from tensorflow_model_analysis.metrics import metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate.figures import figures, judgement, predictions_of
from components.evaluate.settings import Gate

_SCORES, _FIGURES = "_scores", "_figures"  # TFMA keeps names with a leading underscore to itself

# Labels int64 [n] and for each model, the candidate first, probabilities float32 [n, k]; in pieces.
Scores = list[tuple[NDArray[Any], ...]]


class Figure(metric_types.Metric):
    """One figure, of each class (a spec with `binarize`) or overall (a spec without).

    However many are asked for, all are computed together, once for a slice. A slice is held in memory: four bytes for
    each example, class and model. The answers of both models are kept side by side, which TFMA's own metrics cannot do:
    how many examples a class lost and gained against the baseline is known of pairs alone.
    """

    def __init__(self, name: str, classes: int, gate: Mapping[str, Any], code: str = "") -> None:
        """Creates the metric.

        Args:
            name: of a figure in `figures.py`.
            classes: number of classes.
            gate: what a model must reach, as `Gate.model_dump` has it.
            code: digest of the code that computes it, so that an edit makes another configuration.
        """
        super().__init__(_computations, name=name, classes=classes, gate=gate, code=code)


def _computations(
    name: str, classes: int, gate: Mapping[str, Any], code: str = "", eval_config: config_pb2.EvalConfig | None = None,
    model_names: list[str] | None = None, example_weighted: bool = False,
) -> metric_types.MetricComputations:  # fmt: skip
    models = model_names or [""]  # the candidate, and the baseline if there is one
    scores = metric_types.MetricKey(name=_SCORES, example_weighted=example_weighted)
    collect = _Collect(scores, models, eval_config)
    result = _result(scores, models, classes, Gate.model_validate(gate))
    return [
        metric_types.MetricComputation(keys=[scores], preprocessors=None, combiner=collect),
        # One key, the same whatever figure is asked for: TFMA drops all but the first of equal computations, and
        # pickles the keys with every step of the pipeline, which with all keys of 1,000 classes took a minute and more.
        metric_types.DerivedMetricComputation(keys=[scores._replace(name=_FIGURES)], result=result),
    ]


def _result(
    scores: metric_types.MetricKey, models: Sequence[str], classes: int, gate: Gate
) -> Callable[[dict[metric_types.MetricKey, Any]], dict[metric_types.MetricKey, float]]:
    def result(metrics: dict[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
        labels, *answers = metrics[scores]
        calls = [predictions_of(answer) for answer in answers]
        parts = [(models[0], judgement(labels, calls[0], calls[1] if calls[1:] else None, classes, gate))]
        parts += [(model, figures(labels, answer, classes)) for model, answer in zip(models, answers, strict=True)]
        computed: dict[metric_types.MetricKey, float] = {}
        for model, part in parts:
            key = scores._replace(model_name=model)
            computed |= {key._replace(name=name): value for name, value in part.overall.items()}
            for name, column in part.classes.items():
                for label, value in enumerate(column.tolist()):
                    computed[key._replace(name=name, sub_key=metric_types.SubKey(class_id=label))] = value
        return computed

    return result


class _Collect(beam.CombineFn):
    """Gathers the labels and the probabilities of all models of a slice."""

    def __init__(
        self, key: metric_types.MetricKey, models: Sequence[str], eval_config: config_pb2.EvalConfig | None
    ) -> None:
        self._key, self._models, self._eval_config = key, models, eval_config

    def create_accumulator(self) -> Scores:
        return []

    def add_input(self, accumulator: Scores, element: metric_types.StandardMetricInputs) -> Scores:
        piece = []
        for model in self._models:
            (answer,) = metric_util.to_label_prediction_example_weight(
                element, eval_config=self._eval_config, model_name=model, flatten=False
            )
            label, probabilities, _ = answer
            piece.append(np.reshape(probabilities, (1, -1)))
        accumulator.append((np.reshape(label, (1,)).astype(np.int64), *piece))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Scores]) -> Scores:
        return [piece for accumulator in accumulators for piece in accumulator]

    def compact(self, accumulator: Scores) -> Scores:
        return [_joined(accumulator)] if accumulator else []

    def extract_output(self, accumulator: Scores) -> dict[metric_types.MetricKey, Any]:
        return {self._key: _joined(accumulator)}


def _joined(pieces: Scores) -> tuple[NDArray[Any], ...]:
    return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))
