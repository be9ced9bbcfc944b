"""Messages of one answer as they stand in Slack; the only place where their state changes."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from adapters.shared.rate_limit import Priority
from adapters.shared.retry import OutcomeUnknown
from adapters.slack.api.errors import ThreadGone, is_refusal
from adapters.slack.outbound.answer.last_resort import hand_over_otherwise
from adapters.slack.outbound.answer.message import AnswerMessage
from adapters.slack.outbound.blocks import Block, stop_button
from adapters.slack.outbound.markdown.splitting import MessagePart
from adapters.slack.outbound.message_metadata import MessageMetadata, SentMessage
from adapters.slack.outbound.messages import BEST_EFFORT_LOOKUP_S, MessageSender
from adapters.slack.outbound.target import Target
from bot.errors import PlatformBusy, PlatformError

log = structlog.get_logger("keepthread.slack")

LEFTOVERS_AFTER_S = 3.0
"""An answer that begins so long after its question may be a second try, with messages left by the first."""


class AnswerMessages:
    """Messages of one answer, in order: shown while it grows, then delivered whole.

    Args:
        leftovers_after_s: see `LEFTOVERS_AFTER_S`.
    """

    def __init__(
        self,
        sender: MessageSender,
        target: Target,
        *,
        leftovers_after_s: float = LEFTOVERS_AFTER_S,
    ) -> None:
        self._sender = sender
        self._target = target
        self._messages: list[AnswerMessage] = []
        self._posted_ids: set[str] = set()
        self._can_stream = target.can_stream
        self._is_thread_gone = False
        self._may_have_leftovers = target.age_s >= leftovers_after_s

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def can_stream(self) -> bool:
        """Whether the next message may be a stream, as far as is known."""
        return self._can_stream

    @property
    def is_streaming(self) -> bool:
        """Whether the last message is an open stream."""
        return bool(self._messages) and self._messages[-1].is_streaming

    async def adopt_leftovers(self) -> None:
        """Look for messages that an earlier try left behind, and adopt them. Raises nothing."""
        if not self._may_have_leftovers:
            return
        self._may_have_leftovers = False
        try:
            await self.adopt(
                await self._sender.find_own_messages(self._target, retry_for_s=BEST_EFFORT_LOOKUP_S)
            )
        except PlatformError as error:
            log.info("leftover messages unknown", error=error.detail)
            self._is_thread_gone = isinstance(error, ThreadGone)

    async def adopt(self, sent: Sequence[SentMessage], turn_id: str = "") -> None:
        """Take those of `sent` that belong to this answer as its first messages. Raises PlatformError."""
        self._may_have_leftovers = False
        known = {message.ts for message in self._messages}
        for message in sent:
            if message.ts not in known and await self._is_own(message, turn_id):
                self._messages.append(AnswerMessage(message.ts, None))

    async def _is_own(self, message: SentMessage, turn_id: str) -> bool:
        """Whether a message is proven to be of this answer, so that it may be edited. Raises PlatformError."""
        metadata = message.metadata
        if metadata is None:
            # An open stream, since a conversation's turns run one after another; nothing else is certain.
            return await self._sender.streams.end_open(self._target, message.ts)
        if metadata.turn:
            return metadata.turn == turn_id
        answers_same = metadata.reply_to != "" and metadata.reply_to == self._target.answered_ts
        return metadata.id in self._posted_ids or answers_same

    async def show_part(self, number: int, text: str, *, is_growing: bool, as_stream: bool) -> None:
        """Let message `number` show `text` so far.

        Args:
            number: from 1; at most one more than there are messages.
            is_growing: more text will follow in this message, which therefore gets a stop button.
            as_stream: a new message may be a stream.

        Raises:
            PlatformError: it does not show it yet.
        """
        if number > len(self._messages):
            try:
                await self._open(number, text, is_growing=is_growing, as_stream=as_stream)
            except ThreadGone:
                self._is_thread_gone = True
                raise
            return
        message = self._messages[number - 1]
        if not message.is_streaming:
            if message.text != text or (message.has_stop_button and not is_growing):
                await self._edit(message, number, text, is_growing=is_growing)
        elif is_growing:
            await self._append(message, text)
        else:
            await self._finish(message, text, self._growing_metadata(number), [])

    async def deliver(
        self, parts: Sequence[MessagePart], turn_id: str, extras: list[Block]
    ) -> list[str]:
        """Make the messages hold `parts` and nothing else, `extras` below the last; their ids.

        What Slack refuses in every form is handed over otherwise.

        Raises:
            ThreadGone: the thread was deleted.
            PlatformError: they do not.
        """
        await self.adopt_leftovers()
        if self._is_thread_gone:
            raise ThreadGone(f"thread {self._target.thread_ts} was deleted")
        ids: list[str] = []
        try:
            for number, part in enumerate(parts, 1):
                metadata = MessageMetadata(
                    turn_id, number, len(parts), self._target.answered_ts, tuple(ids)
                )
                blocks = extras if number == len(parts) else []
                ids.append(await self._deliver_part(number, part, metadata, blocks))
        except PlatformError as error:
            if not is_refusal(error):
                raise
            whole = "".join(part.body for part in parts)
            ts = await hand_over_otherwise(self._sender, self._target, whole, error)
            await self.delete_surplus(len(ids))
            return [*ids, ts] if ts else ids
        await self.delete_surplus(len(parts))
        return ids

    async def _deliver_part(
        self, number: int, part: MessagePart, metadata: MessageMetadata, extras: list[Block]
    ) -> str:
        """Make message `number` hold `part`; its `ts`. Raises PlatformError."""
        if number > len(self._messages):
            ts = await self._post(part.text, metadata, extras)
            self._messages.append(AnswerMessage(ts, part.text))
            return ts
        message = self._messages[number - 1]
        before = message.ts
        await self._finish(message, part.text, metadata, extras)
        if message.ts != before:
            # Posted anew, and so below the messages that follow it: those are posted anew, too.
            await self.delete_surplus(number)
        return message.ts

    async def close(self) -> None:
        """End open streams as they are. Raises nothing."""
        for number, message in enumerate(self._messages, 1):
            if not message.is_streaming:
                continue
            message.is_streaming, message.text = False, None
            try:
                await self._sender.streams.stop(
                    self._target,
                    message.ts,
                    metadata=self._growing_metadata(number).as_argument(),
                    retry_for_s=BEST_EFFORT_LOOKUP_S,
                )
            except PlatformError as error:
                log.info("stream not ended", error=error.detail)

    async def _open(self, number: int, text: str, *, is_growing: bool, as_stream: bool) -> None:
        """Add the next message."""
        if as_stream and is_growing and self._can_stream:
            message = await self._start_stream(text)
            if message is not None:
                self._messages.append(message)
                return
        ts = await self._post(
            text, self._growing_metadata(number), self._buttons(is_growing), priority="best_effort"
        )
        self._messages.append(AnswerMessage(ts, text, has_stop_button=is_growing))

    async def _start_stream(self, text: str) -> AnswerMessage | None:
        """A stream that begins with `text`; None: messages are edited instead from here on."""
        try:
            ts = await self._sender.streams.start(self._target, text)
        except OutcomeUnknown:
            self._may_have_leftovers = True
            raise
        if ts is None:
            self._can_stream = False
            return None
        return AnswerMessage(ts, text, is_streaming=True)

    async def _append(self, message: AnswerMessage, text: str) -> None:
        """Append to a stream what it lacks of `text`. Raises PlatformError."""
        missing = text[len(message.text or "") :]
        if not missing:
            return
        try:
            await self._sender.streams.append(self._target, message.ts, missing)
        except PlatformBusy:
            raise
        except PlatformError as error:
            # It has ended, is full, or its content is unknown: from here on its message is edited.
            log.info("stream broke off", error=error.detail, characters=len(message.text or ""))
            message.is_streaming, message.text = False, None
            raise
        message.text = text

    async def _edit(
        self, message: AnswerMessage, number: int, text: str, *, is_growing: bool
    ) -> None:
        metadata, buttons = self._growing_metadata(number), self._buttons(is_growing)
        if not await self._sender.update(
            self._target, message.ts, text, metadata, buttons, priority="best_effort"
        ):
            message.ts = await self._post(text, metadata, buttons, priority="best_effort")
        message.text, message.has_stop_button = text, is_growing

    async def _finish(
        self, message: AnswerMessage, text: str, metadata: MessageMetadata, extras: list[Block]
    ) -> None:
        """Give a message its final text. Raises PlatformError."""
        if message.is_streaming:
            if await self._end_stream(message, text, metadata, extras):
                return
        elif message.text == text and not message.has_stop_button and not metadata.is_last:
            return
        if not await self._sender.update(self._target, message.ts, text, metadata, extras):
            message.ts = await self._post(text, metadata, extras)
        message.text, message.has_stop_button = text, False

    async def _end_stream(
        self, message: AnswerMessage, text: str, metadata: MessageMetadata, extras: list[Block]
    ) -> bool:
        """End a stream with `text`. False: its message must be edited instead."""
        shown, message.is_streaming = message.text, False
        if shown is None or not text.startswith(shown):
            return False
        message.text = None
        try:
            await self._sender.streams.stop(
                self._target,
                message.ts,
                text[len(shown) :],
                idempotent=False,
                blocks=extras or None,
                metadata=metadata.as_argument(),
            )
        except PlatformError as error:
            log.info("stream ended early, message is edited", error=error.detail)
            return False
        message.text = text
        return True

    async def _post(
        self,
        text: str,
        metadata: MessageMetadata,
        extras: list[Block],
        *,
        priority: Priority = "required",
    ) -> str:
        """See `MessageSender.post`."""
        self._posted_ids.add(metadata.id)
        try:
            return await self._sender.post(self._target, text, metadata, extras, priority=priority)
        except PlatformError:
            self._may_have_leftovers = True
            raise

    async def delete_surplus(self, count: int) -> None:
        """Delete messages after the first `count`: of a longer try, or all of a withdrawn answer. Raises nothing."""
        for message in self._messages[count:]:
            try:
                await self._sender.delete(self._target, message.ts)
            except PlatformError as error:
                log.warning("surplus message not deleted", ts=message.ts, error=error.detail)
        del self._messages[count:]

    def _growing_metadata(self, number: int) -> MessageMetadata:
        return MessageMetadata(part=number, reply_to=self._target.answered_ts)

    def _buttons(self, is_growing: bool) -> list[Block]:
        return stop_button(self._target.session) if is_growing else []
