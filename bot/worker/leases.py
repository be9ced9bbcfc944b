"""The leases of a worker: signs of life for its turns, and words about them from elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.exceptions import RedisError

from bot.errors import StoreError
from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.metrics import Metrics
from bot.turns.stop_signal import StopSignal
from bot.worker.outcome import TurnOutcome

log = structlog.get_logger("keepthread.leases")

LOOK_FOR_STOPS_EVERY_S = 0.4
OUTAGE_S = 1.0
"""A sign of life that took longer had to wait for Redis to come back."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Waiting times of a worker.

    Attributes:
        lease_s: a worker that gave no sign of life for so long has lost its turns.
        renew_every_s: pause between two signs of life; a quarter of the lease if not given.
        wait_s: Redis answers a read that waits for turns after so long.
        dead_s: a connection that says nothing for so long after that is dead.
        listen_s: the connection for stops is opened anew after so long: a dead one says nothing, like a quiet one.
        self_cancelled_s: a turn that a library cancelled is tried again after so long; put back at once, it
            would come again for ever.
        last_word_s: Redis may take so long, at the end of draining, to hear how turns ended.
    """

    lease_s: float = 30.0
    renew_every_s: float | None = None
    wait_s: float = 5.0
    dead_s: float = 5.0
    listen_s: float = 60.0
    self_cancelled_s: float = 1.0
    last_word_s: float = 5.0


DEFAULT_TIMING = Timing()


@dataclass(slots=True, eq=False)
class Lease:
    """A running turn and the proof that it is ours.

    Attributes:
        sure_until: until when, on the monotonic clock, no other worker can have taken it over.
        renew: asks Redis for the lease once more. Raises StoreError.
        stop: ends the answer when somebody says stop.
    """

    turn: ClaimedTurn
    sure_until: float
    renew: Callable[[Lease], Awaitable[None]] | None = None
    stop: StopSignal = field(default_factory=StopSignal)
    is_lost: bool = False
    work: asyncio.Task[TurnOutcome] | None = None

    @property
    def is_sure(self) -> bool:
        """False once this process was frozen for longer than a lease, until the next sign of life."""
        return not self.is_lost and time.monotonic() < self.sure_until

    async def is_ours(self) -> bool:
        """`is_sure`; in doubt Redis is asked: a starved process may speak if nobody took its turn. Raises StoreError."""
        if not self.is_sure and not self.is_lost and self.renew is not None:
            await self.renew(self)
        return self.is_sure

    def lose(self) -> None:
        """Another worker has it: stop at once."""
        if self.work is None or not self.work.done():
            self.is_lost = True
            if self.work is not None:
                self.work.cancel()


class Leases:
    """All leases of one worker.

    Attributes:
        changed: set when one ended.
        beat_at: when the last sign of life was given, or Redis took none, on the monotonic clock.
    """

    def __init__(
        self,
        inbox: Inbox,
        waiter: Any,
        metrics: Metrics,
        *,
        name: str,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._inbox = inbox
        self._waiter = waiter
        self._metrics = metrics
        self._name = name
        self._timing = timing
        self.lease_s = timing.lease_s
        self._held: dict[tuple[int, str], Lease] = {}
        self.changed = asyncio.Event()
        self._no_claim_before = 0.0
        self.beat_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(self._held.values()))

    def holds(self, turn: ClaimedTurn) -> bool:
        return (turn.shard, turn.lane) in self._held

    def add(self, turn: ClaimedTurn, asked_at: float) -> Lease:
        """The lease on a turn that was begun no sooner than `asked_at`, on the monotonic clock."""
        lease = Lease(turn, asked_at + self.lease_s, lambda one: self._renew([one], touch=True))
        if turn.is_stopped:
            lease.stop.request()
        self._held[turn.shard, turn.lane] = lease
        self._metrics.running.set(len(self._held))
        return lease

    def remove(self, lease: Lease) -> None:
        place = lease.turn.shard, lease.turn.lane
        if self._held.get(place) is lease:  # the conversation's next turn may be here already
            del self._held[place]
        self._metrics.running.set(len(self._held))
        self.changed.set()

    async def until_changed(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    async def keep(self, and_then: Callable[[], Awaitable[None]]) -> None:
        """Signs of life, for ever; after each, unless Redis was away, `and_then`."""

        async def beat() -> None:
            began_at = time.monotonic()
            try:
                await self._look_after(touch=True)
                await self._inbox.check_writable()
            finally:
                self.beat_at = time.monotonic()
            if self.beat_at - began_at > OUTAGE_S:
                self._let_others_renew()
            if self.beat_at >= self._no_claim_before:
                await and_then()

        await self.every(self._timing.renew_every_s or self.lease_s / 4, beat)

    async def hear_stops(self) -> None:
        """Words to stop, for ever: at once where there is a channel for all, else by looking."""
        if self._inbox.is_cluster:
            await self.every(LOOK_FOR_STOPS_EVERY_S, lambda: self._look_after(touch=False))
        while True:
            try:
                async with self._waiter.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self._inbox.keys.stop_channel)
                    until = time.monotonic() + self._timing.listen_s
                    while (left_s := until - time.monotonic()) > 0:
                        message = await channel.get_message(timeout=left_s)
                        lane = message["data"].decode() if message else ""
                        concerned = [lease for lease in self if lease.turn.lane == lane]
                        await self._look_after(concerned, touch=False)
            except (OSError, StoreError, RedisError) as error:
                log.info("not hearing words to stop for a moment", error=repr(error))
                await asyncio.sleep(1)

    async def every(self, pause_s: float, step: Callable[[], Awaitable[None]]) -> None:
        """Do `step` for ever; a failure of Redis is noted."""
        while True:
            await asyncio.sleep(pause_s)
            try:
                await step()
            except StoreError as error:
                self.note_outage(error)

    def note_outage(self, error: StoreError) -> None:
        self._metrics.redis_errors.labels(type(error).__name__).inc()
        self._let_others_renew()
        log.warning("Redis failed", error=repr(error))

    def _let_others_renew(self) -> None:
        """After an outage every live turn looks abandoned: its owner renews before anybody claims."""
        self._no_claim_before = time.monotonic() + self.lease_s

    async def _look_after(self, leases: Sequence[Lease] | None = None, *, touch: bool) -> None:
        by_shard: dict[int, list[Lease]] = {}
        for lease in self if leases is None else leases:
            by_shard.setdefault(lease.turn.shard, []).append(lease)
        # Each for itself: on a cluster one node may be away, and only its leases with it.
        outcomes = await asyncio.gather(
            *(self._renew(some, touch=touch) for some in by_shard.values()), return_exceptions=True
        )
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _renew(self, some: Sequence[Lease], *, touch: bool) -> None:
        asked_at = time.monotonic()
        news = await self._inbox.renew(self._name, [lease.turn for lease in some], touch=touch)
        for place, lease in enumerate(some):
            word = news.get(place)
            if word == "lost":
                # It may also just have ended, and then there is nothing to lose.
                log.info("a lease is gone", lane=lease.turn.lane)
                lease.lose()
                continue
            if touch:
                lease.sure_until = asked_at + self.lease_s
            if word == "cancel":
                lease.stop.request()
