"""The model server as a whole: both faces on one event loop, from the first listening to the last answer."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import grpc
from aiohttp import web

from serving.server.access import AccessLog
from serving.server.config import ModelServerConfig, Options, models_of
from serving.server.connections import HEADER_SECONDS, IDLE_SECONDS, Connections, connection_limit, raise_file_limit
from serving.server.errors import ServingError
from serving.server.follow import following
from serving.server.grpc_api import grpc_server
from serving.server.lifecycle import AVAILABLE
from serving.server.limits import Limits, Waiting
from serving.server.manager import ModelManager
from serving.server.metrics import Metrics
from serving.server.page import add_page
from serving.server.rest_api import RestApi
from serving.server.tls import Tls

if TYPE_CHECKING:
    from fashion_client.answer_log import AnswerLog

_log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_DRAIN_STEP_SECONDS = 0.02
_ANSWER_SECONDS = 0.5  # for the last answers to reach their clients
_BACKLOG = 128


class CannotListen(Exception):
    """An address cannot be listened on. The message names it and says why."""


@dataclass(frozen=True)
class Network:
    """Where the server listens, and how patient it is."""

    host: str = "127.0.0.1"  # name or address to listen on; "0.0.0.0" is every network of the machine
    rest_port: int = 8501  # 0 takes a free one, as below
    grpc_port: int = 8500
    rest_timeout_seconds: float = 30.0  # after which an HTTP request gets status 504; gRPC clients send a deadline
    grace_seconds: float = 30.0  # that requests have to end in when the server is to stop; the rest get UNAVAILABLE
    connections: int = 1000  # of each protocol at once, as far as there are files for them
    cors: bool = False  # whether pages of other servers may ask from a browser
    tls: Tls | None = None  # that both ports speak; None for neither
    access_log: TextIO | None = None  # gets a line for each request
    page: bool = False  # whether there is a page at `/`, for people who try models


@dataclass(frozen=True)
class Listening:
    """A server that has loaded what was there to load."""

    rest: str  # URL of the HTTP API, without a path
    grpc: str  # address of the gRPC API, host:port
    # Versions that are available, newest first, by the name of each model that is configured.
    models: Mapping[str, Sequence[int]]


async def serve(
    config: ModelServerConfig, options: Options, *, network: Network, limits: Limits,
    ready: Callable[[Listening], None], closing: asyncio.Event, log: "AnswerLog | None" = None,
) -> bool:  # fmt: skip
    """Serves until `closing` is set, then lets running requests end and refuses new ones.

    Both faces answer from the start, so that health can be asked for while models load; a model is there once it is
    loaded. `ready` is called once, when the models found at the start are; `closing` is set from this event loop. `log`
    gets a sample of the answers.

    Returns:
        Whether all work has ended. If not, a thread is still in TensorFlow with what nobody waits for any more.

    Raises:
        CannotListen: a port is taken, or the host is none of this machine.
    """
    metrics, waiting = Metrics(), Waiting(limits)
    manager = ModelManager(config, options, metrics, log)
    most = connection_limit(network.connections)
    connections = Connections(most)
    access = AccessLog(network.access_log)
    rest = RestApi(
        manager, metrics, limits, network.rest_timeout_seconds, closing, waiting, connections, access, network.cors
    )
    application = rest.application()
    if network.page:
        add_page(application.router, manager)
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=1,
        keepalive_timeout=IDLE_SECONDS,
    )
    calls = grpc_server(manager, metrics, limits, waiting, most, closing, access)
    await runner.setup()
    http: asyncio.Server | None = None
    try:
        assert runner.server
        http = await _listen_http(partial(connections.accept, runner.server), network)
        rest_url = f"{'https' if network.tls else 'http'}://{_address(network.host, http.sockets[0].getsockname()[1])}"
        grpc_address = await _listen_grpc(calls, network)
        if await _before(closing, manager.start()):
            ready(Listening(rest_url, grpc_address, _available(config, manager)))
            with following(manager, options):
                await closing.wait()
            _log.info("stopping: running requests have %g s to end", network.grace_seconds)
    finally:
        closing.set()
        loop, grace = asyncio.get_running_loop(), network.grace_seconds
        until = loop.time() + grace
        cut = loop.call_later(grace, manager.cut_off)
        await asyncio.gather(calls.stop(grace + _ANSWER_SECONDS), _drained(rest, grace + _ANSWER_SECONDS))
        if http is not None:
            http.close()
        await runner.cleanup()
        ended = await manager.stop(max(until - loop.time(), 0))
        cut.cancel()
    return ended


def run_server(
    config: ModelServerConfig, options: Options, *, network: Network, limits: Limits,
    ready: Callable[[Listening], None], log: "AnswerLog | None" = None,
) -> None:  # fmt: skip
    """Serves until SIGTERM or SIGINT, as `serve` does; a second signal ends the process at once.

    Raises:
        CannotListen: a port is taken, or the host is none of this machine.
    """
    raise_file_limit()
    # What is imported by now stays: without this, reading a request of many values stops to look through all of it.
    gc.collect()
    gc.freeze()

    async def main() -> bool:
        loop, closing = asyncio.get_running_loop(), asyncio.Event()

        def stop() -> None:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
            closing.set()

        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
        return await serve(config, options, network=network, limits=limits, ready=ready, closing=closing, log=log)

    ended = asyncio.run(main())
    if log is not None:
        log.close()
    if not ended:
        # TensorFlow cannot be interrupted, and Python would not end before its threads do.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


async def _listen_http(accept: Callable[[], asyncio.BaseProtocol], network: Network) -> asyncio.Server:
    loop, secured = asyncio.get_running_loop(), network.tls.context if network.tls else None
    try:
        return await loop.create_server(
            accept, network.host, network.rest_port, backlog=_BACKLOG, reuse_address=True, ssl=secured,
            ssl_handshake_timeout=HEADER_SECONDS if secured else None,
        )  # fmt: skip
    except OSError as error:
        raise _cannot_listen(network.host, network.rest_port, "--rest-port", error.strerror or str(error)) from error


async def _listen_grpc(server: grpc.aio.Server, network: Network) -> str:
    try:
        address = _address(network.host, network.grpc_port)
        port = (
            server.add_secure_port(address, network.tls.credentials)
            if network.tls
            else server.add_insecure_port(address)
        )
    except RuntimeError as error:
        reason = "the port is taken, or the host is none of this machine"
        raise _cannot_listen(network.host, network.grpc_port, "--grpc-port", reason) from error
    await server.start()
    return _address(network.host, port)


def _available(config: ModelServerConfig, manager: ModelManager) -> dict[str, list[int]]:
    models: dict[str, list[int]] = {name: [] for name in models_of(config)}
    for name, versions in models.items():
        with contextlib.suppress(ServingError):
            versions += [version.version for version in manager.status(name) if version.state == AVAILABLE]
    return models


async def _before(closing: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work was done before the server was told to stop; otherwise the work is given up."""
    doing, waiting = asyncio.ensure_future(work), asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait((doing, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
    if doing.cancelled():
        return False
    doing.result()
    return not closing.is_set()


async def _drained(rest: RestApi, grace_seconds: float) -> None:
    until = time.monotonic() + grace_seconds
    while rest.running and time.monotonic() < until:
        await asyncio.sleep(_DRAIN_STEP_SECONDS)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_listen(host: str, port: int, option: str, reason: str) -> CannotListen:
    return CannotListen(f"{_address(host, port)} cannot be listened on: {reason}. Choose another with {option}.")
