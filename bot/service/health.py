"""Health of a service: liveness, readiness and metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.errors import StoreError, StoreReadOnly
from bot.inbox.inbox import Inbox
from bot.inbox.stats import InboxStats
from bot.metrics import Metrics
from bot.ports import Connection
from bot.worker.worker import Worker

MAX_MISSED_LEASES = 4
MIN_STUCK_S = 60.0
"""A worker whose last heartbeat is older than both is stuck."""
MAX_READ_ONLY_S = 30.0
"""A process whose Redis is a replica for longer did not follow a fail-over."""


@dataclass(slots=True)
class HealthProbes:
    """Probes of a service: each returns what is wrong, by part.

    Attributes:
        worker: None in a process with the ingress role alone.
        receives: False in a process with the worker role alone.
        max_disconnected_s: liveness fails when a platform was disconnected for longer.
        max_read_only_s: liveness fails when Redis was a replica for longer.
    """

    connections: Mapping[str, Connection]
    metrics: Metrics
    inbox: Inbox
    stats: InboxStats
    worker: Worker | None
    receives: bool = True
    max_disconnected_s: float = 300.0
    max_read_only_s: float = MAX_READ_ONLY_S
    _read_only_since: float | None = None
    _is_draining: bool = False
    _disconnected_since: dict[str, float] = field(default_factory=dict)

    def begin_draining(self) -> None:
        """Be unready from now on."""
        self._is_draining = True

    async def health(self) -> dict[str, str]:
        """Faults that only a restart mends: never an outage of Redis, nor its consequences.

        A name that still leads to a former primary is no outage: perhaps another process finds the new one.
        """
        wrong: dict[str, str] = {}
        if await self._redis_error():
            self._disconnected_since.clear()  # a platform whose messages cannot be stored is unready, too
        else:
            wrong = {
                platform: self._detail(platform)
                for platform, disconnected_s in self._disconnected_for_s().items()
                if disconnected_s > self.max_disconnected_s
            }
        if self.worker is not None:
            leases = self.worker.leases
            heartbeat_age_s = time.monotonic() - leases.heartbeat_at
            if heartbeat_age_s > max(leases.lease_s * MAX_MISSED_LEASES, MIN_STUCK_S):
                wrong["worker"] = f"no heartbeat for {heartbeat_age_s:.0f} s"
        read_only_s = self._read_only_for_s()
        if read_only_s > self.max_read_only_s:
            wrong["redis"] = f"a replica for {read_only_s:.0f} s"
        return wrong

    async def readiness(self) -> dict[str, str]:
        """Reasons why messages cannot be received or answered."""
        wrong = {platform: self._detail(platform) for platform in self._disconnected_for_s()}
        if self._is_draining:
            wrong["service"] = "it is being stopped"
        redis_error = await self._redis_error()
        if redis_error:
            wrong["redis"] = redis_error
        return wrong

    async def render_metrics(self) -> bytes:
        """All metrics in the format of Prometheus, those of the queue read now."""
        self.metrics.ready.set(not await self.readiness())
        try:
            depth = await self.stats.depth()
            self.metrics.depth.labels("ready").set(depth.ready)
            self.metrics.depth.labels("waiting").set(depth.waiting)
            self.metrics.age.set(await self.stats.oldest_s())
        except StoreError as error:
            self.metrics.redis_errors.labels(type(error).__name__).inc()
            self.metrics.depth.clear()  # unknown, rather than the last value
            self.metrics.age.set(math.nan)
        return self.metrics.render()

    async def _redis_error(self) -> str:
        try:
            await self.inbox.check_writable(safely=True)
        except StoreReadOnly as error:
            self._read_only_since = self._read_only_since or time.monotonic()
            return error.user_text
        except StoreError as error:
            return error.user_text
        self._read_only_since = None
        return ""

    def _read_only_for_s(self) -> float:
        """How long Redis has been a replica, by this process' probes or its worker."""
        of_worker = self.worker.leases.read_only_since if self.worker else None
        now = time.monotonic()
        return max(
            (now - since for since in (self._read_only_since, of_worker) if since), default=0
        )

    def _detail(self, platform: str) -> str:
        return self.connections[platform].health().detail or "disconnected"

    def _disconnected_for_s(self) -> dict[str, float]:
        """Platforms that are disconnected, and for how long; none in a process that does not receive."""
        now = time.monotonic()
        for platform, connection in self.connections.items() if self.receives else ():
            if connection.health().ready:
                self._disconnected_since.pop(platform, None)
            else:
                self._disconnected_since.setdefault(platform, now)
        return {platform: now - since for platform, since in self._disconnected_since.items()}
