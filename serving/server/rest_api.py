"""The REST face: TensorFlow Serving's HTTP API and metrics, the Open Inference Protocol, and the server's health."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import unquote

import grpc
from aiohttp import web

from serving.server.access import AccessLog, known_by
from serving.server.connections import Connections
from serving.server.errors import RequestTooLarge, ServingError, http_status, invalid, not_found, unmet, unserved
from serving.server.inference import read_version
from serving.server.inference_rest import JSON_LENGTH, PATH, infer, tell
from serving.server.limits import Limits, Waiting
from serving.server.manager import ModelManager, Spec, said_by
from serving.server.messages import fields_of, metadata_fields, metadata_message, status_message
from serving.server.metrics import Metrics
from serving.server.rest_answer import write_outputs
from serving.server.rest_request import parse_request, read_inputs, signature_of
from serving.server.runner import OFF_LOOP_FROM, maybe_off_loop
from serving.server.searching import Question, read_question

_log = logging.getLogger(__name__)

_CHOICE = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(rf"/v1/models/(?P<name>[^/:]+){_CHOICE}:(?P<verb>classify|regress|predict|search)", re.IGNORECASE)
_GET = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_CHOICE}(?P<metadata>/metadata)?", re.IGNORECASE)
_MAX_VERSION, _VERSION_DIGITS = 2**63 - 1, 100

_GONE = 499  # in the log, of a client that did not wait for its answer
_COMPRESSED_FROM = 1024  # bytes of an answer below which gzip costs more than it saves
# What TensorFlow Serving sends with --rest_api_enable_cors_support.
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestApi:
    """Answers HTTP requests out of a manager: with status 504 after the timeout, with 503 once `closing` is set.

    With `cors`, browsers may ask from pages of other servers.

    Attributes:
        running: requests that are being answered now.
    """

    def __init__(
        self, manager: ModelManager, metrics: Metrics, limits: Limits, timeout_seconds: float, closing: asyncio.Event,
        waiting: Waiting, connections: Connections, access: AccessLog, cors: bool = False,
    ) -> None:  # fmt: skip
        self._access = access
        self._manager, self._metrics, self._limits, self._timeout = manager, metrics, limits, timeout_seconds
        self._closing, self._waiting, self._connections, self._cors = closing, waiting, connections, cors
        self.running = 0

    def application(self) -> web.Application:
        """The routes, for one event loop."""
        application = web.Application(middlewares=[self._guard])
        application.router.add_route("*", "/v1/{rest:.*}", self._v1)
        application.router.add_route("*", "/v2{rest:.*}", self._v2)
        application.router.add_get("/monitoring/prometheus/metrics", self._exposition)
        application.router.add_get("/healthz", self._alive)
        application.router.add_get("/readyz", self._ready)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Counts what runs, and answers it with the headers that all answers have."""
        self.running += 1
        self._connections.heard(request.protocol)
        known, began, status = known_by(request.headers), time.monotonic(), _GONE
        try:
            response = await self._answer(request, handler)
            status = response.status
        finally:
            self.running -= 1
            path = f"{request.method} {request.path}"
            self._access.write("REST", request.remote, path, status, request.content_length, began, known)
        response.headers.update(known)
        if self._cors and request.path.lower().startswith(("/v1/", "/v2")):
            response.headers.update(_CORS)
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Gives every error its status and the API's form."""
        try:
            return await handler(request)
        except ServingError as error:
            _log.debug("%s %s: %s", request.method, request.path, error.message)
            return _refusal(error)
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            response = _error(405, f"{request.path} answers {allowed}, not {request.method}")
            response.headers["Allow"] = allowed
            return response
        except web.HTTPException as error:
            return _error(error.status, f"{error.reason}: {request.method} {request.path}")
        except Exception:  # noqa: BLE001 - a bug met by one request is not to end the server
            _log.exception("%s %s failed", request.method, request.path)
            return _error(500, "Internal error; the server's log says more")

    async def _v1(self, request: web.Request) -> web.Response:
        if request.method == "OPTIONS":
            return _preflight(request)
        pattern = {"POST": _POST, "GET": _GET}.get(request.method)
        found = pattern.fullmatch(request.rel_url.raw_path) if pattern else None
        if not found:
            raise invalid(f"Malformed request: {request.method} {request.path}")
        spec = _spec(found["name"], found["version"], found["label"])
        if request.method == "POST":
            return await self._post(request, spec, found["verb"].lower())
        if found["metadata"]:
            return _json(json.dumps(metadata_fields(metadata_message(self._manager, spec))), request)
        return _json(json.dumps(fields_of(status_message(self._manager, spec))), request)

    async def _v2(self, request: web.Request) -> web.Response:
        if request.method == "OPTIONS":
            return _preflight(request)
        found = PATH.fullmatch(request.rel_url.raw_path)
        if not found or (request.method == "POST") != (found["verb"] == "/infer"):
            raise not_found(f"{request.method} {request.path} is not of the Open Inference Protocol")
        if request.method == "POST":
            return await self._post(request, Spec(unquote(found["name"]), read_version(found["version"])), "infer")
        if found["health"] == "ready":
            return await self._ready(request)
        status, fields = tell(self._manager, found)
        return web.json_response(fields, status=status)

    async def _post(self, request: web.Request, spec: Spec, verb: str) -> web.Response:
        if verb not in ("predict", "search", "infer"):
            raise unserved(f":{verb}", ":predict")
        with self._metrics.request(self._manager.known(spec.name), "REST"):
            if self._closing.is_set():
                raise ServingError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._predict(request, spec, verb)
            except TimeoutError as error:
                raise ServingError(
                    grpc.StatusCode.DEADLINE_EXCEEDED, f"No answer within {self._timeout:g} s (--rest-timeout)"
                ) from error

    async def _predict(self, request: web.Request, spec: Spec, verb: str) -> web.Response:
        with self._waiting.place() as hold:
            body = await self._body(request, hold)
            with self._connections.answer(request.protocol):
                answer = {"search": self._searched, "infer": self._inferred}.get(verb, self._answered)
                return await answer(request, spec, body)

    async def _searched(self, request: web.Request, spec: Spec, body: bytearray) -> web.Response:
        def read() -> Question:
            return read_question(parse_request(body, self._limits), self._limits)

        question = await maybe_off_loop(len(body) > OFF_LOOP_FROM, read)
        return _json(json.dumps(await self._manager.search(spec, question)), request)

    async def _answered(self, request: web.Request, spec: Spec, body: bytearray) -> web.Response:
        large = len(body) > OFF_LOOP_FROM
        document = await maybe_off_loop(large, parse_request, body, self._limits)
        spec = replace(spec, signature=signature_of(document), caller=said_by(request.headers))
        declared = self._declared(spec)
        inputs, by_row = await maybe_off_loop(large, read_inputs, document, declared, self._limits)
        del body, document  # what is waited for now may take long
        answer = await self._manager.predict(spec, inputs)
        large = sum(array.nbytes for array in answer.outputs.values()) > OFF_LOOP_FROM // 8
        return _json(await maybe_off_loop(large, write_outputs, answer.outputs, by_row), request)

    async def _inferred(self, request: web.Request, spec: Spec, body: bytearray) -> web.Response:
        content, length = await infer(self._manager, spec, request.headers, body, self._limits)
        if length is None:
            return _json(content.decode(), request)
        binary = "application/octet-stream"
        return web.Response(body=content, content_type=binary, headers={JSON_LENGTH: str(length)})

    async def _body(self, request: web.Request, hold: Callable[[int], None]) -> bytearray:
        body, limit = bytearray(), self._limits.request_bytes
        if (request.content_length or 0) > limit:
            raise RequestTooLarge(limit)
        try:
            async for part in request.content.iter_any():
                if len(body) + len(part) > limit:
                    raise RequestTooLarge(limit)
                hold(len(part))
                body += part
        except (ValueError, web.RequestPayloadError) as error:
            raise invalid(f"The body cannot be read as its headers announce: {error}") from error
        return body

    def _declared(self, spec: Spec) -> dict[str, int]:
        """Type of each input of the signature."""
        _, signatures = self._manager.signatures(spec)
        name = spec.signature or "serving_default"
        if name not in signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        if not signatures[name].inputs:
            raise invalid(f"Failed to get input map for signature: {name}")
        return {key: info.dtype for key, info in signatures[name].inputs.items()}

    async def _exposition(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _alive(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _ready(self, request: web.Request) -> web.Response:
        if self._closing.is_set():
            return web.json_response({"status": "shutting down"}, status=503)
        if not self._manager.ready:
            return web.json_response({"status": "not all models have a version that is available"}, status=503)
        return web.json_response({"status": "ready"})


def _spec(name: str | None, version: str | None, label: str | None) -> Spec:
    if not name:
        raise invalid("Missing model name in request.")
    # Python reads no number of thousands of digits.
    if version and (len(version) > _VERSION_DIGITS or int(version) > _MAX_VERSION):
        raise invalid(f"Failed to convert version: {version[: _VERSION_DIGITS + 1]} to numeric.")
    return Spec(unquote(name), int(version) if version else None, unquote(label) if label else None)


def _json(text: str, request: web.Request) -> web.Response:
    response = web.Response(text=text, content_type="application/json")
    if len(text) > _COMPRESSED_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def _preflight(request: web.Request) -> web.Response:
    """Tells a browser, before it asks, that it may; or not, by leaving the headers out."""
    if not re.fullmatch("https?://.*", request.headers.get("Origin", "")):
        raise unmet("Origin header is missing in CORS preflight")
    return web.Response()


def _refusal(error: ServingError) -> web.Response:
    response = _error(413 if isinstance(error, RequestTooLarge) else http_status(error.code), error.message)
    if response.status == 429:
        response.headers["Retry-After"] = "1"
    return response


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
