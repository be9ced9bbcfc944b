"""Outcome of a turn, and the backoff before its next attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass

from bot.errors import KeepthreadError
from bot.inbox.claim import Outcome

MAX_BACKOFF_S = 60.0


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """How a turn is to be completed, after which delay, and why."""

    outcome: Outcome
    delay_s: float = 0
    reason: str = ""


def backoff_s(fails: int, error: KeepthreadError) -> float:
    """Delay before the next attempt: doubled for each failure, with jitter, no shorter than `error` asks for."""
    jitter = random.uniform(0.75, 1.25)  # noqa: S311  not used for a secret
    return min(MAX_BACKOFF_S, max(error.retry_after_s or 0, 2.0 ** min(fails, 10) * jitter))
