"""The models in memory, and how another configuration, a new version or the end changes them: one change at a time."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import grpc

from serving.server.config import Model, Options, check_labels, check_on_disk
from serving.server.errors import ServingError, shutting_down
from serving.server.lifecycle import ServedModel
from serving.server.metrics import Metrics
from serving.server.searching import Searches

_log = logging.getLogger(__name__)

T = TypeVar("T")


class ServedModels:
    """The models of the configuration that counts. All methods are to be called from one event loop.

    Each change runs alone, in a task of its own, to its end: who asked for it only waits, and may hang up.

    Attributes:
        configured: what is to serve, by name.
        searches: their indexes.
    """

    def __init__(self, configured: Mapping[str, Model], options: Options, metrics: Metrics) -> None:
        self.configured = dict(configured)
        self._options, self._metrics = options, metrics
        self._loader = ThreadPoolExecutor(1, "model-loader")
        self.searches = Searches(self._loader)
        self._models: dict[str, ServedModel] = {}
        self._successors: dict[str, ServedModel] = {}  # from another folder; each waits for its first version
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()  # the event loop itself would let them be garbage-collected
        self._polling: asyncio.Task[None] | None = None
        self._closed = False

    def get(self, name: str) -> ServedModel | None:
        """What answers for a model."""
        return self._models.get(name)

    async def start(self) -> list[ServedModel]:
        """Loads what is configured, returns it whether or not it became available, and looks for new versions then."""
        new = await self._alone(lambda: self._apply(self.configured))
        if self._options.poll_seconds > 0:
            self._polling = asyncio.get_running_loop().create_task(self._poll())
        return new

    async def reload(self, models: Mapping[str, Model]) -> list[ServedModel]:
        """Takes another configuration over; returns the models that are new, whether or not they became available.

        Raises:
            ServingError: NOT_FOUND, a folder cannot be read; FAILED_PRECONDITION, a label is to move to a version that
                does not serve; UNAVAILABLE, the server ends. Nothing has changed then.
        """
        return await self._alone(lambda: self._reload(models))

    async def close(self, seconds: float | None = None) -> bool:
        """Unloads everything, once running requests have ended; waits so many seconds at most, or as long as it takes.

        Returns:
            Whether all is unloaded. If not, a thread is still in TensorFlow.
        """
        self._closed = True
        if self._polling:
            self._polling.cancel()
        for served in self._watched():
            served.leave()
        done, _ = await asyncio.wait((asyncio.ensure_future(self._unload()),), timeout=seconds)
        if done:
            self._loader.shutdown(wait=False)
        return bool(done)

    async def _unload(self) -> None:
        async with self._changing:
            for served in self._watched():
                self._retire(served)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _alone(self, change: Callable[[], Awaitable[T]]) -> T:
        async def make() -> T:
            async with self._changing:
                return await change()

        return await asyncio.shield(self._kept(make()))

    def _kept(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._options.poll_seconds)
            for served in self._watched():
                await self._alone(functools.partial(self._look, served))

    def _watched(self) -> list[ServedModel]:
        return [*self._models.values(), *self._successors.values()]

    async def _look(self, served: ServedModel) -> None:
        name = served.model.name
        try:
            await served.refresh()
            await self.searches.look(served)
        except Exception:  # noqa: BLE001 - a bug met with one model is not to leave the others unwatched
            _log.exception("model %s: looking for versions failed", name)
        if served.available and self._successors.get(name) is served:
            self._retire(self._models[name])
            self._models[name] = self._successors.pop(name)

    async def _reload(self, models: Mapping[str, Model]) -> list[ServedModel]:
        if self._closed:
            raise shutting_down()
        checked = {name: replace(model, labels=self._moved_labels(model)) for name, model in models.items()}
        await asyncio.get_running_loop().run_in_executor(self._loader, check_on_disk, checked)
        for model in checked.values():
            if served := self._find(model):
                check_labels(model, [version.number for version in served.available])
        return await self._apply(models)

    async def _apply(self, models: Mapping[str, Model]) -> list[ServedModel]:
        self.configured = dict(models)
        for group in (self._models, self._successors):
            for name in set(group) - set(models):
                self._retire(group.pop(name))
        new = []
        for name, model in models.items():
            if self._closed:
                break
            served = self._find(model)
            if not served:
                served = ServedModel(model, self._options, self._metrics, self._loader)
                new.append(served)
            if self._successors.get(name, served) is not served:
                self._retire(self._successors.pop(name))
            if self._models.setdefault(name, served) is not served:
                self._successors[name] = served
            served.model = model
            await self._look(served)
            for label, version in model.labels.items():
                if not self._models[name].find(version):
                    _log.warning("model %s: label '%s' is at version %d, which does not serve", name, label, version)
        return new

    def _find(self, model: Model) -> ServedModel | None:
        """What serves a model, or is to, from the same folder."""
        known = (self._models.get(model.name), self._successors.get(model.name))
        return next((served for served in known if served and served.model.base_path == model.base_path), None)

    def _retire(self, served: ServedModel) -> None:
        served.leave()
        self.searches.drop(served)
        self._kept(served.retire())

    def _moved_labels(self, model: Model) -> dict[str, int]:
        """A model's labels, but for those that are left at a version that does not serve as it is."""
        before, served = self.configured.get(model.name), self._models.get(model.name)
        return {
            label: version
            for label, version in model.labels.items()
            if not before or before.labels.get(label) != version or (served and served.find(version))
        }


def require_available(models: Collection[ServedModel]) -> None:
    """Refuses models of which no version serves.

    Raises:
        ServingError: UNKNOWN, with TensorFlow Serving's message.
    """
    failed = []
    for served in models:
        if not served.available:
            reasons = [status.error_message for status in served.statuses() if status.error_message]
            failed.append(served.model.name + (f" due to error: {reasons[0]}" if reasons else ""))
    if failed:
        message = f"{len(failed)} model(s) did not become available: {{{', '.join(failed)}}}"
        raise ServingError(grpc.StatusCode.UNKNOWN, message)
