"""Connection health: time of the last successful poll or webhook check, or the current error."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bot.ports import Health

MAX_SILENCE_S = 120.0


@dataclass(slots=True)
class Heartbeat:
    """Heartbeat of the transport. A process that only sends is always healthy.

    Attributes:
        beat_at: time of the last beat, on the monotonic clock; None: not receiving.
        error: why there is none now, or `""`.
    """

    beat_at: float | None = None
    error: str = ""

    def start(self) -> None:
        self.beat_at = time.monotonic()
        self.error = "connecting"

    def beat(self) -> None:
        self.beat_at = time.monotonic()
        self.error = ""

    def fail(self, error: str) -> None:
        self.error = error

    def health(self) -> Health:
        if self.beat_at is None:
            return Health(True, "sending only")
        if self.error:
            return Health(False, self.error)
        silence_s = time.monotonic() - self.beat_at
        if silence_s > MAX_SILENCE_S:
            return Health(False, f"nothing heard from Telegram for {silence_s:.0f} s")
        return Health(True)
