"""Bounded memory of a process: a cache whose entries expire, and a throttle for each key.

`TTLCache(maxsize, ttl, timer=time.monotonic)` is cachetools': a dict whose entries are gone after `ttl`
seconds, and that drops the least recently used one when it is full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from cachetools import TTLCache

__all__ = ["TTLCache", "Throttle"]


class Throttle:
    """Rate limit for each key: one action in `every_s` seconds.

    Args:
        every_s: least time between two actions of the same key, in seconds.
        max_keys: keys remembered at once. Beyond them the key that was asked for longest ago is
            forgotten, and its next action is allowed.
        timer: a clock in seconds.
    """

    def __init__(
        self, every_s: float, max_keys: int = 10_000, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._recent: TTLCache[Hashable, None] = TTLCache(max_keys, every_s, timer)

    def allow(self, key: Hashable) -> bool:
        """Whether `key` may act now; the answer True uses its turn up."""
        if key in self._recent:
            return False
        self._recent[key] = None
        return True
