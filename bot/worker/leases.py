"""Leases of running turns: renewed by a heartbeat; stop requests of other processes arrive here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.exceptions import NoPermissionError, RedisError

from bot.errors import StoreError, StoreReadOnly
from bot.inbox.claim import ClaimedTurn
from bot.inbox.inbox import Inbox
from bot.metrics import Metrics
from bot.storage.fail_over import is_stale
from bot.turns.stop_signal import StopSignal
from bot.worker.options import WorkerOptions
from bot.worker.outcome import TurnOutcome

log = structlog.get_logger("keepthread.leases")

STOP_POLL_S = 0.4
STALE_CHECK_S = 1.0
"""The subscription follows a fail-over within this time."""
OUTAGE_S = 1.0
"""A heartbeat that took longer had to wait for Redis to come back."""


@dataclass(slots=True, eq=False)
class Lease:
    """A running turn and the proof that it is this worker's.

    Attributes:
        valid_until: no other worker can claim the turn before, on the monotonic clock.
        renew: asks Redis for the lease once more. Raises StoreError.
        stop: ends the answer when it is requested.
        is_withdrawn: a message of the turn was deleted: it ends, and shows and writes nothing more.
        task: runs the turn.
    """

    turn: ClaimedTurn
    valid_until: float
    renew: Callable[[Lease], Awaitable[None]] | None = None
    stop: StopSignal = field(default_factory=StopSignal)
    is_lost: bool = False
    is_withdrawn: bool = False
    task: asyncio.Task[TurnOutcome] | None = None

    @property
    def is_valid(self) -> bool:
        """False once this process was frozen for longer than a lease, until its next heartbeat."""
        return not (self.is_lost or self.is_withdrawn) and time.monotonic() < self.valid_until

    async def confirm(self) -> bool:
        """`is_valid`; in doubt Redis is asked: a starved process keeps a turn that nobody claimed. Raises StoreError."""
        is_over = self.is_lost or self.is_withdrawn
        if not self.is_valid and not is_over and self.renew is not None:
            await self.renew(self)
        return self.is_valid

    def lose(self) -> None:
        """Cancel the turn: another worker claimed it."""
        if self.task is None or not self.task.done():
            self.is_lost = True
            self.cancel()

    def withdraw(self) -> None:
        """Cancel the turn: one of its messages was deleted."""
        if self.task is None or not self.task.done():
            self.is_withdrawn = True
            self.cancel()

    def cancel(self) -> None:
        """Cancel the task that runs the turn, if there is one."""
        if self.task is not None:
            self.task.cancel()


class Leases:
    """All leases of one worker.

    Attributes:
        changed: set when the number of running turns, or of reserved slots, changed.
        heartbeat_at: time of the last heartbeat, also of one that Redis refused, on the monotonic clock.
        read_only_since: time of the first heartbeat since which Redis was a replica; None if it is none.
    """

    def __init__(
        self, inbox: Inbox, blocking_client: Any, metrics: Metrics, options: WorkerOptions
    ) -> None:
        self._inbox = inbox
        self._blocking_client = blocking_client
        self._metrics = metrics
        self._name = options.name
        self._timing = options.timing
        self.lease_s = options.timing.lease_s
        self._held: dict[tuple[int, str], Lease] = {}
        self.changed = asyncio.Event()
        self.heartbeat_at = time.monotonic()
        self.read_only_since: float | None = None
        # Redis may just have come back: other workers renew first, as after an outage seen from here.
        self._no_claim_before = self.heartbeat_at + self.lease_s / 2

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(self._held.values()))

    def holds(self, turn: ClaimedTurn) -> bool:
        return (turn.shard, turn.lane) in self._held

    def add(self, turn: ClaimedTurn, asked_at: float) -> Lease:
        """The lease on a turn that was claimed no sooner than `asked_at`, on the monotonic clock."""
        lease = Lease(
            turn, asked_at + self.lease_s, lambda doubtful: self._renew([doubtful], touch=True)
        )
        if turn.is_stopped:
            lease.stop.request()
        self._held[turn.shard, turn.lane] = lease
        self._metrics.running.set(len(self._held))
        return lease

    def remove(self, lease: Lease) -> None:
        key = lease.turn.shard, lease.turn.lane
        if self._held.get(key) is lease:  # the conversation's next turn may be here already
            del self._held[key]
        self._metrics.running.set(len(self._held))
        self.changed.set()

    async def wait_for_change(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    async def run_heartbeat(self, claim_abandoned: Callable[[], Awaitable[None]]) -> None:
        """Renew all leases for ever; after each time, unless Redis was away, `claim_abandoned`."""

        async def beat() -> None:
            began_at = time.monotonic()
            try:
                await self._renew_all(touch=True)
                await self._inbox.check_writable()
                self.read_only_since = None
            except StoreReadOnly:
                self.read_only_since = self.read_only_since or time.monotonic()
                raise
            finally:
                self.heartbeat_at = time.monotonic()
            if self.heartbeat_at - began_at > OUTAGE_S:
                self._postpone_claims()
            if self.heartbeat_at >= self._no_claim_before:
                await claim_abandoned()

        await self._repeat(self._timing.heartbeat_s, beat)

    async def watch_stops(self) -> None:
        """Stop stopped turns and withdraw deleted ones for ever: by the channel; on a cluster, or without rights, by polling."""
        while not self._inbox.is_cluster:
            try:
                await self._follow_stop_channel()
            except NoPermissionError as error:
                log.warning("stop channel refused, stops are polled", error=str(error))
                break
            except (OSError, StoreError, RedisError) as error:
                log.info("stop channel lost", error=repr(error))
                await asyncio.sleep(1)
        await self._repeat(STOP_POLL_S, lambda: self._renew_all(touch=False))

    async def _follow_stop_channel(self) -> None:
        """Look at turns named in the channel, for `resubscribe_s`."""
        name = self._inbox.keys.stop_channel
        async with self._blocking_client.pubsub(ignore_subscribe_messages=True) as channel:
            async with asyncio.timeout(self._timing.dead_s):
                await self._blocking_client.publish(
                    name, ""
                )  # stops are published by this user, too
                await channel.subscribe(name)
            until = time.monotonic() + self._timing.resubscribe_s
            while (left_s := until - time.monotonic()) > 0 and not is_stale(channel.connection):
                message = await channel.get_message(timeout=min(left_s, STALE_CHECK_S))
                lane = message["data"].decode() if message else ""
                stopped = [lease for lease in self if lease.turn.lane == lane]
                await self._renew_by_shard(stopped, touch=False)

    def record_outage(self, error: StoreError) -> None:
        """Count and log a failure of Redis, and leave other workers time to renew."""
        self._metrics.redis_errors.labels(type(error).__name__).inc()
        self._postpone_claims()
        log.warning("Redis failed", error=repr(error))

    async def _repeat(self, pause_s: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(pause_s)
            try:
                await step()
            except StoreError as error:
                self.record_outage(error)

    def _postpone_claims(self) -> None:
        """After an outage every live turn looks abandoned: its owner renews before anybody claims."""
        self._no_claim_before = time.monotonic() + self.lease_s

    async def _renew_all(self, *, touch: bool) -> None:
        await self._renew_by_shard(list(self), touch=touch)

    async def _renew_by_shard(self, leases: Sequence[Lease], *, touch: bool) -> None:
        by_shard: dict[int, list[Lease]] = {}
        for lease in leases:
            by_shard.setdefault(lease.turn.shard, []).append(lease)
        # Concurrently: on a cluster one node may be away, and only its leases with it.
        errors = await asyncio.gather(
            *(self._renew(shard, touch=touch) for shard in by_shard.values()),
            return_exceptions=True,
        )
        for error in errors:
            if error is not None:
                raise error

    async def _renew(self, leases: Sequence[Lease], *, touch: bool) -> None:
        asked_at = time.monotonic()
        news = await self._inbox.renew(self._name, [lease.turn for lease in leases], touch=touch)
        for place, lease in enumerate(leases):
            state = news.get(place)
            if state == "lost":
                # Perhaps only because it was completed meanwhile: `lose` then does nothing.
                log.info("lease lost", lane=lease.turn.lane)
                lease.lose()
                continue
            if touch:
                lease.valid_until = asked_at + self.lease_s
            if state == "cancel":
                lease.stop.request()
            elif state == "withdrawn" and not lease.is_withdrawn:
                log.info("turn withdrawn", lane=lease.turn.lane)
                lease.withdraw()
