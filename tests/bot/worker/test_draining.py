"""Draining: turns end within the grace period or are requeued."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.metrics import Metrics
from bot.settings import Settings
from bot.worker.options import Timing, WorkerOptions
from bot.worker.worker import Worker
from tests.bot.worker.harness import RecordingExecutor
from tests.fakes.redis_server import running_redis
from tests.support.inbox_harness import (
    make_inbox,
    running_worker,
)
from tests.support.messages import make_message
from tests.support.wait import wait_until


async def test_draining_lets_a_turn_end(inbox: Inbox, settings: Settings) -> None:
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings) as worker:
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: work.running.total() == 1)
        draining = asyncio.create_task(worker.drain(60))
        await inbox.enqueue(make_message("two", "C2"))
        work.release()
        await draining
    assert dict(work.done) == {"C1": ["one"]}, "a draining worker takes no more"
    assert await inbox.is_active(make_message("x", "C2").session)


async def test_draining_requeues_a_turn_that_takes_too_long(
    inbox: Inbox, settings: Settings
) -> None:
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings, grace_s=0.02):
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: work.running.total() == 1)
    taken, _ = await inbox.claim("w2", 1, range(8))
    assert [turn.tries for turn in taken] == [1], "at once, and without counting as a failure"


async def test_a_turn_claimed_while_draining_begins_is_requeued_at_once(
    inbox: Inbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, asked, answer = inbox.claim, asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any, **options: Any) -> Any:
        taken = await claim(*args, **options)
        if taken[0]:
            asked.set()
            await answer.wait()
        return taken

    monkeypatch.setattr(inbox, "claim", slowly)
    work = RecordingExecutor(held=True)
    await inbox.enqueue(make_message("one"))
    async with running_worker(inbox, work.execute, settings, grace_s=0):
        await asked.wait()
        asyncio.get_running_loop().call_later(0.05, answer.set)
    assert work.began == []
    (turn,), _ = await claim("w2", 1, range(8))
    assert turn.tries == 1


async def test_draining_ends_also_where_redis_does_not_come_back(
    settings: Settings,
) -> None:
    async with running_redis() as server, Redis(port=server.port, retry=None) as client:
        inbox = make_inbox(client, settings)
        work = RecordingExecutor(held=True)
        timing = Timing(completion_grace_s=0.05)
        worker = Worker(inbox, client, work.execute, Metrics(), WorkerOptions("w1", timing=timing))
        task = asyncio.create_task(worker.run())
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: work.running.total() == 1)
        server.kill()
        work.release()
        await wait_until(lambda: work.done["C1"] == ["one"])
        await worker.drain(0)
        await task
