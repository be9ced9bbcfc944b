"""What goes out to Telegram: each call with its budget, its second try where that is safe, its error in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import structlog
from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    MessageEntity,
)
from telegram.error import BadRequest, ChatMigrated, NetworkError, TelegramError
from telegram.ext import ExtBot

from adapters.shared.rate_limit import Priority
from adapters.telegram.api.errors import (
    is_lost_message,
    is_unchanged,
    translate_error,
    was_never_sent,
    without_cause,
)
from adapters.telegram.api.rate_limiter import RateLimiter
from adapters.telegram.outbound.entities import Formatted
from adapters.telegram.outbound.keyboards import Button
from adapters.telegram.outbound.target import Target
from bot.conversation import SessionKey
from bot.errors import PlaceGone, PlatformError

log = structlog.get_logger("keepthread.telegram")
T = TypeVar("T")

TRIES = 4
"""Of a call that was not carried out for sure: over about 7 seconds."""

NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


class MessageSender:
    """Sends, edits and fetches for one bot.

    Args:
        moved: told when a group got a new id: the old and the new session of its main room.
    """

    def __init__(
        self,
        bot: ExtBot[Priority],
        budget: RateLimiter,
        moved: Callable[[SessionKey, SessionKey], Awaitable[None]],
        *,
        wait_s: float = 0.5,
    ) -> None:
        self.bot = bot
        self.budget = budget
        self._moved = moved
        self._wait_s = wait_s
        self._new_ids: dict[int, int] = {}

    async def send(
        self,
        target: Target,
        formatted: Formatted,
        buttons: Sequence[Button] = (),
        *,
        priority: Priority = "required",
    ) -> int:
        """Say something; the id of the message. Raises PlatformError."""

        async def call(target: Target, said: Formatted) -> int:
            message = await self.bot.send_message(
                target.chat_id,
                said.text,
                entities=_entities(said),
                reply_markup=_keyboard(buttons),
                link_preview_options=NO_PREVIEW,
                rate_limit_args=priority,
                **target.parameters,
            )
            return message.message_id

        return await self._with_or_without_looks(target, formatted, call, priority=priority)

    async def edit(
        self,
        target: Target,
        message_id: int,
        formatted: Formatted,
        buttons: Sequence[Button] = (),
        *,
        priority: Priority = "required",
    ) -> bool:
        """Change what a message says. False: it is no longer there. Raises PlatformError."""

        async def call(target: Target, said: Formatted) -> bool:
            try:
                await self.bot.edit_message_text(
                    said.text,
                    target.chat_id,
                    message_id,
                    entities=_entities(said),
                    reply_markup=_keyboard(buttons),
                    link_preview_options=NO_PREVIEW,
                    rate_limit_args=priority,
                )
            except BadRequest as error:
                if is_lost_message(error):
                    return False
                if not is_unchanged(error):
                    raise
            return True

        return await self._with_or_without_looks(
            target, formatted, call, is_edit=True, priority=priority
        )

    async def set_buttons(
        self, target: Target, message_id: int, buttons: Sequence[Button] = ()
    ) -> None:
        """Other buttons under a message, or none. Raises PlatformError."""

        async def call(target: Target) -> None:
            try:
                await self.bot.edit_message_reply_markup(
                    target.chat_id, message_id, reply_markup=_keyboard(buttons)
                )
            except BadRequest as error:
                if not (is_unchanged(error) or is_lost_message(error)):
                    raise

        await self.at(target, call, is_edit=True)

    async def send_file(self, target: Target, name: str, content: bytes, caption: str = "") -> int:
        """Send a file; the id of its message. Raises PlatformError."""

        async def call(target: Target) -> int:
            message = await self.bot.send_document(
                target.chat_id, content, filename=name, caption=caption or None, **target.parameters
            )
            return message.message_id

        return await self.at(target, call)

    async def delete(self, target: Target, message_id: int) -> None:
        """Take a message of ours back. Raises PlatformError."""
        await self.at(
            target, lambda where: self.bot.delete_message(where.chat_id, message_id), is_edit=True
        )

    async def at(
        self,
        target: Target,
        call: Callable[[Target], Awaitable[T]],
        *,
        is_edit: bool = False,
        priority: Priority = "required",
    ) -> T:
        """`call` where `spot` is now. Follows groups that got a new id.

        What was not carried out for sure is tried again; what may have been, only if it `is_edit`,
        which is the same twice. A courtesy is tried once.

        Raises:
            PlatformError: it failed.
        """
        for attempt in range(TRIES):
            here = replace(target, chat_id=self._new_ids.get(target.chat_id, target.chat_id))
            try:
                return await call(here)
            except ChatMigrated as error:
                await self.moved(here.chat_id, error.new_chat_id)
            except TelegramError as error:
                ours = translate_error(error)
                if isinstance(ours, PlaceGone):
                    log.info("nobody to answer there any more", chat=here.chat_id, why=ours.detail)
                is_safe = isinstance(error, NetworkError) and (is_edit or was_never_sent(error))
                is_last = attempt == TRIES - 1 or priority == "best_effort"
                if is_last or not is_safe or isinstance(error, BadRequest):
                    raise ours from without_cause(error)
                log.info("trying again", chat=here.chat_id, error=ours.detail)
                await asyncio.sleep(self._wait_s * 2**attempt)
        raise PlatformError(f"chat {target.chat_id} moves again and again")

    async def moved(self, old: int, new: int) -> None:
        """A group became a supergroup: carry its conversation over, and answer there from now on."""
        if self._new_ids.get(old) != new:
            log.warning("a group has a new id; patterns in BOT_ALLOW need it too", old=old, new=new)
        account = str(self.bot.token.partition(":")[0])
        await self._moved(
            SessionKey("telegram", account, str(old)), SessionKey("telegram", account, str(new))
        )
        self._new_ids[old] = new

    async def _with_or_without_looks(
        self,
        target: Target,
        formatted: Formatted,
        call: Callable[[Target, Formatted], Awaitable[T]],
        *,
        is_edit: bool = False,
        priority: Priority,
    ) -> T:
        """`call` with entities; without them if Telegram dislikes one: words matter more than looks."""
        try:
            return await self.at(
                target, lambda where: call(where, formatted), is_edit=is_edit, priority=priority
            )
        except PlatformError as error:
            if "entit" not in error.detail.lower() or not formatted.entities:
                raise
            log.warning("Telegram dislikes an entity; sent without looks", why=error.detail)
        bare = Formatted(formatted.text)
        return await self.at(
            target, lambda where: call(where, bare), is_edit=is_edit, priority=priority
        )


def _entities(formatted: Formatted) -> list[MessageEntity]:
    return [
        MessageEntity(one.type, one.offset, one.length, url=one.url, language=one.language)
        for one in formatted.entities
    ]


def _keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    if not buttons:
        return None
    return InlineKeyboardMarkup(
        [[InlineKeyboardButton(one.label, callback_data=one.data) for one in buttons]]
    )
