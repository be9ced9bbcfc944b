"""Worker harness: an executor that records turns, and timings."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import replace

from bot.worker.leases import Lease
from bot.worker.outcome import TurnOutcome
from tests.support.inbox_harness import GENEROUS_TIMING, texts

FAST_HEARTBEAT = replace(GENEROUS_TIMING, renew_every_s=0.02)
"""Heartbeats come fast, and a starved process keeps its turns all the same."""

SHORT_LEASE = replace(GENEROUS_TIMING, lease_s=1)
"""Claims abandoned turns soon. For a single worker: among several it would lose its own turns to the others."""


class RecordingExecutor:
    """Executes turns by recording their messages; `held`, it does so only after `release`.

    Attributes:
        done: texts of completed turns, by place.
        running: number of running turns, by place.
        overlaps: how often two turns of one place ran at the same time.
        began: texts of all turns that were started.
        stopped: lanes of turns that ended by a stop.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.done: dict[str, list[str]] = defaultdict(list)
        self.running: Counter[str] = Counter()
        self.overlaps = 0
        self.most_at_once = 0
        self.began: list[str] = []
        self.stopped: list[str] = []
        self._released = asyncio.Event()
        if not held:
            self.release()

    def release(self) -> None:
        self._released.set()

    async def execute(self, lease: Lease) -> TurnOutcome:
        place = lease.turn.session.place
        self.running[place] += 1
        self.overlaps += self.running[place] > 1
        self.most_at_once = max(self.most_at_once, self.running.total())
        self.began += texts(lease.turn)
        try:
            while not self._released.is_set():
                if lease.stop.requested:
                    self.stopped.append(lease.turn.lane)
                    return TurnOutcome("done")
                await asyncio.sleep(0.002)
            self.done[place] += texts(lease.turn)
            return TurnOutcome("done")
        finally:
            self.running[place] -= 1
