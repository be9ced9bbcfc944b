"""How often we may call Slack: one budget a channel and a method, shared by everything this process says.

https://docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.shared.rate_limit import Priority

POST_EVERY_S = 1.0
POSTS = ("chat.postMessage", "chat.startStream")
"""What makes a message: about one a second in a channel."""

PER_MINUTE = {
    "chat.update": 50,
    "chat.delete": 50,
    "chat.appendStream": 100,
    "chat.startStream": 20,
    "agents.sessions.setStatus": 50,
}
"""Tiers, for a method in a workspace. Slack lets more through than it promises: courtesies keep to
these, what must be done waits only when Slack says so."""

_BURST = 0.2  # of a minute's calls may come at once
_MARGIN_S = 0.1
_MAX_LANES = 20_000

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Lane:
    """Calls of one kind. `next_at`: when the next is due; `open_at`: the end of a pause Slack asked for."""

    every_s: float
    burst_s: float = 0.0
    next_at: float = 0.0
    open_at: float = 0.0


class RateLimiter:
    """Says how long a call has to wait, and counts it."""

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
        self._lanes: dict[_Key, _Lane] = {}

    def __len__(self) -> int:
        """How many kinds of calls it keeps count of."""
        return len(self._lanes)

    def wait_s(self, team: str, method: str, channel: str, priority: Priority) -> float:
        """How long until this call may be made; 0: now."""
        now = self._clock()
        until = now
        for key, lane in self._of(team, method, channel).items():
            until = max(until, lane.open_at)
            if priority == "best_effort" or key[2]:
                until = max(until, lane.next_at - lane.burst_s)
        return until - now

    def take(self, team: str, method: str, channel: str) -> None:
        """Count a call that is made now."""
        now = self._clock()
        for lane in self._of(team, method, channel).values():
            lane.next_at = max(now, lane.next_at) + lane.every_s

    def pause(self, team: str, method: str, channel: str, for_s: float) -> None:
        """Slack wants none of these for a while; a longer pause that runs already stays."""
        key = (team, method, channel if method in POSTS else "")
        lane = self._lane(key)
        lane.open_at = max(lane.open_at, self._clock() + for_s + _MARGIN_S)

    def _of(self, team: str, method: str, channel: str) -> dict[_Key, _Lane]:
        keys = [(team, method, "")]
        if method in POSTS:
            keys += [(team, "post", channel), (team, method, channel)]
        return {key: self._lane(key) for key in keys}

    def _lane(self, key: _Key) -> _Lane:
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= _MAX_LANES:
                self._forget_idle()
            lane = self._lanes[key] = self._new_lane(key[1])
        return lane

    def _new_lane(self, method: str) -> _Lane:
        if method == "post":
            return _Lane(self._post_every_s)
        per_minute = self._per_minute.get(method)
        return _Lane(60 / per_minute, 60 * _BURST) if per_minute else _Lane(0.0)

    def _forget_idle(self) -> None:
        now = self._clock()
        busy = {
            key: lane for key, lane in self._lanes.items() if max(lane.next_at, lane.open_at) > now
        }
        self._lanes = busy
