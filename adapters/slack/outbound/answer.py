"""The messages of one answer, as they stand in Slack, and how they are made to say what they must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from adapters.shared.rate_limit import Priority
from adapters.slack.outbound.blocks import Block
from adapters.slack.outbound.message_metadata import MessageMetadata, SentMessage
from adapters.slack.outbound.messages import BEST_EFFORT_LOOKUP_S, MessageSender
from adapters.slack.outbound.splitting import MessagePart
from adapters.slack.outbound.target import Target
from bot.errors import PlatformError

log = structlog.get_logger("keepthread.slack")

LEFTOVERS_AFTER_S = 3.0
"""What begins so long after its question may be a second try: there may be remains of the first."""


@dataclass(slots=True)
class AnswerMessage:
    """A message of the answer.

    Attributes:
        text: what it says; None if that is not known for sure.
        streams: it is an open stream.
        can_be_stopped: it carries a stop button.
    """

    ts: str
    text: str | None = ""
    is_streaming: bool = False
    has_stop_button: bool = False


class AnswerMessages:
    """The messages of one answer, in order.

    Attributes:
        has_remains: there may be messages of this answer that are not among `messages`.
    """

    def __init__(
        self, sender: MessageSender, target: Target, *, leftovers_after_s: float = LEFTOVERS_AFTER_S
    ) -> None:
        self._sender = sender
        self._target = target
        self._tried: set[str] = set()
        self.messages: list[AnswerMessage] = []
        self.may_have_leftovers = target.age_s >= leftovers_after_s

    async def adopt_leftovers(self) -> None:
        """Take over what an earlier try may have left behind. Raises nothing."""
        if not self.may_have_leftovers:
            return
        self.may_have_leftovers = False
        try:
            self.adopt(
                await self._sender.find_own_messages(self._target, retry_for_s=BEST_EFFORT_LOOKUP_S)
            )
        except PlatformError as error:
            log.info("what an earlier try left is unknown", error=error.detail)

    def adopt(self, found: Sequence[SentMessage], turn_id: str = "") -> None:
        """Those of `found` that are messages of this answer are to become its beginning."""
        self.may_have_leftovers = False
        known = {one.ts for one in self.messages}
        self.messages += [
            AnswerMessage(one.ts, None)
            for one in found
            if one.ts not in known and self._is_own(one.metadata, turn_id)
        ]

    def _is_own(self, metadata: MessageMetadata | None, turn_id: str) -> bool:
        if metadata is None:
            return True  # a stream that was never ended: everything else of ours is marked
        if metadata.turn:
            return metadata.turn == turn_id
        return metadata.id in self._tried or (
            metadata.reply_to != "" and metadata.reply_to == self._target.answered_ts
        )

    async def post(
        self,
        text: str,
        metadata: MessageMetadata,
        extras: list[Block],
        *,
        priority: Priority = "required",
    ) -> str:
        """See `MessageSender.post`."""
        self._tried.add(metadata.id)
        try:
            return await self._sender.post(self._target, text, metadata, extras, priority=priority)
        except PlatformError:
            self.may_have_leftovers = True
            raise

    async def deliver(
        self, pieces: Sequence[MessagePart], turn_id: str, extras: list[Block]
    ) -> list[str]:
        """Let the messages say `pieces` and nothing else, `extras` below the last; their ids.

        Raises:
            PlatformError: they do not.
        """
        await self.adopt_leftovers()
        ids: list[str] = []
        for number, piece in enumerate(pieces, 1):
            own = MessageMetadata(
                turn_id, number, len(pieces), self._target.answered_ts, tuple(ids)
            )
            below = extras if number == len(pieces) else []
            if number > len(self.messages):
                ts = await self.post(piece.text, own, below)
                self.messages.append(AnswerMessage(ts, piece.text))
            else:
                await self.finish_message(self.messages[number - 1], piece.text, own, below)
            ids.append(self.messages[number - 1].ts)
        await self._delete_surplus(self.messages[len(pieces) :])
        del self.messages[len(pieces) :]
        return ids

    async def finish_message(
        self, message: AnswerMessage, text: str, metadata: MessageMetadata, extras: list[Block]
    ) -> None:
        """Let one message say `text` for good. Raises PlatformError."""
        if message.is_streaming:
            if await self._end_stream(message, text, metadata, extras):
                return
        elif message.text == text and not message.has_stop_button and not metadata.is_last:
            return
        if not await self._sender.update(self._target, message.ts, text, metadata, extras):
            message.ts = await self.post(text, metadata, extras)  # somebody deleted it
        message.text, message.has_stop_button = text, False

    async def close(self) -> None:
        """End what still streams, as it is. Raises nothing."""
        for number, message in enumerate(self.messages, 1):
            if not message.is_streaming:
                continue
            message.is_streaming, message.text = False, None
            metadata = MessageMetadata(part=number, reply_to=self._target.answered_ts)
            try:
                await self._sender.stop_stream(
                    self._target,
                    message.ts,
                    metadata=metadata.metadata(),
                    retry_for_s=BEST_EFFORT_LOOKUP_S,
                )
            except PlatformError as error:
                log.info("a stream is left to end by itself", error=error.detail)

    async def _end_stream(
        self, message: AnswerMessage, text: str, metadata: MessageMetadata, extras: list[Block]
    ) -> bool:
        """End a stream with `text`. False: that has to be done by an edit."""
        shown, message.is_streaming = message.text, False
        if shown is None or not text.startswith(shown):
            return False
        message.text = None
        try:
            await self._sender.stop_stream(
                self._target,
                message.ts,
                text[len(shown) :],
                idempotent=False,
                blocks=extras or None,
                metadata=metadata.metadata(),
            )
        except PlatformError as error:
            log.info("a stream ended early; its message is edited", error=error.detail)
            return False
        message.text = text
        return True

    async def _delete_surplus(self, messages: Sequence[AnswerMessage]) -> None:
        """Delete what an earlier, longer try said beyond this answer. Raises nothing."""
        for left in messages:
            try:
                await self._sender.delete(self._target, left.ts)
            except PlatformError as error:
                log.warning("a message too many stays", ts=left.ts, error=error.detail)
