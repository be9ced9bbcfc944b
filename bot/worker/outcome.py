"""Outcome of a run turn, and the delay before its next attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass

from bot.errors import (
    KeepthreadError,
)
from bot.inbox.claim import Outcome


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """How a turn is to end."""

    outcome: Outcome
    delay_s: float = 0
    reason: str = ""


MAX_DELAY_S = 60.0


def _delay_s(fails: int, error: KeepthreadError) -> float:
    """Twice as long each time, with some chance in it, and no sooner than asked for."""
    spread = random.uniform(0.75, 1.25)  # noqa: S311  no secret hangs on it
    return min(MAX_DELAY_S, max(error.retry_after_s or 0, 2.0 ** min(fails, 10) * spread))
