"""What became of the copies of a model, and the table that console, report and card show of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from components.export.parity import Parity

COPIES_FILE = "copies.json"
HEAD = ("copy", "MB", "accuracy", "worst class", "recall lost most", "same answer", "lowest cosine")


@dataclass(frozen=True)
class Copy:
    """What became of one format."""

    form: str  # its name
    path: Path | None  # where it lies; None where it was refused
    parity: Parity  # how near it is to the model
    size: int  # of its file, bytes
    already: bool = False  # whether it had been published before


def write_copies(folder: Path, copies: Sequence[Copy]) -> None:
    """Writes `copies.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COPIES_FILE).write_bytes(_adapter().dump_json(tuple(copies), indent=2))


def read_copies(folder: Path) -> tuple[Copy, ...]:
    """Reads what `write_copies` wrote; OSError or ValueError where it cannot."""
    return _adapter().validate_json((folder / COPIES_FILE).read_bytes())


def rows(copies: Sequence[Copy]) -> Iterator[tuple[str, ...]]:
    """Yields the model's row and one for each copy, with a cell for each of `HEAD`."""
    if copies:
        yield "the model", "", _percent(copies[0].parity.model_accuracy), "", "", "", ""
    for copy in copies:
        parity = copy.parity
        fallen = f"{parity.fallen_class} {100 * parity.fall:.1f} points" if parity.fall > 0 else "none"
        yield (
            copy.form if copy.path else f"{copy.form}, refused", f"{copy.size / 1e6:.1f}", _percent(parity.accuracy),
            f"{parity.worst_class} {100 * parity.worst_recall:.1f} %", fallen, _percent(parity.same),
            f"{parity.cosine:.4f}",
        )  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 if share == 1 else min(100 * share, 99.99):.2f} %"  # only all of them are 100 %


def _adapter() -> TypeAdapter[tuple[Copy, ...]]:
    return TypeAdapter(tuple[Copy, ...])
