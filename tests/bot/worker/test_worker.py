"""Workers: strictly in order, one turn of a conversation at a time, whatever happens to whom."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.errors import Overtaken, StoreUnavailable
from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import SIDE_LANE, Inbox
from bot.inbox.stats import InboxStats
from bot.metrics import Metrics
from bot.settings import Settings
from bot.worker.isolation import MAX_SUSPECTS, SUSPECT_CRASHES
from bot.worker.leased_reply import LeasedReply
from bot.worker.leases import Lease, Leases
from bot.worker.options import Timing, WorkerOptions
from bot.worker.outcome import TurnOutcome
from bot.worker.worker import Worker
from tests.fakes.redis_server import running
from tests.fakes.stalled_connection import line_to
from tests.support.handler_harness import RecordingReply
from tests.support.inbox_harness import (
    GENEROUS_TIMING,
    HOUR_MS,
    idle_ms,
    make_inbox,
    mark_idle,
    running_worker,
)
from tests.support.messages import make_message
from tests.support.wait import wait_until

BRISK = replace(GENEROUS_TIMING, renew_every_s=0.02)
"""Signs of life come fast, and a starved process keeps its turns all the same."""

SHORT = replace(GENEROUS_TIMING, lease_s=1)
"""Soon takes over what others left. For a worker without others: in time it would lose its own turns to them."""


class Work:
    """Notes what ran when; holds turns until told to go on."""

    def __init__(self) -> None:
        self.done: dict[str, list[str]] = defaultdict(list)
        self.running: Counter[str] = Counter()
        self.overlaps = 0
        self.most_at_once = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.began: list[str] = []
        self.stopped: list[str] = []

    async def run(self, lease: Lease) -> TurnOutcome:
        place = lease.turn.session.place
        self.running[place] += 1
        self.overlaps += self.running[place] > 1
        self.most_at_once = max(self.most_at_once, self.running.total())
        self.began += [one.text for one in lease.turn.incoming]
        try:
            while not self.go_on.is_set():
                if lease.stop.requested:
                    self.stopped.append(lease.turn.lane)
                    return TurnOutcome("done")
                await asyncio.sleep(0.002)
            self.done[place] += [one.text for one in lease.turn.incoming]
            return TurnOutcome("done")
        finally:
            self.running[place] -= 1


async def test_many_conversations_on_two_workers_stay_in_order_and_apart(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    work = Work()
    async with (
        running_worker(inbox, work.run, settings, name="w1", max_turns_per_person=99),
        running_worker(inbox, work.run, settings, name="w2", max_turns_per_person=99),
    ):
        for number in range(5):
            for place in range(30):
                await inbox.enqueue(make_message(str(number), f"C{place}"))
        await wait_until(lambda: sum(map(len, work.done.values())) == 150)
    assert all(texts == list("01234") for texts in work.done.values())
    assert work.overlaps == 0


async def test_no_more_turns_run_than_a_worker_may(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings, max_turns=3, max_turns_per_person=99):
        for place in range(10):
            await inbox.enqueue(make_message("x", f"C{place}"))
        await wait_until(lambda: work.running.total() == 3)
        others, _ = await inbox.claim("another", 99, range(8))
        assert len(others) == 7, "the rest waits in Redis for anybody"
        for turn in others:
            await inbox.complete(turn, "requeue")
        work.go_on.set()
        await wait_until(lambda: len(work.done) == 10)
    assert work.most_at_once == 3


async def test_one_person_cannot_fill_all_places(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings, max_turns=10, max_turns_per_person=2):
        for place in range(6):
            await inbox.enqueue(make_message("x", f"greedy{place}", speaker="U1"))
        await wait_until(lambda: work.running.total() == 2)
        await inbox.enqueue(make_message("x", "modest", speaker="U2"))
        await wait_until(lambda: work.running["modest"] == 1)
        assert work.running.total() == 3
        work.go_on.set()
        await wait_until(lambda: len(work.done) == 7)


async def test_a_failed_turn_is_tried_again_and_keeps_its_place(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
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


async def test_a_turn_that_cancels_itself_has_failed_and_does_not_come_again_for_ever(
    redis: Redis, settings: Settings
) -> None:
    seen: list[tuple[int, int]] = []

    async def leaks(lease: Lease) -> TurnOutcome:
        seen.append((lease.turn.tries, lease.turn.fails))
        if len(seen) < 3:
            raise asyncio.CancelledError  # as a library may that mixes up whom it cancels
        return TurnOutcome("done")

    inbox = make_inbox(redis, settings)
    async with running_worker(
        inbox, leaks, settings, timing=replace(GENEROUS_TIMING, self_cancelled_s=0.01)
    ):
        await inbox.enqueue(make_message("x"))
        await wait_until(lambda: len(seen) == 3)
    assert seen == [(1, 0), (2, 1), (3, 2)]


async def test_a_word_to_stop_reaches_the_running_turn_wherever_it_runs(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings):
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: work.running.total() == 1)
        await inbox.enqueue(make_message("waits"))
        assert await inbox.stop(make_message("x").session) == (True, 1)
        await wait_until(lambda: work.stopped == [str(make_message("x").session)])
        work.go_on.set()
        await inbox.enqueue(make_message("next"))
        await wait_until(lambda: work.done["C1"] == ["next"])
    assert "waits" not in work.began


async def test_a_stop_is_heard_by_looking_where_there_is_no_channel(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings, is_cluster=True)
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings):
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: work.running.total() == 1)
        await inbox.stop(make_message("x").session)
        await wait_until(lambda: bool(work.stopped))


async def test_what_must_not_wait_runs_beside_a_running_turn(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings):
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: work.began == ["long"])
        await inbox.enqueue(
            make_message("status", kind="command"), lane=f"{make_message('x').session}{SIDE_LANE}"
        )
        await wait_until(lambda: work.began == ["long", "status"])
        work.go_on.set()


async def test_a_dead_workers_turn_runs_elsewhere(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    (turn,), _ = await inbox.claim("dead", 1, range(8))
    await mark_idle(redis, inbox, turn)
    work = Work()
    async with running_worker(inbox, work.run, settings, timing=SHORT):
        await wait_until(lambda: work.done["C1"] == ["one"])


async def test_a_turn_longer_than_its_lease_is_not_run_twice(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings, timing=BRISK) as worker:
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: len(worker.leases) == 1)
        (lease,) = worker.leases
        for _ in range(2):
            await mark_idle(redis, inbox, lease.turn)

            async def it_is_renewed() -> bool:
                return await idle_ms(redis, inbox, lease.turn) < HOUR_MS

            await wait_until(it_is_renewed)
        work.go_on.set()
        await wait_until(lambda: work.done["C1"] == ["long"])
    assert work.began == ["long"]


async def test_a_turn_is_not_run_twice_by_a_process_that_finds_it_silent_itself(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was starved between the sign of life and the look for silent workers."""
    inbox = make_inbox(redis, settings)
    work, claim_abandoned, check_writable = Work(), inbox.claim_abandoned, inbox.check_writable
    work.go_on.clear()
    claims = 0

    async def starved() -> None:
        await check_writable()
        await mark_idle(redis, inbox, *[lease.turn for lease in worker.leases])

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal claims
        taken = await claim_abandoned(*args, **options)
        claims += 1
        return taken

    async with running_worker(inbox, work.run, settings, timing=SHORT) as worker:
        await inbox.enqueue(make_message("long"))
        await wait_until(lambda: work.began == ["long"])
        (lease,) = worker.leases
        monkeypatch.setattr(inbox, "check_writable", starved)
        monkeypatch.setattr(inbox, "claim_abandoned", counted)
        await wait_until(lambda: claims == 3)
        work.go_on.set()
        await wait_until(lambda: work.done["C1"] == ["long"])
    assert work.began == ["long"]
    assert not lease.is_lost
    assert (await InboxStats(redis, inbox.keys).depth()) == (0, 0)


@pytest.mark.parametrize("is_taken_over", [False, True])
async def test_a_process_that_outlived_its_lease_speaks_only_if_nobody_took_its_turn_over(
    redis: Redis, settings: Settings, is_taken_over: bool
) -> None:
    inbox = make_inbox(redis, settings)
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
        await reply.post("Here.")
    assert recorded.texts("post") == ([] if is_taken_over else ["Here."])
    assert (lease.is_valid, lease.is_lost) == (not is_taken_over, is_taken_over)


async def test_an_overtaken_worker_ends_nothing(redis: Redis, settings: Settings) -> None:
    """Its lease went to another while it was frozen; the other's turn is the one that counts."""
    inbox = make_inbox(redis, settings)
    cancelled: list[str] = []

    async def frozen(lease: Lease) -> TurnOutcome:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(lease.turn.lane)
            raise
        return TurnOutcome("done")

    async with running_worker(inbox, frozen, settings, name="frozen", timing=BRISK) as worker:
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


async def test_draining_lets_a_turn_end(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings) as worker:
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: work.running.total() == 1)
        draining = asyncio.create_task(worker.drain(60))
        await inbox.enqueue(make_message("two", "C2"))
        work.go_on.set()
        await draining
    assert dict(work.done) == {"C1": ["one"]}, "a draining worker takes no more"
    assert await inbox.is_active(make_message("x", "C2").session)


async def test_draining_hands_over_what_takes_too_long(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings, grace_s=0.02):
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: work.running.total() == 1)
    taken, _ = await inbox.claim("w2", 1, range(8))
    assert [turn.tries for turn in taken] == [1], "at once, and without counting as a failure"


async def crash(inbox: Inbox, redis: Redis, *, times: int, turns: int) -> None:
    """Workers fall silent over `turns` turns, all at the same time."""
    for crashes in range(times):
        if crashes:
            taken = await inbox.claim_abandoned("dead", turns, range(8), min_idle_ms=1000)
        else:
            taken, _ = await inbox.claim("dead", turns, range(8))
        assert len(taken) == turns
        await mark_idle(redis, inbox, *taken)


async def test_a_dangerous_turn_runs_alone(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("poison", "C1"))
    await crash(inbox, redis, times=SUSPECT_CRASHES, turns=1)
    alongside: list[int] = []
    work = Work()
    work.go_on.clear()

    async def run(lease: Lease) -> TurnOutcome:
        if lease.turn.incoming[0].text == "poison":
            alongside.append(work.running.total())
            return TurnOutcome("done")
        return await work.run(lease)

    async with running_worker(inbox, run, settings, timing=SHORT, max_turns_per_person=9) as worker:
        for place in range(3):
            await inbox.enqueue(make_message("good", f"G{place}"))
        await wait_until(lambda: work.running.total() == 3)
        await wait_until(lambda: len(worker.leases) == 4)
        assert alongside == []
        work.go_on.set()
        await wait_until(lambda: alongside == [0])
        await inbox.enqueue(make_message("after", "G1"))
        await wait_until(lambda: work.done["G1"] == ["good", "after"])


async def test_a_stop_that_no_worker_heard_ends_the_turn_at_the_next_one(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    (turn,), _ = await inbox.claim("dead", 1, range(8))
    await inbox.stop(turn.session)
    await inbox.complete(turn, "requeue")
    work = Work()
    work.go_on.clear()
    async with running_worker(inbox, work.run, settings):
        await wait_until(lambda: work.stopped == [turn.lane])


async def test_what_is_taken_while_draining_begins_is_handed_over_at_once(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = make_inbox(redis, settings)
    claim, asked, answer = inbox.claim, asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any, **options: Any) -> Any:
        taken = await claim(*args, **options)
        if taken[0]:
            asked.set()
            await answer.wait()
        return taken

    monkeypatch.setattr(inbox, "claim", slowly)
    work = Work()
    work.go_on.clear()
    await inbox.enqueue(make_message("one"))
    async with running_worker(inbox, work.run, settings, grace_s=0):
        await asked.wait()
        asyncio.get_running_loop().call_later(0.05, answer.set)
    assert work.began == []
    (turn,), _ = await claim("w2", 1, range(8))
    assert turn.tries == 1


async def test_what_was_near_a_turn_that_ends_workers_does_not_end_with_it(
    redis: Redis, settings: Settings
) -> None:
    inbox = make_inbox(redis, settings)
    places = [f"C{number}" for number in range(MAX_SUSPECTS + 4)]
    for place in places:
        await inbox.enqueue(make_message("x", place))
    await crash(inbox, redis, times=SUSPECT_CRASHES, turns=len(places))
    work = Work()
    work.go_on.clear()

    async def tries() -> list[int]:
        convs = [f"{inbox.keys.of(inbox.keys.shard(s), 'conv')}:{s}" for s in sessions]
        return sorted([int(await redis.hget(conv, "tries") or 0) for conv in convs])

    sessions = [make_message("x", place).session for place in places]
    async with running_worker(
        inbox, work.run, settings, timing=SHORT, max_turns_per_person=99
    ) as worker:
        await wait_until(lambda: work.running.total() == MAX_SUSPECTS)
        await wait_until(lambda: len(worker.leases) == MAX_SUSPECTS)
        assert await tries() == [SUSPECT_CRASHES] * 4 + [SUSPECT_CRASHES + 1] * MAX_SUSPECTS
        work.go_on.set()
        await wait_until(lambda: len(work.done) == len(places))
    assert work.most_at_once == MAX_SUSPECTS


async def test_the_most_dangerous_turns_run_one_by_one(redis: Redis, settings: Settings) -> None:
    inbox = make_inbox(redis, settings)
    for place in ("C1", "C2", "C3"):
        await inbox.enqueue(make_message("x", place))
    await crash(inbox, redis, times=SUSPECT_CRASHES + 1, turns=3)
    work = Work()
    async with running_worker(inbox, work.run, settings, timing=SHORT, max_turns_per_person=99):
        await wait_until(lambda: len(work.done) == 3)
    assert work.most_at_once == 1


async def test_a_dangerous_turn_that_waits_for_others_begins_no_more_when_draining(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("poison", "C1"))
    await crash(inbox, redis, times=SUSPECT_CRASHES, turns=1)
    claim_abandoned, work = inbox.claim_abandoned, Work()
    work.go_on.clear()

    async def once_the_other_runs(*args: Any, **options: Any) -> Any:
        await wait_until(lambda: work.began == ["good"])
        return await claim_abandoned(*args, **options)

    monkeypatch.setattr(inbox, "claim_abandoned", once_the_other_runs)
    async with running_worker(inbox, work.run, settings, timing=SHORT, grace_s=0.02) as worker:
        await inbox.enqueue(make_message("good", "C2"))
        await wait_until(lambda: len(worker.leases) == 2)
    assert work.began == ["good"]


async def test_draining_ends_also_where_redis_does_not_come_back(
    settings: Settings,
) -> None:
    async with running() as server, Redis(port=server.port, retry=None) as client:
        inbox = make_inbox(client, settings)
        work = Work()
        timing = Timing(completion_grace_s=0.05)
        worker = Worker(inbox, client, work.run, Metrics(), WorkerOptions("w1", timing=timing))
        task = asyncio.create_task(worker.run())
        work.go_on.clear()
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: work.running.total() == 1)
        server.kill()
        work.go_on.set()
        await wait_until(lambda: work.done["C1"] == ["one"])
        await worker.drain(0)
        await task


async def test_a_line_that_went_dead_makes_no_worker_deaf(redis: Redis, settings: Settings) -> None:
    """The server's machine lost its power, say, and another took over: nobody closes the old connections."""
    path = redis.connection_pool.connection_kwargs["path"]
    async with line_to(path) as line, Redis(port=line.port, socket_timeout=None) as waiter:
        inbox, work = make_inbox(redis, settings), Work()
        work.go_on.clear()
        timing = Timing(lease_s=600, block_s=0.05, dead_s=0.2, resubscribe_s=0.2)
        worker = Worker(inbox, waiter, work.run, Metrics(), WorkerOptions("w1", timing=timing))
        task = asyncio.create_task(worker.run())
        await wait_until(lambda: line.opened >= 2)
        line.go_dead()
        await inbox.enqueue(make_message("one"))
        await wait_until(lambda: work.running.total() == 1)
        line.go_dead()

        async def a_stop_is_heard() -> bool:
            await inbox.stop(make_message("x").session)
            return bool(work.stopped)

        await wait_until(a_stop_is_heard)
        await worker.drain(60)
        await task


async def test_the_next_turn_of_a_conversation_keeps_its_lease_when_the_last_ones_is_put_away(
    redis: Redis, settings: Settings
) -> None:
    """Both replies of Redis can be there before the task of the first turn goes on."""
    inbox = make_inbox(redis, settings)
    leases = Leases(inbox, redis, Metrics(), WorkerOptions("w1"))
    held = []
    for text in ("one", "two"):
        await inbox.enqueue(make_message(text))
        (turn,), _ = await inbox.claim("w1", 1, range(8))
        held.append(leases.add(turn, time.monotonic()))
        await inbox.complete(turn, "done")
    leases.remove(held[0])
    assert list(leases) == [held[1]]


async def test_a_lease_is_as_old_as_the_question_for_it(redis: Redis, settings: Settings) -> None:
    """A process may be frozen between a turn's beginning in Redis and its own hearing of it."""
    inbox = make_inbox(redis, settings)
    await inbox.enqueue(make_message("one"))
    asked_at = time.monotonic() - 31
    (turn,), _ = await inbox.claim("w1", 1, range(8))
    leases = Leases(inbox, redis, Metrics(), WorkerOptions("w1"))
    assert not leases.add(turn, asked_at).is_valid


async def test_leases_on_other_nodes_are_renewed_while_one_node_is_away(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = make_inbox(redis, settings)
    for number in range(20):
        await inbox.enqueue(make_message("x", f"C{number}"))
    turns, _ = await inbox.claim("w1", 20, range(8))
    leases = Leases(inbox, redis, Metrics(), WorkerOptions("w1", timing=BRISK))
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
    await wait_until(lambda: all(one.valid_until > before[one.turn.lane] for one in others))
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert held[0].valid_until == before[held[0].turn.lane]


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


async def test_a_worker_that_waits_for_redis_counts_as_alive(settings: Settings) -> None:
    async with running() as server, Redis(port=server.port, retry=None) as client:
        leases = Leases(
            make_inbox(client, settings), client, Metrics(), WorkerOptions("w1", timing=BRISK)
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


async def test_a_worker_whose_helper_breaks_ends_and_says_so(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = make_inbox(redis, settings)

    async def broken(*_: object) -> None:
        raise RuntimeError("a mistake of a library's")

    monkeypatch.setattr(inbox, "promote_due", broken)
    worker = Worker(inbox, redis, Work().run, Metrics(), WorkerOptions("w1"))
    with pytest.raises(RuntimeError, match="mistake"):
        await worker.run()
