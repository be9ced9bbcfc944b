"""One answer on its way to Slack."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from adapters.slack.outbound.answer import LEFTOVERS_AFTER_S, AnswerMessages
from adapters.slack.outbound.blocks import (
    Block,
    disable_mentions,
    feedback_buttons,
    offer_buttons,
    retry_button,
)
from adapters.slack.outbound.ephemeral import direct_message_target, post_ephemeral
from adapters.slack.outbound.message_metadata import MessageMetadata
from adapters.slack.outbound.messages import BEST_EFFORT_LOOKUP_S
from adapters.slack.outbound.splitting import closed, split_visible
from adapters.slack.outbound.status import StatusIndicator
from adapters.slack.outbound.streaming import StreamingAnswer
from adapters.slack.outbound.target import Target
from adapters.slack.outbound.uploads import COMMENT_CHARS, send_file
from bot.conversation import Address, Turn
from bot.errors import AccessRefused, CommandError, KeepthreadError, MessageTooLong, PlatformError
from bot.ports import CommandButton, Delivery

if TYPE_CHECKING:
    from adapters.slack.outbound.messages import MessageSender

log = structlog.get_logger("keepthread.slack")

STOPPED = "_Stopped._"
EMPTY_ANSWER = "_(The answer has no words.)_"
SENT_DIRECTLY = "I sent you the file in our direct messages."
_NOT_RETRYABLE = (AccessRefused, CommandError, MessageTooLong)


class SlackReply:
    """See `bot.ports.Reply`.

    Args:
        address: its details say more: `thread_ts` the thread, `ephemeral_user` and `response_url` who
            alone may read it and how, `home` that it goes to the recipient's direct messages.
        pace_s: least seconds between two calls that show more.
        late_s: see `adapters.slack.outbound.answer.LEFTOVERS_AFTER_S`.
    """

    def __init__(
        self,
        sender: MessageSender,
        address: Address,
        *,
        pace_s: float | None = None,
        leftovers_after_s: float = LEFTOVERS_AFTER_S,
    ) -> None:
        self._sender = sender
        self._address = address
        self._target = target = Target.of(address)
        self._status = StatusIndicator(sender, target)
        self._leftovers_after_s = leftovers_after_s
        self._status_text = 0
        self._answer = AnswerMessages(sender, target, leftovers_after_s=leftovers_after_s)
        self._streaming = StreamingAnswer(sender, target, self._answer, self._status, pace_s=pace_s)

    @property
    def _shows_nothing_early(self) -> bool:
        """Nothing of it is shown before it is whole."""
        return bool(self._target.ephemeral_user) or not self._target.channel

    async def set_status(self, text: str) -> None:
        if not self._shows_nothing_early:
            self._status.show(text)

    async def show(self, delta: str) -> None:
        if not self._shows_nothing_early:
            self._streaming.add(delta)

    async def finish(self, turn: Turn) -> Delivery:
        text = turn.answer
        if not text.strip():
            text = STOPPED if turn.state == "stopped" else EMPTY_ANSWER
        is_rated = turn.state == "complete"
        return await self._deliver(
            text, turn, feedback_buttons(self._target.session) if is_rated else []
        )

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        words = f"⚠️ {error.user_text}"
        text = f"{closed(turn.answer)}\n\n{words}" if turn.answer.strip() else words
        again = not isinstance(error, _NOT_RETRYABLE)
        await self._deliver(text, turn, retry_button(self._target.session) if again else [])

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        """The delivery, if its last message is there; what is there of it otherwise is gone on from."""
        if self._shows_nothing_early:
            return None
        try:
            found = await self._sender.find_own_messages(self._target)
        except PlatformError as error:
            log.warning("whether it was said is unknown", turn=turn.id, error=error.detail)
            return None
        for one in found:
            if one.metadata is not None and one.metadata.turn == turn.id and one.metadata.is_last:
                return Delivery((*one.metadata.previous_ids, one.ts))
        self._answer.adopt(found, turn.id)
        return None

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        if file is None:
            return await self._notify(text, [])
        delivery = Delivery()
        if len(text) > COMMENT_CHARS:
            delivery, text = await self._notify(text, []), ""
        target = await self._resolved_target()
        if target.ephemeral_user:  # files cannot be for one of many
            there = await direct_message_target(self._sender, target)
            await send_file(self._sender, there, text, *file)
            return await self._notify(SENT_DIRECTLY, [])
        await send_file(self._sender, target, text, *file)
        return delivery

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        return await self._notify(text, offer_buttons(self._target.session, buttons), once=False)

    async def aclose(self) -> None:
        """Nothing grows any more, no status stays, no stream is left open."""
        await self._streaming.end()
        await self._answer.close()
        await self._status.end()

    async def _deliver(self, text: str, turn: Turn, extras: list[Block]) -> Delivery:
        """Say `text` whole, in the messages that grew so far and further ones. Raises PlatformError."""
        await self._streaming.end()
        if self._shows_nothing_early:
            return await self._notify(text, extras)
        ids = await self._answer.deliver(split_visible(disable_mentions(text)), turn.id, extras)
        return Delivery(tuple(ids))

    async def _notify(self, text: str, extras: list[Block], *, once: bool = True) -> Delivery:
        """A message of its own, beside any answer; `once`: a second try of this reply says it no second time."""
        target = await self._resolved_target()
        pieces = split_visible(disable_mentions(text))
        before = await self._said_before(target) if once else {}
        ids = []
        for number, piece in enumerate(pieces, 1):
            below = extras if number == len(pieces) else []
            if target.ephemeral_user:
                await post_ephemeral(self._sender, target, piece.text, below)
                continue
            metadata = self._next_metadata() if once else MessageMetadata()
            ts = before.get(metadata.id)
            ids.append(ts or await self._sender.post(target, piece.text, metadata, below))
        return Delivery(tuple(ids))

    def _next_metadata(self) -> MessageMetadata:
        """The next word's; the same in every try of this reply, if it is known what it replies to."""
        self._status_text += 1
        if not self._target.answered_ts:
            return MessageMetadata()
        name = f"{self._target.session}#{self._target.answered_ts}#{self._status_text}"
        return MessageMetadata(id=uuid.uuid5(uuid.NAMESPACE_URL, name).hex)

    async def _said_before(self, target: Target) -> dict[str, str]:
        """Time stamps by the ids of marks: what an earlier try may have said. Raises nothing."""
        if (
            target.ephemeral_user
            or not target.answered_ts
            or target.age_s < self._leftovers_after_s
        ):
            return {}
        try:
            found = await self._sender.find_own_messages(target, retry_for_s=BEST_EFFORT_LOOKUP_S)
        except PlatformError as error:
            log.info("what was said before is unknown", error=error.detail)
            return {}
        return {one.metadata.id: one.ts for one in found if one.metadata is not None}

    async def _resolved_target(self) -> Target:
        """The spot, its channel known. Raises PlatformError."""
        if self._target.channel:
            return self._target
        return await direct_message_target(self._sender, self._target)
