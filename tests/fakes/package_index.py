"""Fake package index (PEP 503): an HTTP server on loopback that the real pip downloads from."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections import Counter
from types import TracebackType
from typing import Self

from aiohttp import web


class PackageIndex:
    """Serves wheels that were added.

    Attributes:
        served: number of downloads of each package's wheel.
        held: packages whose wheel is sent by half, and the rest after `release`.
        refused: packages whose download is answered with 403.
    """

    def __init__(self) -> None:
        self.served: Counter[str] = Counter()
        self.held: set[str] = set()
        self.refused: set[str] = set()
        self._released = asyncio.Event()
        self._wheels: dict[str, tuple[str, bytes]] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0

    def add(self, package: str, version: str, member: str, content: bytes) -> None:
        module = package.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
            # Fails the test if the wheel is installed and imported.
            wheel.writestr(f"{module}/__init__.py", "raise SystemExit('imported')\n")
            wheel.writestr(member, content)
            wheel.writestr(
                f"{info}/METADATA",
                f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nRequires-Dist: no-such\n",
            )
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")
        self._wheels[package] = (f"{module}-{version}-py3-none-any.whl", buffer.getvalue())

    def damage(self, package: str) -> None:
        """Overwrite bytes in the middle of the wheel; the index states the hash of the result."""
        name, data = self._wheels[package]
        middle = len(data) // 2
        self._wheels[package] = (name, data[:middle] + b"damage" + data[middle + 6 :])

    def release(self) -> None:
        self._released.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/simple"

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which pip uses this index only."""
        return {
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": self.url,
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PIP_RETRIES": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/simple/{package}/", self._links)
        app.router.add_get("/files/{package}/{file}", self._file)
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
        self.release()
        assert self._runner is not None
        await self._runner.cleanup()

    async def _links(self, request: web.Request) -> web.Response:
        package = request.match_info["package"]
        if package not in self._wheels:
            raise web.HTTPNotFound
        name, data = self._wheels[package]
        digest = hashlib.sha256(data).hexdigest()
        link = f'<a href="/files/{package}/{name}#sha256={digest}">{name}</a>'
        return web.Response(
            text=f"<!DOCTYPE html><html><body>{link}</body></html>", content_type="text/html"
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        package = request.match_info["package"]
        if package in self.refused:
            raise web.HTTPForbidden
        self.served[package] += 1
        data = self._wheels[package][1]
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        if package in self.held:
            await self._released.wait()
        await response.write(data[len(data) // 2 :])
        await response.write_eof()
        return response
