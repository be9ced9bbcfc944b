"""The core for one process and one person: turns run at once, without the inbox."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import structlog

from bot.background import cancel_all
from bot.commands import Call
from bot.conversation import Address, Incoming, SessionKey, Speaker, Turn
from bot.errors import KeepthreadError, PlatformError
from bot.ports import Admission, CommandSpec, Connection, ConversationSummary, Reply
from bot.turns.handler import Request
from bot.turns.stop_signal import StopSignal
from bot.wiring import Components

log = structlog.get_logger("keepthread.direct")

LEAVING_S = 1.0
"""So long a stopped answer may take to be written down when the program ends."""


class DirectCore:
    """The `Core` port over `Components`. Messages of a session are answered one after the other."""

    def __init__(self, components: Components) -> None:
        self.settings = components.settings
        self.history = components.history
        self.sessions = components.sessions
        self.handler = components.handler
        self.access = components.access
        self._registry = components.commands
        self.vault = components.vault
        self.key_values = components.key_values
        self._connection: Connection | None = None
        self._running: dict[SessionKey, StopSignal] = {}
        self._order: dict[SessionKey, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_leaving = False

    def connect(self, connection: Connection) -> None:
        """Where replies come from; once, before the first `put`."""
        self._connection = connection

    async def enqueue(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        """Answer `incoming` soon: through exactly one reply, closed when it is over."""
        task = asyncio.create_task(self._take(incoming), name=f"turn {incoming.session}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return "queued"

    async def stop(self, session: SessionKey, speaker: Speaker, *, before: str = "") -> bool:
        stop = self._running.get(session)
        if stop is None:
            return False
        stop.request()
        return True

    async def takes_part(self, session: SessionKey) -> bool:
        return await self.sessions.takes_part(session)

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        return await self.access.allowed(address, speaker, action)

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        await self.sessions.move(old, new)

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        """All of the platform's: this core serves one person."""
        return tuple(
            ConversationSummary(info.session, info.turns, info.used_at)
            for info in await self.sessions.list()
            if info.session.platform == platform
        )[:20]

    async def totals(self, platform: str, account: str) -> tuple[int, int]:
        return await self.sessions.totals(platform, account)

    def commands(self) -> tuple[CommandSpec, ...]:
        return self._registry.commands

    async def aclose(self) -> None:
        """End what runs as a stop would: it is remembered with what was shown, if that takes but a moment."""
        self._is_leaving = True
        for stop in self._running.values():
            stop.request()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=LEAVING_S)
        finally:
            await cancel_all(tuple(self._tasks))

    async def _take(self, incoming: Incoming) -> None:
        assert self._connection is not None, "connect() comes first"  # noqa: S101  wiring, not input
        reply = self._connection.reply(incoming.address)
        session = incoming.session
        try:
            if incoming.kind == "command" and self._registry.is_reading(incoming.text):
                await self._registry.run(Call(self, incoming, reply))
                return
            async with self._order.setdefault(session, asyncio.Lock()):
                stop = self._running[session] = StopSignal()
                if self._is_leaving:
                    stop.request()
                try:
                    if incoming.kind == "command":
                        await self._registry.run(Call(self, incoming, reply, stop=stop))
                    else:
                        turn = Turn(id=uuid.uuid4().hex, incoming=(incoming,))
                        await self.handler.answer(Request(turn), reply, stop)
                finally:
                    self._running.pop(session, None)
        except PlatformError as error:
            log.warning("not delivered", session=str(session), error=repr(error))
        except KeepthreadError as error:
            log.warning("not answered", session=str(session), error=repr(error))
            await _tell(reply, incoming, error)
        except Exception as error:  # a mistake of ours must not end the talk
            log.exception("mistake", session=str(session))
            await _tell(reply, incoming, KeepthreadError(repr(error)))
        finally:
            await reply.aclose()


async def _tell(reply: Reply, incoming: Incoming, error: KeepthreadError) -> None:
    turn = Turn(id=uuid.uuid4().hex, incoming=(incoming,))
    try:
        await reply.fail(turn.ended("failed", "", note=type(error).__name__), error)
    except PlatformError as undelivered:
        log.warning("not delivered", session=str(incoming.session), error=repr(undelivered))
