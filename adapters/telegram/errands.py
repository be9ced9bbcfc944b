"""Small things to be said or shown that nothing waits for: owned, bounded, ended with the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from telegram.error import TelegramError

from adapters.telegram.failures import without_token
from bot.errors import KeepthreadError

log = structlog.get_logger("keepthread.telegram")

MOST = 200
"""More at the same time means a flood: further ones are left out."""


class Errands:
    """Runs coroutines beside the intake, so that no send delays what people write."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, what: str, errand: Coroutine[Any, Any, object]) -> None:
        """Begin `errand`; what goes wrong is logged. `what` names it in the log."""
        if len(self._tasks) >= MOST:
            log.warning("left out, because too much is going on", what=what)
            errand.close()
            return
        task = asyncio.create_task(self._guard(what, errand), name=what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self, grace_s: float = 2) -> None:
        """Let them end within `grace_s`."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @staticmethod
    async def _guard(what: str, errand: Coroutine[Any, Any, object]) -> None:
        try:
            await errand
        except (KeepthreadError, TelegramError) as error:
            log.warning("an errand failed", what=what, error=without_token(repr(error)))
