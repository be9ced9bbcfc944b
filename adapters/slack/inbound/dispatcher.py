"""Everything that happens in Slack goes through here: into the core before Slack is told that we have it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import structlog

from adapters.slack import action_ids
from adapters.slack.api.files import describe_files
from adapters.slack.api.payload import Json
from adapters.slack.inbound.events import (
    AgentSessionStopped,
    AppHomeOpened,
    AppUninstalled,
    AssistantThreadStarted,
    BlockAction,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    MessageShortcut,
    ReactionChanged,
    SlashCommand,
)
from adapters.slack.inbound.mrkdwn import decode, mentioned, without_mention
from adapters.slack.inbound.parse import parse
from adapters.slack.inbound.routing import address_of, classify, ephemeral_address, session_of
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.errors import NOT_LISTED

if TYPE_CHECKING:
    from adapters.slack.api.threads import ThreadLookup
    from adapters.slack.api.users import UserDirectory
    from adapters.slack.api.workspaces import Workspaces
    from adapters.slack.app_home import AppHome
    from adapters.slack.assistant import Assistant
    from adapters.slack.inbound.interactions import Interactions, Notify
    from adapters.slack.settings import SlackSettings
    from bot.background import BackgroundTasks
    from bot.ports import Core

log = structlog.get_logger("keepthread.slack")

NAMES_WAIT_S = 1.2
"""Slack wants its acknowledgement within 3 s; who is not named by then keeps an id."""

FILES_WAIT_S = 0.8
"""What kind of file it is, is asked where Slack tells it on request only; later it is asked for again."""

REFUSAL_EVERY_S = 600.0
_MAX_REFUSALS = 1_000


@dataclass(slots=True)
class Dispatcher:
    """Takes in one payload at a time; any number run side by side."""

    core: Core
    settings: SlackSettings
    workspaces: Workspaces
    users: UserDirectory
    threads: ThreadLookup
    interactions: Interactions
    home: AppHome
    agents: Assistant
    background: BackgroundTasks
    notify: Notify
    on_uninstalled: Callable[[AppUninstalled], Any]
    names_wait_s: float = NAMES_WAIT_S
    _told: dict[tuple[str, str], float] = field(default_factory=dict)
    _turns: WeakValueDictionary[SessionKey, asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    async def take(self, body: Json, bot_user: str) -> dict[str, Any] | None:
        """Take in what `body` tells. What Slack is to show at once, or None.

        Raises:
            StoreError: not taken in; Slack must send it again.
        """
        event = parse(body)
        match event:
            case MessagePosted():
                async with self._in_turn(event):
                    await self._message_posted(event, bot_user)
            case MessageEdited():
                async with self._in_turn(event.message):
                    await self._edited(event, bot_user)
            case MessageDeleted():
                async with self._in_turn(event.message):
                    await self._deleted(event, bot_user)
            case ReactionChanged():
                await self._reacted(event, bot_user)
            case BlockAction():
                await self.interactions.block_action(event)
            case MessageShortcut():
                await self.interactions.message_shortcut(event)
            case SlashCommand():
                return await self.interactions.slash_command(event)
            case AgentSessionStopped():
                await self._stopped(event)
            case AppHomeOpened(tab="home"):
                self.background.add("App Home", self.home.publish(event.team, event.user))
            case AppHomeOpened(tab="messages"):
                self.background.add(
                    "suggested prompts", self.agents.suggest_prompts(event.team, event.channel)
                )
            case AssistantThreadStarted():
                suggest_prompts = self.agents.suggest_prompts(
                    event.team, event.channel, event.thread_ts
                )
                self.background.add("suggested prompts", suggest_prompts)
            case AppUninstalled():
                await self.on_uninstalled(event)
            case _:
                log.debug("nothing for us", type=body.get("type"))
        return None

    def _in_turn(self, message: MessagePosted) -> asyncio.Lock:
        """What is message in one conversation is taken in as it came, though Slack tells names at its own pace."""
        return self._turns.setdefault(session_of(message), asyncio.Lock())

    async def _message_posted(self, message: MessagePosted, bot_user: str) -> None:
        intent = await classify(message, bot_user, self.core, self.settings.slack_mentions_only)
        if intent is None:
            return
        speaker, names = await self._people(message)
        seed = intent.new and not message.in_agent_thread
        address = address_of(message, speaker_team=speaker.account, seed=seed)
        if not await self.core.allowed(address, speaker):
            if intent.called:
                self._refuse(address, speaker)
            return
        command = intent.kind == "command"
        files = (
            ()
            if command
            else await describe_files(
                self.workspaces, message.team, message.files, wait_s=FILES_WAIT_S
            )
        )
        incoming = Incoming(
            address,
            speaker,
            intent.text if command else decode(intent.text, names),
            message_id=message.ts,
            event_id=message.event_id,
            sent_at=time_of(message.ts),
            kind=intent.kind,
            quoted="" if command else decode(message.quoted, names),
            attachments=files,
        )
        # A mention comes twice, as app_mention and as message, under two event ids.
        admission = await self.core.enqueue(incoming, dedupe=(message_key(message),))
        if admission == "refused" and intent.called:
            self._refuse(address, speaker)
        if admission == "queued" and intent.new and message.in_agent_thread and not command:
            title = self.agents.set_title(
                message.team, message.channel, message.thread_ts, incoming.text
            )
            self.background.add("thread title", title)

    async def _edited(self, edited: MessageEdited, bot_user: str) -> None:
        message = edited.message
        if message.by_bot or not message.user or message.user == bot_user:
            return
        if _is_in_no_conversation(message, bot_user):
            return
        speaker, names = await self._people(message)
        incoming = Incoming(
            address_of(message, speaker_team=speaker.account),
            speaker,
            decode(without_mention(message.text, bot_user), names),
            message_id=message.ts,
            event_id=message.event_id,
            kind="edit",
            attachments=message.files,
        )
        await self.core.enqueue(
            incoming, dedupe=(f"{message_key(message)}:edit:{edited.edited_ts}",)
        )

    async def _deleted(self, deleted: MessageDeleted, bot_user: str) -> None:
        message = deleted.message
        if not message.ts or (
            message.text and not message.by_bot and _is_in_no_conversation(message, bot_user)
        ):
            return
        incoming = Incoming(
            address_of(message),
            Speaker(message.user, account=message.user_team or message.team),
            "",
            message_id=message.ts,
            event_id=message.event_id,
            kind="delete",
        )
        await self.core.enqueue(incoming, dedupe=(f"{message_key(message)}:delete",))

    async def _reacted(self, reacted: ReactionChanged, bot_user: str) -> None:
        if reacted.author != bot_user or reacted.user == bot_user:
            return
        thread = await self.threads.thread_of_message(reacted.team, reacted.channel, reacted.ts)
        if thread is None:
            log.warning("a reaction is lost: its thread could not be asked for", ts=reacted.ts)
            return
        speaker = await self.users.speaker(
            reacted.team, reacted.user, external=reacted.external, wait_s=self.names_wait_s
        )
        on = MessagePosted(
            reacted.team,
            reacted.channel,
            "private" if reacted.channel.startswith("D") else "channel",
            reacted.user,
            reacted.ts,
            thread_ts=thread,
        )
        address = address_of(on, speaker_team=speaker.account)
        if not await self.core.allowed(address, speaker):
            return
        incoming = Incoming(
            address,
            speaker,
            reacted.mark if reacted.added else "",
            message_id=reacted.ts,
            event_id=reacted.event_id,
            kind="feedback",
        )
        await self.core.enqueue(incoming)

    async def _stopped(self, stopped: AgentSessionStopped) -> None:
        speaker = await self.users.speaker(
            stopped.team, stopped.user, external=stopped.external, wait_s=self.names_wait_s
        )
        kind: Any = "private" if stopped.channel.startswith("D") else "channel"
        session = SessionKey(action_ids.PLATFORM, stopped.team, stopped.channel, stopped.thread_ts)
        if await self.core.allowed(Address(session, kind), speaker, "stop"):
            await self.core.stop(session, speaker)

    async def _people(self, message: MessagePosted) -> tuple[Speaker, dict[str, str]]:
        """Who speaks, and the names of those spoken of: one wait for all of them."""
        mentions = (*mentioned(message.text), *mentioned(message.quoted))
        names = await self.users.names(
            message.team, (message.user, *mentions), wait_s=self.names_wait_s
        )
        speaker = await self.users.speaker(
            message.team,
            message.user,
            claimed_team=message.user_team,
            external=message.external,
            wait_s=0,
        )
        return speaker, names

    def _refuse(self, address: Address, speaker: Speaker) -> None:
        """A refusal always says so, to the person alone; not for each of many words in a row."""
        now, key = time.monotonic(), (address.session.place, speaker.id)
        if now - self._told.get(key, -REFUSAL_EVERY_S) < REFUSAL_EVERY_S:
            return
        if len(self._told) >= _MAX_REFUSALS:
            self._told.clear()
        self._told[key] = now
        self.notify(ephemeral_address(address, speaker), NOT_LISTED)


def _is_in_no_conversation(message: MessagePosted, bot_user: str) -> bool:
    """It stood at top level of a channel and was no word to the bot: no conversation has it."""
    at_top = message.kind != "private" and not message.thread_ts
    return at_top and bot_user not in mentioned(message.text)


def message_key(message: MessagePosted) -> str:
    """The message itself, whichever event tells of it. Time stamps are unique within a channel only."""
    return f"slack:{message.team}:{message.channel}:{message.ts}"


def time_of(ts: str) -> datetime:
    """When a message was sent; its `ts` holds seconds since 1970."""
    try:
        return datetime.fromtimestamp(float(ts), UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
