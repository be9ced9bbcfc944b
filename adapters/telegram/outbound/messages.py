"""Message sender: each call is rate limited, retried where that is safe, and its errors translated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import structlog
from telegram import LinkPreviewOptions
from telegram.error import BadRequest, ChatMigrated, TelegramError
from telegram.ext import ExtBot

from adapters.shared.rate_limit import Priority
from adapters.shared.retry import FIRST_PAUSE_S, TRIES, retry_call
from adapters.telegram.api.errors import (
    PartRefused,
    cause_to_show,
    is_lost_message,
    is_unchanged,
    translate_error,
)
from adapters.telegram.outbound.formatted import Formatted
from adapters.telegram.outbound.keyboards import Button, inline_keyboard
from adapters.telegram.outbound.outgoing import OutgoingMessage, Refusals
from adapters.telegram.outbound.target import Target
from bot.conversation import SessionKey
from bot.errors import PlaceGone, PlatformError

log = structlog.get_logger("keepthread.telegram")
T = TypeVar("T")

MAX_MOVES = 4
"""Changes of a group's id that one call follows."""

MAX_REFUSALS = 6
"""Parts that one message is sent without, one after the other."""

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
        self._refusals = Refusals()

    async def send(
        self,
        target: Target,
        formatted: Formatted,
        buttons: Sequence[Button] = (),
        *,
        priority: Priority = "required",
    ) -> list[int]:
        """Send a message; its id, and those of more if the addresses of refused links made it too long.

        Raises:
            PlatformError: not all of it was sent.
        """
        message = OutgoingMessage(target, formatted, tuple(buttons))
        return await self._send_in_pieces(message, self._send_one, priority)

    async def edit(
        self,
        target: Target,
        message_id: int,
        formatted: Formatted,
        buttons: Sequence[Button] = (),
        *,
        priority: Priority = "required",
    ) -> list[int]:
        """Edit a message; its id, and those of more as with `send`; none: it is no longer there.

        Raises:
            PlatformError: not all of it was written.
        """

        async def edit_one(message: OutgoingMessage, priority: Priority) -> int | None:
            return await self._edit_one(message_id, message, priority)

        message = OutgoingMessage(target, formatted, tuple(buttons))
        return await self._send_in_pieces(message, edit_one, priority)

    async def send_draft(self, target: Target, draft_id: int, formatted: Formatted) -> bool:
        """Show a draft; whether it is shown. Raises TelegramError, PlatformError."""

        async def draft_one(message: OutgoingMessage) -> bool:
            try:
                return await self.bot.send_message_draft(
                    message.target.chat_id,
                    draft_id,
                    message.formatted.text,
                    message_thread_id=message.target.thread_id,
                    entities=message.entities,
                    api_kwargs={"can_stop": True, "keep_on_stop": True},
                )
            except BadRequest as error:
                raise translate_error(error) from error

        is_shown, _ = await self._without_refused(OutgoingMessage(target, formatted), draft_one)
        return is_shown

    async def set_buttons(
        self, target: Target, message_id: int, buttons: Sequence[Button] = ()
    ) -> None:
        """Replace the buttons under a message. Raises PlatformError."""

        async def call(target: Target) -> None:
            try:
                await self.bot.edit_message_reply_markup(
                    target.chat_id, message_id, reply_markup=inline_keyboard(buttons)
                )
            except BadRequest as error:
                if not (is_unchanged(error) or is_lost_message(error)):
                    raise

        await self.call_at(target, call, is_repeatable=True)

    async def send_file(self, target: Target, name: str, content: bytes, caption: str = "") -> int:
        """Send a file; the id of its message. Raises PlatformError."""

        async def send_one(message: OutgoingMessage) -> int:
            async def call(target: Target) -> int:
                sent = await self.bot.send_document(
                    target.chat_id,
                    content,
                    filename=name,
                    caption=message.formatted.text or None,
                    **target.parameters,
                )
                return sent.message_id

            return await self.call_at(message.target, call)

        message = OutgoingMessage(target, Formatted(caption))
        message_id, _ = await self._without_refused(message, send_one)
        return message_id

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

    async def _send_one(self, message: OutgoingMessage, priority: Priority) -> int:
        async def call(target: Target) -> int:
            sent = await self.bot.send_message(
                target.chat_id,
                message.formatted.text,
                entities=message.entities,
                reply_markup=inline_keyboard(message.buttons),
                link_preview_options=NO_LINK_PREVIEW,
                rate_limit_args=priority,
                **target.parameters,
            )
            return sent.message_id

        return await self.call_at(message.target, call, priority=priority)

    async def _edit_one(
        self, message_id: int, message: OutgoingMessage, priority: Priority
    ) -> int | None:
        """The id of the message; None: it is no longer there."""

        async def call(target: Target) -> int | None:
            try:
                await self.bot.edit_message_text(
                    message.formatted.text,
                    target.chat_id,
                    message_id,
                    entities=message.entities,
                    reply_markup=inline_keyboard(message.buttons),
                    link_preview_options=NO_LINK_PREVIEW,
                    rate_limit_args=priority,
                )
            except BadRequest as error:
                if is_lost_message(error):
                    return None
                if not is_unchanged(error):
                    raise
            return message_id

        return await self.call_at(message.target, call, is_repeatable=True, priority=priority)

    async def _send_in_pieces(
        self,
        message: OutgoingMessage,
        first: Callable[[OutgoingMessage, Priority], Awaitable[int | None]],
        priority: Priority,
    ) -> list[int]:
        """The ids of the message, sent by `first`, and of those that hold what no longer fits into it."""
        message_id, rest = await self._without_refused(message, lambda part: first(part, priority))
        if message_id is None:
            return []
        ids = [message_id]
        if priority == "required":
            for part in rest:
                ids += await self._send_in_pieces(part, self._send_one, priority)
        return ids

    async def _without_refused(
        self, message: OutgoingMessage, call: Callable[[OutgoingMessage], Awaitable[T]]
    ) -> tuple[T, list[OutgoingMessage]]:
        """`call` with the message, without what Telegram refuses; the result, and what no longer fitted.

        Raises:
            PlatformError: it failed, also without the parts.
        """
        message = self._refusals.applied(message)
        for _ in range(MAX_REFUSALS):
            first, *rest = message.pieces
            try:
                return await call(first), rest
            except PartRefused as error:
                reduced = message.without(error)
                if reduced is None:
                    raise
                log.warning("part of a message refused", part=error.part, error=error.detail)
                self._refusals.add(message, error)
                message = reduced
        first, *rest = message.pieces
        return await call(first), rest
