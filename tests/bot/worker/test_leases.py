"""Leases: renewed by the heartbeat, and what happens once they are lost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.errors import Overtaken, StoreUnavailable
from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.inbox.stats import InboxStats
from bot.metrics import Metrics
from bot.settings import Settings
from bot.worker.leased_reply import LeasedReply
from bot.worker.leases import Lease, Leases
from bot.worker.options import Timing, WorkerOptions
from bot.worker.outcome import TurnOutcome
from tests.bot.worker.harness import FAST_HEARTBEAT, SHORT_LEASE, RecordingExecutor
from tests.fakes.redis_server import running_redis
from tests.support.handler_harness import RecordingReply
from tests.support.inbox_harness import (
    HOUR_MS,
    idle_ms,
    make_inbox,
    mark_idle,
    running_worker,
)
from tests.support.messages import make_message
from tests.support.wait import wait_until


async def test_a_turn_longer_than_its_lease_is_not_run_twice(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    work = RecordingExecutor(held=True)
    async with running_worker(inbox, work.execute, settings, timing=FAST_HEARTBEAT) as worker:
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: len(worker.leases) == 1)
        (lease,) = worker.leases
        for _ in range(2):
            await mark_idle(redis, inbox, lease.turn)

            async def it_is_renewed() -> bool:
                return await idle_ms(redis, inbox, lease.turn) < HOUR_MS

            await wait_until(it_is_renewed)
        work.release()
        await wait_until(lambda: work.done["C1"] == ["long"])
    assert work.began == ["long"]


async def test_a_turn_is_not_run_twice_by_a_process_that_finds_its_own_turn_abandoned(
    inbox: Inbox, redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was starved between its heartbeat and its claim of abandoned turns."""
    work, claim_abandoned, check_writable = (
        RecordingExecutor(held=True),
        inbox.claim_abandoned,
        inbox.check_writable,
    )
    claims = 0

    async def starved() -> None:
        await check_writable()
        await mark_idle(redis, inbox, *[lease.turn for lease in worker.leases])

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal claims
        taken = await claim_abandoned(*args, **options)
        claims += 1
        return taken

    async with running_worker(inbox, work.execute, settings, timing=SHORT_LEASE) as worker:
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: work.began == ["long"])
        (lease,) = worker.leases
        monkeypatch.setattr(inbox, "check_writable", starved)
        monkeypatch.setattr(inbox, "claim_abandoned", counted)
        await wait_until(lambda: claims == 3)
        work.release()
        await wait_until(lambda: work.done["C1"] == ["long"])
    assert work.began == ["long"]
    assert not lease.is_lost
    assert (await InboxStats(redis, inbox.keys).depth()) == (0, 0)


@pytest.mark.parametrize("is_taken_over", [False, True])
async def test_a_process_that_outlived_its_lease_posts_only_if_nobody_claimed_its_turn(
    inbox: Inbox, redis: Redis, is_taken_over: bool
) -> None:
    await inbox.enqueue(make_message("one"))
    (turn,), _ = await inbox.claim("starved", 1, range(8))
    leases = Leases(inbox, redis, Metrics(), WorkerOptions("starved", timing=Timing(lease_s=600)))
    lease = leases.add(turn, time.monotonic() - 601)
    if is_taken_over:
        await mark_idle(redis, inbox, turn)
        assert await inbox.claim_abandoned("other", 1, range(8), min_idle_ms=1000)
    recorded = RecordingReply()
    reply = LeasedReply(recorded, lease, Metrics())
    if is_taken_over:
        with pytest.raises(Overtaken):
            await reply.post("Here.")
    else:
        await reply.show("He")
        await reply.post("Here.")
    assert recorded.texts("show") == ([] if is_taken_over else ["He"])
    assert recorded.texts("post") == ([] if is_taken_over else ["Here."])
    assert (lease.is_valid, lease.is_lost) == (not is_taken_over, is_taken_over)


async def test_text_held_back_while_redis_is_away_is_shown_with_the_next(
    inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def away(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("a primary is down")

    await inbox.enqueue(make_message("one"))
    (turn,), _ = await inbox.claim("starved", 1, range(8))
    leases = Leases(inbox, redis, Metrics(), WorkerOptions("starved", timing=Timing(lease_s=600)))
    lease = leases.add(turn, time.monotonic() - 601)
    recorded = RecordingReply()
    reply = LeasedReply(recorded, lease, Metrics())
    monkeypatch.setattr(inbox, "renew", away)
    for delta in ("One ", "two "):
        await reply.show(delta)
    assert (asked, recorded.texts("show")) == (1, [])
    lease.valid_until = time.monotonic() + 600  # a heartbeat came through
    await reply.show("three")
    assert recorded.texts("show") == ["One two three"]


async def test_an_overtaken_worker_completes_nothing(
    inbox: Inbox, redis: Redis, settings: Settings
) -> None:
    """Another worker claimed its turn while it was frozen, and completes it."""
    cancelled: list[str] = []

    async def frozen(lease: Lease) -> TurnOutcome:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(lease.turn.lane)
            raise
        return TurnOutcome("done")

    async with running_worker(
        inbox, frozen, settings, name="frozen", timing=FAST_HEARTBEAT
    ) as worker:
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: len(worker.leases) == 1)
        (lease,) = worker.leases

        async def it_is_taken_over() -> list[ClaimedTurn]:
            await mark_idle(redis, inbox, lease.turn)
            return await inbox.claim_abandoned("other", 1, range(8), min_idle_ms=1000)

        taken = await wait_until(it_is_taken_over)
        await wait_until(lambda: bool(cancelled))
        assert await inbox.complete(taken[0], "done")
    assert (await InboxStats(redis, inbox.keys).depth()) == (0, 0)


async def test_the_next_turn_of_a_conversation_keeps_its_lease_when_the_last_one_is_removed(
    inbox: Inbox, redis: Redis
) -> None:
    """Both replies of Redis can be there before the task of the first turn goes on."""
    leases = Leases(inbox, redis, Metrics(), WorkerOptions("w1"))
    held = []
    for text in ("one", "two"):
        await inbox.enqueue(make_message(text))
        (turn,), _ = await inbox.claim("w1", 1, range(8))
        held.append(leases.add(turn, time.monotonic()))
        await inbox.complete(turn, "done")
    leases.remove(held[0])
    assert list(leases) == [held[1]]


async def test_a_lease_is_as_old_as_the_claim_that_was_sent_for_it(
    inbox: Inbox, redis: Redis
) -> None:
    """A process may be frozen between the claim in Redis and its reply."""
    await inbox.enqueue(make_message("one"))
    asked_at = time.monotonic() - 31
    (turn,), _ = await inbox.claim("w1", 1, range(8))
    leases = Leases(inbox, redis, Metrics(), WorkerOptions("w1"))
    assert not leases.add(turn, asked_at).is_valid


async def test_leases_on_other_nodes_are_renewed_while_one_node_is_away(
    inbox: Inbox, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        await inbox.enqueue(make_message("x", f"C{number}"))
    turns, _ = await inbox.claim("w1", 20, range(8))
    leases = Leases(inbox, redis, Metrics(), WorkerOptions("w1", timing=FAST_HEARTBEAT))
    held = [leases.add(turn, time.monotonic()) for turn in turns]
    away, renew = held[0].turn.shard, inbox.renew

    async def unless_away(worker: str, some: Any, **options: Any) -> Any:
        if some[0].shard == away:
            raise StoreUnavailable("a primary is down")
        return await renew(worker, some, **options)

    monkeypatch.setattr(inbox, "renew", unless_away)
    monkeypatch.setattr(inbox, "check_writable", lambda: unless_away("w1", [held[0].turn]))

    async def nothing() -> None:
        pass

    before = {lease.turn.lane: lease.valid_until for lease in held}
    keeping = asyncio.create_task(leases.run_heartbeat(nothing))
    others = [lease for lease in held if lease.turn.shard != away]
    await wait_until(lambda: all(lease.valid_until > before[lease.turn.lane] for lease in others))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert held[0].valid_until == before[held[0].turn.lane]


async def test_a_worker_that_waits_for_redis_counts_as_alive(settings: Settings) -> None:
    async with running_redis() as server, Redis(port=server.port, retry=None) as client:
        leases = Leases(
            make_inbox(client, settings),
            client,
            Metrics(),
            WorkerOptions("w1", timing=FAST_HEARTBEAT),
        )

        async def nothing() -> None:
            pass

        keeping = asyncio.create_task(leases.run_heartbeat(nothing))
        server.kill()
        for _ in range(2):
            was = leases.heartbeat_at
            await wait_until(lambda was=was: leases.heartbeat_at > was)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
