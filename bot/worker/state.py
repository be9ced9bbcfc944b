"""Shared state of the parts of one worker: its inbox, leases and metrics."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.inbox.inbox import Inbox
from bot.metrics import Metrics
from bot.storage.fail_over import FailOvers
from bot.worker.leases import Leases
from bot.worker.options import WorkerOptions


@dataclass(frozen=True, slots=True)
class WorkerState:
    """State that the parts of one worker share.

    Attributes:
        fail_overs: of its Redis: blocking reads begin anew at each.
        shard_groups: shards that one command can reach; on a cluster each shard is a group.
        draining: set when no more turns are to start.
        delayed: set when a turn was delayed, so that it is promoted in time.
    """

    inbox: Inbox
    metrics: Metrics
    options: WorkerOptions
    leases: Leases
    fail_overs: FailOvers
    shard_groups: tuple[tuple[int, ...], ...]
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    delayed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_draining(self) -> bool:
        return self.draining.is_set()
