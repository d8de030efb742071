"""What a Kubeflow Pipelines server knows us by."""

import base64
import binascii
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.errors import ClusterError


@dataclass(frozen=True)
class Token:
    """What a server knows us by."""

    # Holds a bearer token; read for every request, since Kubernetes renews the tokens that it mounts.
    file: Path | None = None
    value: str | None = None  # the token itself, where there is no file
    name: str = "--token-file"  # where it comes from, as errors call it

    def read(self) -> str | None:
        """The token; None if there is none.

        Raises:
            ClusterError: its file cannot be read, or is empty.
        """
        if self.file is None:
            return self.value
        try:
            text = self.file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ClusterError(f"--token-file {self.file}: cannot be read: {error}") from None
        if not text:
            raise ClusterError(f"--token-file {self.file}: is empty")
        return text

    def __str__(self) -> str:
        if self.file is not None:
            return f"the token in {self.file}"
        return f"the token in {self.name}" if self.value else "a request without a token"

    def expired(self) -> str:
        """When it ran out, as words for an error, if it is a JSON web token that says so."""
        try:
            claims = (self.read() or "").split(".")[1]
            ends = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
            if ends < time.time():
                return f"; it expired at {datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M} UTC"
        except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
            pass
        return ""
