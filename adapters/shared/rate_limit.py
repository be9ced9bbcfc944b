"""Rate limiting that adapters share: the priority of a call, and the times of one limited lane.

The limiters themselves stay with their adapters: platforms count differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Priority = Literal["required", "best_effort"]
"""`required` waits for its turn; `best_effort` is dropped where there is no room at once."""

MARGIN_S = 0.1
"""Added to the pauses that a platform asks for: its clock and ours differ."""


@dataclass(slots=True)
class Lane:
    """Calls that share one limit. Times on the monotonic clock, in seconds.

    Attributes:
        every_s: between two calls, on average.
        burst_s: so much of that time may be used ahead.
        next_at: when the next call is due.
        open_at: end of a pause that the platform asked for.
    """

    every_s: float = 0.0
    burst_s: float = 0.0
    next_at: float = 0.0
    open_at: float = 0.0

    def ready_at(self) -> float:
        """When the next call may be made."""
        return max(self.open_at, self.next_at - self.burst_s)

    def count(self, now: float) -> None:
        """Count a call made now."""
        self.next_at = max(now, self.next_at) + self.every_s

    def pause(self, now: float, for_s: float) -> None:
        """Make no call for a while; a longer pause that already runs stays."""
        self.open_at = max(self.open_at, now + for_s + MARGIN_S)

    def is_idle(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        return max(self.next_at, self.open_at) <= now
