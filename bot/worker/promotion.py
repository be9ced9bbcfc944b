"""Promotes delayed conversations to `ready` when they are due."""

from __future__ import annotations

import asyncio
import contextlib

from bot.errors import StoreError
from bot.worker.state import WorkerState

POLL_S = 0.25
CLUSTER_POLL_S = 1.0
MIN_PAUSE_S = 0.005


class DueTurnPromoter:
    """Promotes due turns: by polling, and in time for those that this process delayed."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    async def run(self) -> None:
        """Promote for ever."""
        delayed = self._state.delayed
        while True:
            pause_s = await self._promote()
            delayed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(delayed.wait(), pause_s)

    async def _promote(self) -> float:
        """Promote what is due. Seconds until the next look."""
        pause_s = CLUSTER_POLL_S if self._state.inbox.is_cluster else POLL_S
        try:
            for shards in self._state.shard_groups:
                _, next_s = await self._state.inbox.promote_due(shards)
                if next_s is not None:
                    pause_s = min(pause_s, max(MIN_PAUSE_S, next_s))
        except StoreError as error:
            self._state.leases.record_outage(error)
        return pause_s
