"""Rate limiter for calls of Slack's Web API: by method and, for posts, by channel.

https://docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from adapters.shared.rate_limit import Lane, Priority

POST_EVERY_S = 1.0
POSTS = ("chat.postMessage", "chat.startStream")
"""Methods that post a message: about one a second in a channel."""

PER_MINUTE = {
    "chat.update": 50,
    "chat.delete": 50,
    "chat.appendStream": 100,
    "chat.startStream": 20,
    "agents.sessions.setStatus": 50,
}
"""Tiers of methods in a workspace. Slack lets more through than it promises: best-effort calls keep to
these, required calls wait only when Slack says so."""

_BURST = 0.2  # of a minute's calls may come at once
_MAX_LANES = 20_000

_Key = tuple[str, str, str]


class RateLimiter:
    """Computes how long a call has to wait, and counts calls."""

    def __init__(
        self,
        *,
        post_every_s: float = POST_EVERY_S,
        per_minute: Mapping[str, int] = PER_MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._post_every_s = post_every_s
        self._per_minute = per_minute
        self._lanes: dict[_Key, Lane] = {}

    def __len__(self) -> int:
        """Number of lanes that are counted."""
        return len(self._lanes)

    def wait_s(self, team: str, method: str, channel: str, priority: Priority) -> float:
        """Seconds until this call may be made; 0: now."""
        now = ready_at = self._clock()
        for key, lane in self._lanes_of(team, method, channel).items():
            is_limited = priority == "best_effort" or bool(key[2])
            ready_at = max(ready_at, lane.ready_at() if is_limited else lane.open_at)
        return ready_at - now

    def count(self, team: str, method: str, channel: str) -> None:
        """Count a call that is made now."""
        now = self._clock()
        for lane in self._lanes_of(team, method, channel).values():
            lane.count(now)

    def pause(self, team: str, method: str, channel: str, for_s: float) -> None:
        """Make no such call for a while, as Slack asked; a longer pause that already runs stays."""
        self._lane((team, method, channel if method in POSTS else "")).pause(self._clock(), for_s)

    def _lanes_of(self, team: str, method: str, channel: str) -> dict[_Key, Lane]:
        keys = [(team, method, "")]
        if method in POSTS:
            keys += [(team, "post", channel), (team, method, channel)]
        return {key: self._lane(key) for key in keys}

    def _lane(self, key: _Key) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= _MAX_LANES:
                self._drop_idle()
            lane = self._lanes[key] = self._new_lane(key[1])
        return lane

    def _new_lane(self, method: str) -> Lane:
        if method == "post":
            return Lane(self._post_every_s)
        per_minute = self._per_minute.get(method)
        return Lane(60 / per_minute, 60 * _BURST) if per_minute else Lane()

    def _drop_idle(self) -> None:
        now = self._clock()
        self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.is_idle(now)}
