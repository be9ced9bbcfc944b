"""Message sender: posts, edits, deletes and finds the bot's messages.

A message is never posted twice: where the response to a post was lost, Slack is asked whether the message
is there before it is posted again.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from adapters.shared.rate_limit import Priority
from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api.errors import MESSAGE_NOT_EDITABLE, code_of
from adapters.slack.api.web_api import MAX_ATTEMPTS, WebApiClient
from adapters.slack.outbound.blocks import Block, fallback_text, markdown_blocks, section_blocks
from adapters.slack.outbound.message_metadata import BotIdentity, MessageMetadata, SentMessage
from adapters.slack.outbound.streams import MessageStreams
from adapters.slack.outbound.target import Target
from bot.cache import TTLCache
from bot.errors import PlatformError

log = structlog.get_logger("keepthread.slack")

MAX_PAGES = 5
BEST_EFFORT_LOOKUP_S = 5.0
_IDENTITY_TTL_S = 3600.0
_MAX_WORKSPACES = 1_000
_CHANNEL_TTL_S = 24 * 3600.0
_MAX_CHANNELS = 10_000
_BLOCKS_REFUSED = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long")


class MessageSender:
    """Sends for one process, in every workspace.

    Args:
        api: client of the Web API; its pauses between attempts count here, too.
    """

    def __init__(self, api: WebApiClient) -> None:
        self.api = api
        self.streams = MessageStreams(api)
        self._identities: TTLCache[str, BotIdentity] = TTLCache(_MAX_WORKSPACES, _IDENTITY_TTL_S)
        self._direct_channels: TTLCache[tuple[str, str], str] = TTLCache(
            _MAX_CHANNELS, _CHANNEL_TTL_S
        )

    async def post(
        self,
        target: Target,
        text: str,
        metadata: MessageMetadata,
        extras: list[Block] | None = None,
        *,
        priority: Priority = "required",
    ) -> str:
        """Post `text`, Markdown of at most 11,000 characters, once; the `ts` of its message.

        Raises:
            PlatformError: it was not posted, or (`OutcomeUnknown`) Slack cannot tell whether it was.
        """
        simpler = _simpler_blocks(text, extras)
        args = _message(text, extras) | {
            "thread_ts": target.thread_ts or None,
            "metadata": metadata.as_argument(),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        attempt = 0
        while True:
            try:
                return await self._post(target, args, priority)
            except OutcomeUnknown as error:
                log.info("post result unknown", channel=target.channel, error=error.detail)
                await asyncio.sleep(self.api.pause_s)
                if ts := await self._find_post(target, metadata, priority):
                    return ts
                attempt += 1
                if attempt == MAX_ATTEMPTS or priority == "best_effort":
                    raise
            except PlatformError as error:
                if code_of(error) not in _BLOCKS_REFUSED or not simpler:
                    raise
                log.warning("blocks refused", error=error.detail)
                args["blocks"] = simpler.pop(0)

    async def _post(self, target: Target, args: dict[str, Any], priority: Priority) -> str:
        response = await self.api.call(
            target.team,
            "chat.postMessage",
            priority=priority,
            channel=target.channel,
            idempotent=False,
            **args,
        )
        return str(response["ts"])

    async def _find_post(
        self, target: Target, metadata: MessageMetadata, priority: Priority
    ) -> str:
        """The `ts` of the message that carries `metadata`, or "". Raises PlatformError."""
        retry_for_s = BEST_EFFORT_LOOKUP_S if priority == "best_effort" else None
        for message in await self.find_own_messages(target, retry_for_s=retry_for_s):
            if message.metadata and message.metadata.id == metadata.id:
                return message.ts
        return ""

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
        """Edit the message `ts` to `text`; a stream is ended first. False: it can be edited no more, and was deleted.

        Raises:
            PlatformError: it was not edited.
        """
        simpler = _simpler_blocks(text, extras)
        args = _message(text, extras) | {"ts": ts, "metadata": metadata.as_argument()}
        for _ in range(MAX_ATTEMPTS + len(simpler)):
            try:
                await self.api.call(
                    target.team, "chat.update", priority=priority, channel=target.channel, **args
                )
                return True
            except PlatformError as error:
                code = code_of(error)
                if code in MESSAGE_NOT_EDITABLE:
                    await self._delete_if_possible(target, ts)
                    return False
                if code == "streaming_state_conflict":
                    await self.streams.stop(target, ts)
                elif code in _BLOCKS_REFUSED and simpler:
                    log.warning("blocks refused", error=error.detail)
                    args["blocks"] = simpler.pop(0)
                else:
                    raise
        raise PlatformError(f"chat.update: {ts} does not stay edited")

    async def delete(self, target: Target, ts: str) -> None:
        """Delete one of the bot's messages. Raises PlatformError."""
        try:
            await self.api.call(target.team, "chat.delete", channel=target.channel, ts=ts)
        except PlatformError as error:
            if code_of(error) not in MESSAGE_NOT_EDITABLE:
                raise

    async def _delete_if_possible(self, target: Target, ts: str) -> None:
        """Delete a message that cannot be edited; where that fails, its replacement stands beside it."""
        try:
            await self.delete(target, ts)
        except PlatformError as error:
            log.warning("uneditable message not deleted", ts=ts, error=error.detail)

    async def find_own_messages(
        self, target: Target, *, retry_for_s: float | None = None
    ) -> list[SentMessage]:
        """The bot's messages, in order, that are newer than the one that is answered.

        Raises:
            PlatformError: Slack does not list all of them.
        """
        identity = await self._identity(target.team)
        method = "conversations.replies" if target.thread_ts else "conversations.history"
        found: dict[str, SentMessage] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self.api.call(
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
                if identity.sent(message) and not message.get("files"):
                    ts = message["ts"]
                    found[ts] = SentMessage(ts, MessageMetadata.of_message(message))
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return [found[ts] for ts in sorted(found, key=float)]
        raise PlatformError(f"{method}: more than {MAX_PAGES} pages of newer messages")

    async def direct_channel(self, team: str, user: str) -> str:
        """Id of the direct messages with a person. Raises PlatformError."""
        channel = self._direct_channels.get((team, user))
        if channel is None:
            response = await self.api.call(team, "conversations.open", users=user)
            channel = self._direct_channels[team, user] = str(response["channel"]["id"])
        return channel

    async def _identity(self, team: str) -> BotIdentity:
        identity = self._identities.get(team)
        if identity is None:
            response = await self.api.call(team, "auth.test")
            identity = self._identities[team] = BotIdentity(
                str(response.get("bot_id") or ""), str(response.get("user_id") or "")
            )
        return identity


def _message(text: str, extras: list[Block] | None) -> dict[str, Any]:
    return {"text": fallback_text(text), "blocks": markdown_blocks(text) + (extras or [])}


def _simpler_blocks(text: str, extras: list[Block] | None) -> list[list[Block]]:
    """Blocks to try in turn where others are refused: the whole text each time, at last without buttons."""
    sections = section_blocks(text)
    return [sections + extras, markdown_blocks(text), sections] if extras else [sections]
