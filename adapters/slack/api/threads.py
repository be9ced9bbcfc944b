"""Thread lookup: the thread of a message, where an event does not name it (reactions)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from adapters.slack.api.errors import slack_errors
from bot.cache import TTLCache
from bot.errors import PlatformError

if TYPE_CHECKING:
    from adapters.slack.api.workspaces import Workspaces

log = structlog.get_logger("keepthread.slack")

_WAIT_S = 1.5
_MAX_CACHED = 10_000
_CACHE_TTL_S = 24 * 3600.0


class ThreadLookup:
    """Threads of messages, from `conversations.replies`, which finds a reply by its own time stamp; cached."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._cache: TTLCache[tuple[str, str, str], str] = TTLCache(_MAX_CACHED, _CACHE_TTL_S)

    async def thread_of_message(self, team: str, channel: str, ts: str) -> str | None:
        """The `thread_ts` of a message, "" if it is in no thread, None if Slack does not answer in time."""
        key = (team, channel, ts)
        thread = self._cache.get(key)
        if thread is not None:
            return thread
        try:
            async with asyncio.timeout(_WAIT_S):
                thread = await self._fetch(team, channel, ts)
        except (PlatformError, TimeoutError) as error:
            log.warning("thread of message unknown", channel=channel, error=repr(error))
            return None
        self._cache[key] = thread
        return thread

    async def _fetch(self, team: str, channel: str, ts: str) -> str:
        client = await self._workspaces.client(team)
        with slack_errors("conversations.replies"):
            response = await client.conversations_replies(
                channel=channel, ts=ts, latest=ts, inclusive=True, limit=1
            )
        for message in response.get("messages") or ():
            if message.get("ts") == ts:
                return str(message.get("thread_ts") or "")
        return ""
