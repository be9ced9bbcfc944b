"""The inbox seen from outside: how much waits, for how long, and what was given up."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.conversation import Incoming
from bot.inbox.inbox import Inbox
from bot.storage.errors import store_errors


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up. `id` names it (`3/1700000000000-0`); `incoming` is None if it is unreadable."""

    id: str
    lane: str
    incoming: Incoming | None
    reason: str
    tries: int

    @property
    def died_at(self) -> datetime:
        return datetime.fromtimestamp(int(self.id.split("/")[1].partition("-")[0]) / 1000, UTC)


class DeadLetters:
    """Reads beside `Inbox`, never on a message's way. Every call raises StoreError."""

    def __init__(self, client: Any, inbox: Inbox) -> None:
        self._client = client
        self._inbox = inbox
        self._keys = inbox.keys

    async def depth(self) -> tuple[int, int]:
        """How many conversations have a token in `ready`; how many wait for their time."""
        ready = waiting = 0
        with store_errors():
            for shard in range(self._keys.shards):
                ready += await self._client.xlen(self._keys.of(shard, "ready"))
                waiting += await self._client.zcard(self._keys.of(shard, "retry"))
        return ready, waiting

    async def oldest_s(self) -> float:
        """How long the oldest conversation has waited or run, in seconds."""
        oldest_ms = None
        with store_errors():
            for shard in range(self._keys.shards):
                first = await self._client.xrange(self._keys.of(shard, "ready"), count=1)
                if first:
                    at_ms = int(first[0][0].partition(b"-")[0])
                    oldest_ms = min(at_ms, oldest_ms or at_ms)
        return max(0.0, time.time() - oldest_ms / 1000) if oldest_ms else 0.0

    async def dead(self) -> list[DeadLetter]:
        """All dead letters, the newest first."""
        found: list[DeadLetter] = []
        for shard in range(self._keys.shards):
            with store_errors():
                items = await self._client.xrange(self._keys.of(shard, "dead"))
            found.extend(_letter(shard, item, fields) for item, fields in items)
        return sorted(found, key=lambda letter: letter.died_at, reverse=True)

    async def letter(self, letter_id: str) -> DeadLetter | None:
        """One dead letter, or None."""
        if not re.fullmatch(r"[0-9]{1,3}/[0-9]{1,15}-[0-9]{1,9}", letter_id):
            return None  # no id of ours: Redis would refuse it
        shard, item = _place(letter_id)
        with store_errors():
            items = await self._client.xrange(self._keys.of(shard, "dead"), item, item)
        return _letter(shard, *items[0]) if items else None

    async def retry(self, letter: DeadLetter) -> bool:
        """Put a dead letter into the inbox again, as its conversation's newest message. False: it cannot be read."""
        if letter.incoming is None:
            return False
        await self._inbox.enqueue(letter.incoming, fresh=f"again:{letter.id}")
        await self.drop(letter)
        return True

    async def drop(self, letter: DeadLetter) -> None:
        shard, item = _place(letter.id)
        with store_errors():
            await self._client.xdel(self._keys.of(shard, "dead"), item)


def _place(letter_id: str) -> tuple[int, str]:
    shard, _, item = letter_id.partition("/")
    return int(shard), item


def _letter(shard: int, item: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    try:
        incoming = Incoming.from_json(fields[b"d"])
    except ValueError:
        incoming = None
    return DeadLetter(
        f"{shard}/{item.decode()}",
        fields[b"s"].decode(),
        incoming,
        fields.get(b"why", b"").decode(errors="replace"),
        int(fields.get(b"tries", b"0")),
    )
