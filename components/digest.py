"""Cache keys that see edits of what a parameter only names.

TFX reuses a stage's outputs when its inputs and parameters are the same; it does not look at code and files that are
named rather than passed. A digest of them among the parameters closes that gap.
"""

import hashlib
from pathlib import Path

_ROOT = Path(__file__).parent.parent


def content_digest(path: Path) -> str:
    """Returns a hex digest of a file, or of all files below a folder with their names; "" where there is neither."""
    if not path.exists():
        return ""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def source_digest(*paths: str) -> str:
    """Returns a hex digest of the Python sources below `paths`, e.g. "components/train", "serving/decode.py"."""
    digest = hashlib.blake2b(digest_size=8)
    for path in paths:
        start = _ROOT / path
        for source in sorted(start.rglob("*.py")) if start.is_dir() else [start]:
            digest.update(str(source.relative_to(_ROOT)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()
