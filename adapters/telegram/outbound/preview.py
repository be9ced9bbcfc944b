"""An answer while it grows: drafts in private chats, edits of one message elsewhere, and a sign of typing.

All of it is a courtesy: it never delays the answer, never raises, and gives up after three floods.
Drafts: https://core.telegram.org/bots/api#sendmessagedraft (private chats, shown for 30 seconds).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal

import structlog
from telegram import MessageEntity
from telegram.constants import ChatAction
from telegram.error import BadRequest, EndPointNotFound, InvalidToken, TelegramError

from adapters.telegram.api.errors import redact_token
from adapters.telegram.outbound.entities import Formatted, render
from adapters.telegram.outbound.keyboards import stop_button
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.sent_messages import PartialAnswer
from adapters.telegram.outbound.splitting import MESSAGE_UNITS, split
from adapters.telegram.outbound.target import Target
from bot.errors import PlaceGone, PlatformBusy, PlatformError, PlatformUnreachable

log = structlog.get_logger("keepthread.telegram")

TYPING_EVERY_S = 4.5
"""Telegram shows it for five seconds (core.telegram.org/bots/api#sendchataction)."""

DRAFT_AGAIN_S = 20.0
MAX_PACE_S = 10.0
MAX_FLOODS = 3
_TAIL_CHARS = 8_000
_MORE = "…\n"

PreviewMode = Literal["draft", "edit", "off"]


class Preview:
    """Shows the newest state of an answer at the pace that the chat allows.

    Args:
        way: how it is shown.
        trail: where it is noted which message shows it.
        pace_s: least seconds between two shows; grows when Telegram says that it is too much.
        typing_every_s: pause between two signs of typing.

    Attributes:
        message_id: of the message that is edited, once there is one.
        drafts_fail: called when this Bot API server knows no drafts.
    """

    def __init__(
        self,
        sender: MessageSender,
        target: Target,
        way: PreviewMode,
        partial_answer: PartialAnswer,
        *,
        pace_s: float = 1.0,
        typing_every_s: float = TYPING_EVERY_S,
    ) -> None:
        self._sender = sender
        self._spot = target
        self._partial_answer = partial_answer
        self._has_looked_back = False
        self._way: PreviewMode = way
        self._pace_s = pace_s
        self._typing_every_s = typing_every_s
        self._text = ""
        self._shown: Formatted | None = None
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._draft_id = random.randint(1, 2**31 - 1)  # noqa: S311  only has to differ from other drafts
        self._floods = 0
        self.message_id: int | None = None
        self.drafts_fail: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Show that an answer is coming."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._keep_typing(), name="typing"),
                asyncio.create_task(self._keep_showing(), name="preview"),
            ]

    def add(self, piece: str) -> None:
        """More of the answer is there."""
        self.begin()
        self._text += piece
        self._news.set()

    async def end(self) -> None:
        """Stop showing. A message that is on its way arrives first, so that its id is known."""
        self._ended.set()
        self._news.set()
        tasks, self._tasks = self._tasks, []
        if tasks:
            tasks[0].cancel()  # no answer waits for a sign of typing
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("a preview failed", error=redact_token(repr(outcome)))

    async def take_back_earlier(self) -> None:
        """Delete what a try of this answer has said that ended with its process. Raises nothing."""
        if self._has_looked_back:
            return
        self._has_looked_back = True
        for message_id in await self._partial_answer.left_behind():
            try:
                await self._sender.delete(self._spot, message_id)
            except PlatformError as error:
                log.info("half an answer stays behind", error=error.detail)

    async def _keep_typing(self) -> None:
        while not self._ended.is_set() and self._shown is None:
            await self._try(
                lambda: self._sender.bot.send_chat_action(
                    self._spot.chat_id, ChatAction.TYPING, message_thread_id=self._spot.topic
                )
            )
            await self._pause(self._ended, self._typing_every_s)

    async def _keep_showing(self) -> None:
        if self._way == "draft":
            await self._show_draft(Formatted(""))
        else:  # what is answered at once needs no preview, and groups have few messages to spare
            await self._pause(self._ended, self._pace_s)
        while not self._ended.is_set() and self._way != "off":
            is_news = await self._pause(self._news, DRAFT_AGAIN_S)
            self._news.clear()
            if self._ended.is_set():
                return
            if not (is_news or self._way == "draft"):
                continue
            wanted = newest(self._text)
            if self._way == "draft":
                await self._show_draft(wanted)
            elif wanted.text and wanted != self._shown:
                await self._show_message(wanted)
            await self._pause(self._ended, self._pace_s)

    async def _show_draft(self, wanted: Formatted) -> None:
        if await self._try(lambda: self._send_draft(wanted)) and wanted.text:
            self._shown = wanted

    async def _send_draft(self, wanted: Formatted) -> bool:
        try:
            return await self._sender.bot.send_message_draft(
                self._spot.chat_id,
                self._draft_id,
                wanted.text,
                message_thread_id=self._spot.topic,
                entities=[
                    MessageEntity(
                        one.type, one.offset, one.length, url=one.url, language=one.language
                    )
                    for one in wanted.entities
                ],
                api_kwargs={"can_stop": True, "keep_on_stop": True},
            )
        except (InvalidToken, EndPointNotFound):
            self._way = "edit"
            self._news.set()
            self.drafts_fail()
        except BadRequest as error:
            if wanted.text:  # an empty one may just not be liked there
                log.info("no drafts here, editing instead", why=redact_token(str(error)))
                self._way = "edit"
                self._news.set()
        return False

    async def _show_message(self, wanted: Formatted) -> None:
        buttons = stop_button(str(self._spot.topic or ""))

        async def show() -> bool:
            if self.message_id is None:
                await self.take_back_earlier()
                try:
                    self.message_id = await self._sender.send(
                        self._spot, wanted, buttons, priority="best_effort"
                    )
                except PlatformUnreachable:
                    self._way = "off"  # it may be there all the same: a second would be too many
                    raise
                await self._partial_answer.add(self.message_id)
                return True
            return await self._sender.edit(
                self._spot, self.message_id, wanted, buttons, priority="best_effort"
            )

        if await self._try(show):
            self._shown = wanted

    async def _try(self, call: Callable[[], Awaitable[Any]]) -> bool:
        """Whether it worked. Floods slow it down and, the third time, end it."""
        before = self._sender.budget.of(self._spot.chat_id).floods
        try:
            return bool(await call())
        except (TelegramError, PlatformError) as error:
            if self._sender.budget.of(self._spot.chat_id).floods > before:
                self._floods += 1
                self._pace_s = min(MAX_PACE_S, self._pace_s * 2)
                if self._floods >= MAX_FLOODS:
                    log.warning("no more previews of this answer", floods=self._floods)
                    self._way = "off"
            elif isinstance(error, PlaceGone):
                self._way = "off"
            elif not isinstance(error, PlatformBusy):
                log.info("a preview failed", error=redact_token(repr(error)))
            self._news.set()
            return False

    async def _pause(self, event: asyncio.Event, most_s: float) -> bool:
        """Wait for `event`, at most so long. Whether it came."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), most_s)
        return event.is_set()


def newest(markdown: str) -> Formatted:
    """As much of a growing answer as one message holds: all of it, or its end."""
    text = markdown
    if len(text) > _TAIL_CHARS + 4_000:
        cut = text.find("\n", len(text) - _TAIL_CHARS) + 1 or len(text) - _TAIL_CHARS
        fences = [line for line in text[:cut].splitlines() if line.lstrip().startswith("```")]
        text = (fences[-1].strip() + "\n" if len(fences) % 2 else "") + text[cut:]
    pieces = split(render(text), limit=MESSAGE_UNITS - len(_MORE))
    if not pieces:
        return Formatted("")
    if len(pieces) == 1 and text is markdown:
        return pieces[0]
    return shifted(pieces[-1], _MORE)


def shifted(formatted: Formatted, lead: str) -> Formatted:
    """`formatted` with `lead` before it, which has one UTF-16 unit a character."""
    return Formatted(
        lead + formatted.text,
        tuple(replace(one, offset=one.offset + len(lead)) for one in formatted.entities),
    )
