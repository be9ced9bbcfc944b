"""Claims turns for a worker: new ones as they become ready, and those that an unresponsive worker left."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from redis.exceptions import RedisError

from bot.background import cancel_all
from bot.errors import StoreError
from bot.worker.isolation import PoisonIsolation
from bot.worker.running import TurnRunner
from bot.worker.state import WorkerState

log = structlog.get_logger("keepthread.worker")

PAUSE_AFTER_ERROR_S = 0.5


class TurnClaimer:
    """Claims as many turns as a worker has free slots.

    Args:
        blocking_client: a client without read time-out.
    """

    def __init__(
        self,
        state: WorkerState,
        blocking_client: Any,
        isolation: PoisonIsolation,
        runner: TurnRunner,
    ) -> None:
        self._state = state
        self._blocking_client = blocking_client
        self._isolation = isolation
        self._runner = runner
        self._reserved = 0

    async def claim_new(self, shards: tuple[int, ...]) -> None:
        """Claim turns of these shards as they become ready, until draining."""
        leases = self._state.leases
        first = 0
        while not self._state.is_draining:
            if not self._can_claim():
                await leases.wait_for_change()
                continue
            first = (first + 1) % len(shards)  # no shard is always the last to be read
            try:
                positions = await self._claim_once(shards[first:] + shards[:first])
            except StoreError as error:
                leases.record_outage(error)
                await asyncio.sleep(PAUSE_AFTER_ERROR_S)
                continue
            if positions:
                await self._wait_for_ready(positions)

    async def claim_abandoned(self) -> None:
        """Claim the turns of workers that sent no heartbeat for a lease."""
        leases = self._state.leases
        for shards in self._state.shard_groups:
            if self._state.is_draining or not self._can_claim():
                return
            asked_at = time.monotonic()
            turns = await self._state.inbox.claim_abandoned(
                self._state.options.name,
                self._free_slots(),
                shards,
                min_idle_ms=int(leases.lease_s * 1000),
                own=[lease.turn for lease in leases],
            )
            for turn in turns:
                if leases.holds(turn):
                    continue  # its earlier run here lost the lease, and is about to end
                self._state.metrics.redeliveries.inc()
                log.warning(
                    "taken over from an unresponsive worker", lane=turn.lane, tries=turn.tries
                )
                self._runner.start(turn, asked_at)

    async def _claim_once(self, shards: tuple[int, ...]) -> dict[int, bytes]:
        """Start what is ready. If nothing is: the positions after which new entries will come."""
        max_turns = max(1, self._free_slots() // len(self._state.shard_groups))
        self._reserved += max_turns
        asked_at = time.monotonic()
        try:
            turns, positions = await self._state.inbox.claim(
                self._state.options.name, max_turns, shards
            )
        finally:
            self._reserved -= max_turns
            self._state.leases.changed.set()
        for turn in turns:
            self._runner.start(turn, asked_at)
        return {} if turns else positions

    def _can_claim(self) -> bool:
        return self._free_slots() > 0 and not self._isolation.is_active

    def _free_slots(self) -> int:
        return self._state.options.max_turns - len(self._state.leases) - self._reserved

    async def _wait_for_ready(self, positions: dict[int, bytes]) -> None:
        """Return when a conversation became ready, after a while, at a fail-over, or when draining begins."""
        keys = self._state.inbox.keys
        streams = {keys.of(shard, "ready"): position for shard, position in positions.items()}
        read = asyncio.create_task(self._read_blocking(streams))
        drained = asyncio.create_task(self._state.draining.wait())
        moved = asyncio.create_task(self._state.fail_overs.wait())
        tasks = (read, drained, moved)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all(tasks)

    async def _read_blocking(self, streams: dict[str, bytes]) -> None:
        timing = self._state.options.timing
        try:
            async with asyncio.timeout(timing.block_s + timing.dead_s):
                block_ms = int(timing.block_s * 1000)
                await self._blocking_client.xread(streams, count=1, block=block_ms)
        except (OSError, RedisError) as error:
            self._state.metrics.redis_errors.labels(type(error).__name__).inc()
            log.info("blocking read failed", error=repr(error))
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
