"""A Kubeflow Pipelines server: how it is reached, and what its refusals and silences mean."""

import json
import logging
import os
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import kfp
import kfp_server_api
import urllib3

from components.errors import ClusterError
from pipeline.kubeflow.login import Login

POLL_SECONDS = 10.0
PATIENCE_SECONDS = 600.0  # a server that is being upgraded is away for minutes
TIMEOUT = (10.0, 60.0)  # to connect, to answer
# A connection that failed has asked for nothing, so that any request may try again; later only one that reads.
RETRIES = urllib3.Retry(
    total=3,
    redirect=False,
    allowed_methods=("GET",),
    status_forcelist=(429, 502, 503, 504),
    backoff_factor=0.5,
    raise_on_status=False,
    retry_after_max=30,
)
ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
Say = Callable[[str], None]
Answer = TypeVar("Answer")


class Unavailable(ClusterError):
    """There was no answer now; there may be one later."""


class Server(kfp.Client):
    """A Kubeflow Pipelines server.

    kfp's client left alone reads settings from the home folder, looks for a cluster around it, may open a browser,
    waits for an answer for ever and takes a login page for an empty one. This one knows only what it is given, and
    raises ClusterError for whatever fails.
    """

    def __init__(
        self, host: str, namespace: str | None = None, login: Login | None = None, ca: Path | None = None
    ) -> None:
        """Connects.

        Args:
            host: where the API is, e.g. https://kubeflow.example.com/pipeline.
            namespace: whose pipelines, runs and schedules; needed where each user has one.
            login: what the server knows us by.
            ca: authorities that its certificate may be of; those of SSL_CERT_FILE, or the usual ones, if None.

        Raises:
            ClusterError: there is no such server, or it needs a namespace.
        """
        self.host, self.login, self._ca = _address(host), login or Login(), _authorities(ca)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of every attempt
        with warnings.catch_warnings(action="ignore"):
            super().__init__(host=self.host)
        api = self._run_api.api_client  # the one of all services
        self._send, api.request = api.request, self._request
        many_users = self._healthz_api.healthz_service_get_healthz().multi_user
        if many_users and not namespace:
            raise ClusterError(f"{self.host} keeps a namespace for each user: name yours with --namespace")
        self.namespace = namespace if many_users else None  # a server of one user knows of none
        self._context_setting = {"namespace": self.namespace or ""}

    def _load_config(self, host: str, *_: object) -> Any:
        config = kfp_server_api.Configuration(host=host)
        config.retries = RETRIES
        config.ssl_ca_cert = self._ca
        if proxy := proxy_of(host):
            config.proxy, config.proxy_headers = proxy
        return config

    def _load_context_setting_or_default(self) -> None:
        self._context_setting = {"namespace": "set when connected"}  # or kfp would ask a server that may hang

    def link(self, what: str) -> str:
        """Where people see a thing, e.g. `runs/details/ID`."""
        return f"{self._get_url_prefix().rstrip('/')}/#/{what}"

    def _request(self, method: str, url: str, **options: Any) -> Any:
        options["_request_timeout"] = TIMEOUT
        options["headers"] = {**(options.get("headers") or {}), **self.login.sent_to(url)}
        try:
            response = self._send(method, url, **options)
        except kfp_server_api.ApiException as error:
            raise self._refusal(method, url, error) from None
        except urllib3.exceptions.HTTPError as error:
            raise self._silence(method, error) from None
        try:
            json.loads(response.data)
        except ValueError:
            raise ClusterError(
                f"{url} answered with a web page: it wants a login (give a token with --token-file, or a browser's "
                f"session with --cookie-file), or --host is not the API's full address (often {self.host}/pipeline)"
            ) from None
        return response

    def _silence(self, method: str, error: Exception) -> ClusterError:
        reason = getattr(error, "reason", None) or error
        text = " ".join(str(getattr(reason.__cause__, "strerror", None) or reason).split())
        if "CERTIFICATE_VERIFY" in text:
            return ClusterError(f"{self.host}: its certificate is not trusted; name the file of its CA with --ca")
        if isinstance(reason, urllib3.exceptions.ProxyError):
            return Unavailable(
                f"{self.host} cannot be reached through the proxy ({_innermost(reason)}). Check HTTP_PROXY and "
                f"HTTPS_PROXY, or set NO_PROXY={urlsplit(self.host).hostname} where none is needed"
            )
        if isinstance(reason, urllib3.exceptions.SSLError):
            return ClusterError(f"{self.host} does not speak https: try http:// in --host ({text})")
        if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
            text = f"no answer within {TIMEOUT[1]:g} s"
        elif type(reason) is urllib3.exceptions.ConnectTimeoutError:  # others are of this kind, too
            text = f"no connection within {TIMEOUT[0]:g} s"
        elif isinstance(reason, urllib3.exceptions.ProtocolError):
            text = f"the connection broke: {reason.args[-1]}"
        connected = not isinstance(reason, urllib3.exceptions.ConnectTimeoutError)
        doubt = " What was asked for may have been done all the same." if connected and method != "GET" else ""
        return Unavailable(f"{self.host} cannot be reached ({text}). Check --host and the network.{doubt}")

    def _refusal(self, method: str, url: str, error: Any) -> ClusterError:
        said = f"{error.status}{_message(error.body)}"
        if error.status in (301, 302, 303, 307, 308):
            target = error.headers.get("Location", "")
            if target.startswith("https:") and urlsplit(target).hostname == urlsplit(self.host).hostname:
                return ClusterError(f"{self.host} sends on to https: give --host with https://")
            return ClusterError(
                f"{url} sends on to a login page, {target}: give a token with --token-file, or a browser's session "
                "with --cookie-file"
            )
        if error.status == 407:
            return ClusterError(f"the proxy before {self.host} wants a login: HTTP_PROXY=http://USER:PASSWORD@…")
        if error.status == 401:
            return ClusterError(
                f"{self.host} does not accept {self.login} ({said}){self.login.expired()}. Get a new one, e.g. with "
                "kubectl create token, and name its file with --token-file; for a session log in again"
            )
        if error.status == 403:
            where = f"in namespace {self.namespace}" if self.namespace else "there"
            return ClusterError(
                f"{method} {url}: {self.login} may not do this {where} ({said}). Name a namespace that is yours with "
                "--namespace, or have the role kubeflow-edit given to it"
            )
        if error.status == 404:
            if _message(error.body) and not url.endswith("/healthz"):
                return ClusterError(f"{method} {url}: {said}. Deleted meanwhile? Give the same command again")
            return ClusterError(
                f"{url}: there is no Kubeflow Pipelines (404). Give the API's full address with --host, often "
                f"{self.host}/pipeline"
            )
        if error.status == 409:
            return ClusterError(f"{method} {url}: somebody else made it just now ({said}). Give the same command again")
        if error.status == 429 or error.status >= 500:
            return Unavailable(
                f"{method} {url}: the server failed ({said}). Try again later; its log has the reason: "
                "kubectl logs -n kubeflow deploy/ml-pipeline"
            )
        return ClusterError(f"{method} {url}: refused ({said})")


def _address(host: str) -> str:
    parts = urlsplit(host)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClusterError(f"--host {host}: give the address with http:// or https://, e.g. http://localhost:8080")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")  # what follows # is the user interface's


def _authorities(ca: Path | None) -> str | None:
    """The file of authorities that count; one that urllib3 could not read it would only name an errno of.

    Raises:
        ClusterError: it cannot be read.
    """
    file = str(ca) if ca else os.environ.get("SSL_CERT_FILE")
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        where = f"--ca {file}" if ca else f"SSL_CERT_FILE={file}"
        raise ClusterError(f"{where}: no certificates in PEM can be read from it ({error})") from None
    return file


def proxy_of(host: str) -> tuple[str, dict[str, str]] | None:
    """Address of the proxy that the environment names for a server, and headers with its login; None without one."""
    parts = urlsplit(host)
    found = getproxies().get(parts.scheme)
    if not found or proxy_bypass(parts.netloc):
        return None
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    login = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}" if proxy.username else None
    return f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}", dict(urllib3.make_headers(proxy_basic_auth=login))


def _innermost(error: BaseException) -> str:
    while inner := error.__cause__ or (error.args[-1] if isinstance(error.args[-1], BaseException) else None):
        error = inner
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def _message(body: bytes | None) -> str:
    """What the server said, as `: words`; empty if the answer is not from Kubeflow Pipelines."""
    try:
        content = json.loads(body or b"")
        text = " ".join(str(content.get("message") or content.get("error_message") or content["error"]).split())
    except (ValueError, KeyError, AttributeError):
        return ""
    return f": {text[:300]}"


def pages(list_page: Callable[..., Any], field: str, **query: Any) -> Iterator[Any]:
    """All that a listing of kfp's client gives, page after page."""
    token = ""
    while True:
        page = list_page(page_token=token, page_size=100, **query)
        yield from getattr(page, field) or ()
        token = page.next_page_token
        if not token:
            return


def equal(key: str, value: str) -> str:
    """A filter of a listing."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})


def pause() -> None:
    """Until it is worth asking again."""
    time.sleep(POLL_SECONDS)


def patiently(ask: Callable[[], Answer]) -> Answer:
    """The answer to a question that may be asked again: waits for a server that is away for a while."""
    began = time.monotonic()
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise
            pause()
