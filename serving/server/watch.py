"""What is kept of answers about pictures: counts for Prometheus, and a sample for the log."""

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.server.metrics import Metrics
from serving.server.rows import Arrays

if TYPE_CHECKING:
    from fashion_client.answer_log import AnswerLog

_PICTURES = "image_bytes"  # the input whose rows are encoded pictures
_HEAT = "heat"  # of an explanation, which is asked for of an answer that was given before


class Watch:
    """Sees every answer once. Its methods take microseconds, and never fail.

    Attributes:
        logs: whether there is a log.
    """

    def __init__(self, metrics: Metrics, log: "AnswerLog | None" = None) -> None:
        self._metrics, self._log, self.logs = metrics, log, log is not None
        if log is not None:
            metrics.watch_log(log)

    def answered(self, about: dict[str, Any], inputs: Arrays, outputs: Arrays, began: float) -> None:
        """Counts and logs an answer by `serving_default`, or one with the same outputs; passes over any other.

        Args:
            about: `model`, `version`, and, where they were sent, `request` and `product`, with a comma between rows.
            inputs: of the request.
            outputs: all that the model gave.
            began: when the request came, by `time.monotonic`.
        """
        if _HEAT in outputs or not {"label", "confidence", "error"} <= set(outputs) or outputs["label"].ndim != 1:
            return
        decisions = outputs.get("decision", np.full(len(outputs["label"]), b"", object))
        for (label, decision), count in Counter(zip(outputs["label"], decisions, strict=True)).items():
            self._metrics.answers.labels(about["model"], _text(label), _text(decision)).inc(count)
        confidence = self._metrics.confidence.labels(about["model"])
        for score, error in zip(outputs["confidence"].tolist(), outputs["error"], strict=True):
            if not error:
                confidence.observe(score)
        self._offer(about, inputs, began, outputs)

    def failed(self, about: dict[str, Any], inputs: Arrays, began: float, message: str) -> None:
        """Logs pictures of a request that failed as a whole."""
        self._offer(about, inputs, began, {}, message)

    def _offer(self, about: dict[str, Any], inputs: Arrays, began: float, outputs: Arrays, error: str = "") -> None:
        pictures = inputs.get(_PICTURES)
        if self._log is None or pictures is None or pictures.ndim != 1:
            return
        latency, products = 1000 * (time.monotonic() - began), about.get("product", "").split(",")
        for number in self._log.draw(len(pictures)):
            row = {**about, "latency_ms": latency, "error": error or None, "picture": bytes(pictures[number])}
            row["product"] = products[number].strip() or None if len(products) == len(pictures) else None
            self._log.offer(row | columns({name: values[number] for name, values in outputs.items()}))


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """Columns of the log from an answer's outputs for one picture; none from no outputs."""
    if not row:
        return {}
    found: dict[str, Any] = {name: _text(row[name]) or None for name in ("label", "decision", "error") if name in row}
    found |= {name: float(row[name]) for name in ("confidence", "outside") if name in row}
    if "top_labels" in row:
        pairs = zip(row["top_labels"], row["top_scores"].tolist(), strict=True)
        found["top"] = [{"label": _text(label), "confidence": score} for label, score in pairs]
    if "projection" in row and not found["error"]:
        found["projection"] = row["projection"].tolist()
    return found


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
