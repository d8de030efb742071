"""What an index came to, and the table that console, report and card show of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

HEAD = ("products of the same", "precision@10", "mAP@R", "asked about")

_FILE = "summary.json"


@dataclass(frozen=True)
class Relevance:
    """How many of the products found agree with the one asked about, see `components.index.figures.measure`."""

    precision: float
    map_at_r: float
    queries: int


@dataclass(frozen=True)
class IndexSummary:
    """One version of an index.

    `recall` is the share of the ten nearest that an approximate search finds, None of an exact one; `figures` go by
    what has to agree, columns joined by +.
    """

    version: str
    products: int
    left_out: int
    recall: float | None
    figures: dict[str, Relevance]

    def __str__(self) -> str:
        left = f", {self.left_out:,} left out" if self.left_out else ""
        how = "exactly" if self.recall is None else f"so that {100 * self.recall:.1f} % of the ten nearest are found"
        return f"{self.products:,} products{left}, searched {how}"


def summarize(version: str, facts: Mapping[str, Any]) -> IndexSummary:
    """Summarizes what `index.json` says."""
    return _adapter().validate_python(
        {
            "version": version,
            "products": facts["products"],
            "left_out": sum(facts["left_out"].values()),
            "recall": facts["recall"] if facts["probes"] else None,
            "figures": facts["figures"],
        }
    )


def rows(summary: IndexSummary) -> Iterator[tuple[str, ...]]:
    """Yields a row for each relevance, with a cell for each of `HEAD`."""
    for name, figure in summary.figures.items():
        same = " and ".join(name.split("+"))
        yield same, f"{figure.precision:.3f}", f"{figure.map_at_r:.3f}", f"{figure.queries:,}"


def write_summary(folder: Path, summary: IndexSummary) -> None:
    """Writes a summary as the artifact of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FILE).write_bytes(_adapter().dump_json(summary, indent=2))


def read_summary(folder: Path) -> IndexSummary | None:
    """Reads what `write_summary` wrote; None where a run has made no index, for no model serves."""
    file = folder / _FILE
    return _adapter().validate_json(file.read_bytes()) if file.exists() else None


def _adapter() -> TypeAdapter[IndexSummary]:
    return TypeAdapter(IndexSummary)
