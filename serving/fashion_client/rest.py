"""The client over TensorFlow Serving's REST API."""

import json
import math
import random
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.client import BadStatusLine, RemoteDisconnected
from types import TracebackType
from typing import Any, TypeGuard
from urllib.parse import quote

import urllib3
from fashion_client.answers import Match, Metadata, Signature, TensorInfo, VersionStatus
from fashion_client.client import INPUT, Client, Model
from fashion_client.errors import (
    ClientError,
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProtocolError,
    ServerFailed,
    Unavailable,
    Untrusted,
)
from fashion_client.options import Batches, Retries, Timeouts, Tls
from fashion_client.pictures import Picture
from fashion_client.similar import picture_bytes, read_matches
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError, ResponseError, SSLError
from urllib3.exceptions import ProtocolError as Broken

_MOST_BYTES = 64 << 20  # of an answer; 32 embeddings have less than one
_CHUNK = 1 << 20
_CONNECTIONS = 32  # that are kept for reuse
_ERRORS: Mapping[int, type[ClientError]] = {
    400: InvalidRequest, 401: Forbidden, 403: Forbidden, 404: NotFound, 408: DeadlineExceeded, 412: InvalidRequest,
    413: InvalidRequest, 429: Overloaded, 502: Unavailable, 503: Unavailable, 504: DeadlineExceeded,
}  # fmt: skip


class RestClient(Client):
    """Asks over HTTP. Thread-safe; connections are kept and shared."""

    def __init__(
        self, address: str, model: Model, timeouts: Timeouts, retries: Retries, batches: Batches,
        headers: Mapping[str, str], tls: Tls,
    ) -> None:  # fmt: skip
        super().__init__(f"{model} at {address}", batches)
        url = urllib3.util.parse_url(address)
        version = f"/versions/{model.version}" if model.version is not None else ""
        label = f"/labels/{quote(model.label, safe='')}" if model.label is not None else ""
        self._path = f"{(url.path or '').rstrip('/')}/v1/models/{quote(model.name, safe='')}{version}{label}"
        self._headers = {"Accept": "application/json", **headers}
        self._timeouts, self._retries = timeouts, retries
        secured = {"ssl_context": tls.context()} if url.scheme == "https" else {}
        self._pool = urllib3.connection_from_url(address, maxsize=_CONNECTIONS, **secured)

    def close(self) -> None:
        self._pool.close()

    def status(self) -> list[VersionStatus]:
        answer = self._request("GET", self._path)
        try:
            return [
                VersionStatus(int(each["version"]), str(each["state"]), str(each["status"].get("error_message", "")))
                for each in answer["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unexpected(answer) from error

    def metadata(self) -> Metadata:
        answer = self._request("GET", f"{self._path}/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return Metadata(
                answer["model_spec"]["name"],
                int(answer["model_spec"]["version"]),
                {
                    name: Signature(_tensors(each.get("inputs", {})), _tensors(each.get("outputs", {})))
                    for name, each in signatures.items()
                    if not name.startswith("__")
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unexpected(answer) from error

    def similar(self, pictures: Iterable[Picture] = (), ids: Iterable[str] = (), **query: Any) -> list[Match]:
        rows = [{"b64": b64encode(data).decode()} for data in picture_bytes(self.where, pictures)]
        body = json.dumps({INPUT: rows, "ids": list(ids), **query}).encode()
        return read_matches(self.where, self._request("POST", f"{self._path}:search", body).get("matches"))

    def _outputs(self, signature: str, wants: Callable[[str], bool], pictures: Sequence[bytes]) -> Mapping[str, Any]:
        rows = [{"b64": b64encode(picture).decode()} for picture in pictures]
        body = json.dumps({"signature_name": signature, "inputs": {INPUT: rows}}).encode()
        outputs = self._request("POST", f"{self._path}:predict", body).get("outputs")
        if not isinstance(outputs, dict):
            raise ProtocolError(self.where, "the answer has no 'outputs' by name")
        return outputs

    def _request(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeouts.total
        headers = {**self._headers, "Content-Type": "application/json"} if body else self._headers
        try:
            response = self._pool.urlopen(
                method, path, body=body, headers=headers, redirect=False, preload_content=False,
                timeout=_Limits(self._timeouts, deadline), retries=_Policy.of(self._retries, deadline),
            )  # fmt: skip
            try:
                content = self._content(response, deadline)
            finally:
                response.close()  # a connection that was read to its end is back in the pool already
        except HTTPError as error:
            raise self._failed(error) from error
        return self._answer(response.status, content)

    def _content(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        content = bytearray()
        while chunk := response.read1(_CHUNK):  # what is there, so that a server that dribbles is found out
            content += chunk
            if len(content) > _MOST_BYTES:
                raise ProtocolError(self.where, f"the answer is larger than {_MOST_BYTES >> 20} MB")
            if time.monotonic() > deadline:
                raise DeadlineExceeded(self.where, f"no complete answer within {self._timeouts.total:g} s")
        return bytes(content)

    def _answer(self, status: int, content: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if status == 200:
            if not isinstance(answer, dict):
                raise ProtocolError(self.where, f"the answer is not a JSON object: {_excerpt(content)}")
            return answer
        said = answer.get("error") if isinstance(answer, dict) else None
        kind = _ERRORS.get(status, ServerFailed if status >= 500 else ProtocolError)
        raise kind(self.where, f"HTTP {status}: {said if isinstance(said, str) else _excerpt(content)}")

    def _failed(self, error: HTTPError) -> ClientError:
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        if _is_distrust(reason):
            return Untrusted(self.where, f"no secure connection: {_plain(reason)}")
        if isinstance(reason, ReadTimeoutError):
            return DeadlineExceeded(self.where, f"no answer within {self._waited()}")
        if _is_no_http(reason):
            return ProtocolError(self.where, "the answer is not HTTP")
        cause = reason.args[-1] if isinstance(reason, Broken) else None
        if isinstance(cause, (OSError, RemoteDisconnected)):
            return Unavailable(self.where, f"the connection was cut: {cause}")
        if isinstance(reason, Broken):
            return ProtocolError(self.where, f"the answer is not complete: {reason}")
        return Unavailable(self.where, f"cannot be reached: {_plain(reason)}")

    def _waited(self) -> str:
        return f"{min(self._timeouts.read, self._timeouts.total):g} s"

    def _unexpected(self, answer: object) -> ProtocolError:
        return ProtocolError(self.where, f"the answer is not as expected: {_excerpt(json.dumps(answer).encode())}")


class _Limits(urllib3.Timeout):
    """Limits of one attempt, which shrink as the deadline of the whole request comes nearer."""

    def __init__(self, timeouts: Timeouts, deadline: float) -> None:
        left = max(deadline - time.monotonic(), 0.001)
        super().__init__(connect=min(timeouts.connect, left), read=min(timeouts.read, left))
        self._limits = timeouts, deadline

    def clone(self) -> "_Limits":  # urllib3 takes a clone for each attempt
        return _Limits(*self._limits)


class _Policy(urllib3.Retry):
    """Retries that do not outlast a deadline, and leave timeouts alone."""

    def __init__(self, *args: Any, deadline: float = math.inf, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline = deadline

    @classmethod
    def of(cls, retries: Retries, deadline: float) -> "_Policy":
        return cls(
            retries.attempts - 1, allowed_methods=None, status_forcelist=(429, 503), raise_on_status=False,
            backoff_factor=retries.first, backoff_max=retries.longest, deadline=deadline,
        )  # fmt: skip

    def new(self, **options: Any) -> "_Policy":
        return super().new(deadline=self._deadline, **options)

    def get_backoff_time(self) -> float:
        # urllib3 makes the second attempt at once, and varies pauses only by adding a constant.
        pause = self.backoff_factor * 2 ** max(len(self.history) - 1, 0)
        return min(pause, self.backoff_max) * random.uniform(0.5, 1)

    def increment(
        self, method: str | None = None, url: str | None = None, response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None, _pool: Any = None, _stacktrace: TracebackType | None = None,
    ) -> "_Policy":  # fmt: skip
        if isinstance(error, ReadTimeoutError) or _is_no_http(error) or (error and _is_distrust(error)):
            raise error
        policy = super().increment(method, url, response, error, _pool, _stacktrace)
        asked = self.get_retry_after(response) if response is not None else None
        pause = policy.get_backoff_time() if asked is None else asked
        if time.monotonic() + pause > self._deadline:
            raise MaxRetryError(_pool, url or "", error or ResponseError("no time is left to try again"))
        return policy


def _tensors(described: Mapping[str, Any]) -> dict[str, TensorInfo]:
    return {name: TensorInfo(_dtype(each["dtype"]), _shape(each["tensor_shape"])) for name, each in described.items()}


def _dtype(name: str) -> str:
    return name.removeprefix("DT_").lower()


def _shape(shape: Mapping[str, Any]) -> tuple[int, ...] | None:
    return None if shape.get("unknown_rank") else tuple(int(dim["size"]) for dim in shape.get("dim", ()))


def _is_no_http(error: Exception | None) -> TypeGuard[Broken]:
    cause = error.args[-1] if isinstance(error, Broken) else None
    return isinstance(cause, BadStatusLine) and not isinstance(cause, RemoteDisconnected)


def _is_distrust(error: Exception) -> bool:
    """Whether TLS refuses, and will again; a connection that was cut may stand at the next attempt."""
    cause = error.args[0] if isinstance(error, SSLError) and error.args else None
    return isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError)


def _plain(error: Exception) -> str:
    """The last part of urllib3's message, which begins with the object it is about."""
    return str(error).rpartition(": ")[2]


def _excerpt(content: bytes) -> str:
    text = " ".join(content[:200].decode("utf-8", "replace").split())
    return f"'{text[:120]}'" if text else "nothing"
