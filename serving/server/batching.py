"""Merges requests that wait into one run, because a network answers a batch much faster than its rows one by one."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import grpc
import numpy as np

from serving.server.config import Batching
from serving.server.errors import ServingError
from serving.server.metrics import Metrics
from serving.server.rows import Arrays, joined, merged, pieces_of, rows_of, split

Key = TypeVar("Key", bound=Hashable)
Run = Callable[[Key, Arrays], Awaitable[dict[str, np.ndarray]]]

_POOL = "batch_threads"


@dataclass(eq=False)
class _Task:
    inputs: Arrays
    rows: int
    answer: "asyncio.Future[dict[str, np.ndarray]]"
    since: float


@dataclass(eq=False)
class _Batch:
    tasks: list[_Task] = field(default_factory=list)
    offered: float | None = None  # since when it could have had a thread

    @property
    def rows(self) -> int:
        return sum(task.rows for task in self.tasks)


class Batcher(Generic[Key]):
    """A queue of batches for each key, and a number of threads in which they run, shared fairly between keys.

    Everything happens on one event loop. Requests of one key have to agree in all but their number of rows.

    A batch starts when a thread is free and it is full, or has waited for the batch timeout with that thread free, or
    when nobody is likely to join it: as many requests are here as there were when the last batch ended. So a lone
    client never waits, and several that ask again as soon as they are answered soon share their runs.
    """

    def __init__(self, batching: Batching, run: Run[Key], metrics: Metrics) -> None:
        """Starts nothing. If `run` gives other than a row for each of its inputs' rows, requests run one by one."""
        self._batching, self._run, self._metrics = batching, run, metrics
        self._queues: dict[Key, deque[_Batch]] = {}
        self._promised: Counter[Key] = Counter()  # batches that large requests have yet to bring into the queue
        self._free = batching.num_batch_threads
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        # Requests that wait or run, and how many there were when the last batch ended.
        self._here = self._expected = 0

    async def submit(self, key: Key, inputs: Arrays) -> dict[str, np.ndarray]:
        """Runs a request together with others of its key. If the caller is cancelled while it waits, it is not run.

        Args:
            key: which requests may be merged with this one.
            inputs: at least one array, [n, ...] each.

        Returns:
            The outputs for these rows, in their order.

        Raises:
            ServingError: INVALID_ARGUMENT, it has too many rows, or not as many in all inputs; RESOURCE_EXHAUSTED,
                too much waits already (TensorFlow Serving says UNAVAILABLE, which a dead server says too);
                NotByRow, it takes several runs, and their outputs are not rows; or whatever the run raised.
        """
        rows = rows_of(inputs)
        if rows > self._batching.max_batch_size:
            limit = self._batching.max_batch_size
            message = f"Task size {rows} is larger than maximum input batch size {limit}"
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
        if rows == 0:  # nothing to merge, and no row to fill a batch up with
            return await self._run(key, inputs)
        pieces, at_once = pieces_of(inputs, self._batching.run_rows), self._batching.num_batch_threads
        self._admit(key, rows, len(pieces))
        left, answers = len(pieces), list[dict[str, np.ndarray]]()
        self._promised[key] += left
        try:
            # A few at a time: others are not to wait for the whole of a large request.
            while left:
                wave = pieces[-left:][:at_once]
                left -= len(wave)
                self._promised[key] -= len(wave)
                answers += await self._answers(key, wave)
        finally:
            self._promised[key] -= left
            self._promised += Counter()  # drops what is zero
        return joined(answers, pieces)

    def _admit(self, key: Key, rows: int, count: int) -> None:
        """Refuses a request that finds no room in the queue for all its batches."""
        queue, limit = self._queues.get(key, deque()), self._batching.max_enqueued_batches
        waiting = len(queue) + self._promised[key]
        joins = count == 1 and queue and queue[-1].rows + rows <= self._batching.run_rows
        if not joins and waiting + count > limit:
            raise ServingError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "The batch scheduling queue to which this task was submitted is full: "
                f"{waiting} of at most {limit} batches wait, and it takes {count} more. Try again later.",
            )

    async def _answers(self, key: Key, pieces: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        tasks = [self._enqueue(key, piece) for piece in pieces]
        self._start_ready()
        try:
            return await asyncio.gather(*(task.answer for task in tasks))
        except BaseException:
            self._withdraw(key, tasks)
            raise

    def _enqueue(self, key: Key, inputs: Arrays) -> _Task:
        loop = asyncio.get_running_loop()
        task = _Task(inputs, rows_of(inputs), loop.create_future(), loop.time())
        queue = self._queues.setdefault(key, deque())
        if not queue or queue[-1].rows + task.rows > self._batching.run_rows:
            queue.append(_Batch())
        queue[-1].tasks.append(task)
        self._here += 1
        self._metrics.queued.inc()
        return task

    def _withdraw(self, key: Key, tasks: Sequence[_Task]) -> None:
        """Takes the tasks of a caller that has gone out of the queue."""
        queue = self._queues.pop(key, deque())
        for batch in queue:
            gone = [task for task in batch.tasks if task in tasks]
            batch.tasks = [task for task in batch.tasks if task not in gone]
            self._here -= len(gone)
            self._metrics.queued.dec(len(gone))
        if kept := deque(batch for batch in queue if batch.tasks):
            self._queues[key] = kept
        for task in tasks:
            task.answer.cancel()

    def _start_ready(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._free and (found := self._next_ready(loop.time())):
            self._free -= 1
            process = loop.create_task(self._process(*found))
            self._running.add(process)
            process.add_done_callback(self._running.discard)
        if self._free and self._queues:
            due = min(self._due(queue[0]) for queue in self._queues.values())
            self._timer = loop.call_at(due, self._start_ready)

    def _next_ready(self, now: float) -> tuple[Key, _Batch] | None:
        for key, queue in self._queues.items():
            batch = queue[0]
            batch.offered = batch.offered or now
            if len(queue) == 1 and batch.rows < self._batching.run_rows and now < self._due(batch):
                continue
            # Behind the other keys with what is left of it.
            del self._queues[key]
            queue.popleft()
            if queue:
                self._queues[key] = queue
            return key, batch
        return None

    def _due(self, batch: _Batch) -> float:
        if batch.offered is None or self._here >= self._expected:
            return 0.0
        return batch.offered + self._batching.batch_timeout_micros / 1e6

    async def _process(self, key: Key, batch: _Batch) -> None:
        now = asyncio.get_running_loop().time()
        self._metrics.queued.dec(len(batch.tasks))
        for task in batch.tasks:
            self._metrics.queuing_latency.labels(_POOL).observe((now - task.since) * 1e6)
        try:
            await self._answer(key, [task for task in batch.tasks if not task.answer.done()])
        finally:
            self._free += 1
            self._expected = self._here
            self._here -= len(batch.tasks)
            self._start_ready()

    async def _answer(self, key: Key, tasks: Sequence[_Task]) -> None:
        if not tasks:
            return
        sizes = [task.rows for task in tasks]
        rows, padded = sum(sizes), self._padded(sum(sizes))
        self._metrics.batches.inc()
        self._metrics.batch_rows.observe(rows)
        if len(tasks) == 1 and padded == rows:
            await self._answer_alone(key, tasks[0])
            return
        try:
            parts = split(await self._run(key, merged([task.inputs for task in tasks], padded - rows)), sizes, padded)
        except ServingError:
            # One request may be what the others fail of, or the outputs cannot be told apart.
            for task in tasks:
                await self._answer_alone(key, task)
            return
        except Exception as error:  # noqa: BLE001 - a bug is for whoever asked to see; nobody may wait for ever
            parts = [error] * len(tasks)
        for task, part in zip(tasks, parts, strict=True):
            _settle(task, part)

    async def _answer_alone(self, key: Key, task: _Task) -> None:
        if task.answer.done():
            return
        try:
            _settle(task, await self._run(key, task.inputs))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            _settle(task, error)

    def _padded(self, rows: int) -> int:
        return next((size for size in self._batching.allowed_batch_sizes if size >= rows), rows)


def _settle(task: _Task, outcome: "dict[str, np.ndarray] | Exception") -> None:
    if task.answer.done():
        return
    if isinstance(outcome, Exception):
        task.answer.set_exception(outcome)
    else:
        task.answer.set_result(outcome)
