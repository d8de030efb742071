"""Cache keys that see code edits.

TFX reuses a stage's outputs when its inputs and parameters are the same; it does not look at code that is named
rather than passed. A digest of the sources among the parameters closes that gap.
"""

import hashlib
from pathlib import Path

_ROOT = Path(__file__).parent.parent


def source_digest(*paths: str) -> str:
    """Returns a hex digest of the Python sources below `paths`, e.g. "components/train", "serving/decode.py"."""
    digest = hashlib.blake2b(digest_size=8)
    for path in paths:
        start = _ROOT / path
        for source in sorted(start.rglob("*.py")) if start.is_dir() else [start]:
            digest.update(str(source.relative_to(_ROOT)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()
