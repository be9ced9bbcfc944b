"""Reactions: thumbs under the bot's answers are feedback on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from adapters.slack.inbound.events import MessagePosted, ReactionChanged
from adapters.slack.inbound.messages import NAMES_WAIT_S
from adapters.slack.inbound.routing import address_of
from bot.conversation import Incoming

if TYPE_CHECKING:
    from adapters.slack.api.threads import ThreadLookup
    from adapters.slack.api.users import UserDirectory
    from bot.ports import Core

log = structlog.get_logger("keepthread.slack")


@dataclass(slots=True)
class Reactions:
    """Puts feedback into the inbox. Raises StoreError."""

    core: Core
    users: UserDirectory
    threads: ThreadLookup
    names_wait_s: float = NAMES_WAIT_S

    async def changed(self, reaction: ReactionChanged, bot_user: str) -> None:
        if reaction.author != bot_user or reaction.user == bot_user:
            return
        thread = await self.threads.thread_of_message(reaction.team, reaction.channel, reaction.ts)
        if thread is None:
            log.warning("reaction dropped, its thread is unknown", ts=reaction.ts)
            return
        speaker = await self.users.speaker(
            reaction.team, reaction.user, external=reaction.external, wait_s=self.names_wait_s
        )
        answer = MessagePosted(
            reaction.team,
            reaction.channel,
            "private" if reaction.channel.startswith("D") else "channel",
            reaction.user,
            reaction.ts,
            thread_ts=thread,
        )
        address = address_of(answer, speaker_team=speaker.account)
        if not await self.core.allowed(address, speaker):
            return
        incoming = Incoming(
            address,
            speaker,
            reaction.rating if reaction.is_added else "",
            message_id=reaction.ts,
            event_id=reaction.event_id,
            kind="feedback",
        )
        await self.core.enqueue(incoming)
