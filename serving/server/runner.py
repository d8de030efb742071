"""Runs requests in TensorFlow off the event loop, merged into batches or each by itself."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from serving.server.batching import Batcher
from serving.server.config import RUN_ROWS, Options
from serving.server.lifecycle import Version
from serving.server.metrics import Metrics
from serving.server.rows import Arrays, NotByRow, joined, pieces_of

T = TypeVar("T")

OFF_LOOP_FROM = 256 * 1024  # bytes of a request or an answer above which working on it would hold up other requests


async def maybe_off_loop(off: bool, function: Callable[..., T], *arguments: object) -> T:
    """Calls a function in a thread if `off`, which pays where it takes longer than to get there."""
    return await asyncio.to_thread(function, *arguments) if off else function(*arguments)


@dataclass(frozen=True)
class _Kind:
    """What requests have in common that can share a run."""

    version: Version
    signature: str
    shapes: tuple[tuple[str, str, tuple[int, ...]], ...] = ()


class Runner:
    """A small pool of threads. Its methods are called from the event loop."""

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self._metrics, batching = metrics, options.batching
        threads = batching.num_batch_threads if batching else options.threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(threads, "model-runner")
        self._batcher = Batcher[_Kind](batching, self._run, metrics) if batching else None

    async def run(self, version: Version, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Runs a request that the version has checked, and keeps the version loaded until then; gives all outputs.

        If the caller is cancelled while it waits, it is not run.

        Raises:
            ServingError: TensorFlow refused; or too much waits, or the request is too large for a batch.
        """
        with version.held() as servable:
            kind = _Kind(version, signature)
            if not servable.is_batchable(signature):
                return await self._run(kind, inputs)
            try:
                return await (self._run_batched(kind, inputs) if self._batcher else self._run_split(kind, inputs))
            except NotByRow:
                return await self._run(kind, inputs)

    def close(self) -> None:
        """Ends the threads; nothing may run any more."""
        self._pool.shutdown(wait=False)

    async def _run_batched(self, kind: _Kind, inputs: Arrays) -> dict[str, np.ndarray]:
        assert self._batcher
        shapes = tuple((name, array.dtype.str, array.shape[1:]) for name, array in sorted(inputs.items()))
        return await self._batcher.submit(replace(kind, shapes=shapes), inputs)

    async def _run_split(self, kind: _Kind, inputs: Arrays) -> dict[str, np.ndarray]:
        sizes = {array.shape[:1] for array in inputs.values()}
        if len(sizes) > 1 or sizes == {()}:
            return await self._run(kind, inputs)
        pieces = pieces_of(inputs, RUN_ROWS)
        return joined([await self._run(kind, piece) for piece in pieces], pieces)

    async def _run(self, kind: _Kind, inputs: Arrays) -> dict[str, np.ndarray]:
        version, loop = kind.version, asyncio.get_running_loop()

        def work() -> dict[str, np.ndarray]:
            began = time.monotonic()
            outputs = version.servable.run(kind.signature, inputs)
            latency = self._metrics.runtime_latency.labels(version.model, "Predict", "TF1")
            latency.observe((time.monotonic() - began) * 1e6)
            return outputs

        def ended(_: "Future[dict[str, np.ndarray]]") -> None:
            loop.call_soon_threadsafe(version.release)

        # Until the thread is done with it, which may be after the caller has gone.
        version.hold()
        run = self._pool.submit(work)
        run.add_done_callback(ended)
        return await asyncio.wrap_future(run)
