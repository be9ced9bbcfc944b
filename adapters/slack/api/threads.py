"""Which thread a message belongs to, where an event does not tell (reactions)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from adapters.slack.api.errors import slack_errors
from bot.errors import PlatformError

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspaces

log = structlog.get_logger("keepthread.slack")

_WAIT_S = 1.5
_MAX_CACHED = 10_000


class ThreadLookup:
    """Asks `conversations.replies`, which finds a reply by its own time stamp, and remembers."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._known: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    async def thread_of_message(self, team: str, channel: str, ts: str) -> str | None:
        """The `thread_ts` of a message, `""` if it is in no thread, None if Slack does not say in time."""
        key = (team, channel, ts)
        if key not in self._known:
            try:
                async with asyncio.timeout(_WAIT_S):
                    thread = await self._ask(team, channel, ts)
            except (PlatformError, TimeoutError) as error:
                log.warning("a message's thread is unknown", channel=channel, error=repr(error))
                return None
            self._known[key] = thread
            if len(self._known) > _MAX_CACHED:
                self._known.popitem(last=False)
        return self._known[key]

    async def _ask(self, team: str, channel: str, ts: str) -> str:
        client = await self._workspaces.client(team)
        with slack_errors("conversations.replies"):
            answer = await client.conversations_replies(
                channel=channel, ts=ts, latest=ts, inclusive=True, limit=1
            )
        for message in answer.get("messages") or ():
            if message.get("ts") == ts:
                return str(message.get("thread_ts") or "")
        return ""
