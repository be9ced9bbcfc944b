"""Socket Mode: events over a WebSocket that the process opens. Needs no public address.

Protocol: https://docs.slack.dev/apis/events-api/using-socket-mode. The SDK's client never gives up on a bad token,
retries an expired URL for ever and drops its tasks; this one asks for a new URL each time and owns its tasks.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from adapters.slack.api.errors import slack_errors
from adapters.slack.api.payload import Json, get_text
from bot.errors import PlatformError, PlatformRefused
from bot.ports import Health

if TYPE_CHECKING:
    import aiohttp
    from slack_sdk.web.async_client import AsyncWebClient

log = structlog.get_logger("keepthread.slack")

CONNECT_TIMEOUT_S = 15.0
MAX_DELAY_S = 30.0

EnvelopeHandler = Callable[[Json], Awaitable[dict[str, Any] | None]]
"""Handles an envelope and returns the payload of its acknowledgement; if it raises, nothing is acknowledged."""


@dataclass(frozen=True, slots=True)
class SocketTiming:
    """Waiting times of Socket Mode.

    Attributes:
        ping_every_s: pause between two pings.
        pong_timeout_s: a connection without a pong for so long is closed.
        drain_s: envelopes of a closing connection may still be acknowledged for so long.
        close_timeout_s: a connection that Slack announced to close, and did not, is closed after so long.
        first_delay_s: pause after the first failure to connect; it doubles with each.
    """

    ping_every_s: float = 10.0
    pong_timeout_s: float = 30.0
    drain_s: float = 5.0
    close_timeout_s: float = 60.0
    first_delay_s: float = 0.5


DEFAULT_TIMING = SocketTiming()


class SocketConnection:
    """One WebSocket connection, from hello to its end."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, handle: EnvelopeHandler, timing: SocketTiming
    ) -> None:
        self._socket = socket
        self._handle = handle
        self._timing = timing
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened_at = self._last_pong_at = time.monotonic()
        self._disconnect_at: float | None = None
        self.got_hello = False
        self.closing = asyncio.Event()
        """Set when Slack announced the end, or it came: time for the next connection."""

    @property
    def is_alive(self) -> bool:
        return (
            self.got_hello and time.monotonic() - self._last_pong_at < self._timing.pong_timeout_s
        )

    async def serve(self) -> None:
        """Read until the connection ends. Envelopes in work then may still be acknowledged."""
        pinging = asyncio.create_task(self._ping(), name="slack ping")
        try:
            await self._read()
        finally:
            self.closing.set()
            try:
                if self._tasks:
                    await asyncio.wait(self._tasks, timeout=self._timing.drain_s)
            finally:  # this wait may be cancelled, too
                await self._close(pinging)

    async def _close(self, pinging: asyncio.Task[None]) -> None:
        """Cancel all tasks and close the WebSocket, so that Slack sends no more over it."""
        tasks = (pinging, *self._tasks)
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self._socket.close()

    async def _read(self) -> None:
        from aiohttp import WSMsgType

        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT:
                self._handle_frame(_envelope(message.data))
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._last_pong_at = time.monotonic()
            elif message.type is not WSMsgType.BINARY:
                return

    def _handle_frame(self, envelope: Json) -> None:
        kind = envelope.get("type")
        if kind == "hello":
            self.got_hello = True
            self._last_pong_at = time.monotonic()
        elif kind == "disconnect":
            log.info("socket disconnect announced", reason=envelope.get("reason"))
            self._disconnect_at = time.monotonic()
            self.closing.set()
        elif id_ := get_text(envelope, "envelope_id"):
            task = asyncio.create_task(self._handle_envelope(id_, envelope), name="slack envelope")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle_envelope(self, id_: str, envelope: Json) -> None:
        try:
            payload = await self._handle(envelope)
        except Exception as error:  # noqa: BLE001  any failure: not acknowledged, so Slack sends it again
            log.error("envelope not handled, not acknowledged", error=repr(error))
            return
        ack = {"envelope_id": id_} | ({} if payload is None else {"payload": payload})
        try:
            await self._socket.send_str(json.dumps(ack))
        except (ConnectionError, RuntimeError) as error:
            # Slack will send it again over another connection, where it is a duplicate.
            log.info("envelope not acknowledged, socket closed", error=repr(error))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._timing.ping_every_s)
            last_seen_at = self._last_pong_at if self.got_hello else self._opened_at
            if time.monotonic() - last_seen_at >= self._timing.pong_timeout_s:
                log.warning("socket timed out")
                self.closing.set()
                await self._socket.close()
                return
            announced_at = self._disconnect_at
            if (
                announced_at is not None
                and time.monotonic() - announced_at >= self._timing.close_timeout_s
            ):
                await self._socket.close()
                return
            try:
                await self._socket.ping()
            except (ConnectionError, RuntimeError):
                return  # the reader notices the end, too


def _envelope(data: str) -> Json:
    """The envelope in a frame; an empty one if it is no JSON object."""
    try:
        envelope = json.loads(data)
    except (ValueError, RecursionError):
        envelope = None
    if isinstance(envelope, dict):
        return envelope
    log.warning("frame is no envelope", characters=len(data))
    return {}


class SocketMode:
    """Keeps a connection open: the next is opened before the last is closed, each with a URL of its own."""

    def __init__(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        app_token: str,
        handle: EnvelopeHandler,
        *,
        timing: SocketTiming = DEFAULT_TIMING,
    ) -> None:
        self._client = client
        self._session = session
        self._app_token = app_token
        self._handle = handle
        self._timing = timing
        self._connections: dict[asyncio.Task[None], SocketConnection] = {}
        self._last_error = "not connected yet"

    async def request_url(self) -> str:
        """A URL for one connection, which also proves the token. Raises PlatformRefused, PlatformError."""
        with slack_errors("apps.connections.open"):
            response = await self._client.apps_connections_open(app_token=self._app_token)
        return str(response["url"])

    async def run(self) -> None:
        """Stay connected until cancelled."""
        delay_s = self._timing.first_delay_s
        try:
            while True:
                began_at = time.monotonic()
                try:
                    connection = await self._connect()
                except (PlatformError, OSError, TimeoutError) as error:
                    self._last_error = f"not connected: {error}"
                    level = log.error if isinstance(error, PlatformRefused) else log.warning
                    level("socket not connected", error=repr(error), next_try_s=round(delay_s, 1))
                else:
                    await connection.closing.wait()
                    if connection.got_hello and time.monotonic() - began_at > delay_s:
                        delay_s = self._timing.first_delay_s
                        continue
                    self._last_error = "closed by Slack at once"
                await asyncio.sleep(delay_s * random.uniform(0.75, 1.25))  # noqa: S311  no secret
                delay_s = min(MAX_DELAY_S, delay_s * 2)
        finally:
            # gather, as it waits for them even if it is cancelled meanwhile
            for task in tuple(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def health(self) -> Health:
        """Ready while a connection got a pong lately."""
        if any(connection.is_alive for connection in self._connections.values()):
            return Health(True, "Socket Mode")
        return Health(False, f"Socket Mode: {self._last_error}")

    async def _connect(self) -> SocketConnection:
        """A new connection with a new URL. Raises PlatformError, OSError, TimeoutError."""
        import aiohttp

        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            url = await self.request_url()
            try:
                socket = await self._session.ws_connect(
                    url,
                    autoping=False,
                    max_msg_size=8 * 2**20,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
            except aiohttp.ClientError as error:
                raise OSError(f"the WebSocket was not opened: {type(error).__name__}") from error
        connection = SocketConnection(socket, self._handle, self._timing)
        task = asyncio.create_task(connection.serve(), name="slack socket")
        self._connections[task] = connection
        task.add_done_callback(self._on_ended)
        return connection

    def _on_ended(self, task: asyncio.Task[None]) -> None:
        connection = self._connections.pop(task)
        connection.closing.set()
        self._last_error = "connection ended"
        if not task.cancelled() and task.exception() is not None:
            log.warning("socket failed", error=repr(task.exception()))
