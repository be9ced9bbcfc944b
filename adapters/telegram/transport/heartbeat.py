"""Whether Telegram is heard: the last completed poll or look at the webhook, or what is in the way."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bot.ports import Health

SILENT_S = 120.0


@dataclass(slots=True)
class Heartbeat:
    """A heartbeat. A process that does not listen (a mere worker) is always well.

    Attributes:
        beat_at: when it was last heard, on the monotonic clock; None: not listening.
    """

    beat_at: float | None = None
    detail: str = ""

    def begin(self) -> None:
        self.beat_at = time.monotonic()
        self.detail = "connecting"

    def beat(self) -> None:
        self.beat_at = time.monotonic()
        self.detail = ""

    def trouble(self, detail: str) -> None:
        self.detail = detail

    def health(self) -> Health:
        if self.beat_at is None:
            return Health(True, "sending only")
        if self.detail:
            return Health(False, self.detail)
        silent_s = time.monotonic() - self.beat_at
        if silent_s > SILENT_S:
            return Health(False, f"nothing heard from Telegram for {silent_s:.0f} s")
        return Health(True)
