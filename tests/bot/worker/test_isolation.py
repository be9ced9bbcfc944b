"""Isolation of poison turns: suspects run after normal turns, a few together, then alone."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from bot.inbox.inbox import Inbox
from bot.settings import Settings
from bot.worker.isolation import MAX_SUSPECTS, SUSPECT_CRASHES
from bot.worker.leases import Lease
from bot.worker.outcome import TurnOutcome
from tests.bot.worker.harness import SHORT_LEASE, RecordingExecutor
from tests.support.inbox_harness import (
    mark_idle,
    running_worker,
)
from tests.support.messages import make_message
from tests.support.wait import wait_until


async def crash(inbox: Inbox, redis: Redis, *, times: int, turns: int) -> None:
    """Leave `turns` turns abandoned, all at the same time, as crashed workers do."""
    for crashes in range(times):
        if crashes:
            taken = await inbox.claim_abandoned("dead", turns, range(8), min_idle_ms=1000)
        else:
            taken, _ = await inbox.claim("dead", turns, range(8))
        assert len(taken) == turns
        await mark_idle(redis, inbox, *taken)


async def test_a_suspect_runs_after_all_normal_turns(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    await inbox.enqueue(make_message("poison", "C1"))
    await crash(inbox, redis, times=SUSPECT_CRASHES, turns=1)
    alongside: list[int] = []
    work = RecordingExecutor(held=True)

    async def run(lease: Lease) -> TurnOutcome:
        if lease.turn.incoming[0].text == "poison":
            alongside.append(work.running.total())
            return TurnOutcome("done")
        return await work.execute(lease)

    async with running_worker(
        inbox, run, settings, timing=SHORT_LEASE, max_turns_per_person=9
    ) as worker:
        for place in range(3):
            await inbox.enqueue(make_message("good", f"G{place}"))
        await wait_until(lambda: work.running.total() == 3)
        await wait_until(lambda: len(worker.leases) == 4)
        assert alongside == []
        work.release()
        await wait_until(lambda: alongside == [0])
        await inbox.enqueue(make_message("after", "G1"))
        await wait_until(lambda: work.done["G1"] == ["good", "after"])


async def test_suspects_run_a_few_at_a_time_and_the_others_cost_no_try(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    places = [f"C{number}" for number in range(MAX_SUSPECTS + 4)]
    for place in places:
        await inbox.enqueue(make_message("x", place))
    await crash(inbox, redis, times=SUSPECT_CRASHES, turns=len(places))
    work = RecordingExecutor(held=True)

    async def tries() -> list[int]:
        convs = [f"{inbox.keys.of(inbox.keys.shard(s), 'conv')}:{s}" for s in sessions]
        return sorted([int(await redis.hget(conv, "tries") or 0) for conv in convs])

    sessions = [make_message("x", place).session for place in places]
    async with running_worker(
        inbox, work.execute, settings, timing=SHORT_LEASE, max_turns_per_person=99
    ) as worker:
        await wait_until(lambda: work.running.total() == MAX_SUSPECTS)
        await wait_until(lambda: len(worker.leases) == MAX_SUSPECTS)
        assert await tries() == [SUSPECT_CRASHES] * 4 + [SUSPECT_CRASHES + 1] * MAX_SUSPECTS
        work.release()
        await wait_until(lambda: len(work.done) == len(places))
    assert work.most_at_once == MAX_SUSPECTS


async def test_suspects_with_more_crashes_run_one_by_one(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    for place in ("C1", "C2", "C3"):
        await inbox.enqueue(make_message("x", place))
    await crash(inbox, redis, times=SUSPECT_CRASHES + 1, turns=3)
    work = RecordingExecutor()
    async with running_worker(
        inbox, work.execute, settings, timing=SHORT_LEASE, max_turns_per_person=99
    ):
        await wait_until(lambda: len(work.done) == 3)
    assert work.most_at_once == 1


async def test_a_suspect_that_waits_for_normal_turns_does_not_start_when_draining(
    inbox: Inbox, redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await inbox.enqueue(make_message("poison", "C1"))
    await crash(inbox, redis, times=SUSPECT_CRASHES, turns=1)
    claim_abandoned, work = inbox.claim_abandoned, RecordingExecutor(held=True)

    async def once_the_other_runs(*args: Any, **options: Any) -> Any:
        await wait_until(lambda: work.began == ["good"])
        return await claim_abandoned(*args, **options)

    monkeypatch.setattr(inbox, "claim_abandoned", once_the_other_runs)
    async with running_worker(
        inbox, work.execute, settings, timing=SHORT_LEASE, grace_s=0.02
    ) as worker:
        await inbox.enqueue(make_message("good", "C2"))
        await wait_until(lambda: len(worker.leases) == 2)
    assert work.began == ["good"]
