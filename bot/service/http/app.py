"""ASGI application of a service: probes, metrics, and the routes that adapters mount."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

HEALTH_PATH, READY_PATH, METRICS_PATH = "/healthz", "/readyz", "/metrics"
METRICS_MAX_AGE_S = 1.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

T = TypeVar("T")

Probe = Callable[[], Awaitable[dict[str, str]]]
"""Returns faults by part; none if all is well."""


def create_app(
    routes: Sequence[BaseRoute],
    health: Probe,
    ready: Probe,
    metrics: Callable[[], Awaitable[bytes]],
    *,
    metrics_max_age_s: float = METRICS_MAX_AGE_S,
) -> Starlette:
    """The ASGI application. A probe answers 200, or 503 with the reasons.

    Whoever asks for them at the same time gets the same answer, of metrics for a moment longer: they cost
    milliseconds each, and anybody may ask.
    """

    def probe(of: Probe) -> Callable[[Request], Awaitable[Response]]:
        shared = _share(of, 0)

        async def answer(_: Request) -> Response:
            wrong = await shared()
            return JSONResponse({"ok": not wrong, "wrong": wrong}, 503 if wrong else 200)

        return answer

    shared_metrics = _share(metrics, metrics_max_age_s)

    async def show_metrics(_: Request) -> Response:
        return Response(await shared_metrics(), media_type=METRICS_TYPE)

    return Starlette(
        routes=[
            Route(HEALTH_PATH, probe(health)),
            Route(READY_PATH, probe(ready)),
            Route(METRICS_PATH, show_metrics),
            *routes,
        ]
    )


def _share(call: Callable[[], Awaitable[T]], max_age_s: float) -> Callable[[], Awaitable[T]]:
    """`call`, whose callers share its running call, and its result for `max_age_s`."""
    running: asyncio.Future[T] | None = None
    ended_at = 0.0

    async def shared() -> T:
        nonlocal running, ended_at
        if running is not None and (not running.done() or time.monotonic() - ended_at < max_age_s):
            return await asyncio.shield(running)
        ours = running = asyncio.get_running_loop().create_future()
        try:
            result = await call()
        except BaseException:
            ours.cancel()
            running = None
            raise
        ended_at = time.monotonic()
        ours.set_result(result)
        return result

    return shared
