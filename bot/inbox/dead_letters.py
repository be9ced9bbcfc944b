"""Dead letters: messages whose turn failed as often as it may, for an operator to read, retry or drop."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.conversation import Incoming
from bot.inbox.inbox import Inbox
from bot.storage.errors import store_errors

_ID = re.compile(r"[0-9]{1,3}/[0-9]{1,15}-[0-9]{1,9}")


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
    """The dead letters of an inbox. Every call raises StoreError."""

    def __init__(self, client: Any, inbox: Inbox) -> None:
        self._client = client
        self._inbox = inbox
        self._keys = inbox.keys

    async def list(self) -> list[DeadLetter]:
        """All dead letters, the newest first."""
        letters: list[DeadLetter] = []
        for shard in range(self._keys.shards):
            with store_errors():
                items = await self._client.xrange(self._keys.of(shard, "dead"))
            letters.extend(_parse(shard, item, fields) for item, fields in items)
        return sorted(letters, key=lambda letter: letter.died_at, reverse=True)

    async def get(self, letter_id: str) -> DeadLetter | None:
        if not _ID.fullmatch(letter_id):
            return None  # Redis would refuse it
        shard, item = _shard_and_item(letter_id)
        with store_errors():
            items = await self._client.xrange(self._keys.of(shard, "dead"), item, item)
        return _parse(shard, *items[0]) if items else None

    async def retry(self, letter: DeadLetter) -> bool:
        """Enqueue a dead letter again, as its conversation's newest message. False: it cannot be read."""
        if letter.incoming is None:
            return False
        await self._inbox.enqueue(letter.incoming, own_event=f"again:{letter.id}")
        await self.drop(letter)
        return True

    async def drop(self, letter: DeadLetter) -> None:
        shard, item = _shard_and_item(letter.id)
        with store_errors():
            await self._client.xdel(self._keys.of(shard, "dead"), item)


def _shard_and_item(letter_id: str) -> tuple[int, str]:
    shard, _, item = letter_id.partition("/")
    return int(shard), item


def _parse(shard: int, item: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
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
