"""Stop signal of a running turn."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bot.background import cancel_all

T = TypeVar("T")


class StopSignal:
    """Asks a running answer to end; safe to use before, during and after it."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def requested(self) -> bool:
        return self._asked.is_set()

    def request(self) -> None:
        self._asked.set()

    async def run_until_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` gives, or raises; None if it was stopped first: then it is cancelled, and gone on return."""
        if self.requested:
            work.close()
            return None
        # A task of its own, so that a stop ends the work and not the turn around it.
        working = asyncio.create_task(work, name="until stopped")
        stopping = asyncio.create_task(self._asked.wait(), name="stop")
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all((working, stopping))
        if working.cancelled():
            if not self.requested:
                raise asyncio.CancelledError
            return None
        return working.result()
