"""What the server counts, for Prometheus: under TensorFlow Serving's names where it counts the same."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from serving.server.errors import ServingError

if TYPE_CHECKING:
    from fashion_client.answer_log import AnswerLog

_LATENCY_MICROSECONDS = tuple(10 * 1.8**power for power in range(32))
_ROWS = tuple(2**power for power in range(11))
_CONFIDENCE = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

_CREATED = re.compile(rb"^(# (HELP|TYPE) )?[\w:]+_created[ {]")
_TOTAL = re.compile(rb"^((?:# (?:HELP|TYPE) )?:tensorflow:[\w:]+)_total\b")


class Metrics:
    """Counters of one server. Latencies are in microseconds, as TensorFlow Serving's are."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(Histogram, buckets=_LATENCY_MICROSECONDS, registry=registry)
        self.requests = counter(":tensorflow:serving:request_count", "Requests by outcome.", ["model_name", "status"])
        self.request_latency = histogram(
            ":tensorflow:serving:request_latency",
            "Time from a request's arrival to its answer, microseconds.",
            ["model_name", "API", "entrypoint"],
        )
        self.runtime_latency = histogram(
            ":tensorflow:serving:runtime_latency",
            "Time of one run of TensorFlow, microseconds.",
            ["model_name", "API", "runtime"],
        )
        self.loads = counter(
            ":tensorflow:cc:saved_model:load_attempt_count",
            "Attempts to load a version, by outcome.",
            ["model_path", "status"],
        )
        self.load_latency = counter(
            ":tensorflow:cc:saved_model:load_latency", "Time spent on loading a version, microseconds.", ["model_path"]
        )
        self.queuing_latency = histogram(
            ":tensorflow:serving:batching_session:queuing_latency",
            "Time a request waited for its batch, microseconds.",
            ["thread_pool_name"],
        )
        self.batches = counter(":tensorflow:serving:batching_session:wrapped_run_count", "Batches that were run.")
        self.batch_rows = histogram("fashion_batch_rows", "Rows of a batch, before padding.", buckets=_ROWS)
        self.queued = gauge("fashion_queued_requests", "Requests waiting for their batch.")
        self.available = gauge(
            "fashion_version_available", "1 for each version that serves.", ["model_name", "version"]
        )
        self.answers = counter(
            "fashion_answers", "Pictures by what was said; '' beside an error.", ["model_name", "label", "decision"]
        )
        self.confidence = Histogram(
            "fashion_answer_confidence", "Of the label.", ["model_name"], buckets=_CONFIDENCE, registry=registry
        )

    def watch_log(self, log: "AnswerLog") -> None:
        """Shows what became of the rows of a log of answers."""
        rows = Gauge("fashion_answer_log_rows", "Rows of the log of answers.", ["outcome"], registry=self._registry)
        for outcome in ("written", "dropped", "failed"):
            rows.labels(outcome).set_function(partial(getattr, log, outcome))

    @contextmanager
    def request(self, model: str, entrypoint: str, left: Callable[[], float | None] | None = None) -> Iterator[None]:
        """Counts one request to predict by what the context ends with.

        `model` is "" if there is no such model: names that clients make up would grow without bound. `entrypoint` is
        "GRPC" or "REST". `left` tells the seconds until the client's deadline; a request that is cancelled after it was
        too slow.
        """
        began, status = time.monotonic(), "OK"
        try:
            yield
        except ServingError as error:
            status = error.code.name
            raise
        except asyncio.CancelledError:
            seconds = left() if left else None
            status = "CANCELLED" if seconds is None or seconds > 0 else "DEADLINE_EXCEEDED"
            raise
        except Exception:
            status = "INTERNAL"
            raise
        finally:
            self.requests.labels(model, status).inc()
            latency = self.request_latency.labels(model, "Predict", entrypoint)
            latency.observe((time.monotonic() - began) * 1e6)

    def exposition(self) -> bytes:
        """The metrics page, in Prometheus' text format."""
        # The library appends _total to counters and adds series of its own, neither of which TensorFlow Serving has.
        lines = generate_latest(self._registry).splitlines()
        kept = [_TOTAL.sub(rb"\1", line) for line in lines if not _CREATED.match(line)]
        return b"\n".join([*kept, b""])
