"""Settings of a worker: its name, limits and waiting times."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timing:
    """Waiting times of a worker.

    Attributes:
        lease_s: a worker that sent no heartbeat for so long has lost its turns.
        renew_every_s: pause between two heartbeats; a quarter of the lease if not given.
        block_s: Redis ends a blocking read for new turns after so long.
        dead_s: a connection without a reply for so long after that is dead.
        resubscribe_s: the connection for stops is opened anew after so long: a dead one delivers nothing, like an
            idle one.
        self_cancelled_s: a turn that a library cancelled is retried after so long; requeued at once, it would come
            again for ever.
        completion_grace_s: Redis may take so long, at the end of draining, to complete turns.
    """

    lease_s: float = 30.0
    renew_every_s: float | None = None
    block_s: float = 5.0
    dead_s: float = 5.0
    resubscribe_s: float = 60.0
    self_cancelled_s: float = 1.0
    completion_grace_s: float = 5.0

    @property
    def heartbeat_s(self) -> float:
        return self.renew_every_s or self.lease_s / 4


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Name, limits and waiting times of a worker.

    Attributes:
        name: unlike any other worker's.
        max_turns: most turns that run at the same time.
        max_turns_per_person: most turns of one person that run at the same time.
    """

    name: str
    max_turns: int = 200
    max_turns_per_person: int = 4
    timing: Timing = field(default_factory=Timing)
