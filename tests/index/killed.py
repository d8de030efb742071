"""Kills the making of an index before each of its steps on the disk, one after another, and looks at what is left.

python -m tests.index.killed MODEL SHOP STORE: the store holds an index of all the shop's pictures, not of its table as
it is now. Prints which index answers after each kill, and fails where one that is listed is not whole.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

# Or every fork would import them again.
import apache_beam.runners.portability.fn_api_runner.fn_runner  # noqa: F401
import tensorflow  # noqa: F401

from components.answers.inputs import Products
from components.digest import code_digest
from components.index import build as module
from components.index.settings import Index as Settings
from serving.search.index import Index
from serving.search.indexes import choose
from serving.versions import find_versions, recorded_digest

_STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}
_EVERY = 5  # kills after which the command is given again


def forked(call: Callable[[], None]) -> int:
    """Calls something in a process of its own, for one that has threads cannot be forked; returns its exit code."""
    if process := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    call()
    sys.stdout.flush()
    os._exit(0)


def build(model: Path, shop: Path, store: Path, last: int = 0) -> None:
    """Makes the index, and is killed before its step `last`."""
    steps = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        reads = event == "open" and not int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
        if event in _STEPS and not reads and str(arguments[0]).startswith(str(store)):
            steps += 1
            if steps == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    settings = Settings(dimensions=8, colour=0.3)
    module.build_index(Products(shop, model), model, store, settings, ["--runner=FnApiRunner"])


def look(model: Path, store: Path, old: str, when: str) -> None:
    """Opens every index that is listed, and prints which of them answers."""
    digest = str(recorded_digest(model))
    for folder in find_versions(store).values():
        Index(folder, digest)
    answers = choose(store, digest)
    assert answers
    left = [name for name in os.listdir(store) if name.startswith((".unfinished", ".staging"))]
    sys.stdout.write(" ".join([when, "old" if answers.folder.name == old else "new", *left]) + "\n")


def main() -> None:
    """Goes on until a command ends before it is killed."""
    model, shop, store = map(Path, sys.argv[1:])
    before, step, ended = store.with_name("before"), 0, -signal.SIGKILL
    shutil.copytree(store, before)
    [old] = find_versions(store).values()
    module._verify = lambda *_: None  # only reads
    code_digest(module.__name__)  # forks need not parse all modules again
    while ended == -signal.SIGKILL:
        step += 1
        shutil.rmtree(store)
        shutil.copytree(before, store)
        ended = forked(partial(build, model, shop, store, step))
        assert forked(partial(look, model, store, old.name, "killed")) == 0
        if step % _EVERY == 0:
            assert forked(partial(build, model, shop, store)) == 0
            assert forked(partial(look, model, store, old.name, "again")) == 0
    assert ended == 0


if __name__ == "__main__":
    main()
