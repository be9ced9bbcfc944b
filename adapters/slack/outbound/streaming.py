"""An answer while it grows: Slack's own streams where they work, else messages that are edited.

Streams (https://docs.slack.dev/reference/methods/chat.startStream) hold about 12,000 characters and
live about five minutes; in channels the others see the first words until one ends. Without Slack's own
stop button, which only apps declared as agents get, messages are edited: those can carry ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from adapters.slack.api.errors import APP_WIDE_REFUSALS, code_of
from adapters.slack.api.web_api import ResultUnknown
from adapters.slack.outbound.answer import AnswerMessage, AnswerMessages
from adapters.slack.outbound.blocks import disable_mentions_so_far, stop_button
from adapters.slack.outbound.message_metadata import MessageMetadata
from adapters.slack.outbound.messages import MessageSender
from adapters.slack.outbound.splitting import MessagePart, split_visible
from adapters.slack.outbound.status import StatusIndicator
from adapters.slack.outbound.target import Target
from bot.errors import PlaceGone, PlatformBusy, PlatformError

log = structlog.get_logger("keepthread.slack")

STREAM_PACE_S = 1.0
EDIT_PACE_S = 1.5
START, APPEND = "chat.startStream", "chat.appendStream"


class StreamingAnswer:
    """Shows more and more of an answer. Never raises: what it could not show, `AnswerMessages.deliver` makes good.

    Args:
        answer: the messages it is shown in.
        pace_s: least seconds between two calls; the first words are shown at once.
    """

    def __init__(
        self,
        sender: MessageSender,
        target: Target,
        answer: AnswerMessages,
        status: StatusIndicator,
        *,
        pace_s: float | None = None,
    ) -> None:
        self._sender = sender
        self._target = target
        self._answer = answer
        self._status = status
        self._pace_s = pace_s
        self._streams = target.can_stream
        self._is_gone = False
        self._text = ""
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, text: str) -> None:
        """More of the answer is there."""
        self._text += text
        self._changed.set()
        if self._task is None and not self._ended.is_set():
            self._task = asyncio.create_task(self._run(), name="slack stream")

    async def end(self) -> None:
        """Show no more. A call that is under way is done first, so that every message is known."""
        self._ended.set()
        self._changed.set()
        task, self._task = self._task, None
        if task is None:
            return
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("showing failed", error=repr(error))

    async def _run(self) -> None:
        while not self._ended.is_set() and not self._is_gone:
            await self._changed.wait()
            self._changed.clear()
            pieces = split_visible(disable_mentions_so_far(self._text), growing=True)
            if not pieces:
                continue
            wait_s = 0.0
            try:
                await self._answer.adopt_leftovers()
                await self._show(pieces)
            except PlaceGone:
                self._is_gone = True
            except PlatformError as error:
                log.info("not shown yet", error=error.detail)
                self._changed.set()
                wait_s = error.retry_after_s or 1.0
            await self._pause(max(wait_s, self._pace()))

    async def _show(self, pieces: Sequence[MessagePart]) -> None:
        """Bring the messages up to `pieces`, of which only the last still grows. Raises PlatformError."""
        for number, piece in enumerate(pieces, 1):
            grows = number == len(pieces)
            if self._ended.is_set():
                return
            if number > len(self._answer.messages):
                await self._open(piece.text, number, grows=grows)
                continue
            message = self._answer.messages[number - 1]
            if message.is_streaming:
                await self._stream_on(message, piece.text, number, grows=grows)
            elif message.text != piece.text or (message.has_stop_button and not grows):
                await self._edit(message, piece.text, number, grows=grows)

    async def _open(self, text: str, part: int, *, grows: bool) -> None:
        """The next message of the answer."""
        if grows and self._streams and await self._status.has_native_stop_button():
            message = await self._start_stream(text)
            if message is not None:
                self._answer.messages.append(message)
                self._status.hide()
                return
        buttons = stop_button(self._target.session) if grows else []
        ts = await self._answer.post(text, self._metadata(part), buttons, priority="best_effort")
        self._answer.messages.append(AnswerMessage(ts, text, has_stop_button=grows))
        self._status.hide()

    async def _start_stream(self, text: str) -> AnswerMessage | None:
        """A stream that begins with `text`; None: Slack does not do that here."""
        target = self._target
        if (target.team, START) in self._sender.unsupported:
            return None
        try:
            answer = await self._sender.call(
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
        except ResultUnknown:
            self._answer.may_have_leftovers = True
            raise
        except (PlatformBusy, PlaceGone):
            raise
        except PlatformError as error:
            if not code_of(error):
                raise
            log.info("no stream, editing instead", error=error.detail)
            self._streams = False
            if code_of(error) in APP_WIDE_REFUSALS:
                self._sender.unsupported.add((target.team, START))
            return None
        return AnswerMessage(str(answer["ts"]), text, is_streaming=True)

    async def _stream_on(
        self, message: AnswerMessage, text: str, part: int, *, grows: bool
    ) -> None:
        """Append what is new; end the stream if its message is full."""
        if not grows:
            await self._answer.finish_message(message, text, self._metadata(part), [])
            return
        more = text[len(message.text or "") :]
        if not more:
            return
        try:
            await self._sender.call(
                self._target.team,
                APPEND,
                priority="best_effort",
                channel=self._target.channel,
                idempotent=False,
                ts=message.ts,
                markdown_text=more,
            )
        except PlatformBusy:
            raise
        except PlatformError as error:
            # It has died, is full, or nobody knows what it says: from here on its message is edited.
            log.info("a stream broke off", error=error.detail, characters=len(message.text or ""))
            message.is_streaming, message.text = False, None
            raise
        message.text = text

    async def _edit(self, message: AnswerMessage, text: str, part: int, *, grows: bool) -> None:
        buttons = stop_button(self._target.session) if grows else []
        is_there = await self._sender.update(
            self._target, message.ts, text, self._metadata(part), buttons, priority="best_effort"
        )
        if not is_there:  # somebody deleted it
            message.ts = await self._answer.post(
                text, self._metadata(part), buttons, priority="best_effort"
            )
        message.text, message.has_stop_button = text, grows

    def _metadata(self, part: int) -> MessageMetadata:
        return MessageMetadata(part=part, reply_to=self._target.answered_ts)

    def _pace(self) -> float:
        if self._pace_s is not None:
            return self._pace_s
        messages = self._answer.messages
        return STREAM_PACE_S if messages and messages[-1].is_streaming else EDIT_PACE_S

    async def _pause(self, for_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), for_s)
