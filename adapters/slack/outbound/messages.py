"""What is said in Slack: messages posted, changed, ended, found again.

A post is never made twice: where it is unknown whether one was made, Slack is asked before another is.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from adapters.shared.rate_limit import Priority
from adapters.slack.api.errors import MESSAGE_NOT_EDITABLE, code_of
from adapters.slack.api.rate_limiter import RateLimiter
from adapters.slack.api.web_api import (
    MAX_ATTEMPTS,
    RETRY_FOR_S,
    ClientFactory,
    ResultUnknown,
    WebApiClient,
)
from adapters.slack.outbound.blocks import Block, fallback, markdown_blocks, section_blocks
from adapters.slack.outbound.message_metadata import BotIdentity, MessageMetadata, SentMessage
from adapters.slack.outbound.target import Target
from bot.errors import PlatformError

log = structlog.get_logger("keepthread.slack")

MAX_PAGES = 5
BEST_EFFORT_LOOKUP_S = 5.0
_BLOCKS_REFUSED = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long")
_STOPPED_ALREADY = "message_not_in_streaming_state"


class MessageSender(WebApiClient):
    """Speaks for one process, in every workspace. See `WebApiClient` for what it is made of."""

    def __init__(
        self,
        client_factory: ClientFactory,
        rate_limiter: RateLimiter | None = None,
        *,
        retry_for_s: float = RETRY_FOR_S,
        wait_s: float = 0.5,
    ) -> None:
        super().__init__(client_factory, rate_limiter, retry_for_s=retry_for_s, wait_s=wait_s)
        self._bot_identities: dict[str, BotIdentity] = {}
        self._direct_channels: dict[tuple[str, str], str] = {}
        self.unsupported: set[tuple[str, str]] = set()
        """Workspaces and the methods that do not work there, so that nobody tries again."""

    async def post(
        self,
        target: Target,
        text: str,
        metadata: MessageMetadata,
        extras: list[Block] | None = None,
        *,
        priority: Priority = "required",
    ) -> str:
        """Say `text`, Markdown of at most 11,000 characters, once; the `ts` of its message.

        Raises:
            PlatformError: it was not said, or (`ResultUnknown`) Slack cannot tell whether it was.
        """
        plainer = _simpler_blocks(text, extras)
        args = _message(text, extras) | {
            "thread_ts": target.thread_ts or None,
            "metadata": metadata.metadata(),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        attempt = 0
        while True:
            try:
                return await self._post(target, args, priority)
            except ResultUnknown as error:
                log.info("was it said?", channel=target.channel, error=error.detail)
                await asyncio.sleep(self._wait_s)
                lookup_s = BEST_EFFORT_LOOKUP_S if priority == "best_effort" else None
                for one in await self.find_own_messages(target, retry_for_s=lookup_s):
                    if one.metadata and one.metadata.id == metadata.id:
                        return one.ts
                attempt += 1
                if attempt == MAX_ATTEMPTS or priority == "best_effort":
                    raise
            except PlatformError as error:
                if code_of(error) not in _BLOCKS_REFUSED or not plainer:
                    raise
                log.warning("Slack refuses the blocks", error=error.detail)
                args["blocks"] = plainer.pop(0)

    async def _post(self, target: Target, args: dict[str, Any], priority: Priority) -> str:
        answer = await self.call(
            target.team,
            "chat.postMessage",
            priority=priority,
            channel=target.channel,
            idempotent=False,
            **args,
        )
        return str(answer["ts"])

    async def update(
        self,
        target: Target,
        ts: str,
        text: str,
        metadata: MessageMetadata,
        extras: list[Block] | None = None,
        *,
        priority: Priority = "required",
    ) -> bool:
        """Let the message `ts` say `text` and be finished, whatever it says or does now. False: it is gone by now."""
        plainer = _simpler_blocks(text, extras)
        args = _message(text, extras) | {"ts": ts, "metadata": metadata.metadata()}
        for _ in range(MAX_ATTEMPTS + len(plainer)):
            try:
                await self.call(
                    target.team, "chat.update", priority=priority, channel=target.channel, **args
                )
                return True
            except PlatformError as error:
                code = code_of(error)
                if code in MESSAGE_NOT_EDITABLE:
                    await self._delete_uneditable(target, ts)
                    return False
                if code == "streaming_state_conflict":
                    await self.stop_stream(target, ts)
                elif code in _BLOCKS_REFUSED and plainer:
                    log.warning("Slack refuses the blocks", error=error.detail)
                    args["blocks"] = plainer.pop(0)
                else:
                    raise
        raise PlatformError(f"chat.update: {ts} does not stay as it is told")

    async def stop_stream(
        self, target: Target, ts: str, more: str = "", *, idempotent: bool = True, **args: Any
    ) -> None:
        """End a stream. That it had ended is fine without `more`. Raises PlatformError."""
        try:
            await self.call(
                target.team,
                "chat.stopStream",
                channel=target.channel,
                ts=ts,
                markdown_text=more or None,
                idempotent=idempotent,
                **args,
            )
        except PlatformError as error:
            if more or args or code_of(error) != _STOPPED_ALREADY:
                raise

    async def delete(self, target: Target, ts: str) -> None:
        """Take a message of ours back. Raises PlatformError."""
        try:
            await self.call(target.team, "chat.delete", channel=target.channel, ts=ts)
        except PlatformError as error:
            if code_of(error) not in MESSAGE_NOT_EDITABLE:
                raise

    async def _delete_uneditable(self, target: Target, ts: str) -> None:
        """Take back what can be edited no more, if it can; else it stands beside what replaces it. Raises nothing."""
        try:
            await self.delete(target, ts)
        except PlatformError as error:
            log.warning("a message that cannot be edited stays", ts=ts, error=error.detail)

    async def find_own_messages(
        self, target: Target, *, retry_for_s: float | None = None
    ) -> list[SentMessage]:
        """Messages of ours, in order, that are newer than the one that is answered.

        Raises:
            PlatformError: Slack does not tell (all of them).
        """
        bot = await self._bot_identity(target.team)
        method = "conversations.replies" if target.thread_ts else "conversations.history"
        found: dict[str, SentMessage] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.call(
                target.team,
                method,
                channel=target.channel,
                ts=target.thread_ts or None,
                oldest=target.oldest_ts,
                include_all_metadata=True,
                limit=100,
                cursor=cursor,
                retry_for_s=retry_for_s,
            )
            for message in page.get("messages") or ():
                if bot.sent(message) and not message.get("files"):
                    found[message["ts"]] = SentMessage(message["ts"], MessageMetadata.of(message))
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return [found[ts] for ts in sorted(found, key=float)]
        raise PlatformError(f"{method}: more was said since than can be looked through")

    async def direct_channel(self, team: str, user: str) -> str:
        """The channel of the direct messages with somebody. Raises PlatformError."""
        if (team, user) not in self._direct_channels:
            answer = await self.call(team, "conversations.open", users=user)
            self._direct_channels[team, user] = str(answer["channel"]["id"])
        return self._direct_channels[team, user]

    async def _bot_identity(self, team: str) -> BotIdentity:
        if team not in self._bot_identities:
            answer = await self.call(team, "auth.test")
            self._bot_identities[team] = BotIdentity(
                str(answer.get("bot_id") or ""), str(answer.get("user_id") or "")
            )
        return self._bot_identities[team]


def _message(text: str, extras: list[Block] | None) -> dict[str, Any]:
    return {"text": fallback(text), "blocks": markdown_blocks(text) + (extras or [])}


def _simpler_blocks(text: str, extras: list[Block] | None) -> list[list[Block]]:
    """What to try in turn where the blocks are refused: all of the words, in the end without buttons."""
    sections = section_blocks(text)
    return [sections + extras, markdown_blocks(text), sections] if extras else [sections]
