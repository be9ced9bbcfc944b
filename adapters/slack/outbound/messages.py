"""Message sender: posts, edits, deletes and finds the bot's messages.

A message is never posted twice: where the response to a post was lost, Slack is asked whether the message
is there before it is posted again.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from adapters.shared.rate_limit import Priority
from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api.errors import (
    CONTENT_REFUSED,
    MESSAGE_NOT_EDITABLE,
    ThreadGone,
    code_of,
    is_refusal,
)
from adapters.slack.api.web_api import MAX_ATTEMPTS, WebApiClient
from adapters.slack.outbound.blocks import Block
from adapters.slack.outbound.content import MAX_EDITED_BYTES, MessageContent
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
            ThreadGone: the thread was deleted; nothing stays posted.
            PlatformError: it was not posted, or (`OutcomeUnknown`) Slack cannot tell whether it was.
        """
        content = MessageContent(text, extras, metadata)
        attempt = 0
        while True:
            try:
                return await self._post(target, content, priority)
            except OutcomeUnknown as error:
                log.info("post result unknown", channel=target.channel, error=error.detail)
                await asyncio.sleep(self.api.pause_s)
                if ts := await self._find_post(target, metadata, priority):
                    return ts
                attempt += 1
                if attempt == MAX_ATTEMPTS or priority == "best_effort":
                    raise
            except PlatformError as error:
                if not _simplify(content, error, priority):
                    raise

    async def _post(self, target: Target, content: MessageContent, priority: Priority) -> str:
        response = await self.api.call(
            target.team,
            "chat.postMessage",
            priority=priority,
            channel=target.channel,
            idempotent=False,
            thread_ts=target.thread_ts or None,
            unfurl_links=False,
            unfurl_media=False,
            **content.arguments(),
        )
        ts, message = str(response["ts"]), response.get("message") or {}
        if target.thread_ts and message and not message.get("thread_ts"):
            # Slack posts into the channel, for everybody, if the thread is no more.
            await self._delete_if_possible(target, ts)
            raise ThreadGone(f"chat.postMessage: thread {target.thread_ts} was deleted")
        return ts

    async def _find_post(
        self, target: Target, metadata: MessageMetadata, priority: Priority
    ) -> str:
        """The `ts` of the message that carries `metadata`, or "". Raises PlatformError."""
        retry_for_s = BEST_EFFORT_LOOKUP_S if priority == "best_effort" else None
        try:
            sent = await self.find_own_messages(target, retry_for_s=retry_for_s)
        except ThreadGone:
            top_level = replace(target, thread_ts="")
            sent = await self.find_own_messages(top_level, retry_for_s=retry_for_s)
            for message in sent:
                if message.metadata and message.metadata.id == metadata.id:
                    await self._delete_if_possible(target, message.ts)
            raise
        for message in sent:
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
        """Edit the message `ts` to `text`; a stream is ended first.

        Returns:
            False: Slack lets it be edited no more, so it was deleted: the text belongs into a new message.

        Raises:
            PlatformError: it was not edited.
        """
        content = MessageContent(text, extras, metadata, max_text_bytes=MAX_EDITED_BYTES)
        stops_left = MAX_ATTEMPTS
        while True:
            try:
                await self._update(target, ts, content, priority)
                return True
            except PlatformError as error:
                code = code_of(error)
                if code == "streaming_state_conflict" and stops_left:
                    stops_left -= 1
                    if await self._stop_stream(target, ts):
                        continue
                elif code not in MESSAGE_NOT_EDITABLE:
                    if _simplify(content, error, priority):
                        continue
                    if priority == "best_effort" or not is_refusal(error):
                        raise
                log.warning("edit refused, message is posted anew", ts=ts, error=error.detail)
                await self._delete_if_possible(target, ts)
                return False

    async def _update(
        self, target: Target, ts: str, content: MessageContent, priority: Priority
    ) -> None:
        await self.api.call(
            target.team,
            "chat.update",
            priority=priority,
            channel=target.channel,
            ts=ts,
            **content.arguments(),
        )

    async def _stop_stream(self, target: Target, ts: str) -> bool:
        """End a stream, so that its message can be edited; False if Slack refuses. Raises PlatformError."""
        try:
            await self.streams.stop(target, ts)
        except PlatformError as error:
            if not is_refusal(error):
                raise
            log.warning("stream not ended", ts=ts, error=error.detail)
            return False
        return True

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


def _simplify(content: MessageContent, error: PlatformError, priority: Priority) -> bool:
    """Make `content` simpler after a refusal; False if the call must fail.

    While an answer grows, only refusals count that name the refused part: the next update is another try.
    """
    code = code_of(error)
    if not is_refusal(error) or (priority == "best_effort" and code not in CONTENT_REFUSED):
        return False
    if not content.simplify(code):
        return False
    log.warning("content refused, simpler one is tried", error=error.detail)
    return True
