"""A serving folder to release from."""

import json
from pathlib import Path

import pytest

from tests.publish.released import MODEL


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    """A serving folder with versions 1 to 4 of one model."""
    folder = tmp_path / "serving"
    for version in range(1, 5):
        extras = folder / MODEL / str(version) / "assets.extra"
        extras.mkdir(parents=True)
        (extras / "metrics.json").write_text(json.dumps({"accuracy": 0.9 + version / 100, "macro_f1": 0.8}))
    return folder
