"""HTTP server of a service: probes, metrics, and the webhooks that adapters mount."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bot.errors import SettingsError

HEALTH_PATH, READY_PATH, METRICS_PATH = "/healthz", "/readyz", "/metrics"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Probe = Callable[[], Awaitable[dict[str, str]]]
"""Returns faults by part; none if all is well."""


class _Server(uvicorn.Server):
    """Server without signal handlers: the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def create_app(
    routes: Sequence[BaseRoute],
    health: Probe,
    ready: Probe,
    metrics: Callable[[], Awaitable[bytes]],
) -> Starlette:
    """The ASGI application. A probe answers 200, or 503 with the reasons."""

    def probe(of: Probe) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_: Request) -> Response:
            wrong = await of()
            return JSONResponse({"ok": not wrong, "wrong": wrong}, 503 if wrong else 200)

        return answer

    async def show_metrics(_: Request) -> Response:
        return Response(await metrics(), media_type=METRICS_TYPE)

    return Starlette(
        routes=[
            Route(HEALTH_PATH, probe(health)),
            Route(READY_PATH, probe(ready)),
            Route(METRICS_PATH, show_metrics),
            *routes,
        ]
    )


@asynccontextmanager
async def serve(application: Starlette, host: str, port: int) -> AsyncIterator[int]:
    """Serve until left; yields the port. Raises SettingsError if it is taken."""
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            cure="Set BOT_HTTP_PORT to a free port (0 takes any), or BOT_HTTP_HOST to an own address.",
        ) from error
    listener.setblocking(False)
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  uvicorn only sets a flag
            await asyncio.sleep(0.005)
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task
        listener.close()
