"""Write of a turn to history, tried again while Redis is away."""

from __future__ import annotations

import asyncio
import time

import structlog

from bot.errors import Overtaken, StoreError
from bot.ports import History, TurnWrite

log = structlog.get_logger("keepthread.turns")

FIRST_DELAY_S = 0.05
MAX_DELAY_S = 1.0


async def write_with_retries(history: History, write: TurnWrite, *, retry_for_s: float) -> bool:
    """Write a turn. False: it could not be written, and its answer is handed over all the same.

    Raises:
        Overtaken: a reset or a newer worker came first; nothing was written.
    """
    give_up_at = time.monotonic() + retry_for_s
    delay_s = FIRST_DELAY_S
    while True:
        try:
            await history.append(write)
            return True
        except Overtaken:
            raise
        except StoreError as error:
            if not error.can_retry or time.monotonic() + delay_s > give_up_at:
                log.error("turn not remembered", turn=write.turn.id, error=repr(error))
                return False
            await asyncio.sleep(delay_s)
            delay_s = min(MAX_DELAY_S, delay_s * 2)
