"""The `Core` port of a service: messages go through the durable inbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from bot.commands.call import Services, StopSession
from bot.conversation import Incoming, SessionKey, Speaker
from bot.errors import StoreError
from bot.inbox.inbox import SIDE_LANE, Inbox
from bot.memory.recent import RecentConversations
from bot.metrics import Metrics
from bot.ports import Admission, ConversationSummary
from bot.service.base_core import BaseCore
from bot.service.notices import FullMailboxNotices
from bot.wiring import Components
from bot.worker.executor import EXPECTS_ANSWER

log = structlog.get_logger("keepthread.core")

STOP_WORDS = frozenset({"stop", "cancel", "stop!", "halt", "abort", "/stop"})
"""Texts of messages that are a stop command while an answer is being written."""


def stop_in_inbox(inbox: Inbox) -> StopSession:
    """Stops turns of an inbox, in whichever process they run."""

    async def stop(session: SessionKey, speaker: Speaker, *, before: str = "") -> bool:
        running, dropped = await inbox.stop(session, before=before)
        log.info("stop", session=str(session), by=speaker.id, running=running, dropped=dropped)
        return running or dropped > 0

    return stop


class QueuedCore(BaseCore):
    """The `Core` port over an inbox.

    Args:
        services: with a client that does not wait out an outage of Redis, since platforms wait.
        inbox: on such a client, too.
        on_hold: called when a message was held, so that this process promotes it in time.
    """

    def __init__(
        self,
        components: Components,
        services: Services,
        inbox: Inbox,
        recent: RecentConversations,
        notices: FullMailboxNotices,
        metrics: Metrics,
        on_hold: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(components, services)
        self._inbox = inbox
        self._recent = recent
        self._notices = notices
        self._metrics = metrics
        self._on_hold = on_hold

    async def enqueue(
        self, incoming: Incoming, *, dedupe: Sequence[str] = (), hold_s: float = 0
    ) -> Admission:
        try:
            admission = await self._admit(incoming, dedupe, hold_s)
        except StoreError as error:
            self._metrics.redis_errors.labels(type(error).__name__).inc()
            raise
        self._metrics.admitted.labels(incoming.session.platform, admission).inc()
        log.info(
            "message enqueued" if admission in ("queued", "merged") else f"message {admission}",
            session=str(incoming.session),
            event_id=incoming.event_id,
            kind=incoming.kind,
            admission=admission,
        )
        return admission

    async def takes_part(self, session: SessionKey) -> bool:
        """Also while its first answer is still to come."""
        return await super().takes_part(session) or await self._inbox.is_active(session)

    async def migrate(self, old: SessionKey, new: SessionKey) -> None:
        await super().migrate(old, new)
        await self._inbox.migrate(old, new)
        log.info("conversation moved", old=str(old), new=str(new))

    async def conversations_of(
        self, platform: str, speaker: Speaker
    ) -> tuple[ConversationSummary, ...]:
        return await self._recent.conversations_of(platform, speaker)

    async def _admit(self, incoming: Incoming, dedupe: Sequence[str], hold_s: float) -> Admission:
        # Deletions come from everybody: a message that its platform deleted is forgotten.
        access = self.services.access
        if incoming.kind != "delete" and not access.admitted(incoming.address, incoming.speaker):
            return "refused"
        if incoming.kind in ("edit", "delete"):
            return await self._inbox.change(incoming, dedupe=dedupe)
        incoming = await self._with_stop_words(incoming)
        is_command = incoming.kind == "command"
        lane = str(incoming.session)
        if is_command and self._registry.is_reading(incoming.text):
            lane += SIDE_LANE
        admission, item = await self._inbox.enqueue(
            incoming, dedupe=dedupe, hold_s=hold_s, lane=lane
        )
        if hold_s and self._on_hold is not None:
            self._on_hold()
        if admission == "full" and incoming.kind in EXPECTS_ANSWER:
            self._notices.post(incoming)
        if is_command and item and await self._interrupts(incoming):
            await self._inbox.stop(incoming.session, before=item)
        return admission

    async def _interrupts(self, call: Incoming) -> bool:
        """Whether a command ends the running answer, and its speaker may use it."""
        command = self._registry.find(call.text)
        return (
            command is not None
            and command.interrupts
            and await self.allowed(call.address, call.speaker, command.name)
        )

    async def _with_stop_words(self, incoming: Incoming) -> Incoming:
        """The stop command in place of a message with a stop word alone, while the conversation is active."""
        text = incoming.text.strip().lower()
        if incoming.kind != "message" or text not in STOP_WORDS or incoming.attachments:
            return incoming
        if not await self._inbox.is_active(incoming.session):
            return incoming
        return replace(incoming, kind="command", text="stop")
