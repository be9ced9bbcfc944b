"""Isolation of poison turns: turns during which workers crashed start only when all normal turns have ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from bot.inbox.claim import ClaimedTurn
from bot.worker.leases import Lease
from bot.worker.outcome import TurnOutcome
from bot.worker.state import WorkerState

log = structlog.get_logger("keepthread.worker")

SUSPECT_CRASHES = 2
"""After this many worker crashes a turn is a suspect."""
MAX_SUSPECTS = 8
"""Suspects that run together. Most of them only ran beside the poison turn, and need not wait long."""
SUSPECT_DELAY_S = 0.3


class PoisonIsolation:
    """Runs the suspects of a worker apart from its normal turns: first few together, then each alone."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._group_limits: dict[Lease, int] = {}

    @property
    def is_active(self) -> bool:
        """Whether a suspect runs, or waits for normal turns to end: no other turn may start then."""
        return bool(self._group_limits)

    def is_suspect(self, turn: ClaimedTurn) -> bool:
        """False also for a turn that is past its attempts: it is only given up."""
        is_over = turn.tries > self._state.inbox.max_attempts
        return turn.crashes >= SUSPECT_CRASHES and not is_over

    async def run(
        self, lease: Lease, run_turn: Callable[[Lease], Awaitable[TurnOutcome | None]]
    ) -> TurnOutcome | None:
        """Run a suspect after all normal turns.

        A suspect without a place is deferred, so that a crash of this process is not counted against it.
        """
        limit = self._group_limit(lease.turn)
        strictest = min([limit, *self._group_limits.values()])
        if len(self._group_limits) >= strictest:
            return TurnOutcome("defer", SUSPECT_DELAY_S)
        self._group_limits[lease] = limit
        self._state.leases.changed.set()  # suspects that wait for normal turns need not wait for this one
        try:
            await self._wait_for_normal_turns()
            group_size = len(self._group_limits)
            log.warning("poison suspect isolated", lane=lease.turn.lane, group_size=group_size)
            return await run_turn(lease)
        finally:
            del self._group_limits[lease]
            self._state.leases.changed.set()

    def _group_limit(self, turn: ClaimedTurn) -> int:
        """How many suspects may run together with this turn, itself included."""
        is_last_attempt = turn.tries >= self._state.inbox.max_attempts
        return 1 if is_last_attempt or turn.crashes > SUSPECT_CRASHES else MAX_SUSPECTS

    async def _wait_for_normal_turns(self) -> None:
        leases = self._state.leases
        while len(leases) > len(self._group_limits) and not self._state.is_draining:
            await leases.wait_for_change()
