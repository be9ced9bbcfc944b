"""Preview of a growing answer: drafts in private chats, edits of one message elsewhere.

All of it is best effort: it never delays the answer, never raises, and ends after three floods.
Drafts: https://core.telegram.org/bots/api#sendmessagedraft (private chats, shown for 30 seconds).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

import structlog
from telegram.error import EndPointNotFound, InvalidToken

from adapters.shared.retry import OutcomeUnknown
from adapters.shared.throttled_updates import ThrottledUpdates
from adapters.telegram.api.errors import PartRefused, telegram_errors
from adapters.telegram.api.rate_limiter import NoCapacity
from adapters.telegram.outbound.formatted import Formatted
from adapters.telegram.outbound.keyboards import stop_button
from adapters.telegram.outbound.layout import lay_out_newest
from adapters.telegram.outbound.messages import MessageSender
from adapters.telegram.outbound.sent_messages import PartialAnswer
from adapters.telegram.outbound.target import Target
from adapters.telegram.outbound.typing_indicator import TYPING_EVERY_S, TypingIndicator
from bot.errors import PlatformBusy, PlatformError

log = structlog.get_logger("keepthread.telegram")

DRAFT_REFRESH_S = 20.0
MAX_PACE_S = 10.0
MAX_FLOODS = 3

PreviewMode = Literal["draft", "edit", "off"]


class Preview:
    """Shows the newest state of an answer at the pace that the chat allows.

    Args:
        mode: how it is shown.
        partial_answer: record of the message that shows it.
        pace_s: least seconds between two updates; grows when Telegram says that it is too much.
        typing_every_s: pause between two calls of the typing indicator.
        on_drafts_unsupported: called when this Bot API server knows no drafts.
    """

    def __init__(
        self,
        sender: MessageSender,
        target: Target,
        mode: PreviewMode,
        partial_answer: PartialAnswer,
        *,
        pace_s: float = 1.0,
        typing_every_s: float = TYPING_EVERY_S,
        on_drafts_unsupported: Callable[[], None] = lambda: None,
    ) -> None:
        self._sender = sender
        self._target = target
        self._mode: PreviewMode = mode
        self._partial_answer = partial_answer
        self._pace_s = pace_s
        self._on_drafts_unsupported = on_drafts_unsupported
        self._typing = TypingIndicator(sender.bot, target, every_s=typing_every_s)
        self._updates = ThrottledUpdates(
            self._update,
            pace_s=lambda: self._pace_s,
            # An answer that is there at once needs no preview, and groups have few messages to spare.
            first_s=0 if mode == "draft" else pace_s,
            repeat_s=DRAFT_REFRESH_S,
            name="preview",
        )
        self._shown = Formatted("")
        self._draft_id = random.randint(1, 2**31 - 1)  # noqa: S311  only has to differ from other drafts
        self._floods = 0
        self._message_id: int | None = None
        self._has_deleted_leftovers = False

    def start(self) -> None:
        """Show that an answer is coming."""
        self._typing.start()
        if self._mode != "off":
            self._updates.start()

    def add(self, piece: str) -> None:
        """Append `piece` to the answer."""
        self._typing.start()
        if self._mode != "off":
            self._updates.add(piece)

    async def end(self) -> None:
        """Stop showing. An update on its way arrives first, so that its message's id is known."""
        self._typing.stop()
        await self._updates.end()
        await self._typing.end()

    @property
    def message_id(self) -> int | None:
        """The id of the message that is edited, once there is one."""
        return self._message_id

    def release_message(self) -> int | None:
        """Give the message away, so that the preview no longer owns it: its id, or None."""
        message_id, self._message_id = self._message_id, None
        return message_id

    async def delete_leftovers(self) -> None:
        """Delete the messages of an earlier try of this answer that ended with its process. Raises nothing."""
        if self._has_deleted_leftovers:
            return
        self._has_deleted_leftovers = True
        for message_id in await self._partial_answer.leftover_ids():
            try:
                await self._sender.delete(self._target, message_id)
            except PlatformError as error:
                log.info("partial answer not deleted", error=error.detail)

    async def _update(self, text: str) -> bool:
        """Show `text`. Whether it was shown. Raises PlatformError."""
        wanted = await lay_out_newest(text)
        try:
            is_shown = self._mode == "draft" and await self._send_draft(wanted)
            if self._mode == "edit" and wanted.text and wanted != self._shown:
                is_shown = await self._send_or_edit_message(wanted)
        except NoCapacity:
            raise
        except PlatformBusy:
            self._slow_down()
            raise
        if not (is_shown and wanted.text):
            return False
        self._shown = wanted
        self._typing.stop()
        return True

    def _slow_down(self) -> None:
        self._floods += 1
        self._pace_s = min(MAX_PACE_S, self._pace_s * 2)
        if self._floods >= MAX_FLOODS:
            log.warning("previews ended", floods=self._floods)
            self._updates.stop()

    async def _send_draft(self, wanted: Formatted) -> bool:
        """Whether it was shown. Where there are no drafts, the mode becomes `edit`."""
        with telegram_errors():
            try:
                return await self._sender.send_draft(self._target, self._draft_id, wanted)
            except (InvalidToken, EndPointNotFound):
                self._mode = "edit"
                self._on_drafts_unsupported()
            except PartRefused as error:
                if wanted.text:  # a refused empty draft says nothing about others
                    log.info("drafts refused, editing instead", error=error.detail)
                    self._mode = "edit"
        return False

    async def _send_or_edit_message(self, wanted: Formatted) -> bool:
        buttons = stop_button(str(self._target.topic or ""))
        if self._message_id is not None:
            ids = await self._sender.edit(
                self._target, self._message_id, wanted, buttons, priority="best_effort"
            )
            return bool(ids)
        await self.delete_leftovers()
        try:
            (self._message_id,) = await self._sender.send(
                self._target, wanted, buttons, priority="best_effort"
            )
        except OutcomeUnknown:
            self._updates.stop()  # it may be there all the same: a second would be too many
            raise
        await self._partial_answer.add(self._message_id)
        return True
