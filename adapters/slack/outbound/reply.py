"""One answer on its way to Slack."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from adapters.slack.outbound.answer import LATE_S, Answer
from adapters.slack.outbound.blocks import (
    Block,
    again_button,
    feedback_buttons,
    neutral,
    offer_buttons,
)
from adapters.slack.outbound.ephemeral import directly, whisper
from adapters.slack.outbound.message_metadata import Mark
from adapters.slack.outbound.messages import COURTESY_LOOK_S
from adapters.slack.outbound.splitting import closed, spoken
from adapters.slack.outbound.status import Sign
from adapters.slack.outbound.streaming import Growing
from adapters.slack.outbound.target import Spot
from adapters.slack.outbound.uploads import COMMENT_CHARS, send_file
from bot.conversation import Address, Turn
from bot.errors import AccessRefused, CommandError, KeepthreadError, MessageTooLong, PlatformError
from bot.ports import CommandButton, Delivery

if TYPE_CHECKING:
    from adapters.slack.outbound.messages import Outbound

log = structlog.get_logger("keepthread.slack")

STOPPED = "_Stopped._"
NO_WORDS = "_(The answer has no words.)_"
SENT_DIRECTLY = "I sent you the file in our direct messages."
_NO_USE_TO_REPEAT = (AccessRefused, CommandError, MessageTooLong)


class SlackReply:
    """See `bot.ports.Reply`.

    Args:
        address: its details say more: `thread_ts` the thread, `ephemeral_user` and `response_url` who
            alone may read it and how, `home` that it goes to the recipient's direct messages.
        pace_s: least seconds between two calls that show more.
        late_s: see `adapters.slack.outbound.answer.LATE_S`.
    """

    def __init__(
        self,
        outbound: Outbound,
        address: Address,
        *,
        pace_s: float | None = None,
        late_s: float = LATE_S,
    ) -> None:
        self._outbound = outbound
        self._address = address
        self._spot = spot = Spot.of(address)
        self._sign = Sign(outbound, spot)
        self._late_s = late_s
        self._words = 0
        self._answer = Answer(outbound, spot, late_s=late_s)
        self._growing = Growing(outbound, spot, self._answer, self._sign, pace_s=pace_s)

    @property
    def _is_quiet(self) -> bool:
        """Nothing of it is shown before it is whole."""
        return bool(self._spot.only_for) or not self._spot.channel

    async def set_status(self, text: str) -> None:
        if not self._is_quiet:
            self._sign.say(text)

    async def show(self, piece: str) -> None:
        if not self._is_quiet:
            self._growing.add(piece)

    async def finish(self, turn: Turn) -> Delivery:
        text = turn.answer
        if not text.strip():
            text = STOPPED if turn.state == "stopped" else NO_WORDS
        is_rated = turn.state == "complete"
        return await self._deliver(
            text, turn, feedback_buttons(self._spot.session) if is_rated else []
        )

    async def fail(self, turn: Turn, error: KeepthreadError) -> None:
        words = f"⚠️ {error.user_text}"
        text = f"{closed(turn.answer)}\n\n{words}" if turn.answer.strip() else words
        again = not isinstance(error, _NO_USE_TO_REPEAT)
        await self._deliver(text, turn, again_button(self._spot.session) if again else [])

    async def find_delivery(self, turn: Turn) -> Delivery | None:
        """The delivery, if its last message is there; what is there of it otherwise is gone on from."""
        if self._is_quiet:
            return None
        try:
            found = await self._outbound.ours(self._spot)
        except PlatformError as error:
            log.warning("whether it was said is unknown", turn=turn.id, error=error.detail)
            return None
        for one in found:
            if one.mark is not None and one.mark.turn == turn.id and one.mark.is_last:
                return Delivery((*one.mark.before, one.ts))
        self._answer.adopt(found, turn.id)
        return None

    async def post(self, text: str, *, file: tuple[str, bytes] | None = None) -> Delivery:
        if file is None:
            return await self._say(text, [])
        delivery = Delivery()
        if len(text) > COMMENT_CHARS:
            delivery, text = await self._say(text, []), ""
        spot = await self._where()
        if spot.only_for:  # files cannot be for one of many
            there = await directly(self._outbound, spot)
            await send_file(self._outbound, there, text, *file)
            return await self._say(SENT_DIRECTLY, [])
        await send_file(self._outbound, spot, text, *file)
        return delivery

    async def post_buttons(self, text: str, buttons: Sequence[CommandButton]) -> Delivery:
        return await self._say(text, offer_buttons(self._spot.session, buttons), once=False)

    async def aclose(self) -> None:
        """Nothing grows any more, no status stays, no stream is left open."""
        await self._growing.end()
        await self._answer.close()
        await self._sign.end()

    async def _deliver(self, text: str, turn: Turn, extras: list[Block]) -> Delivery:
        """Say `text` whole, in the messages that grew so far and further ones. Raises PlatformError."""
        await self._growing.end()
        if self._is_quiet:
            return await self._say(text, extras)
        ids = await self._answer.deliver(spoken(neutral(text)), turn.id, extras)
        return Delivery(tuple(ids))

    async def _say(self, text: str, extras: list[Block], *, once: bool = True) -> Delivery:
        """A message of its own, beside any answer; `once`: a second try of this reply says it no second time."""
        spot = await self._where()
        pieces = spoken(neutral(text))
        before = await self._said_before(spot) if once else {}
        ids = []
        for number, piece in enumerate(pieces, 1):
            below = extras if number == len(pieces) else []
            if spot.only_for:
                await whisper(self._outbound, spot, piece.text, below)
                continue
            mark = self._next_mark() if once else Mark()
            ts = before.get(mark.id)
            ids.append(ts or await self._outbound.post(spot, piece.text, mark, below))
        return Delivery(tuple(ids))

    def _next_mark(self) -> Mark:
        """The next word's; the same in every try of this reply, if it is known what it replies to."""
        self._words += 1
        if not self._spot.answered_ts:
            return Mark()
        name = f"{self._spot.session}#{self._spot.answered_ts}#{self._words}"
        return Mark(id=uuid.uuid5(uuid.NAMESPACE_URL, name).hex)

    async def _said_before(self, spot: Spot) -> dict[str, str]:
        """Time stamps by the ids of marks: what an earlier try may have said. Raises nothing."""
        if spot.only_for or not spot.answered_ts or spot.waits_since_s < self._late_s:
            return {}
        try:
            found = await self._outbound.ours(spot, patience_s=COURTESY_LOOK_S)
        except PlatformError as error:
            log.info("what was said before is unknown", error=error.detail)
            return {}
        return {one.mark.id: one.ts for one in found if one.mark is not None}

    async def _where(self) -> Spot:
        """The spot, its channel known. Raises PlatformError."""
        if self._spot.channel:
            return self._spot
        return await directly(self._outbound, self._spot)
