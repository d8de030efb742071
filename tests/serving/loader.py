"""A loader that can be held and made to fail, and knows what is in memory."""

import asyncio
import threading
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from serving.server import lifecycle
from serving.server.errors import ServingError


class Loader:
    """Stands for TensorFlow: what it opens holds nothing but a place in `memory`."""

    def __init__(self) -> None:
        self.memory: list[Path] = []
        self.tries: list[Path] = []
        self.faults: dict[Path, int] = {}  # how many tries fail
        self._gates: dict[Path, tuple[threading.Event, threading.Event]] = {}

    def open(self, path: Path, warmup: bool) -> "Opened":
        self.tries.append(path)
        if path in self._gates:
            entered, leave = self._gates[path]
            entered.set()
            assert leave.wait(30)
        if self.faults.get(path, 0):
            self.faults[path] -= 1
            raise ServingError(grpc.StatusCode.UNKNOWN, f"{path}: Input/output error")
        if not (path / "saved_model.pb").stat().st_mode & 0o400:  # which would not keep root from reading it
            raise ServingError(grpc.StatusCode.PERMISSION_DENIED, f"{path}/saved_model.pb; Permission denied")
        return Opened(self.memory, path)

    @contextmanager
    def held(self, path: Path):
        """Holds the loading of a version; yields a coroutine that waits until it has begun."""
        entered, leave = self._gates[path] = threading.Event(), threading.Event()
        try:
            yield asyncio.to_thread(entered.wait, 30)
        finally:
            leave.set()


class Opened:
    """A version in memory, until it is closed."""

    def __init__(self, memory: list[Path], path: Path) -> None:
        self._memory, self._path = memory, path
        memory.append(path)

    def close(self) -> None:
        self._memory.remove(self._path)


@pytest.fixture
def loader(monkeypatch) -> Loader:
    loader = Loader()
    monkeypatch.setattr(lifecycle, "_open", loader.open)
    return loader


def publish(base: Path, version: int) -> Path:
    """A version that only a `Loader` can open."""
    staging = base / f".staging-{version}"
    staging.mkdir(parents=True)
    (staging / "saved_model.pb").write_text("a graph")
    return staging.rename(base / str(version))
