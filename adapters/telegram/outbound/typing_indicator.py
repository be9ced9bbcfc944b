"""Typing indicator of a chat."""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from telegram.constants import ChatAction
from telegram.ext import ExtBot

from adapters.shared.rate_limit import Priority
from adapters.telegram.api.errors import PartRefused, telegram_errors
from adapters.telegram.outbound.target import Target
from bot.background import cancel_all
from bot.errors import PlaceGone, PlatformBusy, PlatformError

log = structlog.get_logger("keepthread.telegram")

TYPING_EVERY_S = 4.5
"""Telegram shows it for five seconds (core.telegram.org/bots/api#sendchataction)."""


class TypingIndicator:
    """Shows “typing” from `start` until `stop`, best effort: it raises nothing and delays nothing.

    Args:
        every_s: pause between two calls.
    """

    def __init__(
        self, bot: ExtBot[Priority], target: Target, *, every_s: float = TYPING_EVERY_S
    ) -> None:
        self._bot = bot
        self._target = target
        self._every_s = every_s
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        is_possible = not (self._target.is_direct or self._stopped.is_set())
        if self._task is None and is_possible:
            self._task = asyncio.create_task(self._run(), name="typing")

    def stop(self) -> None:
        """Make no further call."""
        self._stopped.set()

    async def end(self) -> None:
        """Stop, and cancel a call that is on its way: no answer waits for it."""
        self.stop()
        task, self._task = self._task, None
        if task is not None:
            await cancel_all((task,))

    async def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with telegram_errors():
                    await self._bot.send_chat_action(
                        self._target.chat_id,
                        ChatAction.TYPING,
                        message_thread_id=self._target.thread_id,
                    )
            except (PlaceGone, PartRefused):
                return
            except PlatformError as error:
                if not isinstance(error, PlatformBusy):
                    log.info("typing not shown", error=error.detail)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self._every_s)
