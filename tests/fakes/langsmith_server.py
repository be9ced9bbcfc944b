"""Fake LangSmith: an HTTP server on loopback that ingests runs as the `langsmith` client sends them.

`python -m tests.fakes.langsmith_server` runs it as a process: it prints its address and stays.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any, Literal, Self

import zstandard
from aiohttp import web

Fault = Literal["", "cut", "hang", "slow", "401", "413", "500"]
PARTS = ("inputs", "outputs", "events", "extra", "error", "serialized")


@dataclass
class Run:
    """A run merged from its posts and patches, with the number of each."""

    id: str
    data: dict[str, Any] = field(default_factory=dict)
    posts: int = 0
    patches: int = 0

    @property
    def name(self) -> str:
        return str(self.data["name"])

    @property
    def run_type(self) -> str:
        return str(self.data["run_type"])

    @property
    def parent(self) -> str | None:
        return self.data.get("parent_run_id")

    @property
    def trace_id(self) -> str:
        return str(self.data["trace_id"])

    @property
    def dotted_order(self) -> str:
        return str(self.data["dotted_order"])

    @property
    def inputs(self) -> dict[str, Any]:
        return self.data.get("inputs") or {}

    @property
    def outputs(self) -> dict[str, Any]:
        return self.data.get("outputs") or {}

    @property
    def error(self) -> str | None:
        return self.data.get("error")

    @property
    def extra(self) -> dict[str, Any]:
        return self.data.get("extra") or {}

    @property
    def metadata(self) -> dict[str, Any]:
        return self.extra.get("metadata") or {}

    @property
    def tags(self) -> list[str]:
        return self.data.get("tags") or []

    @property
    def session_name(self) -> str:
        return str(self.data["session_name"])

    @property
    def ended(self) -> bool:
        return self.data.get("end_time") is not None


class LangSmithServer:
    """Use it as an async context manager; `url` is the endpoint.

    Attributes:
        fault: how the next requests fail. `cut` aborts the connection, `hang` holds the request until
            `release` (or the end), `slow` answers after `delay_s`, a number is the status.
        runs: ingested runs, by id.
        feedback: ingested feedback, by id.
        paths: of every request, in order, faults included.
        bodies: the raw (decompressed) bodies of ingested requests.
        held: number of requests that `hang` holds now.
        problems: reasons for which requests were refused with a 422.
    """

    def __init__(self, *, zstd: bool = True, api_key: str = "", port: int = 0) -> None:
        self.zstd = zstd
        self.api_key = api_key
        self.fault: Fault = ""
        self.delay_s = 0.2
        self.runs: dict[str, Run] = {}
        self.feedback: dict[str, dict[str, Any]] = {}
        self.paths: list[str] = []
        self.encodings: list[str] = []
        self.bodies: list[bytes] = []
        self.problems: list[str] = []
        self.held = 0
        self.url = ""
        self._port = port
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[self._apply_fault])
        app.router.add_get("/info", self._info)
        app.router.add_get("/sessions", self._sessions)
        app.router.add_post("/runs/multipart", self._multipart)
        app.router.add_post("/runs/batch", self._batch)
        app.router.add_post("/feedback", self._feedback)
        # Bodies arrive as they were sent: aiohttp does not undo zstd the way LangSmith does.
        self._runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.release()
        if self._runner is not None:
            await self._runner.cleanup()

    def release(self) -> None:
        """Answer the held requests."""
        self._released.set()
        self._released = asyncio.Event()

    def children(self, parent: Run) -> list[Run]:
        """The runs under `parent`, in the order of their start."""
        found = [run for run in self.runs.values() if run.parent == parent.id]
        return sorted(found, key=lambda run: run.dotted_order)

    def roots(self) -> list[Run]:
        return [run for run in self.runs.values() if run.parent is None]

    @web.middleware
    async def _apply_fault(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        self.paths.append(request.path)
        self.encodings.append(request.headers.get("Content-Encoding", ""))
        if self.fault == "cut":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if self.fault == "hang":
            self.held += 1
            try:
                await self._released.wait()
            finally:
                self.held -= 1
        if self.fault == "slow":
            await asyncio.sleep(self.delay_s)
        if self.fault in ("401", "413", "500"):
            await request.read()
            return web.json_response({"error": "refused"}, status=int(self.fault))
        if self.api_key and request.headers.get("x-api-key") != self.api_key:
            await request.read()
            if request.path != "/info":
                return web.json_response({"error": "Unauthorized"}, status=401)
        response: web.StreamResponse = await handler(request)
        return response

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "version": "0.8.10",
                "instance_flags": {"zstd_compression_enabled": self.zstd},
                "batch_ingest_config": {
                    "use_multipart_endpoint": True,
                    "scale_up_qsize_trigger": 1000,
                    "scale_up_nthreads_limit": 16,
                    "scale_down_nempty_trigger": 4,
                    "size_limit": 100,
                    "size_limit_bytes": 20_971_520,
                },
            }
        )

    async def _sessions(self, request: web.Request) -> web.Response:
        return web.json_response([])

    async def _multipart(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "zstd":
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        self.bodies.append(body)
        try:
            for name, content in _parts(body, request.headers["Content-Type"]):
                self._ingest_part(name, content)
        except ValueError as error:
            self.problems.append(str(error))
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({}, status=202)

    async def _batch(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        sent = json.loads(body)
        for operation in ("post", "patch"):
            for run in sent.get(operation) or []:
                self._merge(operation, run["id"], run)
        return web.json_response({}, status=202)

    async def _feedback(self, request: web.Request) -> web.Response:
        sent = await request.json()
        self.feedback[str(sent["id"])] = sent
        return web.json_response(sent)

    def _ingest_part(self, name: str, content: bytes) -> None:
        operation, _, rest = name.partition(".")
        run_id, _, part = rest.partition(".")
        value = json.loads(content)
        if operation == "feedback":
            self.feedback[run_id] = value
        elif operation not in ("post", "patch"):
            raise ValueError(f"unknown part {name}")
        elif not part:
            for needed in ("trace_id", "dotted_order"):
                if not value.get(needed):
                    raise ValueError(f"{name} has no {needed}")
            self._merge(operation, run_id, value)
        elif part in PARTS:
            self.runs.setdefault(run_id, Run(run_id)).data[part] = value
        else:
            raise ValueError(f"unknown part {name}")

    def _merge(self, operation: str, run_id: str, value: dict[str, Any]) -> None:
        run = self.runs.setdefault(run_id, Run(run_id))
        run.posts += operation == "post"
        run.patches += operation == "patch"
        run.data.update({key: item for key, item in value.items() if item is not None})


def _parts(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """The named parts of a multipart body (RFC 2046, 5.1; RFC 7578).

    Raises:
        ValueError: it is malformed, or a part differs from its Content-Length.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        raise ValueError(f"no boundary in {content_type!r}")
    delimiter = b"--" + boundary.encode()
    first, *rest = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if first.strip() or not rest or not rest[-1].startswith(b"--"):
        raise ValueError("not framed as multipart")
    found = []
    for part in rest[:-1]:
        head, gap, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not gap:
            raise ValueError("a part without headers")
        headers = BytesHeaderParser().parsebytes(head)
        name = headers.get_param("name", header="content-disposition")
        length = headers.get("Content-Length")
        if not isinstance(name, str):
            raise ValueError("a part without a name")
        if length is not None and int(length) != len(content):
            raise ValueError(f"{name} is {len(content)} bytes, says {length}")
        found.append((name, content))
    return found


async def _serve(port: int) -> None:
    async with LangSmithServer(port=port) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(_serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    except KeyboardInterrupt:
        sys.exit(0)
