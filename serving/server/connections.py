"""Bounds the connections of the server: by number, and by the time that a client may take to ask."""

import asyncio
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

_log = logging.getLogger(__name__)

HEADER_SECONDS = 10.0  # from connecting to the end of the first request's header
IDLE_SECONDS = 75.0  # from an answer to the end of the next request's header; longer than proxies keep a connection
_FILES_BESIDE = 256  # that models, logs and connections not yet counted may have open
_FEWEST = 16


def raise_file_limit() -> None:
    """Lets this process open as many files, and so connections, as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connection_limit(wanted: int) -> int:
    """Lowers a number of connections to what each of the server's two faces can have without running out of files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if files == resource.RLIM_INFINITY else min(wanted, max(_FEWEST, (files - _FILES_BESIDE) // 2))


class Connections:
    """The connections of the REST face. A new one too many takes the place of one that asks nothing, or too slowly."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._silent: set[Any] = set()  # that have not asked yet
        self._active: set[Any] = set()  # that have asked, and wait for the answer

    def heard(self, protocol: asyncio.BaseProtocol) -> None:
        """Is told of a request whose header has arrived."""
        self._silent.discard(protocol)

    @contextmanager
    def answer(self, protocol: asyncio.BaseProtocol) -> Iterator[None]:
        """Keeps the connection of a request that has arrived as a whole open."""
        self._active.add(protocol)
        try:
            yield
        finally:
            self._active.discard(protocol)

    def accept(self, server: web.Server) -> asyncio.BaseProtocol:
        """Makes the protocol of a connection: an event loop's protocol factory, once it is given its server."""
        handlers = [handler for handler in server.connections if handler.transport is not None]
        surplus = len(handlers) - self._limit + 1
        if surplus > 0:
            idle = [handler for handler in handlers if handler not in self._active]
            idle.sort(key=lambda handler: handler not in self._silent)
            _log.warning("there are %d connections, as many as are held: closing idle ones", self._limit)
            if not idle:
                return _Refusal()
            for handler in idle[:surplus]:
                handler.force_close()
        handler = server()
        self._silent.add(handler)
        asyncio.get_running_loop().call_later(HEADER_SECONDS, self._expire, handler)
        return handler

    def _expire(self, handler: Any) -> None:
        if handler in self._silent:
            self._silent.discard(handler)
            handler.force_close()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
