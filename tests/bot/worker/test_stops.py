"""Stops: they reach the running turn in whichever process it runs."""

from __future__ import annotations

from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.settings import Settings
from tests.bot.worker.harness import RecordingExecutor
from tests.support.inbox_harness import (
    make_inbox,
    running_worker,
)
from tests.support.messages import make_message
from tests.support.wait import wait_until


async def test_a_stop_reaches_the_running_turn_wherever_it_runs(
    inbox: Inbox, settings: Settings
) -> None:
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings):
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: work.running.total() == 1)
        await inbox.enqueue(make_message("waits"))
        assert await inbox.stop(make_message("x").session) == (True, 1)
        await wait_until(lambda: work.stopped == [str(make_message("x").session)])
        work.release()
        await inbox.enqueue(make_message("next"))
        await wait_until(lambda: work.done["C1"] == ["next"])
    assert "waits" not in work.began


async def test_a_stop_is_found_by_polling_on_a_cluster(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings, is_cluster=True)
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings):
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: work.running.total() == 1)
        await inbox.stop(make_message("x").session)
        await wait_until(lambda: bool(work.stopped))


async def test_a_stop_that_no_worker_read_ends_the_turn_at_the_next_worker(
    inbox: Inbox, settings: Settings
) -> None:
    await inbox.enqueue(make_message("one"))
    (turn,), _ = await inbox.claim("dead", 1, range(8))
    await inbox.stop(turn.session)
    await inbox.complete(turn, "requeue")
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings):
        await wait_until(lambda: work.stopped == [turn.lane])
