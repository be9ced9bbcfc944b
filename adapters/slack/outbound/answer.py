"""The messages of one answer, as they stand in Slack, and how they are made to say what they must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from adapters.shared.rate_limit import Priority
from adapters.slack.outbound.blocks import Block
from adapters.slack.outbound.message_metadata import Found, Mark
from adapters.slack.outbound.messages import COURTESY_LOOK_S, Outbound
from adapters.slack.outbound.splitting import Piece
from adapters.slack.outbound.target import Spot
from bot.errors import PlatformError

log = structlog.get_logger("keepthread.slack")

LATE_S = 3.0
"""What begins so long after its question may be a second try: there may be remains of the first."""


@dataclass(slots=True)
class Standing:
    """A message of the answer.

    Attributes:
        text: what it says; None if that is not known for sure.
        streams: it is an open stream.
        can_be_stopped: it carries a stop button.
    """

    ts: str
    text: str | None = ""
    streams: bool = False
    can_be_stopped: bool = False


class Answer:
    """The messages of one answer, in order.

    Attributes:
        has_remains: there may be messages of this answer that are not among `messages`.
    """

    def __init__(self, outbound: Outbound, spot: Spot, *, late_s: float = LATE_S) -> None:
        self._outbound = outbound
        self._spot = spot
        self._tried: set[str] = set()
        self.messages: list[Standing] = []
        self.has_remains = spot.waits_since_s >= late_s

    async def look_for_remains(self) -> None:
        """Take over what an earlier try may have left behind. Raises nothing."""
        if not self.has_remains:
            return
        self.has_remains = False
        try:
            self.adopt(await self._outbound.ours(self._spot, patience_s=COURTESY_LOOK_S))
        except PlatformError as error:
            log.info("what an earlier try left is unknown", error=error.detail)

    def adopt(self, found: Sequence[Found], turn_id: str = "") -> None:
        """Those of `found` that are messages of this answer are to become its beginning."""
        self.has_remains = False
        known = {one.ts for one in self.messages}
        self.messages += [
            Standing(one.ts, None)
            for one in found
            if one.ts not in known and self._is_own(one.mark, turn_id)
        ]

    def _is_own(self, mark: Mark | None, turn_id: str) -> bool:
        if mark is None:
            return True  # a stream that was never ended: everything else of ours is marked
        if mark.turn:
            return mark.turn == turn_id
        return mark.id in self._tried or (mark.to != "" and mark.to == self._spot.answered_ts)

    async def post(
        self, text: str, mark: Mark, extras: list[Block], *, priority: Priority = "required"
    ) -> str:
        """See `Outbound.post`."""
        self._tried.add(mark.id)
        try:
            return await self._outbound.post(self._spot, text, mark, extras, priority=priority)
        except PlatformError:
            self.has_remains = True
            raise

    async def deliver(
        self, pieces: Sequence[Piece], turn_id: str, extras: list[Block]
    ) -> list[str]:
        """Let the messages say `pieces` and nothing else, `extras` below the last; their ids.

        Raises:
            PlatformError: they do not.
        """
        await self.look_for_remains()
        ids: list[str] = []
        for number, piece in enumerate(pieces, 1):
            own = Mark(turn_id, number, len(pieces), self._spot.answered_ts, tuple(ids))
            below = extras if number == len(pieces) else []
            if number > len(self.messages):
                ts = await self.post(piece.text, own, below)
                self.messages.append(Standing(ts, piece.text))
            else:
                await self.finish_one(self.messages[number - 1], piece.text, own, below)
            ids.append(self.messages[number - 1].ts)
        await self._take_back(self.messages[len(pieces) :])
        del self.messages[len(pieces) :]
        return ids

    async def finish_one(
        self, standing: Standing, text: str, mark: Mark, extras: list[Block]
    ) -> None:
        """Let one message say `text` for good. Raises PlatformError."""
        if standing.streams:
            if await self._end_stream(standing, text, mark, extras):
                return
        elif standing.text == text and not standing.can_be_stopped and not mark.is_last:
            return
        if not await self._outbound.settle(self._spot, standing.ts, text, mark, extras):
            standing.ts = await self.post(text, mark, extras)  # somebody deleted it
        standing.text, standing.can_be_stopped = text, False

    async def close(self) -> None:
        """End what still streams, as it is. Raises nothing."""
        for number, standing in enumerate(self.messages, 1):
            if not standing.streams:
                continue
            standing.streams, standing.text = False, None
            mark = Mark(part=number, to=self._spot.answered_ts)
            try:
                await self._outbound.stop_stream(
                    self._spot, standing.ts, metadata=mark.metadata(), patience_s=COURTESY_LOOK_S
                )
            except PlatformError as error:
                log.info("a stream is left to end by itself", error=error.detail)

    async def _end_stream(
        self, standing: Standing, text: str, mark: Mark, extras: list[Block]
    ) -> bool:
        """End a stream with `text`. False: that has to be done by an edit."""
        shown, standing.streams = standing.text, False
        if shown is None or not text.startswith(shown):
            return False
        standing.text = None
        try:
            await self._outbound.stop_stream(
                self._spot,
                standing.ts,
                text[len(shown) :],
                repeatable=False,
                blocks=extras or None,
                metadata=mark.metadata(),
            )
        except PlatformError as error:
            log.info("a stream ended early; its message is edited", error=error.detail)
            return False
        standing.text = text
        return True

    async def _take_back(self, messages: Sequence[Standing]) -> None:
        """Delete what an earlier, longer try said beyond this answer. Raises nothing."""
        for left in messages:
            try:
                await self._outbound.delete(self._spot, left.ts)
            except PlatformError as error:
                log.warning("a message too many stays", ts=left.ts, error=error.detail)
