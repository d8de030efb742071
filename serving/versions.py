"""Which folders of a model TensorFlow Serving takes for its versions, and which model lies in one."""

import json
import os
from pathlib import Path

EXTRAS = "assets.extra"
PROVENANCE = "provenance.json"

_LARGEST = 2**63 - 1  # versions are kept as int64, and larger names passed over


def find_versions(base_path: Path) -> dict[int, Path]:
    """Every version in a model's folder, ascending, with its own folder; staging and other names are passed over.

    Raises:
        OSError: the folder is not there, or cannot be read.
    """
    with os.scandir(base_path) as entries:
        found = {
            int(entry.name): Path(entry.path)
            for entry in entries
            if entry.name.isascii() and entry.name.isdecimal() and int(entry.name) <= _LARGEST and entry.is_dir()
        }
    return dict(sorted(found.items()))


def recorded_digest(version: Path) -> str | None:
    """The digest of the model in a version's folder, as it was published; None of one that was put there by hand."""
    try:
        record = json.loads((version / EXTRAS / PROVENANCE).read_bytes())
    except (OSError, ValueError):
        return None
    return record.get("digest") if isinstance(record, dict) else None
