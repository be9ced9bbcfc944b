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

from adapters.slack.api.errors import OF_THE_APP, code_of
from adapters.slack.api.web_api import Unsure
from adapters.slack.outbound.answer import Answer, Standing
from adapters.slack.outbound.blocks import neutral_so_far, stop_button
from adapters.slack.outbound.message_metadata import Mark
from adapters.slack.outbound.messages import Outbound
from adapters.slack.outbound.splitting import Piece, spoken
from adapters.slack.outbound.status import Sign
from adapters.slack.outbound.target import Spot
from bot.errors import PlaceGone, PlatformBusy, PlatformError

log = structlog.get_logger("keepthread.slack")

STREAM_PACE_S = 1.0
EDIT_PACE_S = 1.5
START, APPEND = "chat.startStream", "chat.appendStream"


class Growing:
    """Shows more and more of an answer. Never raises: what it could not show, `Answer.deliver` makes good.

    Args:
        answer: the messages it is shown in.
        pace_s: least seconds between two calls; the first words are shown at once.
    """

    def __init__(
        self,
        outbound: Outbound,
        spot: Spot,
        answer: Answer,
        sign: Sign,
        *,
        pace_s: float | None = None,
    ) -> None:
        self._outbound = outbound
        self._spot = spot
        self._answer = answer
        self._sign = sign
        self._pace_s = pace_s
        self._streams = spot.can_stream
        self._is_gone = False
        self._text = ""
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, text: str) -> None:
        """More of the answer is there."""
        self._text += text
        self._news.set()
        if self._task is None and not self._ended.is_set():
            self._task = asyncio.create_task(self._keep_showing(), name="slack stream")

    async def end(self) -> None:
        """Show no more. A call that is under way is done first, so that every message is known."""
        self._ended.set()
        self._news.set()
        task, self._task = self._task, None
        if task is None:
            return
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("showing failed", error=repr(error))

    async def _keep_showing(self) -> None:
        while not self._ended.is_set() and not self._is_gone:
            await self._news.wait()
            self._news.clear()
            pieces = spoken(neutral_so_far(self._text), growing=True)
            if not pieces:
                continue
            wait_s = 0.0
            try:
                await self._answer.look_for_remains()
                await self._show(pieces)
            except PlaceGone:
                self._is_gone = True
            except PlatformError as error:
                log.info("not shown yet", error=error.detail)
                self._news.set()
                wait_s = error.retry_after_s or 1.0
            await self._pause(max(wait_s, self._pace()))

    async def _show(self, pieces: Sequence[Piece]) -> None:
        """Bring the messages up to `pieces`, of which only the last still grows. Raises PlatformError."""
        for number, piece in enumerate(pieces, 1):
            grows = number == len(pieces)
            if self._ended.is_set():
                return
            if number > len(self._answer.messages):
                await self._open(piece.text, number, grows=grows)
                continue
            standing = self._answer.messages[number - 1]
            if standing.streams:
                await self._stream_on(standing, piece.text, number, grows=grows)
            elif standing.text != piece.text or (standing.can_be_stopped and not grows):
                await self._edit(standing, piece.text, number, grows=grows)

    async def _open(self, text: str, part: int, *, grows: bool) -> None:
        """The next message of the answer."""
        if grows and self._streams and await self._sign.know_stop():
            standing = await self._start_stream(text)
            if standing is not None:
                self._answer.messages.append(standing)
                self._sign.quiet()
                return
        buttons = stop_button(self._spot.session) if grows else []
        ts = await self._answer.post(text, self._mark(part), buttons, priority="best_effort")
        self._answer.messages.append(Standing(ts, text, can_be_stopped=grows))
        self._sign.quiet()

    async def _start_stream(self, text: str) -> Standing | None:
        """A stream that begins with `text`; None: Slack does not do that here."""
        spot = self._spot
        if (spot.team, START) in self._outbound.lacking:
            return None
        try:
            answer = await self._outbound.call(
                spot.team,
                START,
                priority="best_effort",
                channel=spot.channel,
                repeatable=False,
                thread_ts=spot.thread_ts,
                recipient_user_id=spot.recipient or None,
                recipient_team_id=spot.recipient_team or None,
                markdown_text=text,
            )
        except Unsure:
            self._answer.has_remains = True
            raise
        except (PlatformBusy, PlaceGone):
            raise
        except PlatformError as error:
            if not code_of(error):
                raise
            log.info("no stream, editing instead", error=error.detail)
            self._streams = False
            if code_of(error) in OF_THE_APP:
                self._outbound.lacking.add((spot.team, START))
            return None
        return Standing(str(answer["ts"]), text, streams=True)

    async def _stream_on(self, standing: Standing, text: str, part: int, *, grows: bool) -> None:
        """Append what is new; end the stream if its message is full."""
        if not grows:
            await self._answer.finish_one(standing, text, self._mark(part), [])
            return
        more = text[len(standing.text or "") :]
        if not more:
            return
        try:
            await self._outbound.call(
                self._spot.team,
                APPEND,
                priority="best_effort",
                channel=self._spot.channel,
                repeatable=False,
                ts=standing.ts,
                markdown_text=more,
            )
        except PlatformBusy:
            raise
        except PlatformError as error:
            # It has died, is full, or nobody knows what it says: from here on its message is edited.
            log.info("a stream broke off", error=error.detail, characters=len(standing.text or ""))
            standing.streams, standing.text = False, None
            raise
        standing.text = text

    async def _edit(self, standing: Standing, text: str, part: int, *, grows: bool) -> None:
        buttons = stop_button(self._spot.session) if grows else []
        is_there = await self._outbound.settle(
            self._spot, standing.ts, text, self._mark(part), buttons, priority="best_effort"
        )
        if not is_there:  # somebody deleted it
            standing.ts = await self._answer.post(
                text, self._mark(part), buttons, priority="best_effort"
            )
        standing.text, standing.can_be_stopped = text, grows

    def _mark(self, part: int) -> Mark:
        return Mark(part=part, to=self._spot.answered_ts)

    def _pace(self) -> float:
        if self._pace_s is not None:
            return self._pace_s
        messages = self._answer.messages
        return STREAM_PACE_S if messages and messages[-1].streams else EDIT_PACE_S

    async def _pause(self, for_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), for_s)
