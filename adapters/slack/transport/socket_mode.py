"""Socket Mode: a WebSocket that Slack speaks through. Needs no public address.

Protocol: https://docs.slack.dev/apis/events-api/using-socket-mode. The SDK's client never gives up on a bad token,
tries a dead address for ever and drops its tasks; this link asks for a new address each time and owns its tasks.
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
"""Takes an envelope in; what to acknowledge with, or raises: then nothing is acknowledged."""


@dataclass(frozen=True, slots=True)
class SocketTiming:
    """Waiting times of Socket Mode.

    Attributes:
        ping_every_s: pause between two pings.
        silent_s: a link without a pong for so long is dead, whatever the operating system says of it.
        drain_s: a link that Slack is about to close may still acknowledge what it brought, for so long.
        linger_s: a link that Slack asked to go and then forgot to close is closed after so long.
        first_delay_s: pause after the first failure to connect; it doubles with each.
    """

    ping_every_s: float = 10.0
    pong_timeout_s: float = 30.0
    drain_s: float = 5.0
    close_timeout_s: float = 60.0
    first_delay_s: float = 0.5


DEFAULT_TIMING = SocketTiming()


class SocketConnection:
    """One WebSocket, from hello to its end."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, handle: EnvelopeHandler, timing: SocketTiming
    ) -> None:
        self._socket = socket
        self._handle = handle
        self._timing = timing
        self._tasks: set[asyncio.Task[None]] = set()
        self.got_hello = False
        self._made_at = self.last_pong = time.monotonic()
        self._asked_to_go_at: float | None = None
        self.closing = asyncio.Event()
        """Set when Slack announced the end, or it came: time for the next link."""

    @property
    def alive(self) -> bool:
        return self.got_hello and time.monotonic() - self.last_pong < self._timing.pong_timeout_s

    async def serve(self) -> None:
        """Read until the link ends. What is being taken in then may still be acknowledged."""
        pinging = asyncio.create_task(self._ping(), name="slack ping")
        try:
            await self._read()
        finally:
            self.closing.set()
            try:
                if self._tasks:
                    await asyncio.wait(self._tasks, timeout=self._timing.drain_s)
            finally:  # who ends us may be in a hurry, and cancel this wait too
                await self._close(pinging)

    async def _close(self, pinging: asyncio.Task[None]) -> None:
        """Leave no task behind, and no link on which Slack would go on to tell what nobody hears."""
        find_own_messages = (pinging, *self._tasks)
        for task in find_own_messages:
            task.cancel()
        try:
            await asyncio.gather(*find_own_messages, return_exceptions=True)
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
                self.last_pong = time.monotonic()
            elif message.type is not WSMsgType.BINARY:
                return

    def _handle_frame(self, envelope: Json) -> None:
        kind = envelope.get("type")
        if kind == "hello":
            self.got_hello = True
            self.last_pong = time.monotonic()
        elif kind == "disconnect":
            log.info("Slack ends this link", reason=envelope.get("reason"))
            self._asked_to_go_at = time.monotonic()
            self.closing.set()
        elif id_ := get_text(envelope, "envelope_id"):
            task = asyncio.create_task(self._take(id_, envelope), name="slack envelope")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, id_: str, envelope: Json) -> None:
        try:
            payload = await self._handle(envelope)
        except Exception as error:  # noqa: BLE001  whatever it is: not acknowledged, so Slack sends it again
            log.error("not taken in, so not acknowledged", error=repr(error))
            return
        answer = {"envelope_id": id_} | ({} if payload is None else {"payload": payload})
        try:
            await self._socket.send_str(json.dumps(answer))
        except (ConnectionError, RuntimeError) as error:
            # Slack will send it again, over another link; it is known then.
            log.info("not acknowledged, the link is gone", error=repr(error))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._timing.ping_every_s)
            last_seen_at = self.last_pong if self.got_hello else self._made_at
            if time.monotonic() - last_seen_at >= self._timing.pong_timeout_s:
                log.warning("the link to Slack is deaf; a new one is made")
                self.closing.set()
                await self._socket.close()
                return
            asked = self._asked_to_go_at
            if asked is not None and time.monotonic() - asked >= self._timing.close_timeout_s:
                await self._socket.close()
                return
            try:
                await self._socket.ping()
            except (ConnectionError, RuntimeError):
                return  # the reader sees the end too


def _envelope(data: str) -> Json:
    """What Slack sent, or nothing at all if that is no JSON object."""
    try:
        envelope = json.loads(data)
    except (ValueError, RecursionError):
        envelope = None
    if isinstance(envelope, dict):
        return envelope
    log.warning("Slack sent what is no envelope", characters=len(data))
    return {}


class SocketMode:
    """Keeps a link up: the next one is made before the last is gone, and each with an address of its own."""

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
        self._links: dict[asyncio.Task[None], SocketConnection] = {}
        self._last_error = "not connected yet"

    async def preflight(self) -> str:
        """Ask for an address, which proves the token. Raises PlatformRefused, PlatformError."""
        with slack_errors("apps.connections.open"):
            answer = await self._client.apps_connections_open(app_token=self._app_token)
        return str(answer["url"])

    async def run(self) -> None:
        """Stay connected until cancelled."""
        delay_s = self._timing.first_delay_s
        try:
            while True:
                began = time.monotonic()
                try:
                    link = await self._connect()
                except (PlatformError, OSError, TimeoutError) as error:
                    self._last_error = f"no link: {error}"
                    level = log.error if isinstance(error, PlatformRefused) else log.warning
                    level("no link to Slack", error=repr(error), next_try_s=round(delay_s, 1))
                else:
                    await link.closing.wait()
                    if link.got_hello and time.monotonic() - began > delay_s:
                        delay_s = self._timing.first_delay_s
                        continue
                    self._last_error = "Slack ended the link at once"
                await asyncio.sleep(delay_s * random.uniform(0.75, 1.25))  # noqa: S311  no secret
                delay_s = min(MAX_DELAY_S, delay_s * 2)
        finally:
            for task in tuple(self._links):
                task.cancel()
            await asyncio.gather(*self._links, return_exceptions=True)

    def health(self) -> Health:
        """Ready while some link got a pong lately."""
        if any(link.alive for link in self._links.values()):
            return Health(True, "Socket Mode")
        return Health(False, f"Socket Mode: {self._last_error}")

    async def _connect(self) -> SocketConnection:
        """A new link over a new address. Raises PlatformError, OSError, TimeoutError."""
        import aiohttp

        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            url = await self.preflight()
            try:
                socket = await self._session.ws_connect(
                    url,
                    autoping=False,
                    max_msg_size=8 * 2**20,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
            except aiohttp.ClientError as error:
                raise OSError(f"the WebSocket was not opened: {type(error).__name__}") from error
        link = SocketConnection(socket, self._handle, self._timing)
        task = asyncio.create_task(link.serve(), name="slack link")
        self._links[task] = link
        task.add_done_callback(self._ended)
        return link

    def _ended(self, task: asyncio.Task[None]) -> None:
        link = self._links.pop(task)
        link.closing.set()
        self._last_error = "the link ended"
        if not task.cancelled() and task.exception() is not None:
            log.warning("a link to Slack broke", error=repr(task.exception()))
