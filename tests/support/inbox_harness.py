"""Inbox harness: an inbox on the test's Redis, workers on it, and pending entries made older."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.metrics import Metrics
from bot.settings import Settings
from bot.worker.leases import Lease
from bot.worker.options import Timing, WorkerOptions
from bot.worker.outcome import TurnOutcome
from bot.worker.worker import Worker

HOUR_MS = 3_600_000
GENEROUS_TIMING = Timing(completion_grace_s=60)
"""Worker timing under which a starved process still records how its turns ended."""


def make_inbox(redis: Redis, settings: Settings, **options: Any) -> Inbox:
    return Inbox(redis, InboxKeys(settings.bot_redis_prefix, settings.bot_shards), **options)


async def mark_idle(redis: Redis, inbox: Inbox, *turns: ClaimedTurn, ms: int = HOUR_MS) -> None:
    """Set the idle time of these turns' pending entries, as if their worker had sent no heartbeat."""
    for turn in turns:
        ready = inbox.keys.of(turn.shard, "ready")
        (pending,) = await redis.xpending_range(ready, "w", turn.entry, turn.entry, 1)
        await redis.xclaim(ready, "w", pending["consumer"], 0, [turn.entry], idle=ms, justid=True)


async def idle_ms(redis: Redis, inbox: Inbox, turn: ClaimedTurn) -> int:
    """Milliseconds since the last heartbeat for this turn."""
    ready = inbox.keys.of(turn.shard, "ready")
    (pending,) = await redis.xpending_range(ready, "w", turn.entry, turn.entry, 1)
    return int(pending["time_since_delivered"])


@asynccontextmanager
async def running_worker(
    inbox: Inbox,
    execute: Callable[[Lease], Awaitable[TurnOutcome]],
    settings: Settings,
    *,
    name: str = "w1",
    grace_s: float = 5,
    timing: Timing = GENEROUS_TIMING,
    **options: Any,
) -> AsyncIterator[Worker]:
    """Run a worker, and drain it at the end."""
    assert settings.redis_url is not None
    async with Redis.from_url(settings.redis_url.get_secret_value(), max_connections=50) as waiter:
        limits = WorkerOptions(name=name, timing=timing, **options)
        worker = Worker(inbox, waiter, execute, Metrics(), limits)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            await worker.drain(grace_s)
            await task
