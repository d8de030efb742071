"""Python processes of their own in which this project can be imported, wherever this one got it from."""

import os
import subprocess
import sys
from pathlib import Path

import serving

_HOUSE = Path(serving.__file__).parents[1]


def environment(**more: str) -> dict[str, str]:
    """Returns what such a process finds in its environment: what is in this one's, and more."""
    places = (str(_HOUSE), str(_HOUSE / "serving"), os.environ.get("PYTHONPATH"))
    # Without accelerators: this process may still hold all of their memory.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "CUDA_VISIBLE_DEVICES": "-1", **more}


def run(*arguments: str) -> str:
    """Runs a module, given with its arguments, to its end; returns how it failed, "" where it did not."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], env=environment(), capture_output=True, text=True, errors="replace",
        check=False,
    )  # fmt: skip
    said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
    return f"ended with {done.returncode}: {said[-1]}" if done.returncode else ""
