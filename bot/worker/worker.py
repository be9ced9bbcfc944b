"""A worker: takes turns from the inbox, runs hundreds at once, and proves that it is alive.

take ──► run ──► end      each step is one script of bot/inbox/inbox.py
  ▲       │
  ├─ due  └─ leases       bot/worker/leases.py: signs of life, words to stop
  └─ claim                what a silent worker left behind
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from redis.exceptions import RedisError

from bot.background import cancel_all
from bot.errors import StoreError
from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.metrics import Metrics
from bot.worker.leases import DEFAULT_TIMING, Lease, Leases, Timing
from bot.worker.outcome import TurnOutcome

log = structlog.get_logger("keepthread.worker")

DUE_EVERY_S = 0.25
DUE_EVERY_CLUSTER_S = 1.0
PERSON_BUSY_S = 0.3
DANGEROUS_CRASHES = 2
"""A turn over which so many workers fell silent runs apart: with few others of its kind, then alone, so that it takes
no innocent one with it."""
FEW = 8
"""Dangerous turns that run together. Most of them were only near the one that ends workers, and need not wait long."""

Execute = Callable[[Lease], Awaitable[TurnOutcome]]


class Worker:
    """Runs turns with `execute` until told to drain.

    Args:
        inbox: on a patient client.
        waiter: a client without read time-out, for blocking reads.
        execute: runs a turn and says how it is to end; raises nothing of its own.
        name: of this worker, unlike any other's.
        timing: see `bot.worker.leases.Timing`.
    """

    def __init__(
        self,
        inbox: Inbox,
        waiter: Any,
        execute: Execute,
        metrics: Metrics,
        *,
        name: str,
        timing: Timing = DEFAULT_TIMING,
        max_turns: int = 200,
        max_turns_per_person: int = 4,
    ) -> None:
        self._inbox = inbox
        self._waiter = waiter
        self._execute = execute
        self._metrics = metrics
        self._name = name
        self._max_turns = max_turns
        self._max_per_person = max_turns_per_person
        self._timing = timing
        self.leases = Leases(inbox, waiter, metrics, name=name, timing=timing)
        self._tasks: set[asyncio.Task[None]] = set()
        self._persons: Counter[tuple[str, str]] = Counter()
        self._reserved = 0
        self._due_soon = asyncio.Event()
        self._draining = asyncio.Event()
        self._apart: dict[Lease, int] = {}
        shards = range(inbox.keys.shards)
        self._groups = [[one] for one in shards] if inbox.is_cluster else [list(shards)]

    def expect_due(self) -> None:
        """Something is put off: look for it in time, rather than at the next look."""
        self._due_soon.set()

    async def run(self) -> None:
        """Work until `drain`. A failure of Redis is waited out; whatever else breaks ends it, and is raised."""
        leases = self.leases
        helpers = [
            asyncio.create_task(step, name="worker helper")
            for step in (leases.keep(self._claim), self._make_due(), leases.hear_stops())
        ]
        takers = [
            asyncio.create_task(self._take(group), name="worker take") for group in self._groups
        ]
        try:
            running = {*takers, *helpers}
            while not all(taker.done() for taker in takers):
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()  # without a helper it would go on with leases that nobody renews
            while self._tasks:
                await asyncio.wait(tuple(self._tasks))
        finally:
            await cancel_all((*takers, *helpers, *self._tasks))

    async def drain(self, grace_s: float) -> None:
        """Take no more; let turns end within `grace_s`; hand the rest over at once."""
        self._draining.set()
        self.leases.changed.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while len(self.leases):
                    await self.leases.until_changed()
        for lease in self.leases:
            if lease.work is not None:
                lease.work.cancel()
        if self._tasks:
            _, silent = await asyncio.wait(tuple(self._tasks), timeout=self._timing.last_word_s)
            await cancel_all(silent)

    async def _take(self, shards: list[int]) -> None:
        start = 0
        while not self._draining.is_set():
            free = self._free()
            if free <= 0 or self._apart:
                await self.leases.until_changed()
                continue
            start = (start + 1) % len(shards)
            most = max(1, free // len(self._groups))
            self._reserved += most
            asked_at = time.monotonic()
            try:
                taken, positions = await self._inbox.claim(
                    self._name, most, shards[start:] + shards[:start]
                )
            except StoreError as error:
                self.leases.note_outage(error)
                await asyncio.sleep(0.5)
                continue
            finally:
                self._reserved -= most
                self.leases.changed.set()
            for turn in taken:
                self._start(turn, asked_at)
            if not taken:
                await self._wait_for_more(positions)

    def _free(self) -> int:
        return self._max_turns - len(self.leases) - self._reserved

    async def _wait_for_more(self, positions: dict[int, bytes]) -> None:
        streams = {self._inbox.keys.of(shard, "ready"): at for shard, at in positions.items()}
        read = asyncio.create_task(self._read(streams))
        drained = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({read, drained}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all((read, drained))

    async def _read(self, streams: dict[str, bytes]) -> None:
        """Return when one of the streams has something new, or after a while."""
        try:
            async with asyncio.timeout(self._timing.wait_s + self._timing.dead_s):
                block_ms = int(self._timing.wait_s * 1000)
                await self._waiter.xread(streams, count=1, block=block_ms)
        except (OSError, RedisError) as error:
            self._metrics.redis_errors.labels(type(error).__name__).inc()
            log.info("waiting for turns failed", error=repr(error))
            await asyncio.sleep(0.5)

    def _start(self, turn: ClaimedTurn, asked_at: float) -> None:
        lease = self.leases.add(turn, asked_at)
        task = asyncio.create_task(self._drive(lease), name=f"turn {turn.lane}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drive(self, lease: Lease) -> None:
        turn = lease.turn
        is_dangerous = turn.crashes >= DANGEROUS_CRASHES and turn.tries <= self._inbox.max_attempts
        try:
            verdict = await (self._work_apart(lease) if is_dangerous else self._work(lease))
            await self._end(lease, verdict)
        finally:
            if lease.work is not None:
                lease.work.cancel()
            self.leases.remove(lease)

    async def _work_apart(self, lease: Lease) -> TurnOutcome | None:
        """Once all others have ended. What finds no room waits in Redis: if this process ends, it had no part in it."""
        turn = lease.turn
        is_last = turn.tries >= self._inbox.max_attempts
        most = 1 if is_last or turn.crashes > DANGEROUS_CRASHES else FEW
        if len(self._apart) >= min(most, *self._apart.values(), FEW):
            return TurnOutcome("defer", PERSON_BUSY_S)
        self._apart[lease] = most
        self.leases.changed.set()  # another one that waits for all others need not wait for us
        try:
            while len(self.leases) > len(self._apart) and not self._draining.is_set():
                await self.leases.until_changed()
            log.warning("a dangerous turn runs apart", lane=turn.lane, together=len(self._apart))
            return await self._work(lease)
        finally:
            del self._apart[lease]
            self.leases.changed.set()

    async def _work(self, lease: Lease) -> TurnOutcome | None:
        """How it is to end; None if it is another worker's."""
        if self._draining.is_set():  # taken just before
            return TurnOutcome("requeue")
        person = _person(lease.turn)
        if self._persons[person] >= self._max_per_person:
            return TurnOutcome("defer", PERSON_BUSY_S)
        self._persons[person] += 1
        try:
            lease.work = asyncio.create_task(_coroutine(self._execute(lease)))
            await asyncio.wait({lease.work})
        finally:
            self._persons[person] -= 1
            if not self._persons[person]:
                del self._persons[person]
        if lease.is_lost:
            return None
        if not lease.work.cancelled():
            return lease.work.result()
        if self._draining.is_set():
            return TurnOutcome("requeue")
        return TurnOutcome("retry", self._timing.self_cancelled_s, "cancelled from within")

    async def _end(self, lease: Lease, verdict: TurnOutcome | None) -> None:
        """Say how it ended until Redis has heard it: else another worker would do it again."""
        if verdict is None:
            self._metrics.lost_leases.inc()
            return
        delay_s = 0.1
        while True:
            try:
                was_ours = await self._inbox.complete(
                    lease.turn, verdict.outcome, delay_s=verdict.delay_s, reason=verdict.reason
                )
                break
            except StoreError as error:
                self.leases.note_outage(error)
                await asyncio.sleep(delay_s)
                delay_s = min(2, delay_s * 2)
        if not was_ours:
            self._metrics.lost_leases.inc()
        elif verdict.outcome == "retry":
            self._metrics.retries.inc()
        elif verdict.outcome == "dead":
            self._metrics.dead.inc()
        if verdict.delay_s:
            self._due_soon.set()

    async def _claim(self) -> None:
        """Take over what a worker left that gives no sign of life."""
        for group in self._groups:
            if self._draining.is_set() or self._apart or self._free() <= 0:
                return
            asked_at = time.monotonic()
            own = [lease.turn for lease in self.leases]
            silent_ms = int(self.leases.lease_s * 1000)
            taken = await self._inbox.claim_abandoned(
                self._name, self._free(), group, min_idle_ms=silent_ms, own=own
            )
            for turn in taken:
                if self.leases.holds(turn):
                    continue  # its run here lost its lease before, and is about to end
                self._metrics.redeliveries.inc()
                log.warning("taken over from a silent worker", lane=turn.lane, tries=turn.tries)
                self._start(turn, asked_at)

    async def _make_due(self) -> None:
        pause_s = DUE_EVERY_CLUSTER_S if self._inbox.is_cluster else DUE_EVERY_S
        while True:
            soonest_s = pause_s
            try:
                for group in self._groups:
                    _, next_s = await self._inbox.promote_due(group)
                    soonest_s = min(soonest_s, pause_s if next_s is None else max(0.005, next_s))
            except StoreError as error:
                self.leases.note_outage(error)
            self._due_soon.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due_soon.wait(), soonest_s)


def _person(turn: ClaimedTurn) -> tuple[str, str]:
    if not turn.incoming:
        return "", turn.lane
    return turn.session.platform, turn.incoming[0].speaker.id


async def _coroutine(awaitable: Awaitable[TurnOutcome]) -> TurnOutcome:
    return await awaitable
