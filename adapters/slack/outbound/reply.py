"""Reply in Slack: one answer, from its status to its delivery, and the bot's notices."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from adapters.shared.answer_text import can_answer_again, failed_text, finished_text
from adapters.slack.api.errors import is_refusal
from adapters.slack.outbound.answer.last_resort import hand_over_otherwise, notifying_if_gone
from adapters.slack.outbound.answer.messages import LEFTOVERS_AFTER_S, AnswerMessages
from adapters.slack.outbound.answer.streaming import StreamingAnswer
from adapters.slack.outbound.blocks import (
    Block,
    feedback_buttons,
    offer_buttons,
    retry_button,
)
from adapters.slack.outbound.ephemeral import direct_message_target, post_ephemeral
from adapters.slack.outbound.markdown.mentions import disable_mentions
from adapters.slack.outbound.markdown.splitting import split_visible
from adapters.slack.outbound.message_metadata import MessageMetadata
from adapters.slack.outbound.messages import BEST_EFFORT_LOOKUP_S
from adapters.slack.outbound.status import StatusIndicator
from adapters.slack.outbound.target import Target
from adapters.slack.outbound.uploads import MAX_COMMENT_CHARS, upload_file
from bot.conversation import Address, Turn
from bot.errors import (
    KeepthreadError,
    PlaceGone,
    PlatformBusy,
    PlatformError,
    PlatformUnreachable,
)
from bot.ports import CommandButton, Delivery

if TYPE_CHECKING:
    from adapters.slack.outbound.messages import MessageSender

log = structlog.get_logger("keepthread.slack")

SENT_DIRECTLY = "I sent you the file in our direct messages."
FILE_REFUSED = "⚠️ Slack does not take the file from me. Please tell the person who runs me."


class SlackReply:
    """See `bot.ports.Reply`.

    Args:
        address: of a Slack message; see `SlackDetails`.
        pace_s: least seconds between two updates of a growing answer.
        leftovers_after_s: see `adapters.slack.outbound.answer.messages.LEFTOVERS_AFTER_S`.
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
        self._target = target = Target.of(address)
        self._leftovers_after_s = leftovers_after_s
        self._notice_count = 0
        self._status = StatusIndicator(sender.api, target)
        self._answer = AnswerMessages(sender, target, leftovers_after_s=leftovers_after_s)
        self._streaming = StreamingAnswer(self._answer, self._status, pace_s=pace_s)

    @property
    def _is_shown_whole(self) -> bool:
        """Whether nothing is shown before the answer is complete: ephemeral and App Home answers."""
        return bool(self._target.ephemeral_user) or not self._target.channel

    async def set_status(self, text: str) -> None:
        if not self._is_shown_whole:
            self._status.show(text)

    async def show(self, delta: str) -> None:
        if not self._is_shown_whole:
            self._streaming.add(delta)

    async def finish(self, turn: Turn) -> Delivery:
        is_rated = turn.state == "complete"
        buttons = feedback_buttons(self._target.session) if is_rated else []
        return await self._deliver(finished_text(turn), turn, buttons)

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        buttons = retry_button(self._target.session) if can_answer_again(error) else []
        await self._deliver(failed_text(turn, error.user_text), turn, buttons)

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        """The delivery, if the answer's last message is there; otherwise the messages there are adopted."""
        if self._is_shown_whole:
            return None
        try:
            sent = await self._sender.find_own_messages(self._target)
            for message in sent:
                metadata = message.metadata
                if metadata is not None and metadata.turn == turn.id and metadata.is_last:
                    return Delivery((*metadata.previous_ids, message.ts))
            await self._answer.adopt(sent, turn.id)
        except PlatformError as error:
            log.warning("delivery unknown", turn=turn.id, error=error.detail)
        return None

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        if file is None:
            return await self._post_notice(text, [])
        delivery = Delivery()
        if len(text) > MAX_COMMENT_CHARS:
            delivery, text = await self._post_notice(text, []), ""
        target = await self._target_with_channel()
        if target.ephemeral_user:  # files cannot be ephemeral
            there = await direct_message_target(self._sender, target)
            if await self._upload(there, text, file):
                return await self._post_notice(SENT_DIRECTLY, [])
        elif await self._upload(target, text, file):
            return delivery
        return await self._post_notice(f"{text}\n\n{FILE_REFUSED}".strip(), [])

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        blocks = offer_buttons(self._target.session, buttons)
        return await self._post_notice(text, blocks, once=False)

    async def retract(self) -> None:
        """See `bot.ports.RetractableReply`."""
        await self._streaming.end()
        await self._answer.close()
        await self._answer.delete_surplus(0)

    async def aclose(self) -> None:
        """Stop updates, end open streams, clear the status."""
        await self._streaming.end()
        await self._answer.close()
        await self._status.end()

    async def _deliver(self, text: str, turn: Turn, extras: list[Block]) -> Delivery:
        """Deliver `text` whole, in the messages shown so far and further ones. Raises PlatformError."""
        await self._streaming.end()
        if self._is_shown_whole:
            return await self._post_notice(text, extras)
        parts = split_visible(disable_mentions(text))
        async with notifying_if_gone(self._sender, self._target):
            ids = await self._answer.deliver(parts, turn.id, extras)
        return Delivery(tuple(ids))

    async def _upload(self, target: Target, text: str, file: tuple[str, bytes]) -> bool:
        """Whether Slack took the file, `text` above it. Raises PlatformError if another try may help."""
        try:
            await upload_file(self._sender.api, target, text, *file)
        except (PlatformBusy, PlatformUnreachable, PlaceGone):
            raise
        except PlatformError as error:
            log.error("file refused", error=error.detail, cure=error.cure)
            return False
        return True

    async def _post_notice(self, text: str, extras: list[Block], *, once: bool = True) -> Delivery:
        """Post a message that is no part of the answer. `once`: a second try of this reply does not repeat it."""
        target = await self._target_with_channel()
        parts = split_visible(disable_mentions(text))
        posted = await self._posted_before(target) if once else {}
        ids = []
        for number, part in enumerate(parts, 1):
            blocks = extras if number == len(parts) else []
            if target.ephemeral_user:
                await post_ephemeral(self._sender, target, part.text, blocks)
                continue
            metadata = self._next_notice_metadata() if once else MessageMetadata()
            ts = posted.get(metadata.id)
            ids.append(ts or await self._post_part(target, part.text, metadata, blocks))
        return Delivery(tuple(filter(None, ids)))

    async def _post_part(
        self, target: Target, text: str, metadata: MessageMetadata, extras: list[Block]
    ) -> str:
        """Post one message of a notice, or hand it over otherwise; its `ts`, or "". Raises PlatformError."""
        async with notifying_if_gone(self._sender, target):
            try:
                return await self._sender.post(target, text, metadata, extras)
            except PlatformError as error:
                if not is_refusal(error):
                    raise
                return await hand_over_otherwise(self._sender, target, text, error)

    def _next_notice_metadata(self) -> MessageMetadata:
        """Metadata of the next notice; the same in every try of this reply, if it answers a known message."""
        self._notice_count += 1
        if not self._target.answered_ts:
            return MessageMetadata()
        name = f"{self._target.session}#{self._target.answered_ts}#{self._notice_count}"
        return MessageMetadata(id=uuid.uuid5(uuid.NAMESPACE_URL, name).hex)

    async def _posted_before(self, target: Target) -> dict[str, str]:
        """Messages of an earlier try: time stamps by metadata id. Raises nothing."""
        is_late = target.age_s >= self._leftovers_after_s
        if target.ephemeral_user or not target.answered_ts or not is_late:
            return {}
        try:
            sent = await self._sender.find_own_messages(target, retry_for_s=BEST_EFFORT_LOOKUP_S)
        except PlatformError as error:
            log.info("earlier notices unknown", error=error.detail)
            return {}
        return {message.metadata.id: message.ts for message in sent if message.metadata}

    async def _target_with_channel(self) -> Target:
        """The target; that of App Home with its channel looked up. Raises PlatformError."""
        if self._target.channel:
            return self._target
        return await direct_message_target(self._sender, self._target)
