"""Limits of the HTTP port: strangers' connections are closed in time, and take no room from others."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from bot.service.http import HttpLimits, create_app, serve
from tests.faults.http_port import Flood, flood_http_port
from tests.support.wait import wait_until

SLOW = HttpLimits(receive_s=60)
HEADER = b"POST /hook HTTP/1.1\r\nHost: bot\r\n"
HALF_BODY = HEADER + b"Content-Length: 100\r\n\r\nhalf"
NO_HTTP = b"\x16\x03\x01\x02\0\x01"
UPGRADE = b"GET / HTTP/1.1\r\nHost: bot\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class Hooks:
    """Application whose route answers with the length of a body; `release` lets waiting answers go."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.asked = 0

    async def count(self, request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def refuse(self, _: Request) -> Response:
        return PlainTextResponse("no", 401)

    async def wait(self, request: Request) -> Response:
        await request.body()
        self.asked += 1
        await self.release.wait()
        return PlainTextResponse("waited")

    async def greet(self, request: Request) -> Response:
        request.state.is_genuine = True
        return PlainTextResponse("hello")

    async def show(self, _: Request) -> Response:
        return PlainTextResponse("x" * 400_000)

    async def probe(self) -> dict[str, str]:
        return {}

    async def metrics(self) -> bytes:
        self.asked += 1
        await self.release.wait()
        return b"m 1\n"


@asynccontextmanager
async def serving(limits: HttpLimits, hooks: Hooks | None = None) -> AsyncIterator[int]:
    hooks = hooks or Hooks()
    routes = [
        Route("/hook", hooks.count, methods=["POST"]),
        Route("/refuse", hooks.refuse, methods=["POST"]),
        Route("/wait", hooks.wait, methods=["POST"]),
        Route("/long", hooks.show, methods=["GET"]),
        Route("/greet", hooks.greet, methods=["GET"]),
    ]
    app = create_app(routes, hooks.probe, hooks.probe, hooks.metrics)
    async with serve(app, "127.0.0.1", 0, limits) as port:
        yield port


class Client:
    """Raw connection to the port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def response(self) -> bytes:
        """Status line and body of one response."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
        body = await self.reader.readexactly(int(lengths[0].split(b":")[1]))
        return head.split(b"\r\n")[0] + b" " + body

    async def is_closed(self) -> bool:
        """Waits until the server closes."""
        with suppress(ConnectionResetError):
            while await self.reader.read(10_000):
                pass
        return True

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def trickle(self, data: bytes) -> None:
        while True:
            await self.send(data)
            await asyncio.sleep(0.01)

    async def send_for_ever(self, data: bytes) -> None:
        while True:
            await self.send(data)

    async def leave(self) -> None:
        self.writer.transport.abort()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Clients(list[Client]):
    """Clients of one test."""

    async def open(self, port: int, data: bytes = b"") -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        self.append(client)
        await client.send(data)
        return client

    async def leave(self) -> None:
        for client in self:
            await client.leave()


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    opened = Clients()
    yield opened
    await opened.leave()


async def get(port: int, path: str = "/healthz") -> int:
    async with httpx2.AsyncClient() as web:
        return (await web.get(f"http://127.0.0.1:{port}{path}")).status_code


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /ho",
        HEADER,
        HALF_BODY,
        HEADER + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"POST /refuse HTTP/1.1\r\nHost: bot\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET /greet HTTP/1.1\r\nHost: bot\r\n\r\nGET /gre",
    ],
)
async def test_a_request_that_does_not_end_is_closed_in_time(
    clients: Clients, begun: bytes
) -> None:
    """H1: an unfinished header or body keeps no connection."""
    async with serving(HttpLimits(receive_s=0.05)) as port:
        assert await (await clients.open(port, begun)).is_closed()
        assert await get(port) == 200


async def test_a_trickled_header_gets_no_more_time(clients: Clients) -> None:
    """H1: bytes that keep coming do not lengthen the time for a header."""
    async with serving(HttpLimits(receive_s=0.2)) as port:
        client = await clients.open(port, b"GET /")
        with pytest.raises(ConnectionError):
            await client.trickle(b"x")


@pytest.mark.parametrize("begun", [b"", HEADER, HALF_BODY])
async def test_a_whole_request_is_answered_however_many_unfinished_ones_are_open(
    clients: Clients, begun: bytes
) -> None:
    """H1: the oldest unfinished connection makes room."""
    async with serving(HttpLimits(receive_s=60, max_connections=8)) as port:
        for _ in range(40):
            await clients.open(port, begun)
        assert await get(port) == 200
        assert await clients[0].is_closed()


async def test_requests_that_are_being_answered_are_not_closed_for_new_ones(
    clients: Clients,
) -> None:
    """H1: at the cap new connections wait, and what was asked is answered."""
    hooks = Hooks()
    request = b"POST /wait HTTP/1.1\r\nHost: bot\r\nContent-Length: 2\r\n\r\nhi"
    async with serving(HttpLimits(receive_s=60, max_connections=3), hooks) as port:
        for _ in range(3):
            await clients.open(port, request)
        await wait_until(lambda: hooks.asked == 3)
        await clients.open(port, request)
        hooks.release.set()
        for client in clients:
            assert await client.response() == b"HTTP/1.1 200 OK waited"


async def test_a_platforms_kept_connection_outlives_strangers(clients: Clients) -> None:
    """H1: a connection that has shown itself to be the platform's is closed last."""
    ask = b"GET /greet HTTP/1.1\r\nHost: bot\r\n\r\n"
    async with serving(HttpLimits(receive_s=60, max_connections=4)) as port:
        platform = await clients.open(port, ask)
        assert await platform.response() == b"HTTP/1.1 200 OK hello"
        strangers = [await clients.open(port, HALF_BODY) for _ in range(20)]
        assert await strangers[0].is_closed()
        await platform.send(ask)
        assert await platform.response() == b"HTTP/1.1 200 OK hello"


async def test_bodies_together_hold_no_more_than_their_limit(clients: Clients) -> None:
    """H1: many long unfinished bodies cost bounded memory; those that hold most are closed."""
    long = HEADER + b"Content-Length: 100000\r\n\r\n" + b"x" * 90_000
    async with serving(HttpLimits(receive_s=60, max_held_bytes=300_000)) as port:
        small = await clients.open(port, HALF_BODY)
        closed = [
            asyncio.create_task((await clients.open(port, long)).is_closed()) for _ in range(10)
        ]
        await wait_until(lambda: sum(task.done() for task in closed) >= 7)
        assert await get(port) == 200
        await small.send(b"x" * 96)
        assert await small.response() == b"HTTP/1.1 200 OK 100"
        await clients.leave()
        await asyncio.gather(*closed)


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_over_the_limit_is_answered_with_413(is_chunked: bool) -> None:
    """H1: a body of more than 1 MB is not read to its end."""
    size = 1024 * 1024 + 1

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * size

    async with serving(SLOW) as port, httpx2.AsyncClient() as web:
        content = pieces() if is_chunked else b"x" * size
        refused = await web.post(f"http://127.0.0.1:{port}/hook", content=content)
        assert refused.status_code == 413
        taken = await web.post(f"http://127.0.0.1:{port}/hook", content=b"x" * (size - 1))
        assert (taken.status_code, taken.text) == (200, str(size - 1))


async def test_a_body_that_goes_on_after_its_refusal_is_cut_off(clients: Clients) -> None:
    """H1: what comes after an early answer is dropped, and not without end."""
    async with serving(HttpLimits(receive_s=60, max_body_bytes=1000)) as port:
        client = await clients.open(
            port, b"POST /hook HTTP/1.1\r\nHost: bot\r\nContent-Length: 999999999999\r\n\r\n"
        )
        assert await client.response() == b"HTTP/1.1 413 Request Entity Too Large too large"
        with pytest.raises(ConnectionError):
            await client.send_for_ever(b"x" * 10_000)


async def test_responses_that_are_not_read_are_dropped_in_time(clients: Clients) -> None:
    """H1: a peer that asks and never reads keeps no connection."""
    async with serving(HttpLimits(receive_s=0.2)) as port:
        client = await clients.open(port)
        client.writer.transport.pause_reading()
        with pytest.raises(ConnectionError):
            await client.send_for_ever(b"GET /long HTTP/1.1\r\nHost: bot\r\n\r\n" * 100)


async def test_those_who_ask_for_metrics_together_share_them() -> None:
    """H1: what anybody may ask for is computed once for all who ask meanwhile."""
    hooks = Hooks()
    async with serving(SLOW, hooks) as port:
        asking = [asyncio.create_task(get(port, "/metrics")) for _ in range(10)]
        await wait_until(lambda: hooks.asked)
        hooks.release.set()
        assert await asyncio.gather(*asking) == [200] * 10
        assert await get(port, "/metrics") == 200
    assert hooks.asked == 1


async def test_strangers_leave_few_lines_in_the_log(clients: Clients) -> None:
    """H1: one line for many refusals, none for what is not HTTP or breaks off."""
    with capture_logs() as logs:
        async with serving(HttpLimits(receive_s=60, max_connections=4)) as port:
            for begun in (NO_HTTP, HALF_BODY, UPGRADE):
                for _ in range(20):
                    await (await clients.open(port, begun)).leave()
            for _ in range(20):
                await clients.open(port, HALF_BODY)
            assert await get(port) == 200
            await clients.leave()
    assert [(line["event"], line["reason"]) for line in logs] == [
        ("connections closed", "too many connections")
    ]


async def test_an_error_of_accept_is_logged_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """H1: without free descriptors the log does not grow, and the port comes back."""
    failures = 3
    accept = socket.socket.accept

    def failing(self: socket.socket) -> tuple[socket.socket, object]:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    monkeypatch.setattr("bot.service.http.server.ERROR_PAUSE_S", 0.01)
    monkeypatch.setattr(socket.socket, "accept", failing)
    with capture_logs() as logs:
        async with serving(SLOW) as port:
            assert await get(port) == 200
    assert failures == 0
    assert [line["event"] for line in logs] == ["connection not accepted"]


@pytest.mark.slow
async def test_slack_is_answered_while_hostile_connections_are_open(tmp_path: Path) -> None:
    """H1: the flood of `make faults`, smaller: no message is lost, nothing is logged line by line."""
    flood = Flood(connections=200, per_s=100, turns_per_s=5, duration_s=2, calm_s=1)
    tally = await flood_http_port(tmp_path, flood)
    assert tally.sent == 15
    assert tally.lost == 0
