"""Receive loops: each platform's connection receives, and is restarted when it fails."""

from __future__ import annotations

import asyncio
import time

import structlog

from bot.errors import KeepthreadError
from bot.ports import Connection

log = structlog.get_logger("keepthread.service")

MIN_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0
STABLE_S = 60.0
"""A connection that lasted longer is opened anew after the shortest pause."""


async def receive_forever(platform: str, connection: Connection) -> None:
    """Receive until cancelled. An error is logged, and the loop begins anew after a pause."""
    pause_s = MIN_PAUSE_S
    while True:
        started_at = time.monotonic()
        try:
            await connection.receive()
            return  # its messages come by HTTP only
        except KeepthreadError as error:
            log.error("receive loop failed", platform=platform, error=str(error), cure=error.cure)
        except Exception:
            log.exception("receive loop failed", platform=platform)
        is_stable = time.monotonic() - started_at > STABLE_S
        pause_s = MIN_PAUSE_S if is_stable else min(MAX_PAUSE_S, pause_s * 2)
        await asyncio.sleep(pause_s)
