"""What tests of the inbox share: messages to put, and workers on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from bot.conversation import Address, Incoming, IncomingKind, SessionKey, Speaker
from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.inbox.keys import InboxKeys
from bot.metrics import Metrics
from bot.settings import Settings
from bot.worker.leases import Lease, Timing
from bot.worker.outcome import TurnOutcome
from bot.worker.worker import Worker


def said(
    text: str,
    place: str = "C1",
    *,
    speaker: str = "U1",
    kind: IncomingKind = "message",
    event_id: str = "",
    platform: str = "loop",
) -> Incoming:
    """One message of a person in a place."""
    session = SessionKey(platform, "A1", place)
    return Incoming(
        Address(session), Speaker(speaker, account="A1"), text, event_id=event_id, kind=kind
    )


def inbox_on(redis: Redis, settings: Settings, **options: Any) -> Inbox:
    return Inbox(redis, InboxKeys(settings.bot_redis_prefix, settings.bot_shards), **options)


HOUR_MS = 3_600_000
PATIENT = Timing(last_word_s=60)
"""A starved process can still say how its turns ended."""


async def silence(redis: Redis, inbox: Inbox, *turns: ClaimedTurn, ms: int = HOUR_MS) -> None:
    """As if the worker of these turns had given no sign of life for so long."""
    for turn in turns:
        ready = inbox.keys.of(turn.shard, "ready")
        (pending,) = await redis.xpending_range(ready, "w", turn.entry, turn.entry, 1)
        await redis.xclaim(ready, "w", pending["consumer"], 0, [turn.entry], idle=ms, justid=True)


async def silent_ms(redis: Redis, inbox: Inbox, turn: ClaimedTurn) -> int:
    """How long ago its worker gave the last sign of life."""
    ready = inbox.keys.of(turn.shard, "ready")
    (pending,) = await redis.xpending_range(ready, "w", turn.entry, turn.entry, 1)
    return int(pending["time_since_delivered"])


@asynccontextmanager
async def working(
    inbox: Inbox,
    execute: Callable[[Lease], Awaitable[TurnOutcome]],
    settings: Settings,
    *,
    name: str = "w1",
    grace_s: float = 5,
    timing: Timing = PATIENT,
    **options: Any,
) -> AsyncIterator[Worker]:
    """A worker, drained at the end."""
    assert settings.redis_url is not None
    async with Redis.from_url(settings.redis_url.get_secret_value(), max_connections=50) as waiter:
        worker = Worker(inbox, waiter, execute, Metrics(), name=name, timing=timing, **options)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            await worker.drain(grace_s)
            await task
