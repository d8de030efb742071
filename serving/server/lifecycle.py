"""The versions of one model: found in its folder, loaded, served and unloaded, a new one always before the old."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from serving.server.config import Model, Options
from serving.server.errors import ServingError, first_line
from serving.server.metrics import Metrics
from serving.server.retries import Retries, Stamp, stamp_files
from serving.server.servable import Servable
from serving.versions import find_versions

_log = logging.getLogger(__name__)

START, LOADING, AVAILABLE, UNLOADING, END = "START", "LOADING", "AVAILABLE", "UNLOADING", "END"

T = TypeVar("T")


@dataclass(frozen=True)
class VersionStatus:
    """What became of a version."""

    version: int  # its number
    state: str  # "START", "LOADING", "AVAILABLE", "UNLOADING" or "END"
    error_code: int = 0  # number of a gRPC code; 0 if all is well
    error_message: str = ""  # why it does not serve


class Version:
    """One version of a model and whoever uses it."""

    def __init__(self, model: str, number: int, path: Path, retries: Retries) -> None:
        self.model, self.number, self.path, self.retries = model, number, path, retries
        self.state = START
        self.error: ServingError | None = None
        self._servable: Servable | None = None
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def status(self) -> VersionStatus:
        if not self.error:
            return VersionStatus(self.number, self.state)
        return VersionStatus(self.number, self.state, self.error.code.value[0], self.error.message)

    @property
    def servable(self) -> Servable:
        """What answers; only of a version that is held, or AVAILABLE."""
        assert self._servable is not None
        return self._servable

    def hold(self) -> None:
        """Keeps the version from being unloaded until as many calls of `release`."""
        self._users += 1
        self._idle.clear()

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self._idle.set()

    @contextmanager
    def held(self) -> Iterator[Servable]:
        self.hold()
        try:
            yield self.servable
        finally:
            self.release()

    def opened(self, servable: Servable) -> None:
        self._servable, self.state, self.error = servable, AVAILABLE, None

    async def closed(self) -> Servable:
        """Takes the servable away from the version, once nobody uses it."""
        await self._idle.wait()
        servable, self._servable = self.servable, None
        return servable


class ServedModel:
    """One model of the configuration. Its methods are called from the event loop, and look at the disk off it.

    `refresh` and `retire` load and unload: they are called one at a time, and by a task that nobody cancels, or what a
    thread is loading would stay in memory without an owner.
    """

    def __init__(self, model: Model, options: Options, metrics: Metrics, loader: Executor) -> None:
        """Loads nothing yet; models are loaded and folders are read in `loader`."""
        self.model = model
        self._options, self._metrics, self._loader = options, metrics, loader
        self._versions: dict[int, Version] = {}
        self._unloading: set[asyncio.Task[None]] = set()
        self._leaving = False
        self._complaint = ""

    @property
    def available(self) -> list[Version]:
        """The versions that serve, newest first."""
        return [version for version in self._newest_first() if version.state == AVAILABLE]

    def find(self, number: int | None) -> Version | None:
        """The version of this number, or the newest, if it serves."""
        return next((version for version in self.available if number in (None, version.number)), None)

    def statuses(self) -> list[VersionStatus]:
        """Of every version that was ever wanted, newest first."""
        return [version.status for version in self._newest_first()]

    async def refresh(self) -> None:
        """Looks at the folder, loads what is new and wanted, then unloads what is no longer wanted.

        Old versions stay while no wanted one serves, and whatever serves stays while the folder cannot be read or,
        with `Options.keep_last`, holds nothing that is wanted. A model that has been told to leave loads nothing more.
        """
        found = None if self._leaving else await self._found()
        if found is None:
            return
        wanted = self.model.choose(found)
        for number in wanted:
            if self._leaving:
                return
            await self._bring_up(number, found[number])
        for version in self._versions.values():
            if version.number not in wanted:
                version.retries.hurry()  # should it be wanted again
        if any(version.number in wanted for version in self.available) or not (wanted or self._options.keep_last):
            self._unload([version for version in self.available if version.number not in wanted])

    def leave(self) -> None:
        """Has the model load nothing more, from the version after the one that is being loaded."""
        self._leaving = True

    async def retire(self) -> None:
        """Unloads everything for good, as soon as running requests have ended, and waits for that."""
        self.leave()
        self._unload(self.available)
        await asyncio.gather(*self._unloading)

    def _newest_first(self) -> list[Version]:
        return [self._versions[number] for number in sorted(self._versions, reverse=True)]

    async def _found(self) -> dict[int, Path] | None:
        try:
            found = await self._off_loop(lambda: find_versions(self.model.base_path))
        except OSError as error:
            self._complain(f"{self.model.base_path}: {error.strerror or error}")
            return None
        self._complain("" if self.model.choose(found) else f"{self.model.base_path} holds no version that is to serve")
        return found

    def _complain(self, complaint: str) -> None:
        # Once, not at every look.
        if complaint and complaint != self._complaint:
            kept = ", ".join(str(version.number) for version in self.available) if self._options.keep_last else ""
            _log.warning(
                "model %s: %s; %s", self.model.name, complaint, f"{kept} still serves" if kept else "none serves"
            )
        self._complaint = complaint

    async def _bring_up(self, number: int, path: Path) -> None:
        version = self._versions.get(number)
        if version and version.state in (AVAILABLE, UNLOADING):
            return
        stamp = await self._off_loop(lambda: stamp_files(path))
        if version and version.error and not version.retries.is_due(stamp, time.monotonic()):
            return
        retries = version.retries if version else Retries(self._options.retry_seconds)
        complaint = str(version.error) if version else ""
        await self._load(Version(self.model.name, number, path, retries), stamp, complaint)

    async def _load(self, version: Version, stamp: Stamp, complaint: str) -> None:
        self._versions[version.number] = version
        version.state = LOADING
        began, path = time.monotonic(), str(version.path)
        try:
            servable = await self._off_loop(lambda: _open(version.path, self._options.warmup))
        except ServingError as error:
            version.state, version.error = END, error
            wait = version.retries.fail(stamp, time.monotonic())
            self._metrics.loads.labels(path, "fail").inc()
            serves = ", ".join(str(other.number) for other in self.available) or "none"
            _log.log(
                logging.DEBUG if str(error) == complaint else logging.ERROR,  # once, not at every try
                "model %s: version %d cannot be loaded, %s serves; tried again in %g s, or when its files change: %s",
                *(version.model, version.number, serves, wait, error),
            )
            return
        version.opened(servable)
        seconds = time.monotonic() - began
        self._metrics.loads.labels(path, "success").inc()
        self._metrics.load_latency.labels(path).inc(seconds * 1e6)
        self._metrics.available.labels(version.model, str(version.number)).set(1)
        _log.info("model %s: version %d serves, loaded in %.1f s", version.model, version.number, seconds)

    def _unload(self, versions: list[Version]) -> None:
        for version in versions:
            version.state = UNLOADING
            self._metrics.available.remove(version.model, str(version.number))
            task = asyncio.get_running_loop().create_task(self._unload_one(version))
            self._unloading.add(task)
            task.add_done_callback(self._unloading.discard)

    async def _unload_one(self, version: Version) -> None:
        servable = await version.closed()
        await self._off_loop(servable.close)
        version.state = END
        _log.info("model %s: version %d is unloaded", version.model, version.number)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._loader, work)


def _open(path: Path, warmup: bool) -> Servable:
    try:
        servable = Servable(path)
    except ServingError:
        raise
    except Exception as error:  # a damaged file can make TensorFlow raise nearly anything
        raise ServingError(grpc.StatusCode.INTERNAL, f"{path}: {first_line(error)}") from error
    if warmup:
        try:
            servable.warm_up(path)
        except BaseException:
            servable.close()
            raise
    return servable
