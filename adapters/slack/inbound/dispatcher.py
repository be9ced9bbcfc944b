"""Dispatcher of Slack's events to their handlers. An event is in the core before it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import structlog

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
from adapters.slack.inbound.parse import parse
from adapters.slack.inbound.routing import session_of

if TYPE_CHECKING:
    from adapters.slack.app_home import AppHome
    from adapters.slack.assistant import Assistant
    from adapters.slack.inbound.interactions import Interactions
    from adapters.slack.inbound.messages import MessageEnqueuer
    from adapters.slack.inbound.reactions import Reactions
    from bot.background import BackgroundTasks
    from bot.conversation import SessionKey

log = structlog.get_logger("keepthread.slack")


@dataclass(slots=True)
class Dispatcher:
    """Handles one payload at a call; any number of calls run at the same time."""

    messages: MessageEnqueuer
    reactions: Reactions
    interactions: Interactions
    home: AppHome
    assistant: Assistant
    background: BackgroundTasks
    on_uninstalled: Callable[[AppUninstalled], Awaitable[None]]
    _locks: WeakValueDictionary[SessionKey, asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )

    async def dispatch(self, body: Json, bot_user: str) -> dict[str, Any] | None:
        """Handle a payload. Returns what to acknowledge it with, shown to the person at once, or None.

        Raises:
            StoreError: not handled; Slack must send it again.
        """
        event = parse(body)
        match event:
            case MessagePosted():
                async with self._lock(event):
                    await self.messages.posted(event, bot_user)
            case MessageEdited():
                async with self._lock(event.message):
                    await self.messages.edited(event, bot_user)
            case MessageDeleted():
                async with self._lock(event.message):
                    await self.messages.deleted(event, bot_user)
            case ReactionChanged():
                await self.reactions.changed(event, bot_user)
            case BlockAction():
                await self.interactions.block_action(event)
            case MessageShortcut():
                await self.interactions.message_shortcut(event)
            case SlashCommand():
                return await self.interactions.slash_command(event)
            case AgentSessionStopped():
                await self.interactions.agent_session_stopped(event)
            case AppHomeOpened(tab="home"):
                self.background.add("App Home", self.home.publish(event.team, event.user))
            case AppHomeOpened(tab="messages"):
                self._suggest_prompts(event.team, event.channel)
            case AssistantThreadStarted():
                self._suggest_prompts(event.team, event.channel, event.thread_ts)
            case AppUninstalled():
                await self.on_uninstalled(event)
            case _:
                log.debug("payload ignored", type=body.get("type"))
        return None

    def _suggest_prompts(self, team: str, channel: str, thread_ts: str = "") -> None:
        suggestion = self.assistant.suggest_prompts(team, channel, thread_ts)
        self.background.add("suggested prompts", suggestion)

    def _lock(self, message: MessagePosted) -> asyncio.Lock:
        """Keeps the messages of a conversation in order, though looking up names takes each a different time."""
        return self._locks.setdefault(session_of(message), asyncio.Lock())
