"""Event sender of the loopback Slack: over Socket Mode or signed HTTP, again until acknowledged.

Socket Mode: https://docs.slack.dev/apis/events-api/using-socket-mode
HTTP and retries: https://docs.slack.dev/apis/events-api#retries
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType, web

SIGNING_SECRET = "a-signing-secret"
RETRY_REASONS = {"timeout": "http_timeout", "error": "http_error"}


@dataclass(slots=True)
class SocketConnection:
    """An app's WebSocket, seen from Slack."""

    socket: web.WebSocketResponse
    ignores_pings: bool = False
    pings: int = 0


@dataclass(slots=True)
class Delivery:
    """Deliveries of a payload: HTTP statuses or acknowledgements, one entry an attempt."""

    attempts: list[str] = field(default_factory=list)
    answer: dict[str, Any] | None = None

    @property
    def acknowledged(self) -> bool:
        return bool(self.attempts) and self.attempts[-1] in ("200", "ack")


def signed(secret: str, body: bytes, *, at: float | None = None) -> dict[str, str]:
    """The headers Slack signs `body` with."""
    timestamp = str(int(time.time() if at is None else at))
    base = b"v0:" + timestamp.encode() + b":" + body
    digest = hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


@dataclass
class SlackEvents:
    """`async with SlackEvents() as events`; `SlackServer(socket_url=events.open_url)` sends apps here.

    Attributes:
        app_id: what hello says.
        request_url: where to post events; without it they go over Socket Mode.
        ack_timeout_s: a payload that is not acknowledged by then is sent again (Slack: 3 s).
        most_attempts: Slack tries four times in all.
        refuse_links: the next so many WebSockets are refused although their URL is valid.
        greet: whether connections begin with hello.
    """

    app_id: str = "A1"
    secret: str = SIGNING_SECRET
    request_url: str = ""
    ack_timeout_s: float = 3
    retry_delay_s: float = 0.05
    max_attempts: int = 4
    refuse_connections: int = 0
    sends_hello: bool = True
    connections: list[SocketConnection] = field(default_factory=list)
    issued_urls: int = 0
    rejected_urls: int = 0

    async def __aenter__(self) -> Self:
        self._tickets: set[str] = set()
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._turn = itertools.count()
        app = web.Application()
        app.router.add_get("/link", self._open_connection)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        for connection in tuple(self.connections):
            await connection.socket.close()
        await self._runner.cleanup()

    def open_url(self) -> str:
        """A fresh URL for one WebSocket, as apps.connections.open returns it."""
        self.issued_urls += 1
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self.port}/link?ticket={ticket}&app_id={self.app_id}"

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Announce the end of every connection; they stay open until the app closes them."""
        for connection in tuple(self.connections):
            await connection.socket.send_json({"type": "disconnect", "reason": reason})

    async def cut(self) -> None:
        """Abort every connection without a close frame."""
        for connection in tuple(self.connections):
            transport = connection.socket._req.transport if connection.socket._req else None
            if transport is not None:
                transport.abort()

    async def deliver(self, body: dict[str, Any]) -> Delivery:
        """Send a payload until it is acknowledged or `max_attempts` are used up."""
        delivery = Delivery()
        reason = ""
        for attempt in range(self.max_attempts):
            if attempt:
                await asyncio.sleep(self.retry_delay_s)
            if self.request_url:
                reason = await self._post(body, attempt, reason, delivery)
            else:
                reason = await self._send(body, attempt, reason, delivery)
            if delivery.acknowledged:
                break
        return delivery

    async def post(self, body: bytes, headers: dict[str, str]) -> int:
        """One request exactly as given; its status."""
        async with self._session.post(self.request_url, data=body, headers=headers) as response:
            await response.read()
            return response.status

    async def _post(
        self, body: dict[str, Any], attempt: int, reason: str, delivery: Delivery
    ) -> str:
        data, content_type = encoded(body)
        headers = {"Content-Type": content_type, **signed(self.secret, data)}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        try:
            async with asyncio.timeout(self.ack_timeout_s):
                async with self._session.post(
                    self.request_url, data=data, headers=headers
                ) as response:
                    text = await response.text()
                    delivery.attempts.append(str(response.status))
                    delivery.answer = json.loads(text) if text.startswith("{") else None
                    return "http_error"
        except TimeoutError:
            delivery.attempts.append("timeout")
            return "http_timeout"
        except aiohttp.ClientError:
            delivery.attempts.append("unreachable")
            return "connection_failed"

    async def _send(
        self, body: dict[str, Any], attempt: int, reason: str, delivery: Delivery
    ) -> str:
        if not self.connections:
            delivery.attempts.append("not connected")
            return "timeout"
        # Each event goes to one of an app's connections.
        connection = self.connections[next(self._turn) % len(self.connections)]
        envelope_id = str(uuid.uuid4())
        waiting = self._waiting[envelope_id] = asyncio.get_running_loop().create_future()
        kind = (
            "events_api"
            if body.get("type") == "event_callback"
            else "slash_commands"
            if body.get("command")
            else "interactive"
        )
        envelope: dict[str, Any] = {
            "envelope_id": envelope_id,
            "type": kind,
            "accepts_response_payload": kind == "slash_commands",
            "payload": body,
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        try:
            await connection.socket.send_json(envelope)
            answer = await asyncio.wait_for(waiting, self.ack_timeout_s)
        except (TimeoutError, ConnectionError, RuntimeError):
            delivery.attempts.append("no ack")
            return "timeout"
        finally:
            self._waiting.pop(envelope_id, None)
        delivery.attempts.append("ack")
        delivery.answer = answer.get("payload")
        return ""

    async def _open_connection(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            self.rejected_urls += 1
            return web.Response(status=404)
        self._tickets.discard(ticket)  # a URL is valid once
        if self.refuse_connections:
            self.refuse_connections -= 1
            return web.Response(status=503)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        connection = SocketConnection(socket)
        self.connections.append(connection)
        try:
            if self.sends_hello:
                await socket.send_json(
                    {
                        "type": "hello",
                        "num_connections": len(self.connections),
                        "connection_info": {"app_id": self.app_id},
                        "debug_info": {"host": "loopback", "approximate_connection_time": 18060},
                    }
                )
            async for message in socket:
                if message.type is WSMsgType.PING:
                    connection.pings += 1
                    if not connection.ignores_pings:
                        await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    answer = json.loads(message.data)
                    waiting = self._waiting.get(answer.get("envelope_id", ""))
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)
        finally:
            self.connections.remove(connection)
        return socket


def encoded(body: dict[str, Any]) -> tuple[bytes, str]:
    """A payload as Slack posts it: events as JSON, interactions and slash commands as forms."""
    if body.get("command"):
        return urlencode(body, errors="surrogatepass").encode(), "application/x-www-form-urlencoded"
    if body.get("type") in ("event_callback", "url_verification"):
        return json.dumps(body).encode(), "application/json"
    form = urlencode({"payload": json.dumps(body)}).encode()
    return form, "application/x-www-form-urlencoded"
