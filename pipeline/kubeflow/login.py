"""What a Kubeflow Pipelines server, or what stands before it, knows us by: a token, a session, headers."""

import base64
import binascii
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from urllib.request import Request

from components.errors import ClusterError

_COOKIES_TXT = ("# Netscape HTTP Cookie File", "# HTTP Cookie File")


@dataclass(frozen=True)
class Login:
    """What a server knows us by. Files are read for every request: Kubernetes renews the tokens that it mounts."""

    token_file: Path | None = None  # holds a bearer token
    token: str | None = field(default=None, repr=False)  # the token itself, where there is no file
    cookie_file: Path | None = None  # holds the cookies of a session: cookies.txt, or what the header Cookie says
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # further ones, sent with every request
    variable: str = "the environment"  # where the token itself comes from, as errors call it

    def sent_to(self, url: str) -> dict[str, str]:
        """Headers of a request.

        Raises:
            ClusterError: a file cannot be read, is empty, or holds no cookie for this address.
        """
        sent = dict(self.headers)
        if token := self._token():
            sent["Authorization"] = f"Bearer {token}"
        if self.cookie_file is not None:
            sent["Cookie"] = _cookies(self.cookie_file, url)
        return sent

    def __str__(self) -> str:
        known = [f"the token in {self.token_file or self.variable}"] if self.token_file or self.token else []
        known += [f"the session in {self.cookie_file}"] if self.cookie_file else []
        known += [f"the header {name}" for name in self.headers]
        return " and ".join(known) or "a request without a token"

    def expired(self) -> str:
        """When the token ran out, as words for an error, if it is a JSON web token that says so."""
        try:
            claims = (self._token() or "").split(".")[1]
            ends = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
            if ends < time.time():
                return f"; it expired at {datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M} UTC"
        except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
            pass
        return ""

    def _token(self) -> str | None:
        return self.token if self.token_file is None else _text(f"--token-file {self.token_file}", self.token_file)


def read_headers(given: Sequence[str]) -> dict[str, str]:
    """Reads `NAME: VALUE` texts; `@FILE` stands for the lines of a file, which other users do not see.

    Raises:
        ClusterError: a file cannot be read, or a text is no header.
    """
    headers: dict[str, str] = {}
    for text in given:
        where = f"--header {text}" if text.startswith("@") else "--header"
        for line in _text(where, Path(text[1:])).splitlines() if text.startswith("@") else [text]:
            name, colon, value = line.partition(":")
            if not (colon and name and value.strip() and name.isascii() and name.replace("-", "").isalnum()):
                raise ClusterError(f"{where}: give it as NAME: VALUE, e.g. 'X-Auth-Token: abc'")
            if not value.isprintable() or not value.isascii():
                raise ClusterError(f"{where} {name}: its value has other characters than headers can have")
            headers[name] = value.strip()
    return headers


def _cookies(file: Path, url: str) -> str:
    text = _text(f"--cookie-file {file}", file)
    if not text.startswith(_COOKIES_TXT):
        if "=" not in text or len(text.splitlines()) > 1:
            raise ClusterError(f"--cookie-file {file}: give cookies.txt, or a line like authservice_session=abc")
        return text.removeprefix("Cookie:").strip()
    jar, request = MozillaCookieJar(file), Request(url)
    try:
        with warnings.catch_warnings(action="ignore"):  # it takes a file that it cannot read for a bug of its own
            jar.load(ignore_discard=True, ignore_expires=True)
    except LoadError as error:
        raise ClusterError(f"--cookie-file {file}: is not cookies.txt: {error}") from None
    for cookie in jar:
        cookie.expires = cookie.expires or None  # curl writes 0 where a cookie lasts as long as its session
    held = len(jar)
    jar.clear_expired_cookies()
    jar.add_cookie_header(request)
    if cookies := request.get_header("Cookie"):
        return cookies
    why = "its cookies have expired: log in again" if held and not len(jar) else f"it has no cookie for {request.host}"
    raise ClusterError(f"--cookie-file {file}: {why}")


def _text(where: str, file: Path) -> str:
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"{where}: cannot be read: {error}") from None
    if not text:
        raise ClusterError(f"{where}: is empty")
    return text
