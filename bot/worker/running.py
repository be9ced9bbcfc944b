"""Runs claimed turns as tasks, within the limit of each person, until Redis has their outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from bot.background import cancel_all
from bot.errors import StoreError
from bot.inbox.claim import ClaimedTurn
from bot.worker.isolation import PoisonIsolation
from bot.worker.leases import Lease
from bot.worker.outcome import TurnOutcome
from bot.worker.state import WorkerState

PERSON_BUSY_S = 0.3
"""Delay of a turn whose person has as many running as they may."""

WITHDRAWN = TurnOutcome("requeue", reason="a message was deleted")
"""Outcome of a turn one of whose messages was deleted: the others, if there are any, become a turn again."""

Execute = Callable[[Lease], Coroutine[Any, Any, TurnOutcome]]


class TurnRunner:
    """The running turns of a worker, one task each."""

    def __init__(self, state: WorkerState, isolation: PoisonIsolation, execute: Execute) -> None:
        self._state = state
        self._isolation = isolation
        self._execute = execute
        self._tasks: set[asyncio.Task[None]] = set()
        self._running_of: Counter[tuple[str, str]] = Counter()

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        return tuple(self._tasks)

    def start(self, turn: ClaimedTurn, asked_at: float) -> None:
        """Run a turn that was claimed no sooner than `asked_at`, on the monotonic clock."""
        lease = self._state.leases.add(turn, asked_at)
        task = asyncio.create_task(self._run_to_completion(lease), name=f"turn {turn.lane}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self) -> None:
        """Wait until no turn runs."""
        while self._tasks:
            await asyncio.wait(self.tasks)

    async def hand_over(self) -> None:
        """Cancel the running turns, and requeue them within `Timing.completion_grace_s`."""
        for lease in self._state.leases:
            lease.cancel()
        if self._tasks:
            grace_s = self._state.options.timing.completion_grace_s
            _, incomplete = await asyncio.wait(self.tasks, timeout=grace_s)
            await cancel_all(incomplete)

    async def _run_to_completion(self, lease: Lease) -> None:
        try:
            if self._isolation.is_suspect(lease.turn):
                outcome = await self._isolation.run(lease, self._run_within_limit)
            else:
                outcome = await self._run_within_limit(lease)
            await self._complete(lease, outcome)
        finally:
            lease.cancel()
            self._state.leases.remove(lease)

    async def _run_within_limit(self, lease: Lease) -> TurnOutcome | None:
        """Run the turn unless its person has too many. None: another worker claimed it meanwhile."""
        if self._state.is_draining:  # claimed just before
            return TurnOutcome("requeue")
        person = _person(lease.turn)
        if self._running_of[person] >= self._state.options.max_turns_per_person:
            return TurnOutcome("defer", PERSON_BUSY_S)
        self._running_of[person] += 1
        try:
            return await self._run_as_task(lease)
        finally:
            self._running_of[person] -= 1
            if not self._running_of[person]:
                del self._running_of[person]

    async def _run_as_task(self, lease: Lease) -> TurnOutcome | None:
        """The outcome of `execute`, in a task that can be cancelled without its completion."""
        if lease.is_withdrawn:  # while it waited for its turn to start
            return WITHDRAWN
        task = lease.task = asyncio.create_task(self._execute(lease))
        await asyncio.wait({task})
        if lease.is_lost:
            return None
        if lease.is_withdrawn:
            return WITHDRAWN
        if not task.cancelled():
            return task.result()
        if self._state.is_draining:
            return TurnOutcome("requeue")
        delay_s = self._state.options.timing.self_cancelled_s
        return TurnOutcome("retry", delay_s, "cancelled from within")

    async def _complete(self, lease: Lease, outcome: TurnOutcome | None) -> None:
        """Complete the turn, again and again until Redis takes it: else another worker would repeat it."""
        metrics = self._state.metrics
        if outcome is None or not await self._complete_when_redis_is_back(lease.turn, outcome):
            metrics.lost_leases.inc()
        elif outcome.outcome == "retry":
            metrics.retries.inc()
        elif outcome.outcome == "dead":
            metrics.dead.inc()
        if outcome is not None and outcome.delay_s:
            self._state.delayed.set()

    async def _complete_when_redis_is_back(self, turn: ClaimedTurn, outcome: TurnOutcome) -> bool:
        pause_s = 0.1
        while True:
            try:
                return await self._state.inbox.complete(
                    turn, outcome.outcome, delay_s=outcome.delay_s, reason=outcome.reason
                )
            except StoreError as error:
                self._state.leases.record_outage(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2, pause_s * 2)


def _person(turn: ClaimedTurn) -> tuple[str, str]:
    """The person whose limit a turn counts against; unreadable turns count by lane."""
    if not turn.incoming:
        return "", turn.lane
    return turn.session.platform, turn.incoming[0].speaker.id
