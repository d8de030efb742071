"""Where a run reads from and writes to. Everything it writes lies below one root."""

from dataclasses import dataclass
from pathlib import Path

from components.paths import short

__all__ = ["Paths", "short"]


@dataclass(frozen=True)
class Paths:
    """The places of one run."""

    data: Path  # the catalogue, a folder or a zip
    root: Path  # everything that is written lies below it
    # URL of the database that remembers runs and artifacts; None is a SQLite file below the root.
    database: str | None = None

    @property
    def metadata(self) -> str:
        """URL of the database that remembers runs and artifacts."""
        return self.database or f"sqlite:///{self.root / 'metadata.sqlite'}"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def work(self) -> Path:
        """Unfinished work that survives a kill."""
        return self.root / "work"

    @property
    def packed(self) -> Path:
        """Taxonomies and schemas that came in packages."""
        return self.root / "packed"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def serving(self) -> Path:
        """What TensorFlow Serving reads: `<model>/<version>/`."""
        return self.root / "serving"
