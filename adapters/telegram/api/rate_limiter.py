"""One budget a chat for everything that goes out: sends, edits, drafts, typing.

Limits: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this (one message a
second in a chat, 20 a minute in a group, 30 a second overall). What must go out waits for its place;
a courtesy (a preview, typing) is left out where there is no room, and never delays what must.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog
from telegram.error import RetryAfter
from telegram.ext import BaseRateLimiter

from adapters.shared.rate_limit import Priority
from adapters.telegram.api.errors import NoCapacity, wait_of

log = structlog.get_logger("keepthread.telegram")

UNCOUNTED_METHODS = frozenset({"sendMessageDraft", "sendChatAction"})
"""Not counted by Telegram as messages; they only keep quiet while a chat is closed."""

COUNTED_METHODS = frozenset(
    {"sendMessage", "sendDocument", "editMessageText", "editMessageReplyMarkup", "deleteMessage"}
)
OVERALL_PER_SECOND = 30
MAX_PREVIEW_SHARE = 0.5
"""Previews use at most this share of a group's minute, so that answers always have room."""

_MINUTE_S = 60.0
_MAX_CHATS = 10_000
_MARGIN_S = 0.05


@dataclass(slots=True)
class ChatLane:
    """What one chat may still be sent. Times on the monotonic clock.

    Attributes:
        open_at: before it nothing of any kind is sent: Telegram said so.
        next_at: before it no message is sent: one a second.
        sent_at: of the last minute's messages and edits.
        floods: how often Telegram said that it is too much.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    open_at: float = 0
    next_at: float = 0
    sent_at: deque[float] = field(default_factory=deque)
    floods: int = 0

    def in_last_minute(self, now: float) -> int:
        while self.sent_at and self.sent_at[0] <= now - _MINUTE_S:
            self.sent_at.popleft()
        return len(self.sent_at)

    def is_idle(self, now: float) -> bool:
        waits = self.lock.locked() or max(self.open_at, self.next_at) > now
        return not waits and not self.in_last_minute(now)


class RateLimiter(BaseRateLimiter[Priority]):
    """All chats' budgets; the rate limiter of the SDK's bot.

    Args:
        interval_s: between two messages in a chat.
        group_per_minute: messages and edits in a group.
        patience_s: how long one that must go out may wait for flood control, in all.
    """

    def __init__(
        self, interval_s: float = 1, group_per_minute: int = 20, patience_s: float = 90
    ) -> None:
        self._interval_s = interval_s
        self._group_per_minute = group_per_minute
        self.patience_s = patience_s
        self._chats: dict[str, ChatLane] = {}
        self._overall: deque[float] = deque()

    def of(self, chat_id: int | str) -> ChatLane:
        if len(self._chats) >= _MAX_CHATS:
            now = time.monotonic()
            self._chats = {key: one for key, one in self._chats.items() if not one.is_idle(now)}
        return self._chats.setdefault(str(chat_id), ChatLane())

    async def initialize(self) -> None:
        """Nothing to begin."""

    async def shutdown(self) -> None:
        """Nothing to end."""

    async def process_request(
        self,
        callback: Callable[..., Coroutine[Any, Any, Any]],
        args: Any,
        kwargs: dict[str, Any],
        endpoint: str,
        data: dict[str, Any],
        rate_limit_args: Priority | None,
    ) -> Any:
        """Send a request when its chat has room.

        Raises:
            NotNow: a courtesy, and there is no room; nothing was sent.
            RetryAfter: Telegram said to wait; longer than we are patient, if it must go out.
        """
        chat_id = data.get("chat_id")
        if chat_id is None or endpoint not in UNCOUNTED_METHODS | COUNTED_METHODS:
            return await callback(*args, **kwargs)
        chat = self.of(chat_id)
        if endpoint in UNCOUNTED_METHODS:
            return await self._send_free(chat, callback, args, kwargs)
        is_group = str(chat_id).startswith("-")
        if rate_limit_args == "best_effort":
            self._refuse_courtesy(chat, is_group=is_group)
        return await self._send(
            chat,
            lambda: callback(*args, **kwargs),
            is_group=is_group,
            is_courtesy=rate_limit_args == "best_effort",
        )

    async def _send_free(
        self, chat: ChatLane, callback: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        if time.monotonic() < chat.open_at:
            raise NoCapacity("the chat is closed for a while")
        try:
            return await callback(*args, **kwargs)
        except RetryAfter as error:
            self._close(chat, error)
            raise

    def _refuse_courtesy(self, chat: ChatLane, *, is_group: bool) -> None:
        now = time.monotonic()
        spent = chat.in_last_minute(now) if is_group else 0
        if (
            chat.lock.locked()
            or now < max(chat.open_at, chat.next_at)
            or spent >= self._group_per_minute * MAX_PREVIEW_SHARE
        ):
            raise NoCapacity("the chat's budget is for answers now")

    async def _send(
        self,
        chat: ChatLane,
        call: Callable[[], Coroutine[Any, Any, Any]],
        *,
        is_group: bool,
        is_courtesy: bool,
    ) -> Any:
        give_up_at = time.monotonic() + self.patience_s
        async with chat.lock:
            while True:
                if chat.open_at > give_up_at:
                    raise RetryAfter(math.ceil(chat.open_at - time.monotonic()))
                await self._wait_for_room(chat, is_group=is_group)
                try:
                    return await call()
                except RetryAfter as error:
                    self._close(chat, error)
                    if is_courtesy or chat.open_at > give_up_at:
                        raise
                finally:
                    now = time.monotonic()
                    chat.next_at = now + self._interval_s + min(_MARGIN_S, self._interval_s)
                    chat.sent_at.append(now)

    async def _wait_for_room(self, chat: ChatLane, *, is_group: bool) -> None:
        while True:
            now = time.monotonic()
            until = max(chat.open_at, chat.next_at)
            if is_group and chat.in_last_minute(now) >= self._group_per_minute:
                oldest = chat.sent_at[-self._group_per_minute]
                until = max(until, oldest + _MINUTE_S + _MARGIN_S)
            while self._overall and self._overall[0] <= now - 1:
                self._overall.popleft()
            if len(self._overall) >= OVERALL_PER_SECOND:
                until = max(until, self._overall[0] + 1)
            if until <= now:
                self._overall.append(now)
                return
            await asyncio.sleep(until - now)

    def _close(self, chat: ChatLane, error: RetryAfter) -> None:
        """Keep quiet in a chat for as long as Telegram says; an earlier, longer pause stays."""
        wait_s = wait_of(error)
        chat.open_at = max(chat.open_at, time.monotonic() + wait_s + _MARGIN_S)
        chat.floods += 1
        log.warning("Telegram says that it is too much", wait_s=wait_s)
