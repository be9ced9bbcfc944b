"""Message streams: chat.startStream, chat.appendStream, chat.stopStream.

Streams hold about 12,000 characters and live about five minutes; in channels other people see the first
text only once the stream ends. https://docs.slack.dev/reference/methods/chat.startStream
"""

from __future__ import annotations

from typing import Any

import structlog

from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api.errors import APP_WIDE_REFUSALS, code_of, is_refusal
from adapters.slack.api.web_api import WebApiClient
from adapters.slack.outbound.target import Target
from bot.errors import PlaceGone, PlatformBusy, PlatformError

log = structlog.get_logger("keepthread.slack")

START, APPEND, STOP = "chat.startStream", "chat.appendStream", "chat.stopStream"
_ALREADY_STOPPED = "message_not_in_streaming_state"


class MessageStreams:
    """Calls of the streaming methods; holds no state of any message."""

    def __init__(self, api: WebApiClient) -> None:
        self._api = api

    async def start(self, target: Target, text: str) -> str | None:
        """The `ts` of a new stream that begins with `text`; None: Slack has no streams there.

        Raises:
            OutcomeUnknown: the stream may have been started.
            PlatformError: not now.
        """
        if self._api.is_unsupported(target.team, START):
            return None
        try:
            response = await self._api.call(
                target.team,
                START,
                priority="best_effort",
                channel=target.channel,
                idempotent=False,
                thread_ts=target.thread_ts,
                recipient_user_id=target.recipient or None,
                recipient_team_id=target.recipient_team or None,
                markdown_text=text,
            )
        except (OutcomeUnknown, PlatformBusy, PlaceGone):
            raise
        except PlatformError as error:
            if not code_of(error):
                raise
            log.info("stream refused", error=error.detail)
            if code_of(error) in APP_WIDE_REFUSALS:
                self._api.mark_unsupported(target.team, START)
            return None
        return str(response["ts"])

    async def append(self, target: Target, ts: str, text: str) -> None:
        """Append `text` to a stream. Raises PlatformError: it is unknown whether it was appended."""
        await self._api.call(
            target.team,
            APPEND,
            priority="best_effort",
            channel=target.channel,
            idempotent=False,
            ts=ts,
            markdown_text=text,
        )

    async def stop(
        self, target: Target, ts: str, text: str = "", *, idempotent: bool = True, **args: Any
    ) -> None:
        """End a stream, with `text` appended. A stream that has ended is fine without text. Raises PlatformError."""
        try:
            await self._api.call(
                target.team,
                STOP,
                channel=target.channel,
                ts=ts,
                markdown_text=text or None,
                idempotent=idempotent,
                **args,
            )
        except PlatformError as error:
            if text or args or code_of(error) != _ALREADY_STOPPED:
                raise

    async def end_open(self, target: Target, ts: str) -> bool:
        """End the stream `ts` if it is one and still open; whether it was. Raises PlatformError."""
        try:
            await self._api.call(target.team, STOP, channel=target.channel, ts=ts)
        except PlatformError as error:
            if not is_refusal(error):
                raise
            return False
        return True
