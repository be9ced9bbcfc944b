"""Inbox harness: an inbox on the test's Redis, workers on it, and pending entries made older."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.metrics import Metrics
from bot.settings import Settings
from bot.worker.options import Timing, WorkerOptions
from bot.worker.running import Execute
from bot.worker.worker import Worker

ALL_SHARDS = range(8)
HOUR_MS = 3_600_000
ABANDONED_MS = 1000
"""The longest idle time that the tests' server can have seen for sure: it was up so long at the first test."""
GENEROUS_TIMING = Timing(completion_grace_s=60)
"""Worker timing under which a starved process still records how its turns ended."""


def make_inbox(redis: Redis, settings: Settings, **options: Any) -> Inbox:
    return Inbox(redis, InboxKeys(settings.bot_redis_prefix, settings.bot_shards), **options)


def texts(turn: ClaimedTurn) -> list[str]:
    return [incoming.text for incoming in turn.incoming]


async def claim_one(inbox: Inbox, worker: str = "w1") -> ClaimedTurn | None:
    turns, _ = await inbox.claim(worker, 1, range(inbox.keys.shards))
    return turns[0] if turns else None


async def claim_abandoned(
    inbox: Inbox, worker: str, *, min_idle_ms: int = ABANDONED_MS, own: Sequence[ClaimedTurn] = ()
) -> ClaimedTurn | None:
    shards = range(inbox.keys.shards)
    turns = await inbox.claim_abandoned(worker, 1, shards, min_idle_ms=min_idle_ms, own=own)
    return turns[0] if turns else None


async def make_due(redis: Redis, inbox: Inbox) -> None:
    """Set the time of all delayed conversations to the past."""
    for shard in range(inbox.keys.shards):
        retry = inbox.keys.of(shard, "retry")
        for lane in await redis.zrange(retry, 0, -1):
            await redis.zadd(retry, {lane: 1})


async def keys_left(redis: Redis, settings: Settings) -> list[str]:
    """Keys of conversations: there must be none when all messages are answered."""
    found = [key.decode() async for key in redis.scan_iter(f"{settings.bot_redis_prefix}:*")]
    return [key for key in found if ":conv:" in key or ":box:" in key]


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
    execute: Execute,
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
