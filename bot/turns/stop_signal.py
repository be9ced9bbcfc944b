"""In-process signal that stops one running answer; `bot/worker/leases.py` sets it for other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bot.background import cancel_all

T = TypeVar("T")


class StopSignal:
    """Request to stop one answer; may come before, while and after it is written."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def request(self) -> None:
        self._event.set()

    async def run_until_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Result of `work`; None if it was stopped first: then it is cancelled, and has ended on return.

        What `work` raises is raised.
        """
        if self.requested:
            work.close()
            return None
        # A task of its own, so that a stop cancels the work and not the turn around it.
        working = asyncio.create_task(work, name="until stopped")
        stopping = asyncio.create_task(self._event.wait(), name="stop")
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all((working, stopping))
        if working.cancelled():
            if not self.requested:
                raise asyncio.CancelledError
            return None
        return working.result()
