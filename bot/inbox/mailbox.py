"""Messages in a mailbox: read as they are now, changed or dropped by their edits and deletions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from bot.conversation import Incoming, SessionKey
from bot.inbox.keys import InboxKeys
from bot.storage.errors import store_errors
from bot.storage.scripts import script

ChangeEffect = Literal["duplicate", "absent", "waits", "began"]
"""Effect of an edit or a deletion: see lua/change.lua."""

_CHANGEABLE = {"edit": ("message", "overheard"), "delete": ("message", "overheard", "command")}
"""Kinds of messages to which an edit or a deletion applies."""


class Mailboxes:
    """Messages that wait or are being answered. Every call raises StoreError.

    Args:
        channel: where turns are published that their workers have to look at; `""`: nowhere.
    """

    def __init__(self, client: Any, keys: InboxKeys, channel: str) -> None:
        self._client = client
        self._keys = keys
        self._channel = channel

    async def messages(self, session: SessionKey) -> list[tuple[str, Incoming]]:
        """The messages of a conversation, with their ids in its mailbox."""
        items = await self._items(session)
        return [(item, Incoming.from_json(data)) for item, data in items]

    async def waiting(self, session: SessionKey) -> list[tuple[str, Incoming]]:
        """Those that no running turn has."""
        conv = self._keys.of(self._keys.shard(session), f"conv:{session}")
        with store_errors():
            state, upto = await self._client.hmget(conv, "state", "upto")
        running_upto = _entry_order(upto.decode()) if state == b"running" and upto else (0, 0)
        messages = await self.messages(session)
        return [(item, message) for item, message in messages if _entry_order(item) > running_upto]

    async def apply(
        self, change: Incoming, seen: Sequence[str], *, seen_ttl_ms: int, ttl_ms: int
    ) -> ChangeEffect:
        """Apply an edit or a deletion to what is in the mailbox; `seen` are the keys of its own ids."""
        changes = await self._changes_by(change)
        if not changes:
            return "absent"
        session = change.session
        with store_errors():
            effect = await script("bot.inbox", "change").call(
                self._client,
                **self._keys.conversation(self._keys.shard(session), str(session)),
                seen=seen,
                lane=str(session),
                channel=self._channel,
                seen_ttl_ms=seen_ttl_ms,
                ttl_ms=ttl_ms,
                changes=changes,
            )
        return cast("ChangeEffect", effect.decode())

    async def _changes_by(self, change: Incoming) -> list[str | bytes]:
        """Id and new payload of each message that an edit or a deletion is about; b"" drops it."""
        changes: list[str | bytes] = []
        message_id = change.message_id.encode()
        for item, data in await self._items(change.session):
            if not message_id or message_id not in data:  # most need not be decoded
                continue
            message = Incoming.from_json(data)
            if message.message_id == change.message_id and message.kind in _CHANGEABLE[change.kind]:
                payload = message.edited(change).to_json() if change.kind == "edit" else b""
                changes += [item, payload]
        return changes

    async def _items(self, session: SessionKey) -> list[tuple[str, bytes]]:
        """Id and payload of each message, as it was changed last."""
        shard = self._keys.shard(session)
        box, conv = self._keys.of(shard, f"box:{session}"), self._keys.of(shard, f"conv:{session}")
        with store_errors():
            items = await self._client.xrange(box)
            changed = await self._client.hgetall(conv) if items else {}
        return [
            (item.decode(), changed.get(b"new:" + item, fields[b"d"])) for item, fields in items
        ]


def _entry_order(item: str) -> tuple[int, int]:
    """Sort key of a stream entry's id."""
    ms, _, number = item.partition("-")
    return int(ms), int(number or 0)
