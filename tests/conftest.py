"""The `fashion` command as a person or a scheduler starts it: a process of its own, in a place of its own."""

import functools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import HOUSE
from tests.pipeline.nodes import beginnings, house  # noqa: F401 - fixtures
from tests.publish.toy import toy  # noqa: F401 - a fixture

# Helpers that assert: a failure in them is to say as much as one in a test.
pytest.register_assert_rewrite("tests.kubeflow.kfp_commands", "tests.serving.managed_models")

COMMAND = (sys.executable, "-m", "pipeline.cli")


@dataclass(frozen=True)
class Ended:
    """What a command came to.

    Attributes:
        code: exit code.
        out: what it printed for people.
        err: what it printed as errors.
        seconds: how long it took.
        peak: the largest resident memory of any child process so far, bytes.
    """

    code: int
    out: str
    err: str
    seconds: float
    peak: int


@dataclass(frozen=True)
class Place:
    """An empty machine to run the command on: working directory, home and temporary folder are its own."""

    folder: Path

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def around(self) -> tuple[Path, Path, Path]:
        """Where a command could leave things that it should keep below its root."""
        return self.work, self.folder / "home", self.folder / "tmp"

    def environment(self) -> Mapping[str, str]:
        for folder in self.around:
            folder.mkdir(parents=True, exist_ok=True)
        work, home, tmp = map(str, self.around)
        return {**os.environ, "PYTHONPATH": str(HOUSE), "HOME": home, "TMPDIR": tmp, "PWD": work, "COLUMNS": "80"}

    def start(self, *args: str | Path, **options: object) -> "subprocess.Popen[str]":
        """Starts `fashion` with these arguments and does not wait for it."""
        command = [*COMMAND, *map(str, args)]
        # Whoever runs the tests in the background has Ctrl-C ignored, and children inherit that.
        heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(command, cwd=self.work, env=self.environment(), text=True, preexec_fn=heed, **options)

    def fashion(self, *args: str | Path, timeout: float = 600) -> Ended:
        """Runs `fashion` with these arguments to its end."""
        environment, began = self.environment(), time.monotonic()
        command = [*COMMAND, *map(str, args)]
        done = subprocess.run(
            command, cwd=self.work, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began, peak)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place for one test."""
    return Place(tmp_path / "place")


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place that the tests of one module share, so that what one run made the next can find."""
    return Place(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def bare_catalogue(tmp_path: Path) -> Path:
    """The least that looks like a catalogue: a table without rows, and a picture."""
    catalogue = tmp_path / "catalogue"
    (catalogue / "images").mkdir(parents=True)
    (catalogue / "images" / "1.jpg").touch()
    (catalogue / "styles.csv").write_text("id\n")
    return catalogue
