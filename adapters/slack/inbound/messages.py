"""Message events: what people post, edit and delete, put into the core's inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import structlog

from adapters.slack.api.files import describe_files
from adapters.slack.inbound.events import MessageDeleted, MessageEdited, MessagePosted
from adapters.slack.inbound.mrkdwn import decode, mentioned, named_places, without_mention
from adapters.slack.inbound.routing import (
    address_of,
    addresses_others,
    classify,
    ephemeral_address,
    session_of,
)
from bot.cache import Throttle
from bot.conversation import Address, Incoming, Speaker
from bot.errors import NOT_LISTED

if TYPE_CHECKING:
    from adapters.slack.api.places import PlaceDirectory
    from adapters.slack.api.users import UserDirectory
    from adapters.slack.api.workspaces import Workspaces
    from adapters.slack.assistant import Assistant
    from adapters.slack.inbound.automated import AutomatedMessages
    from adapters.slack.inbound.routing import Intent
    from bot.background import BackgroundTasks
    from bot.ports import Core

log = structlog.get_logger("keepthread.slack")

NAMES_WAIT_S = 1.2
"""Slack wants its acknowledgement within 3 s; people whose name is unknown by then are called by their id."""

FILES_WAIT_S = 0.8
"""Files that the event does not describe are looked up this long, and again when they are read."""

REFUSAL_EVERY_S = 600.0
_MAX_REFUSED = 1_000

Notify = Callable[[Address, str], None]
"""Posts a notice of the bot's in the background."""


def _refusals() -> Throttle:
    return Throttle(REFUSAL_EVERY_S, _MAX_REFUSED)


@dataclass(slots=True)
class MessageEnqueuer:
    """Puts messages, edits and deletions into the inbox. Every call raises StoreError.

    Attributes:
        mentions_only: ids of channels where the bot answers only when mentioned.
        answer_apps: app or bot ids that are answered where they mention the bot.
        names_wait_s: see `NAMES_WAIT_S`.
    """

    core: Core
    mentions_only: Collection[str]
    workspaces: Workspaces
    users: UserDirectory
    assistant: Assistant
    background: BackgroundTasks
    notify: Notify
    places: PlaceDirectory
    automated: AutomatedMessages
    answer_apps: Collection[str] = ()
    names_wait_s: float = NAMES_WAIT_S
    _refusals: Throttle = field(default_factory=_refusals)

    async def posted(self, message: MessagePosted, bot_user: str) -> None:
        # A mention comes twice, as app_mention and as message, under two event ids.
        await self._enqueue(message, bot_user, dedupe=message_key(message))

    async def _enqueue(self, message: MessagePosted, bot_user: str, *, dedupe: str) -> None:
        sender = await self._sender(message, bot_user)
        if sender != "app":
            message = replace(message, by_bot=False, user=message.user or message.bot_id)
        intent = await classify(message, bot_user, self.core, self.mentions_only)
        if intent is None:
            return
        if sender == "person":
            await self.automated.reset(session_of(message))
        elif intent.kind != "overheard" and not await self.automated.allow(session_of(message)):
            log.warning("automated message not answered", channel=message.channel)
            intent = replace(intent, kind="overheard")
        speaker, names = await self._speaker_and_names(message)
        needs_history = intent.is_first_in_thread and not message.in_agent_thread
        address = address_of(message, speaker_team=speaker.account, needs_history=needs_history)
        if not await self.core.allowed(address, speaker):
            if intent.is_addressed:
                self._refuse(address, speaker)
            return
        incoming = await self._incoming(message, intent, address, speaker, names)
        admission = await self.core.enqueue(incoming, dedupe=(dedupe,))
        if admission == "refused" and intent.is_addressed:
            self._refuse(address, speaker)
        is_first = intent.is_first_in_thread and message.in_agent_thread
        if admission == "queued" and is_first and intent.kind != "command":
            title = self.assistant.set_title(
                message.team, message.channel, message.thread_ts, incoming.text
            )
            self.background.add("thread title", title)

    async def edited(self, edited: MessageEdited, bot_user: str) -> None:
        message = edited.message
        if message.by_bot or not message.user or message.user == bot_user:
            return
        if _is_in_no_conversation(message, bot_user):
            return
        if await self._is_question_now(edited, bot_user):
            key = f"{message_key(message)}:mention"
            before = MessageDeleted(replace(message, event_id=""))
            await self.deleted(before, bot_user, dedupe=f"{key}:overheard")
            await self._enqueue(message, bot_user, dedupe=key)
            return
        speaker, names = await self._speaker_and_names(message)
        incoming = Incoming(
            address_of(message, speaker_team=speaker.account),
            speaker,
            decode(without_mention(message.text, bot_user), names),
            message_id=message.ts,
            event_id=message.event_id,
            kind="edit",
            attachments=message.files,
        )
        dedupe = f"{message_key(message)}:edit:{edited.edited_ts}"
        await self.core.enqueue(incoming, dedupe=(dedupe,))

    async def deleted(self, deleted: MessageDeleted, bot_user: str, *, dedupe: str = "") -> None:
        message = deleted.message
        is_known = bool(message.text) and not message.by_bot
        if not message.ts or (is_known and _is_in_no_conversation(message, bot_user)):
            return
        incoming = Incoming(
            address_of(message),
            Speaker(message.user, account=message.user_team or message.team),
            "",
            message_id=message.ts,
            event_id=message.event_id,
            kind="delete",
        )
        await self.core.enqueue(incoming, dedupe=(dedupe or f"{message_key(message)}:delete",))

    async def _is_question_now(self, edited: MessageEdited, bot_user: str) -> bool:
        """Whether the edit made a question for the bot of a message that was none: it added the mention."""
        message, before = edited.message, edited.text_before
        if message.kind == "private" or bot_user not in mentioned(message.text):
            return False
        if not before or bot_user in mentioned(before):
            return False
        was_overheard = message.channel in self.mentions_only or addresses_others(before)
        return was_overheard or not await self.core.takes_part(session_of(message))

    async def _sender(
        self, message: MessagePosted, bot_user: str
    ) -> Literal["person", "automation", "app"]:
        """Who posted a message. `automation` is answered like a person: a person's own token, or a listed app."""
        if not message.by_bot or message.user == bot_user:
            return "person"
        if message.user:
            users = await self.users.lookup(message.team, (message.user,), wait_s=self.names_wait_s)
            user = users.get(message.user)
            if user is not None and user.workspaces and not user.is_bot:
                return "automation"
        is_listed = bool({message.app_id, message.bot_id} & {*self.answer_apps})
        is_mention = message.mentions_bot or bot_user in mentioned(message.text)
        return "automation" if is_listed and is_mention else "app"

    async def _incoming(
        self,
        message: MessagePosted,
        intent: Intent,
        address: Address,
        speaker: Speaker,
        names: dict[str, str],
    ) -> Incoming:
        is_command = intent.kind == "command"
        files = () if is_command else message.files
        return Incoming(
            address,
            speaker,
            intent.text if is_command else decode(intent.text, names),
            message_id=message.ts,
            event_id=message.event_id,
            sent_at=time_of(message.ts),
            kind=intent.kind,
            quoted="" if is_command else decode(message.quoted, names),
            attachments=await describe_files(
                self.workspaces, message.team, files, wait_s=FILES_WAIT_S
            ),
        )

    async def _speaker_and_names(self, message: MessagePosted) -> tuple[Speaker, dict[str, str]]:
        """The speaker, and names of the people and places mentioned: one wait for all of them."""
        text = f"{message.text}\n{message.quoted}"
        names, places = await asyncio.gather(
            self.users.names(
                message.team, (message.user, *mentioned(text)), wait_s=self.names_wait_s
            ),
            self.places.names(message.team, named_places(text), wait_s=self.names_wait_s),
        )
        names |= places
        if message.bot_id and (message.by_bot or message.user == message.bot_id):
            name = f"{message.app_name or message.bot_id} (app)"
            return Speaker(message.user or message.bot_id, name, message.team), names
        speaker = await self.users.speaker(
            message.team,
            message.user,
            claimed_team=message.user_team,
            external=message.external,
            wait_s=0,
        )
        return speaker, names

    def _refuse(self, address: Address, speaker: Speaker) -> None:
        """Tell the person, and nobody else, that they are not listed; not for every message in a row."""
        if self._refusals.allow((address.session.place, speaker.id)):
            self.notify(ephemeral_address(address, speaker), NOT_LISTED)


def _is_in_no_conversation(message: MessagePosted, bot_user: str) -> bool:
    """Whether it stood at the top level of a channel without a mention of the bot."""
    is_top_level = message.kind != "private" and not message.thread_ts
    return is_top_level and bot_user not in mentioned(message.text)


def message_key(message: MessagePosted) -> str:
    """Id of the message, the same in each event about it. Time stamps are unique within a channel only."""
    return f"slack:{message.team}:{message.channel}:{message.ts}"


def time_of(ts: str) -> datetime:
    """Time of a message; its `ts` holds seconds since 1970."""
    try:
        return datetime.fromtimestamp(float(ts), UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
