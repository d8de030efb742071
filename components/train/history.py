"""Reads what training has written of its epochs, and tells which of them is in the model."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

MONITOR = "val_loss"
NAMES_FILE = "names.json"


def repair_history(file: Path) -> None:
    """Cuts off a last line that was half written when the process was killed, so that others can be added."""
    if file.exists() and not (content := file.read_bytes()).endswith(b"\n"):
        with file.open("r+b") as lines:
            lines.truncate(content.rfind(b"\n") + 1)


def read_history(file: Path) -> list[dict[str, float]]:
    """Reads the figures of each finished epoch, none of a missing file; a half-written line does not count."""
    if not file.exists():
        return []
    whole, _, _ = file.read_text(encoding="utf-8").rpartition("\n")
    return [
        {name: math.nan if value in ("", "NA") else float(value) for name, value in row.items()}
        for row in csv.DictReader(whole.splitlines())
    ]


def best_epoch(losses: Sequence[float]) -> int | None:
    """Returns the index of the epoch whose weights training keeps: the lowest loss, the first of equal ones.

    A loss that is not a number keeps nothing; None where all are such.
    """
    finite = [(loss, index) for index, loss in enumerate(losses) if math.isfinite(loss)]
    return min(finite)[1] if finite else None


def kept_phase(losses: Mapping[str, Sequence[float]]) -> str | None:
    """Returns which phase's weights are the model's; one has to beat all before it.

    `losses` are those monitored of the epochs of each phase, in the order of training.
    """
    reached = {name: epochs[best] for name, epochs in losses.items() if (best := best_epoch(epochs)) is not None}
    return min(reached, key=lambda name: reached[name], default=None)


def read_names(folder: Path) -> dict[str, dict[str, float]]:
    """Reads, of each column, how right the picture, the name and both are on eval; nothing where no name was read."""
    file = folder / NAMES_FILE
    return json.loads(file.read_bytes()) if file.exists() else {}
