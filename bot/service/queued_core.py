"""The `Core` port of a service: everything goes through the durable inbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from bot.background import cancel_all
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.errors import KeepthreadError, StoreError
from bot.inbox.inbox import SIDE_LANE, Inbox
from bot.memory.recent import RecentConversations
from bot.memory.sessions import Sessions
from bot.metrics import Metrics
from bot.ports import Admission, CommandSpec, Connection, ConversationSummary, Reply
from bot.worker.executor import EXPECTS_ANSWER

if TYPE_CHECKING:
    from bot.wiring import Components

log = structlog.get_logger("keepthread.core")

STOP_WORDS = frozenset({"stop", "cancel", "stop!", "halt", "abort", "/stop"})
"""Said alone while an answer is being written, these stop it."""

FULL = (
    "I still have many messages to answer here, so I leave this one out. "
    "Please send it again in a while, or say “stop”."
)
TELL_FULL_EVERY_S = 30.0
MOST_TELLING = 200
"""Places that are told so at the same time; more are a flood."""


class QueuedCore:
    """What adapters put into the inbox, and what commands work with.

    Args:
        inbox, sessions: on an impatient client, since platforms wait for an answer.
        connections: the platforms at work here; filled while they open.

    Attributes:
        on_put_off: called when a message was put off, so that it is looked for in time.
    """

    def __init__(
        self,
        components: Components,
        inbox: Inbox,
        sessions: Sessions,
        recent: RecentConversations,
        metrics: Metrics,
        connections: Mapping[str, Connection],
    ) -> None:
        self.settings = components.settings
        self.vault = components.vault
        self.key_values = components.key_values
        self.history = components.history
        self.handler = components.handler
        self.access = components.access
        self._registry = components.commands
        self.sessions = sessions
        self.inbox = inbox
        self._recent = recent
        self._metrics = metrics
        self._connections = connections
        self.on_put_off: Callable[[], None] | None = None
        self._told_full: dict[SessionKey, float] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def enqueue(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        try:
            admission = await self._put(incoming, dedupe, hold_s)
        except StoreError as error:
            self._metrics.redis_errors.labels(type(error).__name__).inc()
            raise
        self._metrics.admitted.labels(incoming.session.platform, admission).inc()
        log.info(
            "message taken in" if admission in ("queued", "merged") else f"message {admission}",
            session=str(incoming.session),
            event_id=incoming.event_id,
            kind=incoming.kind,
            admission=admission,
        )
        return admission

    async def _put(self, incoming: Incoming, dedupe: Sequence[str], hold_s: float) -> Admission:
        # What the platform says is deleted is forgotten, whoever it was of.
        is_deletion = incoming.kind == "delete"
        if not (is_deletion or self.access.admitted(incoming.address, incoming.speaker)):
            return "refused"
        incoming = await self._with_stop_words(incoming)
        is_command = incoming.kind == "command"
        lane = str(incoming.session)
        if is_command and self._registry.is_reading(incoming.text):
            lane += SIDE_LANE
        admission, item = await self.inbox.enqueue(
            incoming, dedupe=dedupe, hold_s=hold_s, lane=lane
        )
        if hold_s and self.on_put_off is not None:
            self.on_put_off()
        if admission == "full" and incoming.kind in EXPECTS_ANSWER:
            self._tell_full(incoming)
        if is_command and item and await self._interrupts(incoming):
            await self.inbox.stop(incoming.session, before=item)
        return admission

    async def _interrupts(self, call: Incoming) -> bool:
        """Whether a command ends the running answer, and its speaker may use it."""
        command = self._registry.find(call.text)
        return (
            command is not None
            and command.interrupts
            and await self.allowed(call.address, call.speaker, command.name)
        )

    async def stop(self, session: SessionKey, speaker: Speaker, *, before: str = "") -> bool:
        running, dropped = await self.inbox.stop(session, before=before)
        log.info("stop", session=str(session), by=speaker.id, running=running, dropped=dropped)
        return running or dropped > 0

    async def takes_part(self, session: SessionKey) -> bool:
        """Also while its first answer is still to come."""
        return await self.sessions.takes_part(session) or await self.inbox.is_active(session)

    async def allowed(self, address: Address, speaker: Speaker, action: str = "talk") -> bool:
        return await self.access.allowed(address, speaker, action)

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        await self.sessions.move(old, new)
        await self.inbox.migrate(old, new)
        log.info("conversation moved", old=str(old), new=str(new))

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        return await self._recent.conversations_of(platform, speaker)

    async def totals(self, platform: str, account: str) -> tuple[int, int]:
        return await self.sessions.totals(platform, account)

    def commands(self) -> tuple[CommandSpec, ...]:
        return self._registry.commands

    async def _with_stop_words(self, incoming: Incoming) -> Incoming:
        """A bare word to stop is a command, while there is something to stop."""
        words = incoming.text.strip().lower()
        if incoming.kind != "message" or words not in STOP_WORDS or incoming.attachments:
            return incoming
        if not await self.inbox.is_active(incoming.session):
            return incoming
        return replace(incoming, kind="command", text="stop")

    def _tell_full(self, incoming: Incoming) -> None:
        """Say once in a while that too much waits here, beside the intake: a place that is full is busy, too."""
        now = time.monotonic()
        if now - self._told_full.get(incoming.session, -TELL_FULL_EVERY_S) < TELL_FULL_EVERY_S:
            return
        connection = self._connections.get(incoming.session.platform)
        if connection is None or len(self._telling) >= MOST_TELLING:
            return
        if len(self._told_full) > 1000:
            self._told_full.clear()
        self._told_full[incoming.session] = now
        task = asyncio.create_task(_say_full(connection.reply(incoming.address)), name="full")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def aclose(self) -> None:
        """Nothing more is said."""
        await cancel_all(tuple(self._telling))


async def _say_full(reply: Reply) -> None:
    try:
        await reply.post(FULL)
    except KeepthreadError as error:
        log.warning("could not say that the mailbox is full", error=repr(error))
    finally:
        await reply.aclose()
