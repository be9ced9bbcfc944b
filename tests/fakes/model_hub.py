"""Fake model hub: an HTTP server on loopback that the real huggingface_hub downloads from."""

from __future__ import annotations

import asyncio
import hashlib
from types import TracebackType
from typing import Self

from aiohttp import web


class ModelHub:
    """Serves one file of one repository.

    Attributes:
        mode: `serve`, `refuse` (403) or `hang`.
        requests: number of requests so far.
    """

    def __init__(self, path: str, content: bytes, mode: str = "serve") -> None:
        self.requests = 0
        self._path = path
        self._content = content
        self.mode = mode
        self._closed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HF_ENDPOINT": f"http://127.0.0.1:{self._port}",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.mode == "hang":
            await self._closed.wait()
        if self.mode == "refuse":
            raise web.HTTPForbidden
        if request.path != self._path:
            raise web.HTTPNotFound
        headers = {
            "ETag": f'"{hashlib.sha256(self._content).hexdigest()}"',
            "X-Repo-Commit": "0" * 40,
            "Accept-Ranges": "bytes",
        }
        return web.Response(body=self._content, headers=headers)
