"""Bounded memory of a process: a cache whose entries expire, a throttle for each key, a counter of repeats.

`TTLCache(maxsize, ttl, timer=time.monotonic)` is cachetools': a dict whose entries are gone after `ttl`
seconds, and that drops the least recently used one when it is full.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable

from cachetools import TTLCache

__all__ = ["RepeatCounter", "TTLCache", "Throttle"]


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


class RepeatCounter:
    """Counter of events that strangers cause, so that the log has one line for many.

    Args:
        every_s: least time between two reports of the same key, in seconds.
        timer: a clock in seconds.
    """

    def __init__(self, every_s: float, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._throttle = Throttle(every_s, timer=timer)
        self._times: TTLCache[Hashable, int] = TTLCache(1000, math.inf, timer)

    def count(self, key: Hashable) -> int:
        """Count one more `key`. How many there were since the last report, if one is due; else 0."""
        times = self._times.pop(key, 0) + 1
        if self._throttle.allow(key):
            return times
        self._times[key] = times
        return 0
