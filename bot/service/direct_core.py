"""The `Core` port for one process and one person: turns run at once, without an inbox."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import structlog

from bot.background import cancel_all
from bot.commands import Call
from bot.conversation import Incoming, SessionKey, Speaker, Turn
from bot.errors import KeepthreadError, PlatformError
from bot.ports import Admission, Connection, ConversationSummary, Reply
from bot.service.base_core import BaseCore, command_services
from bot.turns.request import Request
from bot.turns.stop_signal import StopSignal
from bot.wiring import Components

log = structlog.get_logger("keepthread.direct")

STOP_GRACE_S = 1.0
"""Time for a stopped answer to be stored when the program ends."""
MAX_CONVERSATIONS = 20


class DirectCore(BaseCore):
    """The `Core` port over `Components`. Messages of a session are answered one after the other."""

    def __init__(self, components: Components) -> None:
        super().__init__(
            components, command_services(components, components.sessions, self._stop_running)
        )
        self._connection: Connection | None = None
        self._running: dict[SessionKey, StopSignal] = {}
        self._order: dict[SessionKey, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def connect(self, connection: Connection) -> None:
        """Set the connection of replies; once, before the first `enqueue`."""
        self._connection = connection

    async def enqueue(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        """Answer `incoming` soon: through exactly one reply, closed when it is over."""
        task = asyncio.create_task(self._handle(incoming), name=f"turn {incoming.session}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return "queued"

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        """All of the platform's: this core serves one person."""
        return tuple(
            ConversationSummary(info.session, info.turns, info.used_at)
            for info in await self.services.sessions.list()
            if info.session.platform == platform
        )[:MAX_CONVERSATIONS]

    async def aclose(self) -> None:
        """Stop what runs; it is stored with what was shown, if that takes no longer than `STOP_GRACE_S`."""
        self._is_closing = True
        for stop in self._running.values():
            stop.request()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=STOP_GRACE_S)
        finally:
            await cancel_all(tuple(self._tasks))

    async def _stop_running(
        self, session: SessionKey, speaker: Speaker, *, before: str = ""
    ) -> bool:
        stop = self._running.get(session)
        if stop is None:
            return False
        stop.request()
        return True

    async def _handle(self, incoming: Incoming) -> None:
        """Run a message, and show its error, if there is one."""
        assert self._connection is not None, "connect() comes first"  # noqa: S101  wiring, not input
        reply = self._connection.reply(incoming.address)
        session = str(incoming.session)
        try:
            await self._run(incoming, reply)
        except PlatformError as error:
            log.warning("answer not delivered", session=session, error=repr(error))
        except KeepthreadError as error:
            log.warning("turn failed", session=session, error=repr(error))
            await _show_error(reply, incoming, error)
        except Exception as error:  # a bug must not end the program
            log.exception("turn failed unexpectedly", session=session)
            await _show_error(reply, incoming, KeepthreadError(repr(error)))
        finally:
            await reply.aclose()

    async def _run(self, incoming: Incoming, reply: Reply) -> None:
        if incoming.kind == "command" and self._registry.is_reading(incoming.text):
            await self._registry.run(Call(self.services, incoming, reply))
            return
        session = incoming.session
        async with self._order.setdefault(session, asyncio.Lock()):
            stop = self._running[session] = StopSignal()
            if self._is_closing:
                stop.request()
            try:
                if incoming.kind == "command":
                    await self._registry.run(Call(self.services, incoming, reply, stop=stop))
                else:
                    turn = Turn(id=uuid.uuid4().hex, incoming=(incoming,))
                    await self.services.handler.handle(Request(turn), reply, stop)
            finally:
                self._running.pop(session, None)


async def _show_error(reply: Reply, incoming: Incoming, error: KeepthreadError) -> None:
    turn = Turn(id=uuid.uuid4().hex, incoming=(incoming,))
    try:
        await reply.fail(turn.ended("failed", "", note=type(error).__name__), error)
    except PlatformError as undelivered:
        log.warning("error not delivered", session=str(incoming.session), error=repr(undelivered))
