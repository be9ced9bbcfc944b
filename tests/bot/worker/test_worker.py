"""Workers: turns in order, one of a conversation at a time, within the limits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from bot.inbox.inbox import SIDE_LANE, Inbox
from bot.metrics import Metrics
from bot.settings import Settings
from bot.worker.leases import Lease
from bot.worker.options import Timing, WorkerOptions
from bot.worker.outcome import TurnOutcome
from bot.worker.worker import Worker
from tests.bot.worker.harness import SHORT_LEASE, RecordingExecutor
from tests.fakes.stalled_connection import stallable_proxy
from tests.support.inbox_harness import (
    GENEROUS_TIMING,
    make_inbox,
    mark_idle,
    running_worker,
)
from tests.support.messages import make_message
from tests.support.wait import wait_until


async def test_many_conversations_on_two_workers_stay_in_order_and_apart(
    inbox: Inbox, settings: Settings
) -> None:
    work = RecordingExecutor()
    async with (
        running_worker(inbox, work.execute, settings, name="w1", max_turns_per_person=99),
        running_worker(inbox, work.execute, settings, name="w2", max_turns_per_person=99),
    ):
        for number in range(5):
            for place in range(30):
                await inbox.enqueue(make_message(str(number), f"C{place}"))
        await wait_until(lambda: sum(map(len, work.done.values())) == 150)
    assert all(texts == list("01234") for texts in work.done.values())
    assert work.overlaps == 0


async def test_a_worker_runs_no_more_turns_than_it_may(inbox: Inbox, settings: Settings) -> None:
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings, max_turns=3, max_turns_per_person=99):
        for place in range(10):
            await inbox.enqueue(make_message("x", f"C{place}"))
        await wait_until(lambda: work.running.total() == 3)
        others, _ = await inbox.claim("another", 99, range(8))
        assert len(others) == 7, "the rest waits in Redis for anybody"
        for turn in others:
            await inbox.complete(turn, "requeue")
        work.release()
        await wait_until(lambda: len(work.done) == 10)
    assert work.most_at_once == 3


async def test_one_person_cannot_fill_all_slots(inbox: Inbox, settings: Settings) -> None:
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings, max_turns=10, max_turns_per_person=2):
        for place in range(6):
            await inbox.enqueue(make_message("x", f"greedy{place}", speaker="U1"))
        await wait_until(lambda: work.running.total() == 2)
        await inbox.enqueue(make_message("x", "modest", speaker="U2"))
        await wait_until(lambda: work.running["modest"] == 1)
        assert work.running.total() == 3
        work.release()
        await wait_until(lambda: len(work.done) == 7)


async def test_a_failed_turn_is_retried_before_the_next_of_its_conversation(
    inbox: Inbox, settings: Settings
) -> None:
    seen: list[tuple[str, int]] = []

    async def fails_twice(lease: Lease) -> TurnOutcome:
        seen.append((lease.turn.incoming[0].text, lease.turn.tries))
        is_bad = lease.turn.incoming[0].text == "first" and lease.turn.tries < 3
        return TurnOutcome("retry", 0.01) if is_bad else TurnOutcome("done")

    async with running_worker(inbox, fails_twice, settings):
        await inbox.enqueue(make_message("first"))
        await wait_until(lambda: bool(seen))
        await inbox.enqueue(make_message("second"))
        await wait_until(lambda: seen[-1][0] == "second")
    assert seen == [("first", 1), ("first", 2), ("first", 3), ("second", 1)]


async def test_a_turn_that_cancels_itself_has_failed_and_is_not_repeated_for_ever(
    inbox: Inbox, settings: Settings
) -> None:
    seen: list[tuple[int, int]] = []

    async def leaks(lease: Lease) -> TurnOutcome:
        seen.append((lease.turn.tries, lease.turn.fails))
        if len(seen) < 3:
            raise asyncio.CancelledError  # as a library may that mixes up whom it cancels
        return TurnOutcome("done")

    async with running_worker(
        inbox, leaks, settings, timing=replace(GENEROUS_TIMING, self_cancelled_s=0.01)
    ):
        await inbox.enqueue(make_message("x"))
        await wait_until(lambda: len(seen) == 3)
    assert seen == [(1, 0), (2, 1), (3, 2)]


async def test_a_command_on_the_side_lane_runs_beside_a_running_turn(
    inbox: Inbox, settings: Settings
) -> None:
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings):
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: work.began == ["long"])
        await inbox.enqueue(
            make_message("status", kind="command"), lane=f"{make_message('x').session}{SIDE_LANE}"
        )
        await wait_until(lambda: work.began == ["long", "status"])
        work.release()


async def test_a_dead_workers_turn_runs_elsewhere(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    await inbox.enqueue(make_message("one"))
    (turn,), _ = await inbox.claim("dead", 1, range(8))
    await mark_idle(redis, inbox, turn)
    work = RecordingExecutor()
    async with running_worker(inbox, work.execute, settings, timing=SHORT_LEASE):
        await wait_until(lambda: work.done["C1"] == ["one"])


async def test_a_worker_reads_turns_and_stops_again_after_its_connections_stalled(
    redis: Redis, settings: Settings
) -> None:
    """The server's machine lost its power, say, and another took over: nobody closes the old connections."""
    path = redis.connection_pool.connection_kwargs["path"]
    async with (
        stallable_proxy(path) as proxy,
        Redis(port=proxy.port, socket_timeout=None) as waiter,
    ):
        inbox, work = make_inbox(redis, settings), RecordingExecutor(held=True)
        timing = Timing(lease_s=600, block_s=0.05, dead_s=0.2, resubscribe_s=0.2)
        worker = Worker(inbox, waiter, work.execute, Metrics(), WorkerOptions("w1", timing=timing))
        task = asyncio.create_task(worker.run())
        await wait_until(lambda: proxy.connections >= 2)
        proxy.stall()
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: work.running.total() == 1)
        proxy.stall()

        async def a_stop_is_received() -> bool:
            await inbox.stop(make_message("x").session)
            return bool(work.stopped)

        await wait_until(a_stop_is_received)
        await worker.drain(60)
        await task


@pytest.mark.parametrize("is_cluster", [False, True])
async def test_an_idle_worker_asks_redis_little(
    redis: Redis, settings: Settings, is_cluster: bool
) -> None:
    inbox = make_inbox(redis, settings, is_cluster=is_cluster)

    async def never(_: Lease) -> TurnOutcome:
        raise AssertionError

    async with running_worker(inbox, never, settings):
        await asyncio.sleep(0.5)
        await redis.config_resetstat()
        began_at = time.monotonic()
        await asyncio.sleep(2)
        stats = await redis.info("commandstats")
        took_s = time.monotonic() - began_at
    sent = ("cmdstat_evalsha", "cmdstat_xread", "cmdstat_info", "cmdstat_eval")
    assert sum(stats[name]["calls"] for name in sent if name in stats) / took_s < 20


async def test_a_worker_whose_helper_breaks_ends_and_raises(
    inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def broken(*_: object) -> None:
        raise RuntimeError("a mistake of a library's")

    monkeypatch.setattr(inbox, "promote_due", broken)
    worker = Worker(inbox, redis, RecordingExecutor().execute, Metrics(), WorkerOptions("w1"))
    with pytest.raises(RuntimeError, match="mistake"):
        await worker.run()
