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
from adapters.slack.api.files import looked_up
from adapters.slack.api.payload import Json
from adapters.slack.inbound.events import (
    AgentStopped,
    AgentThreadOpened,
    Deleted,
    Edited,
    HomeOpened,
    Pressed,
    Reacted,
    Removed,
    Said,
    Shortcut,
    Slashed,
)
from adapters.slack.inbound.mrkdwn import decode, mentioned, without_mention
from adapters.slack.inbound.parse import parse
from adapters.slack.inbound.routing import address_of, meaning, privately, session_of
from bot.conversation import Address, Incoming, SessionKey, Speaker
from bot.errors import NOT_LISTED

if TYPE_CHECKING:
    from adapters.slack.api.threads import Threads
    from adapters.slack.api.users import People
    from adapters.slack.api.workspaces import Teams
    from adapters.slack.app_home import Home
    from adapters.slack.assistant import AgentThreads
    from adapters.slack.inbound.interactions import Presses, Say
    from adapters.slack.settings import SlackSettings
    from bot.background import BackgroundTasks
    from bot.ports import Core

log = structlog.get_logger("keepthread.slack")

NAMES_WAIT_S = 1.2
"""Slack wants its acknowledgement within 3 s; who is not named by then keeps an id."""

FILES_WAIT_S = 0.8
"""What kind of file it is, is asked where Slack tells it on request only; later it is asked for again."""

TELL_AGAIN_S = 600.0
_MAX_TOLD = 1_000


@dataclass(slots=True)
class Intake:
    """Takes in one payload at a time; any number run side by side."""

    core: Core
    settings: SlackSettings
    teams: Teams
    people: People
    threads: Threads
    presses: Presses
    home: Home
    agents: AgentThreads
    background: BackgroundTasks
    say: Say
    forget_team: Callable[[Removed], Any]
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
        happened = parse(body)
        match happened:
            case Said():
                async with self._in_turn(happened):
                    await self._said(happened, bot_user)
            case Edited():
                async with self._in_turn(happened.said):
                    await self._edited(happened, bot_user)
            case Deleted():
                async with self._in_turn(happened.said):
                    await self._deleted(happened, bot_user)
            case Reacted():
                await self._reacted(happened, bot_user)
            case Pressed():
                await self.presses.pressed(happened)
            case Shortcut():
                await self.presses.shortcut(happened)
            case Slashed():
                return await self.presses.slashed(happened)
            case AgentStopped():
                await self._stopped(happened)
            case HomeOpened(tab="home"):
                self.background.add("App Home", self.home.publish(happened.team, happened.user))
            case HomeOpened(tab="messages"):
                self.background.add(
                    "suggested prompts", self.agents.suggest(happened.team, happened.channel)
                )
            case AgentThreadOpened():
                suggest = self.agents.suggest(happened.team, happened.channel, happened.thread_ts)
                self.background.add("suggested prompts", suggest)
            case Removed():
                await self.forget_team(happened)
            case _:
                log.debug("nothing for us", type=body.get("type"))
        return None

    def _in_turn(self, said: Said) -> asyncio.Lock:
        """What is said in one conversation is taken in as it came, though Slack tells names at its own pace."""
        return self._turns.setdefault(session_of(said), asyncio.Lock())

    async def _said(self, said: Said, bot_user: str) -> None:
        meant = await meaning(said, bot_user, self.core, self.settings.slack_mentions_only)
        if meant is None:
            return
        speaker, names = await self._people(said)
        seed = meant.new and not said.in_agent_thread
        address = address_of(said, speaker_team=speaker.account, seed=seed)
        if not await self.core.allowed(address, speaker):
            if meant.called:
                self._refuse(address, speaker)
            return
        command = meant.kind == "command"
        files = (
            ()
            if command
            else await looked_up(self.teams, said.team, said.files, wait_s=FILES_WAIT_S)
        )
        incoming = Incoming(
            address,
            speaker,
            meant.text if command else decode(meant.text, names),
            message_id=said.ts,
            event_id=said.event_id,
            sent_at=time_of(said.ts),
            kind=meant.kind,
            quoted="" if command else decode(said.quoted, names),
            attachments=files,
        )
        # A mention comes twice, as app_mention and as message, under two event ids.
        admission = await self.core.enqueue(incoming, dedupe=(message_key(said),))
        if admission == "refused" and meant.called:
            self._refuse(address, speaker)
        if admission == "queued" and meant.new and said.in_agent_thread and not command:
            title = self.agents.name_thread(said.team, said.channel, said.thread_ts, incoming.text)
            self.background.add("thread title", title)

    async def _edited(self, edited: Edited, bot_user: str) -> None:
        said = edited.said
        if said.by_bot or not said.user or said.user == bot_user:
            return
        if _concerns_nobody(said, bot_user):
            return
        speaker, names = await self._people(said)
        incoming = Incoming(
            address_of(said, speaker_team=speaker.account),
            speaker,
            decode(without_mention(said.text, bot_user), names),
            message_id=said.ts,
            event_id=said.event_id,
            kind="edit",
            attachments=said.files,
        )
        await self.core.enqueue(incoming, dedupe=(f"{message_key(said)}:edit:{edited.edited_ts}",))

    async def _deleted(self, deleted: Deleted, bot_user: str) -> None:
        said = deleted.said
        if not said.ts or (said.text and not said.by_bot and _concerns_nobody(said, bot_user)):
            return
        incoming = Incoming(
            address_of(said),
            Speaker(said.user, account=said.user_team or said.team),
            "",
            message_id=said.ts,
            event_id=said.event_id,
            kind="delete",
        )
        await self.core.enqueue(incoming, dedupe=(f"{message_key(said)}:delete",))

    async def _reacted(self, reacted: Reacted, bot_user: str) -> None:
        if reacted.author != bot_user or reacted.user == bot_user:
            return
        thread = await self.threads.of_message(reacted.team, reacted.channel, reacted.ts)
        if thread is None:
            log.warning("a reaction is lost: its thread could not be asked for", ts=reacted.ts)
            return
        speaker = await self.people.speaker(
            reacted.team, reacted.user, external=reacted.external, wait_s=self.names_wait_s
        )
        on = Said(
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

    async def _stopped(self, stopped: AgentStopped) -> None:
        speaker = await self.people.speaker(
            stopped.team, stopped.user, external=stopped.external, wait_s=self.names_wait_s
        )
        kind: Any = "private" if stopped.channel.startswith("D") else "channel"
        session = SessionKey(action_ids.PLATFORM, stopped.team, stopped.channel, stopped.thread_ts)
        if await self.core.allowed(Address(session, kind), speaker, "stop"):
            await self.core.stop(session, speaker)

    async def _people(self, said: Said) -> tuple[Speaker, dict[str, str]]:
        """Who speaks, and the names of those spoken of: one wait for all of them."""
        mentions = (*mentioned(said.text), *mentioned(said.quoted))
        names = await self.people.names(said.team, (said.user, *mentions), wait_s=self.names_wait_s)
        speaker = await self.people.speaker(
            said.team, said.user, claimed_team=said.user_team, external=said.external, wait_s=0
        )
        return speaker, names

    def _refuse(self, address: Address, speaker: Speaker) -> None:
        """A refusal always says so, to the person alone; not for each of many words in a row."""
        now, key = time.monotonic(), (address.session.place, speaker.id)
        if now - self._told.get(key, -TELL_AGAIN_S) < TELL_AGAIN_S:
            return
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        self._told[key] = now
        self.say(privately(address, speaker), NOT_LISTED)


def _concerns_nobody(said: Said, bot_user: str) -> bool:
    """It stood at top level of a channel and was no word to the bot: no conversation has it."""
    at_top = said.kind != "private" and not said.thread_ts
    return at_top and bot_user not in mentioned(said.text)


def message_key(said: Said) -> str:
    """The message itself, whichever event tells of it. Time stamps are unique within a channel only."""
    return f"slack:{said.team}:{said.channel}:{said.ts}"


def time_of(ts: str) -> datetime:
    """When a message was sent; its `ts` holds seconds since 1970."""
    try:
        return datetime.fromtimestamp(float(ts), UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
