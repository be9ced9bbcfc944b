"""A claimed turn, and the ways it can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.conversation import Incoming, SessionKey

Outcome = Literal["done", "retry", "defer", "requeue", "split", "dead"]


@dataclass(frozen=True, slots=True)
class ClaimedTurn:
    """A turn that was begun, with its lease.

    Attributes:
        shard: where its conversation lives.
        entry: id of the conversation's token in `ready`.
        token: proof of the lease; grows with every turn begun on the shard.
        tries: how often it was begun, this time included.
        fails: how often it failed and said so; the other tries ended with their worker.
        is_stopped: a word to stop it came when no worker could hear it.
        ids: of its messages in the mailbox; they begin with the µs in which each arrived.
        incoming: its messages, oldest first; none if they cannot be read.
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

    @property
    def session(self) -> SessionKey:
        return self.incoming[0].session

    @property
    def crashes(self) -> int:
        """How many workers fell silent over it."""
        return self.tries - 1 - self.fails
