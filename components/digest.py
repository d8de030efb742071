"""Cache keys that see edits of what a parameter only names.

TFX reuses a stage's outputs when its inputs and parameters are the same; it does not look at code and files that are
named rather than passed. A digest of them among the parameters closes that gap.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path(__file__).parent.parent


def content_digest(path: Path) -> str:
    """Returns a hex digest of a file, or of all files below a folder with their names; "" where there is neither."""
    if not path.exists():
        return ""
    files = sorted(below for below in path.rglob("*") if below.is_file()) if path.is_dir() else [path]
    return _digest(files, path)


def source_digest(*paths: str) -> str:
    """Returns a hex digest of the Python sources below `paths`, e.g. "components/train", "serving/decode.py"."""
    starts = (_ROOT / path for path in paths)
    sources = (sorted(start.rglob("*.py")) if start.is_dir() else [start] for start in starts)
    return _digest((source for found in sources for source in found), _ROOT)


def _digest(files: Iterable[Path], base: Path) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        with file.open("rb") as content:  # weights are large: piece by piece
            of_content = hashlib.file_digest(content, "blake2b").digest()
        digest.update(str(file.relative_to(base)).encode() + b"\0" + of_content)
    return digest.hexdigest()
