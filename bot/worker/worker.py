"""Worker: claims turns from the inbox, runs hundreds at once, and renews their leases.

claiming.py ──► running.py ──► Inbox.complete
   ▲               │
   │               ├─ isolation.py   turns during which workers crashed
   ├─ promotion.py └─ leases.py      heartbeat, stop signals
   └─ abandoned turns of unresponsive workers
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from bot.background import cancel_all
from bot.inbox.inbox import Inbox
from bot.metrics import Metrics
from bot.storage.fail_over import FailOvers
from bot.worker.claiming import TurnClaimer
from bot.worker.isolation import PoisonIsolation
from bot.worker.leases import Leases
from bot.worker.options import WorkerOptions
from bot.worker.promotion import DueTurnPromoter
from bot.worker.running import Execute, TurnRunner
from bot.worker.state import WorkerState


class Worker:
    """Runs turns with `execute` until it is drained.

    Args:
        inbox: on a client that waits out an outage of Redis.
        blocking_client: a client without read time-out, for blocking reads.
        execute: runs a turn and returns its outcome; raises only CancelledError.
        fail_overs: those that both clients record; None where they record none.
    """

    def __init__(
        self,
        inbox: Inbox,
        blocking_client: Any,
        execute: Execute,
        metrics: Metrics,
        options: WorkerOptions,
        fail_overs: FailOvers | None = None,
    ) -> None:
        self.leases = Leases(inbox, blocking_client, metrics, options)
        shards = range(inbox.keys.shards)
        groups = tuple((shard,) for shard in shards) if inbox.is_cluster else (tuple(shards),)
        self._state = WorkerState(
            inbox, metrics, options, self.leases, fail_overs or FailOvers(), groups
        )
        isolation = PoisonIsolation(self._state)
        self._runner = TurnRunner(self._state, isolation, execute)
        self._claimer = TurnClaimer(self._state, blocking_client, isolation, self._runner)
        self._promoter = DueTurnPromoter(self._state)

    def expect_due(self) -> None:
        """Promote in time a turn that this process delayed, rather than at the next poll."""
        self._state.delayed.set()

    async def run(self) -> None:
        """Work until `drain`. An outage of Redis is waited out; any other error ends the worker, and is raised."""
        leases = self.leases
        steps = (
            leases.run_heartbeat(self._claimer.claim_abandoned),
            self._promoter.run(),
            leases.watch_stops(),
        )
        helpers = [asyncio.create_task(step, name="worker helper") for step in steps]
        claimers = [
            asyncio.create_task(self._claimer.claim_new(shards), name="worker claim")
            for shards in self._state.shard_groups
        ]
        try:
            running = {*claimers, *helpers}
            while not all(claimer.done() for claimer in claimers):
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()  # without a helper it would go on with leases that nobody renews
            await self._runner.wait()
        finally:
            await cancel_all((*claimers, *helpers, *self._runner.tasks))

    async def drain(self, grace_s: float) -> None:
        """Claim no more; let turns end within `grace_s`; requeue the rest at once."""
        self._state.draining.set()
        self.leases.changed.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while len(self.leases):
                    await self.leases.wait_for_change()
        await self._runner.hand_over()
