"""Statistics of the inbox: how many conversations are queued, and the age of the oldest."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from bot.inbox.keys import InboxKeys
from bot.storage.errors import store_errors


class QueueDepth(NamedTuple):
    """Numbers of conversations: queued or running in `ready`, delayed in `retry`."""

    ready: int
    waiting: int


class InboxStats:
    """Reads the size and the age of the queue. Every call raises StoreError."""

    def __init__(self, client: Any, keys: InboxKeys) -> None:
        self._client = client
        self._keys = keys

    async def depth(self) -> QueueDepth:
        ready = waiting = 0
        with store_errors():
            for shard in range(self._keys.shards):
                ready += await self._client.xlen(self._keys.of(shard, "ready"))
                waiting += await self._client.zcard(self._keys.of(shard, "retry"))
        return QueueDepth(ready, waiting)

    async def oldest_s(self) -> float:
        """Seconds for which the oldest conversation in `ready` has waited or run."""
        oldest_ms = None
        with store_errors():
            for shard in range(self._keys.shards):
                first = await self._client.xrange(self._keys.of(shard, "ready"), count=1)
                if first:
                    at_ms = int(first[0][0].partition(b"-")[0])
                    oldest_ms = min(at_ms, oldest_ms or at_ms)
        return max(0.0, time.time() - oldest_ms / 1000) if oldest_ms else 0.0
