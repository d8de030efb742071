"""Clients that ask without a pause, and accept no error and no answer that mixes versions."""

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.contract.asking import Grpc, Rest
from tests.contract.endpoint import Endpoint
from tests.serving.serving_model import write_model

CLIENTS = 8
WAIT_SECONDS = 120


def write_version(base: Path, version: int) -> Path:
    """Writes a version that says of every picture that it is `version<number>`."""
    return write_model(base / str(version), labels=(f"version{version}", "never"), bias=1e4)


def publish(base: Path, ready: Path) -> None:
    """Renames a copy of a finished version into place, as the pipeline does."""
    staging = base / f".staging-{ready.name}"
    shutil.copytree(ready, staging)
    staging.rename(base / ready.name)


@dataclass
class Load:
    """What came of the requests so far.

    Attributes:
        answers: how many were answered, by who answered: "version1".
        slowest: seconds that the slowest answer took.
        done: ends the clients.
    """

    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    def ask(self, number: int, endpoint: Endpoint, pictures: Sequence[bytes]) -> None:
        """One client: over gRPC if its number is even, else over REST."""
        rest, calls, turn = Rest(endpoint), Grpc(endpoint), number
        while not self.done.is_set():
            turn += 1
            rows, began = pictures[: turn % len(pictures) + 1], time.monotonic()
            answer = (rest if number % 2 else calls).predict({"image_bytes": rows})
            self.slowest = max(self.slowest, time.monotonic() - began)
            assert len(answer["label"]) == len(rows)
            [label] = set(answer["label"].tolist())
            assert set(answer["top_labels"][:, 0].tolist()) == {label}
            self.answers[label] += 1

    def until_answered_by(self, version: int) -> None:
        """Waits for an answer of a version to a question asked from now on."""
        until, before = time.monotonic() + WAIT_SECONDS, self.answers[f"version{version}"]
        while self.answers[f"version{version}"] == before:
            assert time.monotonic() < until, f"version {version} does not answer: {self.answers}"
            assert not self.done.is_set(), "a client has failed"
            time.sleep(0.05)


@contextmanager
def under_load(endpoint: Endpoint, pictures: Sequence[bytes]) -> Iterator[Load]:
    """Has clients over both protocols ask for the latest version; raises at the end what one of them met."""
    load = Load()

    def client(number: int) -> None:
        try:
            load.ask(number, endpoint, pictures)
        finally:
            load.done.set()  # one that failed has the test end now

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client, number) for number in range(CLIENTS)]
        try:
            yield load
        finally:
            load.done.set()
            for each in clients:
                each.result(WAIT_SECONDS)
