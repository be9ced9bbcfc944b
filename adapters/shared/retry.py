"""Retries of API calls, only where a repeat cannot post something twice.

A lost response leaves open whether a message was posted; a second try could post it twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from bot.errors import PlatformUnreachable

log = structlog.get_logger("keepthread.adapters")
T = TypeVar("T")

TRIES = 4
"""Tries of one call: over about 4 seconds with the default pauses."""

FIRST_PAUSE_S = 0.5


class OutcomeUnknown(PlatformUnreachable):
    """The call may have been carried out: only its response was lost."""


async def retry_call(
    call: Callable[[], Awaitable[T]],
    *,
    is_repeatable: bool = False,
    tries: int = TRIES,
    pause_s: float = FIRST_PAUSE_S,
    give_up_at: float = float("inf"),
) -> T:
    """Call until it succeeds. A PlatformUnreachable is tried again; each pause is twice the last.

    Args:
        call: one try. Raises OutcomeUnknown (its classifier is the adapter's error table) unless it
            was certainly not carried out.
        is_repeatable: carrying it out twice is carrying it out once, so OutcomeUnknown is tried again too.
        tries: in all.
        pause_s: before the second try.
        give_up_at: no try begins after this time of the monotonic clock.

    Raises:
        OutcomeUnknown: not repeatable, and it may have been carried out.
        PlatformError: it failed.
    """
    for attempt in range(1, tries):
        try:
            return await call()
        except PlatformUnreachable as error:
            is_certain = is_repeatable or not isinstance(error, OutcomeUnknown)
            if not is_certain or time.monotonic() > give_up_at:
                raise
            log.info("call is tried again", attempt=attempt, error=error.detail)
        await asyncio.sleep(pause_s * 2 ** (attempt - 1))
    return await call()
