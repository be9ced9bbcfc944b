"""What the probes and the metrics of a service say."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.errors import StoreError
from bot.inbox.inbox import Inbox
from bot.inbox.stats import InboxStats
from bot.metrics import Metrics
from bot.ports import Connection
from bot.worker.worker import Worker

SILENT_LEASES = 4
SILENT_S = 60.0


@dataclass(slots=True)
class HealthProbes:
    """Looks at a service, and says what is wrong with it, by part.

    Attributes:
        worker: None in a process that only takes messages in.
        listens: False in a process that only works.
        draining: it is being stopped.
        deaf_s: a platform that could not be heard for so long: the process is better started anew.
    """

    connections: Mapping[str, Connection]
    metrics: Metrics
    inbox: Inbox
    stats: InboxStats
    worker: Worker | None
    listens: bool = True
    draining: bool = False
    deaf_s: float = 300.0
    deaf_since: dict[str, float] = field(default_factory=dict)

    async def health(self) -> dict[str, str]:
        """What only a restart helps against: never that Redis is away, nor what follows from it."""
        wrong: dict[str, str] = {}
        if await self._redis_trouble():
            self.deaf_since.clear()  # who cannot take in what was heard counts as deaf, too
        else:
            wrong = {
                name: self.connections[name].health().detail or "deaf"
                for name, since in self._deaf().items()
                if time.monotonic() - since > self.deaf_s
            }
        if self.worker is not None:
            leases = self.worker.leases
            silent_s = time.monotonic() - leases.heartbeat_at
            if silent_s > max(leases.lease_s * SILENT_LEASES, SILENT_S):
                wrong["worker"] = f"no sign of life for {silent_s:.0f} s"
        return wrong

    async def readiness(self) -> dict[str, str]:
        """Why no messages can be taken in, or worked on."""
        wrong = {name: self.connections[name].health().detail or "deaf" for name in self._deaf()}
        if self.draining:
            wrong["service"] = "it is being stopped"
        trouble = await self._redis_trouble()
        if trouble:
            wrong["redis"] = trouble
        return wrong

    async def render_metrics(self) -> bytes:
        self.metrics.ready.set(not await self.readiness())
        try:
            ready, waiting = await self.stats.depth()
            self.metrics.depth.labels("ready").set(ready)
            self.metrics.depth.labels("waiting").set(waiting)
            self.metrics.age.set(await self.stats.oldest_s())
        except StoreError as error:
            self.metrics.redis_errors.labels(type(error).__name__).inc()
            self.metrics.depth.clear()  # unknown, and not what it was before
            self.metrics.age.set(math.nan)
        return self.metrics.render()

    async def _redis_trouble(self) -> str:
        try:
            await self.inbox.check_writable(safely=True)
        except StoreError as error:
            return error.user_text
        return ""

    def _deaf(self) -> dict[str, float]:
        """Platforms that are not heard, and since when. A mere worker does not listen."""
        for name, connection in self.connections.items() if self.listens else ():
            if connection.health().ready:
                self.deaf_since.pop(name, None)
            else:
                self.deaf_since.setdefault(name, time.monotonic())
        return dict(self.deaf_since)
