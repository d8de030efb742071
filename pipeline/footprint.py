"""What a stage took, and where: memory, machine and commit, kept with its execution in the metadata."""

import contextlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from components.report.environment import checkout, machine

PROPERTY = "footprint"

_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Footprint:
    """Where a stage ran and what it took.

    `peak_memory` is the most resident memory of the process while the stage ran, in bytes; None where Linux does not
    say. The process may use `cores`. `commit` is that of the checkout, None outside of one; `modified` says whether it
    had changes that were not committed.
    """

    peak_memory: int | None
    processor: str
    cores: int
    accelerators: str
    commit: str | None
    modified: bool

    def as_json(self) -> str:
        """As text, which `read_footprint` takes."""
        return json.dumps(asdict(self))


def read_footprint(parameters: Mapping[str, Any]) -> Footprint | None:
    """What was kept with a stage's parameters; None where nothing was."""
    text = parameters.get(PROPERTY)
    return Footprint(**json.loads(text)) if text else None


def begin() -> None:
    """Starts the peak of this process's memory anew."""
    with contextlib.suppress(OSError):  # the peak is then that of all stages so far
        # proc_pid_clear_refs(5), https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
        (_PROCESS / "clear_refs").write_text("5", encoding="utf-8")


def taken() -> Footprint:
    """What this process took since `begin`."""
    commit, modified = _checkout()
    processor = _field(Path("/proc/cpuinfo"), "model name") or platform.machine()
    return Footprint(
        peak_memory=_peak_memory(), processor=processor, cores=len(os.sched_getaffinity(0)),
        accelerators=machine()["accelerators"] if "tensorflow" in sys.modules else "none", commit=commit,
        modified=modified,
    )  # fmt: skip


@cache
def _checkout() -> tuple[str | None, bool]:
    # As it was when the process began to work: later edits do not reach what it has imported.
    return checkout()


def _peak_memory() -> int | None:
    kilobytes = _field(_PROCESS / "status", "VmHWM")
    return int(kilobytes.split()[0]) * 1024 if kilobytes else None


def _field(file: Path, name: str) -> str:
    """A line `name: value` of one of Linux's files; "" if there is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in found if key.strip() == name), "")
