"""A claimed turn, and the outcomes with which it can be completed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import structlog

from bot.conversation import Incoming, SessionKey

log = structlog.get_logger("keepthread.inbox")

Outcome = Literal["done", "retry", "defer", "requeue", "split", "dead"]
"""`defer` and `requeue` cost no try: later, or at once. `split`: each of its messages becomes a turn of its own."""

LeaseNews = Literal["lost", "cancel", "withdrawn"]
"""News of a running turn: another worker has it, it was stopped, or one of its messages was deleted."""


@dataclass(frozen=True, slots=True)
class ClaimedTurn:
    """A turn that a worker claimed, with its lease.

    Attributes:
        shard: of its conversation.
        entry: id of the conversation's token in `ready`.
        token: proof of the lease; grows with every turn claimed on the shard.
        tries: how often it was claimed, this time included.
        fails: how often it was completed as failed; the other tries ended with a crash of their worker.
        is_stopped: it was stopped before its last worker could read that.
        ids: of its messages in the mailbox; they begin with the µs in which each arrived.
        incoming: its messages, oldest first; none if they cannot be read.
        first: id of the message it began with, though that was deleted since.
    """

    shard: int
    lane: str
    entry: bytes
    token: int
    tries: int
    fails: int
    ids: tuple[str, ...]
    incoming: tuple[Incoming, ...]
    is_stopped: bool = False
    first: str = ""

    @property
    def session(self) -> SessionKey:
        return self.incoming[0].session

    @property
    def crashes(self) -> int:
        """How many workers became unresponsive while they ran it."""
        return self.tries - 1 - self.fails

    @classmethod
    def parse(cls, shard: int, reply: list[Any]) -> ClaimedTurn:
        """A turn as `lua/claim.lua` returns it."""
        _, entry, lane, token, tries, fails, stopped, first, *items = reply
        try:
            incoming = tuple(Incoming.from_json(data) for data in items[1::2])
        except ValueError as error:  # written by a newer version, perhaps
            log.error("waiting message unreadable", lane=lane.decode(), error=str(error)[:200])
            incoming = ()
        return cls(
            shard,
            lane.decode(),
            entry,
            token=int(token),
            tries=int(tries),
            fails=int(fails),
            ids=tuple(item.decode() for item in items[::2]),
            incoming=incoming,
            is_stopped=bool(stopped),
            first=first.decode(),
        )
