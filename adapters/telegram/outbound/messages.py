"""Message sender: each call is rate limited, retried where that is safe, and its errors translated."""

from __future__ import annotations

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
from telegram.error import BadRequest, ChatMigrated, TelegramError
from telegram.ext import ExtBot

from adapters.shared.rate_limit import Priority
from adapters.shared.retry import FIRST_PAUSE_S, TRIES, retry_call
from adapters.telegram.api.errors import (
    EntityRefused,
    cause_to_show,
    is_lost_message,
    is_unchanged,
    translate_error,
)
from adapters.telegram.outbound.entities import Formatted
from adapters.telegram.outbound.keyboards import Button
from adapters.telegram.outbound.target import Target
from bot.conversation import SessionKey
from bot.errors import PlaceGone, PlatformError

log = structlog.get_logger("keepthread.telegram")
T = TypeVar("T")

MAX_MOVES = 4
"""Changes of a group's id that one call follows."""

NO_LINK_PREVIEW = LinkPreviewOptions(is_disabled=True)


class MessageSender:
    """Sends, edits and deletes messages for one bot.

    Args:
        on_moved: called when a group got a new id, with the old and the new session of its main room.
        retry_pause_s: pause before the second try of a call; each further one is twice the last.
    """

    def __init__(
        self,
        bot: ExtBot[Priority],
        on_moved: Callable[[SessionKey, SessionKey], Awaitable[None]],
        *,
        retry_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.bot = bot
        self._on_moved = on_moved
        self._retry_pause_s = retry_pause_s
        self._new_ids: dict[int, int] = {}

    async def send(
        self,
        target: Target,
        formatted: Formatted,
        buttons: Sequence[Button] = (),
        *,
        priority: Priority = "required",
    ) -> int:
        """Send a message; its id. Raises PlatformError."""

        async def call(target: Target, formatted: Formatted) -> int:
            message = await self.bot.send_message(
                target.chat_id,
                formatted.text,
                entities=message_entities(formatted),
                reply_markup=_keyboard(buttons),
                link_preview_options=NO_LINK_PREVIEW,
                rate_limit_args=priority,
                **target.parameters,
            )
            return message.message_id

        return await self._call_formatted(target, formatted, call, priority=priority)

    async def edit(
        self,
        target: Target,
        message_id: int,
        formatted: Formatted,
        buttons: Sequence[Button] = (),
        *,
        priority: Priority = "required",
    ) -> bool:
        """Edit a message. False: it is no longer there. Raises PlatformError."""

        async def call(target: Target, formatted: Formatted) -> bool:
            try:
                await self.bot.edit_message_text(
                    formatted.text,
                    target.chat_id,
                    message_id,
                    entities=message_entities(formatted),
                    reply_markup=_keyboard(buttons),
                    link_preview_options=NO_LINK_PREVIEW,
                    rate_limit_args=priority,
                )
            except BadRequest as error:
                if is_lost_message(error):
                    return False
                if not is_unchanged(error):
                    raise
            return True

        return await self._call_formatted(
            target, formatted, call, is_repeatable=True, priority=priority
        )

    async def set_buttons(
        self, target: Target, message_id: int, buttons: Sequence[Button] = ()
    ) -> None:
        """Replace the buttons under a message. Raises PlatformError."""

        async def call(target: Target) -> None:
            try:
                await self.bot.edit_message_reply_markup(
                    target.chat_id, message_id, reply_markup=_keyboard(buttons)
                )
            except BadRequest as error:
                if not (is_unchanged(error) or is_lost_message(error)):
                    raise

        await self.call_at(target, call, is_repeatable=True)

    async def send_file(self, target: Target, name: str, content: bytes, caption: str = "") -> int:
        """Send a file; the id of its message. Raises PlatformError."""

        async def call(target: Target) -> int:
            message = await self.bot.send_document(
                target.chat_id, content, filename=name, caption=caption or None, **target.parameters
            )
            return message.message_id

        return await self.call_at(target, call)

    async def delete(self, target: Target, message_id: int) -> None:
        """Delete a message of the bot's. Raises PlatformError."""
        await self.call_at(
            target,
            lambda target: self.bot.delete_message(target.chat_id, message_id),
            is_repeatable=True,
        )

    async def call_at(
        self,
        target: Target,
        call: Callable[[Target], Awaitable[T]],
        *,
        is_repeatable: bool = False,
        priority: Priority = "required",
    ) -> T:
        """`call` with `target` as it is now: groups that got a new id are followed.

        See `retry_call` for what is tried again; a best-effort call is tried once.

        Raises:
            PlatformError: it failed.
        """

        async def attempt() -> T:
            for _ in range(MAX_MOVES):
                chat_id = self._new_ids.get(target.chat_id, target.chat_id)
                try:
                    return await call(replace(target, chat_id=chat_id))
                except ChatMigrated as error:
                    await self.move_chat(chat_id, error.new_chat_id)
                except TelegramError as error:
                    ours = translate_error(error)
                    if isinstance(ours, PlaceGone):
                        log.info("chat gone", chat=chat_id, error=ours.detail)
                    raise ours from cause_to_show(error)
            raise PlatformError(f"chat {target.chat_id} moves again and again")

        return await retry_call(
            attempt,
            is_repeatable=is_repeatable,
            tries=1 if priority == "best_effort" else TRIES,
            pause_s=self._retry_pause_s,
        )

    async def move_chat(self, old: int, new: int) -> None:
        """Carry over the conversation of a group that became a supergroup, and answer there from now on."""
        if self._new_ids.get(old) != new:
            log.warning("a group has a new id; patterns in BOT_ALLOW need it too", old=old, new=new)
        account = str(self.bot.token.partition(":")[0])
        await self._on_moved(
            SessionKey("telegram", account, str(old)), SessionKey("telegram", account, str(new))
        )
        self._new_ids[old] = new

    async def _call_formatted(
        self,
        target: Target,
        formatted: Formatted,
        call: Callable[[Target, Formatted], Awaitable[T]],
        *,
        is_repeatable: bool = False,
        priority: Priority,
    ) -> T:
        """`call` with entities; without them if Telegram refuses one, so that no text is lost."""
        try:
            return await self.call_at(
                target,
                lambda target: call(target, formatted),
                is_repeatable=is_repeatable,
                priority=priority,
            )
        except EntityRefused as error:
            if not formatted.entities:
                raise
            log.warning("entity refused, sending without entities", error=error.detail)
        bare = Formatted(formatted.text)
        return await self.call_at(
            target,
            lambda target: call(target, bare),
            is_repeatable=is_repeatable,
            priority=priority,
        )


def message_entities(formatted: Formatted) -> list[MessageEntity]:
    """The SDK's entities of `formatted`."""
    return [
        MessageEntity(
            entity.type, entity.offset, entity.length, url=entity.url, language=entity.language
        )
        for entity in formatted.entities
    ]


def _keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    if not buttons:
        return None
    return InlineKeyboardMarkup(
        [[InlineKeyboardButton(button.label, callback_data=button.data) for button in buttons]]
    )
