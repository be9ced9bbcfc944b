"""The durable inbox: a mailbox for each conversation, and one token that makes it ready for a worker.

Conversations are spread over shards; keys of a shard share a hash tag, so each step is one script on one node:

    <prefix>:{q<n>}:ready        stream, group `w`: conversations to be worked on; a pending entry is a lease
    <prefix>:{q<n>}:retry        sorted set: conversations that wait, by the time they are due (ms)
    <prefix>:{q<n>}:dead         stream: messages that were given up (bot/inbox/dead_letters.py)
    <prefix>:{q<n>}:clock        µs: the newest token or id of a message
    <prefix>:{q<n>}:box:<lane>   stream: what waits in a conversation, and what is being answered
    <prefix>:{q<n>}:conv:<lane>  hash: state (ready, running, retry, held), entry, token, upto, tries, fails …
    <prefix>:{q<n>}:seen:<id>    ids of events and messages taken in

Invariant: `conv` exists ⇔ the conversation has exactly one token, in `ready` or in `retry`.
A lane is a session, or a session with `SIDE` for what must not wait for a running answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import structlog

from bot.conversation import Incoming, SessionKey
from bot.inbox.claim import ClaimedTurn, Outcome
from bot.inbox.keys import InboxKeys
from bot.ports import Admission
from bot.storage.durability import Durability
from bot.storage.errors import store_errors
from bot.storage.scripts import script

log = structlog.get_logger("keepthread.inbox")

SIDE = "|side"
SEEN_MS = 26 * 3600 * 1000
"""Longer than platforms repeat: Telegram keeps undelivered updates for 24 h (core.telegram.org/bots/api#getting-updates)."""
KEPT_MS = 14 * 24 * 3600 * 1000
"""What no worker has taken for so long is dropped: every key has a time to live."""
MOST_MESSAGES = 50
"""Messages that arrived meanwhile and are answered together."""
MOST_BYTES = 60_000
"""More than this is not answered together."""
MOST_DEAD = 10_000


class Inbox:
    """Every step a message takes between arriving and being answered; each is one script.

    Every call raises StoreError.
    """

    def __init__(
        self,
        client: Any,
        keys: InboxKeys,
        *,
        is_cluster: bool = False,
        max_waiting: int = 100,
        max_attempts: int = 5,
        durability: Durability | None = None,
    ) -> None:
        self._client = client
        self.keys = keys
        self.is_cluster = is_cluster
        self._max_waiting = max_waiting
        self.max_attempts = max_attempts
        self._durability = durability

    async def enqueue(
        self,
        incoming: Incoming,
        *,
        dedupe: Sequence[str] = (),
        hold_s: float = 0,
        lane: str = "",
        fresh: str = "",
    ) -> tuple[Admission, str]:
        """Take a message in, as safely as `durability` asks. Returns the verdict, and its id in the mailbox.

        `fresh` names an event of our own: a known message is to be taken in again, once.
        """
        shard = self.keys.shard(incoming.session)
        lane = lane or str(incoming.session)
        names = [fresh] if fresh else [name for name in (incoming.event_id, *dedupe) if name]
        keys = (
            *(*self._keys(shard, lane), self.keys.of(shard, "clock")),
            *(self.keys.of(shard, f"seen:{name}") for name in dict.fromkeys(names)),
        )
        # What was taken in once is not turned away; and memory has to follow what people change.
        follows = incoming.kind in ("edit", "delete")
        most = MOST_DEAD if fresh or follows else self._max_waiting
        args = (
            lane, _class_of(incoming), incoming.to_json(), most,
            int(hold_s * 1000), SEEN_MS, KEPT_MS,
        )  # fmt: skip
        with store_errors():
            verdict, item = await script("bot.inbox", "put").run(self._client, keys, args)
            if self._durability and verdict != b"full":  # also a repetition: it was not safe
                await self._durability.wait(self.keys.of(shard, "clock"), KEPT_MS)
        return cast("Admission", verdict.decode()), item.decode()

    async def take(
        self, worker: str, most: int, shards: Sequence[int], *, silent_ms: int = 0,
        own: Sequence[ClaimedTurn] = (),
    ) -> tuple[list[ClaimedTurn], dict[int, bytes]]:  # fmt: skip
        """Begin up to `most` turns of these shards (on a cluster: of one).

        With `silent_ms`: those whose worker gave no sign of life for so long; those in `own`, which this worker
        runs, are renewed. The second result: for each shard, after which entry of `ready` new ones will come.
        """
        keys = tuple(self.keys.of(shard, "ready") for shard in shards)
        mode = "silent" if silent_ms else "new"
        args = (
            mode, worker, most, MOST_MESSAGES, MOST_BYTES, silent_ms, KEPT_MS, self.max_attempts,
            *(part for turn in own for part in (turn.lane, turn.token)),
        )  # fmt: skip
        with store_errors():
            turns, positions = await script("bot.inbox", "take").run(self._client, keys, args)
        taken = [_taken(shards[turn[0] - 1], turn) for turn in turns]
        return taken, dict(zip(shards, positions, strict=False))

    async def end(
        self, turn: ClaimedTurn, outcome: Outcome, *, delay_s: float = 0, reason: str = ""
    ) -> bool:
        """End a turn. False: it was another worker's by now, and nothing happened."""
        keys = (*self._keys(turn.shard, turn.lane), self.keys.of(turn.shard, "dead"))
        args = (
            turn.lane, turn.entry, turn.token, outcome, int(delay_s * 1000), KEPT_MS,
            reason[:500], MOST_DEAD,
        )  # fmt: skip
        with store_errors():
            verdict = await script("bot.inbox", "end").run(self._client, keys, args)
        return bool(verdict != b"lost")

    async def renew(
        self, worker: str, turns: Sequence[ClaimedTurn], *, touch: bool = True
    ) -> dict[int, Literal["lost", "cancel"]]:
        """A sign of life for turns of one shard; `touch=False` only looks.

        Returns:
            by place in `turns`: which of them need attention.
        """
        shard = turns[0].shard
        keys = [self.keys.of(shard, "ready")]
        args: list[Any] = [worker, int(touch)]
        for turn in turns:
            keys.append(self.keys.of(shard, f"conv:{turn.lane}"))
            args += (turn.entry, turn.token)
        with store_errors():
            news = await script("bot.inbox", "renew").run(self._client, tuple(keys), tuple(args))
        return {
            int(place) - 1: cast("Literal['lost', 'cancel']", word.decode())
            for place, word in zip(news[::2], news[1::2], strict=True)
        }

    async def stop(self, session: SessionKey, *, before: str = "") -> tuple[bool, int]:
        """Cancel what runs and drop what waits (before the message `before`). Whether any ran; how many were dropped."""
        lane = str(session)
        shard = self.keys.shard(session)
        keys, args = self._keys(shard, lane), (lane, before, self.keys.stops, KEPT_MS)
        with store_errors():
            running, dropped = await script("bot.inbox", "stop").run(self._client, keys, args)
        return bool(running), int(dropped)

    async def due(self, shards: Sequence[int]) -> tuple[int, float | None]:
        """Make ready what waited for its time. How many; in how many seconds the next is due."""
        keys = tuple(self.keys.of(shard, "retry") for shard in shards)
        with store_errors():
            count, next_ms = await script("bot.inbox", "due").run(self._client, keys, (KEPT_MS,))
        return int(count), None if next_ms < 0 else next_ms / 1000

    async def busy(self, session: SessionKey) -> bool:
        """Whether something waits or runs in this conversation."""
        key = self.keys.of(self.keys.shard(session), f"conv:{session}")
        with store_errors():
            return bool(await self._client.exists(key))

    async def waiting(self, session: SessionKey) -> list[tuple[str, Incoming]]:
        """What is in a conversation's mailbox, with the ids."""
        key = self.keys.of(self.keys.shard(session), f"box:{session}")
        with store_errors():
            items = await self._client.xrange(key)
        return [(item.decode(), Incoming.from_json(fields[b"d"])) for item, fields in items]

    async def move(self, old: SessionKey, new: SessionKey) -> int:
        """Let what waits under `old` wait under `new`, in its order. How many there were.

        What is being answered stays: its worker ends it. A crash in between leaves a message in both:
        its event id is taken in only once.
        """
        shard = self.keys.shard(old)
        key = self.keys.of(shard, f"box:{old}")
        conv = self.keys.of(shard, f"conv:{old}")
        with store_errors():
            state, upto = await self._client.hmget(conv, "state", "upto")
        begun = _position(upto.decode()) if state == b"running" and upto else (0, 0)
        waiting = [(id_, one) for id_, one in await self.waiting(old) if _position(id_) > begun]
        for item, incoming in waiting:
            address = replace(incoming.address, session=new)
            await self.enqueue(replace(incoming, address=address), fresh=f"moved:{old}:{item}")
            with store_errors():
                await self._client.xdel(key, item)
        return len(waiting)

    async def can_write(self, *, safely: bool = False) -> None:
        """Raises StoreError if nothing can be written; with `safely`, nothing as safe as messages must be."""
        key = f"{self.keys.prefix}:probe"
        with store_errors():
            await self._client.set(key, "1", px=2000)
            if safely and self._durability:
                await self._durability.wait(key, 1000)

    def _keys(self, shard: int, lane: str) -> tuple[str, str, str, str]:
        base = self.keys.of(shard, "")
        return base + "ready", base + "retry", base + "conv:" + lane, base + "box:" + lane


def _position(item: str) -> tuple[int, int]:
    """The id of a stream's entry, so that it can be compared."""
    ms, _, number = item.partition("-")
    return int(ms), int(number or 0)


def _class_of(incoming: Incoming) -> str:
    """What may be answered together: `m` messages, `o` overheard ones; `c` stands alone."""
    return {"message": "m", "overheard": "o"}.get(incoming.kind, "c")


def _taken(shard: int, turn: list[Any]) -> ClaimedTurn:
    _, entry, lane, token, tries, fails, stopped, *items = turn
    try:
        incoming = tuple(Incoming.from_json(data) for data in items[1::2])
    except ValueError as error:  # written by a newer version, perhaps
        log.error("a waiting message cannot be read", lane=lane.decode(), error=str(error)[:200])
        incoming = ()
    ids = tuple(item.decode() for item in items[::2])
    numbers = (int(token), int(tries), int(fails))
    return ClaimedTurn(shard, lane.decode(), entry, *numbers, ids, incoming, bool(stopped))
