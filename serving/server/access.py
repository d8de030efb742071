"""What a request is known by, sent back with its answer; and the access log, one line of JSON for each request."""

import contextlib
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO
from uuid import uuid4

REQUEST_ID, TRACE = "x-request-id", "traceparent"

_ID = re.compile(r"[!-~]{1,200}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
)  # https://www.w3.org/TR/trace-context/
_MOST_PATH = 500  # characters


def known_by(sent: Mapping[str, Any]) -> dict[str, str]:
    """The id of a request, the caller's own or a new one, and its trace if it has one: headers of the answer.

    Args:
        sent: headers, or metadata of gRPC. What is of another form than an id or a trace has is passed over.
    """
    given, trace = str(sent.get(REQUEST_ID, "")), str(sent.get(TRACE, ""))
    known = {REQUEST_ID: given if _ID.fullmatch(given) else uuid4().hex}
    return known | {TRACE: trace} if _TRACEPARENT.fullmatch(trace) else known


class AccessLog:
    """Writes to a stream, if there is one."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(
        self, protocol: str, peer: str | None, path: str, status: int | str, received: int | None, began: float,
        known: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Adds the line of a request; a stream that is full or gone loses it, and nothing else."""
        if self._stream is None:
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "protocol": protocol, "peer": peer,
            "path": path[:_MOST_PATH], "status": status, "received": received,
            "ms": round(1000 * (time.monotonic() - began), 1), **known,
        }  # fmt: skip
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
