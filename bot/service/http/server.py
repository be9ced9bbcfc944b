"""HTTP server: uvicorn behind an accept loop of our own.

asyncio's loop accepts whatever comes; without free descriptors it logs thousands of tracebacks a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from bot.background import cancel_all
from bot.cache import RepeatCounter
from bot.errors import SettingsError
from bot.service.http.body_limit import BodyLimit
from bot.service.http.connections import REPORT_EVERY_S, OpenConnections
from bot.service.http.limits import HttpLimits
from bot.service.http.protocol import LimitedProtocol

log = structlog.get_logger("keepthread.http")

BACKLOG = 1024
ACCEPTED_AT_ONCE = 32
FULL_PAUSE_S = 0.02
ERROR_PAUSE_S = 1.0
CHECK_EVERY_S = 0.25


class Acceptor:
    """Accept loop of one listening socket, which asks `connections` for room first."""

    def __init__(
        self, listener: socket.socket, connections: OpenConnections, server: uvicorn.Server
    ) -> None:
        self._listener = listener
        self._connections = connections
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._errors = RepeatCounter(REPORT_EVERY_S)

    def start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    async def aclose(self) -> None:
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        await cancel_all(tuple(self._opening))

    def _accept(self) -> None:
        """Accept some of the waiting connections; the next ones after other work had its turn."""
        for _ in range(ACCEPTED_AT_ONCE):
            if self._connections.is_full:
                return self._pause_for(FULL_PAUSE_S)
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return None
            except OSError as error:  # no descriptor or no memory is free
                if times := self._errors.count(error.errno):
                    log.error("connection not accepted", error=error.strerror, times=times)
                return self._pause_for(ERROR_PAUSE_S)
            self._connections.make_room()
            self._open(accepted)
        return None

    def _open(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        protocol = LimitedProtocol(
            self._connections,
            config=self._server.config,
            server_state=self._server.server_state,
            app_state=self._server.lifespan.state,
        )
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: protocol, accepted), name="accept"
        )
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _pause_for(self, pause_s: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(pause_s, self.start)


class _Server(uvicorn.Server):
    """Server with an `Acceptor`, and without signal handlers, since the service has its own."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, limits: HttpLimits) -> None:
        super().__init__(config)
        self._listener = listener
        self._connections = OpenConnections(limits)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self._acceptor = Acceptor(self._listener, self._connections, self)
        self._acceptor.start()
        self._checking = asyncio.create_task(self._close_expired(), name="http time limits")
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._acceptor.aclose()
        await super().shutdown(sockets)
        await cancel_all((self._checking,))

    async def _close_expired(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            self._connections.close_expired()


@asynccontextmanager
async def serve(
    application: ASGIApp, host: str, port: int, limits: HttpLimits | None = None
) -> AsyncIterator[int]:
    """Serve until left; yields the port. Raises SettingsError if it is taken."""
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            cure="Set BOT_HTTP_PORT to a free port (0 takes any), or BOT_HTTP_HOST to an own address.",
        ) from error
    listener.setblocking(False)
    limits = limits or HttpLimits()
    config = uvicorn.Config(
        BodyLimit(application, limits.max_body_bytes),
        http=LimitedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    server = _Server(config, listener, limits)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  uvicorn only sets a flag
            await asyncio.sleep(0.005)
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task
        listener.close()
