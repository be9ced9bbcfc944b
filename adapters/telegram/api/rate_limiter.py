"""Rate limiter of outgoing calls: one lane a chat for messages, edits, drafts and typing.

Limits: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this (one message a
second in a chat, 20 a minute in a group, 30 a second overall). Required calls wait for their turn;
best-effort ones (previews, typing) are dropped where there is no room, and never delay required ones.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog
from telegram.error import RetryAfter
from telegram.ext import BaseRateLimiter

from adapters.shared.rate_limit import Lane, Priority
from adapters.telegram.api.errors import wait_of
from bot.errors import PlatformBusy

log = structlog.get_logger("keepthread.telegram")

UNCOUNTED_METHODS = frozenset({"sendMessageDraft", "sendChatAction"})
"""Not counted by Telegram as messages; held back only while a chat is paused."""

COUNTED_METHODS = frozenset(
    {"sendMessage", "sendDocument", "editMessageText", "editMessageReplyMarkup", "deleteMessage"}
)
OVERALL_PER_SECOND = 30
PREVIEW_SHARE = 0.5
"""Previews use at most this share of a group's minute, so that answers always have room."""

MAX_WAIT_S = 90.0
"""Longest wait of a required call for flood control."""

_MINUTE_S = 60.0
_MAX_CHATS = 10_000
_MARGIN_S = 0.05


class NoCapacity(PlatformBusy):
    """Best-effort call dropped by our own rate limiter; nothing was sent."""


@dataclass(slots=True)
class ChatLimits:
    """Limits of one chat.

    Attributes:
        lane: its pauses, and the second between two messages.
        lock: held by the one counted call that waits or is on its way.
        sent_at: times of the last minute's counted calls.
    """

    lane: Lane
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sent_at: deque[float] = field(default_factory=deque)

    def sent_in_last_minute(self, now: float) -> int:
        while self.sent_at and self.sent_at[0] <= now - _MINUTE_S:
            self.sent_at.popleft()
        return len(self.sent_at)

    def minute_ready_at(self, now: float, per_minute: int) -> float:
        """When fewer than `per_minute` calls lie in the last minute."""
        if self.sent_in_last_minute(now) < per_minute:
            return 0.0
        return self.sent_at[-per_minute] + _MINUTE_S + _MARGIN_S

    def is_idle(self, now: float) -> bool:
        """Whether forgetting them changes nothing."""
        return not (
            self.lock.locked() or not self.lane.is_idle(now) or self.sent_in_last_minute(now)
        )


class RateLimiter(BaseRateLimiter[Priority]):
    """Rate limiter of the SDK's bot, over all chats.

    Args:
        interval_s: between two messages in a chat.
        group_per_minute: messages and edits in a group.
        max_wait_s: see `MAX_WAIT_S`.
        timer, sleep: the clock, in seconds.
    """

    def __init__(
        self,
        interval_s: float = 1,
        group_per_minute: int = 20,
        max_wait_s: float = MAX_WAIT_S,
        *,
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._timer = timer
        self._sleep = sleep
        self._interval_s = interval_s
        self._group_per_minute = group_per_minute
        self.max_wait_s = max_wait_s
        self._chats: dict[str, ChatLimits] = {}
        self._overall: deque[float] = deque()

    def limits_of(self, chat_id: int | str) -> ChatLimits:
        if len(self._chats) >= _MAX_CHATS:
            now = self._timer()
            self._chats = {
                id_: limits for id_, limits in self._chats.items() if not limits.is_idle(now)
            }
        limits = self._chats.get(str(chat_id))
        if limits is None:
            every_s = self._interval_s + min(_MARGIN_S, self._interval_s)
            limits = self._chats[str(chat_id)] = ChatLimits(Lane(every_s))
        return limits

    async def initialize(self) -> None:
        """Nothing to set up."""

    async def shutdown(self) -> None:
        """Nothing to close."""

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
            NoCapacity: a best-effort call, and there is no room; nothing was sent.
            RetryAfter: Telegram said to wait, for longer than a required call may.
        """
        chat_id = data.get("chat_id")
        if chat_id is None or endpoint not in UNCOUNTED_METHODS | COUNTED_METHODS:
            return await callback(*args, **kwargs)
        chat = self.limits_of(chat_id)
        if endpoint in UNCOUNTED_METHODS:
            return await self._send_uncounted(chat, callback, args, kwargs)
        is_group = str(chat_id).startswith("-")
        is_best_effort = rate_limit_args == "best_effort"
        if is_best_effort:
            self._require_capacity(chat, is_group=is_group)
        return await self._send_counted(
            chat,
            lambda: callback(*args, **kwargs),
            is_group=is_group,
            is_best_effort=is_best_effort,
        )

    async def _send_uncounted(
        self, chat: ChatLimits, callback: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        paused_s = chat.lane.open_at - self._timer()
        if paused_s > 0:
            raise NoCapacity("the chat is paused by flood control", retry_after_s=paused_s)
        try:
            return await callback(*args, **kwargs)
        except RetryAfter as error:
            self._pause(chat, error)
            raise

    def _require_capacity(self, chat: ChatLimits, *, is_group: bool) -> None:
        """Raise NoCapacity unless a best-effort call may be made at once."""
        now = self._timer()
        ready_at = chat.lane.ready_at()
        if chat.lock.locked():
            ready_at = max(ready_at, now + self._interval_s)
        if is_group:
            most = max(1, int(self._group_per_minute * PREVIEW_SHARE))
            ready_at = max(ready_at, chat.minute_ready_at(now, most))
        if ready_at > now:
            raise NoCapacity(
                "the chat's capacity is kept for answers", retry_after_s=ready_at - now
            )

    async def _send_counted(
        self,
        chat: ChatLimits,
        call: Callable[[], Coroutine[Any, Any, Any]],
        *,
        is_group: bool,
        is_best_effort: bool,
    ) -> Any:
        give_up_at = self._timer() + self.max_wait_s
        async with chat.lock:
            while True:
                if chat.lane.open_at > give_up_at:
                    raise RetryAfter(math.ceil(chat.lane.open_at - self._timer()))
                await self._wait_for_turn(chat, is_group=is_group)
                try:
                    return await call()
                except RetryAfter as error:
                    self._pause(chat, error)
                    if is_best_effort or chat.lane.open_at > give_up_at:
                        raise
                finally:
                    now = self._timer()
                    chat.lane.count(now)
                    chat.sent_at.append(now)

    async def _wait_for_turn(self, chat: ChatLimits, *, is_group: bool) -> None:
        while True:
            now = self._timer()
            ready_at = chat.lane.ready_at()
            if is_group:
                ready_at = max(ready_at, chat.minute_ready_at(now, self._group_per_minute))
            while self._overall and self._overall[0] <= now - 1:
                self._overall.popleft()
            if len(self._overall) >= OVERALL_PER_SECOND:
                ready_at = max(ready_at, self._overall[0] + 1)
            if ready_at <= now:
                self._overall.append(now)
                return
            await self._sleep(ready_at - now)

    def _pause(self, chat: ChatLimits, error: RetryAfter) -> None:
        wait_s = wait_of(error)
        chat.lane.pause(self._timer(), wait_s)
        log.warning("flood control pauses a chat", wait_s=wait_s)
