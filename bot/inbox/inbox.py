"""Durable queue of messages in Redis: in order for each conversation, handed to one worker at a time.

Conversations are spread over shards; keys of a shard share a hash tag, so each step is one script on one node:

    <prefix>:{q<n>}:ready        stream, group `w`: conversations to be worked on; a pending entry is a lease
    <prefix>:{q<n>}:retry        sorted set: delayed conversations, by the time they are due (ms)
    <prefix>:{q<n>}:dead         stream: dead letters (bot/inbox/dead_letters.py)
    <prefix>:{q<n>}:clock        µs: the newest token or id of a message
    <prefix>:{q<n>}:box:<lane>   stream: messages of a conversation, waiting or being answered
    <prefix>:{q<n>}:conv:<lane>  hash: state (ready, running, retry, held), entry, token, upto, tries, fails …;
                                 `new:<id>`: a message as it was edited while it waited
    <prefix>:{q<n>}:seen:<id>    ids of enqueued events and messages

Invariant: `conv` exists ⇔ the conversation has exactly one token, in `ready` or in `retry`.
A lane is a session, or a session with `SIDE_LANE` for commands that do not wait for a running answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from bot.conversation import Incoming, SessionKey
from bot.inbox.claim import ClaimedTurn, LeaseNews, Outcome
from bot.inbox.keys import InboxKeys
from bot.inbox.mailbox import Mailboxes
from bot.ports import Admission
from bot.storage.durability import Durability
from bot.storage.errors import store_errors
from bot.storage.scripts import Script, script

SIDE_LANE = "|side"
SEEN_TTL_MS = 26 * 3600 * 1000
"""Longer than platforms repeat: Telegram keeps undelivered updates for 24 h (core.telegram.org/bots/api#getting-updates)."""
TTL_MS = 14 * 24 * 3600 * 1000
"""Lifetime of every key: a message that no worker claimed for so long is dropped."""
MAX_MESSAGES = 50
"""Messages of one turn."""
MAX_BYTES = 60_000
"""Size of the messages of one turn."""
MAX_DEAD = 10_000


class Inbox:
    """Every step of a message between arrival and answer; each is one script. Every call raises StoreError."""

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
        self._channel = "" if is_cluster else keys.stop_channel
        self.mailboxes = Mailboxes(client, keys, self._channel)

    async def enqueue(
        self,
        incoming: Incoming,
        *,
        dedupe: Sequence[str] = (),
        hold_s: float = 0,
        lane: str = "",
        own_event: str = "",
    ) -> tuple[Admission, str]:
        """Enqueue a message, as safely as `durability` asks. Returns the admission, and its id in the mailbox.

        `own_event` is an event of the bot's own, by which a known message is enqueued again, once.
        """
        shard = self.keys.shard(incoming.session)
        lane = lane or str(incoming.session)
        ids = [own_event] if own_event else [incoming.event_id, *dedupe]
        # No limit for messages that were enqueued before, nor for changes that memory has to follow.
        is_unlimited = own_event or incoming.kind in ("edit", "delete")
        with store_errors():
            admission, item = await _script("enqueue").call(
                self._client,
                **self.keys.conversation(shard, lane),
                clock=self.keys.of(shard, "clock"),
                seen=self._seen_keys(shard, ids),
                lane=lane,
                batch_class=_batch_class(incoming),
                payload=incoming.to_json(),
                max_waiting=MAX_DEAD if is_unlimited else self._max_waiting,
                hold_ms=int(hold_s * 1000),
                seen_ttl_ms=SEEN_TTL_MS,
                ttl_ms=TTL_MS,
            )
        if admission != b"full":  # duplicates too: the first was not safe
            await self._wait_until_safe(shard)
        return cast("Admission", admission.decode()), item.decode()

    async def change(self, change: Incoming, *, dedupe: Sequence[str] = ()) -> Admission:
        """Apply an edit or a deletion: at once to what waits, and after its turn to what memory may have.

        A message that waits is replaced or dropped; a turn that runs with a deleted one is withdrawn.
        """
        shard = self.keys.shard(change.session)
        effect = await self.mailboxes.apply(
            change,
            self._seen_keys(shard, (change.event_id, *dedupe)),
            seen_ttl_ms=SEEN_TTL_MS,
            ttl_ms=TTL_MS,
        )
        if effect in ("absent", "began"):
            admission, _ = await self.enqueue(change, dedupe=dedupe)
            return admission
        await self._wait_until_safe(shard)
        return "merged" if effect == "waits" else "duplicate"

    async def claim(
        self, worker: str, max_turns: int, shards: Sequence[int]
    ) -> tuple[list[ClaimedTurn], dict[int, bytes]]:
        """Claim up to `max_turns` turns of these shards (on a cluster: of one).

        Returns:
            the turns; and for each shard the last entry of `ready` before those still to come.
        """
        turns, positions = await self._claim("new", worker, max_turns, shards)
        return turns, dict(zip(shards, positions, strict=False))

    async def claim_abandoned(
        self,
        worker: str,
        max_turns: int,
        shards: Sequence[int],
        *,
        min_idle_ms: int,
        own: Sequence[ClaimedTurn] = (),
    ) -> list[ClaimedTurn]:
        """Claim turns whose worker sent no heartbeat for `min_idle_ms`.

        Those in `own`, which this worker runs, are renewed: it was starved, not dead.
        """
        turns, _ = await self._claim("abandoned", worker, max_turns, shards, min_idle_ms, own)
        return turns

    async def _claim(
        self,
        mode: Literal["new", "abandoned"],
        worker: str,
        max_turns: int,
        shards: Sequence[int],
        min_idle_ms: int = 0,
        own: Sequence[ClaimedTurn] = (),
    ) -> tuple[list[ClaimedTurn], list[bytes]]:
        with store_errors():
            turns, positions = await _script("claim").call(
                self._client,
                readies=[self.keys.of(shard, "ready") for shard in shards],
                mode=mode,
                worker=worker,
                max_turns=max_turns,
                max_messages=MAX_MESSAGES,
                max_bytes=MAX_BYTES,
                min_idle_ms=min_idle_ms,
                ttl_ms=TTL_MS,
                max_attempts=self.max_attempts,
                own=[part for turn in own for part in (turn.lane, turn.token)],
            )
        return [ClaimedTurn.parse(shards[turn[0] - 1], turn) for turn in turns], positions

    async def complete(
        self, turn: ClaimedTurn, outcome: Outcome, *, delay_s: float = 0, reason: str = ""
    ) -> bool:
        """Complete a turn. False: the lease is another worker's by now, and nothing changed."""
        with store_errors():
            result = await _script("complete").call(
                self._client,
                **self.keys.conversation(turn.shard, turn.lane),
                dead=self.keys.of(turn.shard, "dead"),
                lane=turn.lane,
                entry=turn.entry,
                token=turn.token,
                outcome=outcome,
                delay_ms=int(delay_s * 1000),
                ttl_ms=TTL_MS,
                reason=reason[:500],
                max_dead=MAX_DEAD,
            )
        return bool(result != b"lost")

    async def renew(
        self, worker: str, turns: Sequence[ClaimedTurn], *, touch: bool = True
    ) -> dict[int, LeaseNews]:
        """Renew the leases on turns of one shard; with `touch=False` only read their state.

        Returns:
            by place in `turns`: those that need attention.
        """
        shard = turns[0].shard
        with store_errors():
            news = await _script("renew").call(
                self._client,
                ready=self.keys.of(shard, "ready"),
                convs=[self.keys.of(shard, f"conv:{turn.lane}") for turn in turns],
                worker=worker,
                touch=int(touch),
                leases=[part for turn in turns for part in (turn.entry, turn.token)],
            )
        return {
            int(place) - 1: cast("LeaseNews", state.decode())
            for place, state in zip(news[::2], news[1::2], strict=True)
        }

    async def stop(self, session: SessionKey, *, before: str = "") -> tuple[bool, int]:
        """Cancel the running turn and drop what waits (before the message `before`).

        Returns:
            whether a turn was running; how many messages were dropped.
        """
        lane, shard = str(session), self.keys.shard(session)
        with store_errors():
            running, dropped = await _script("stop").call(
                self._client,
                **self.keys.conversation(shard, lane),
                lane=lane,
                before=before,
                channel=self._channel,
                ttl_ms=TTL_MS,
            )
        return bool(running), int(dropped)

    async def promote_due(self, shards: Sequence[int]) -> tuple[int, float | None]:
        """Make delayed conversations ready whose time has come. How many; seconds until the next is due."""
        with store_errors():
            count, next_ms = await _script("promote_due").call(
                self._client,
                retries=[self.keys.of(shard, "retry") for shard in shards],
                ttl_ms=TTL_MS,
            )
        return int(count), None if next_ms < 0 else next_ms / 1000

    async def is_active(self, session: SessionKey) -> bool:
        """Whether a message waits or a turn runs in this conversation."""
        key = self.keys.of(self.keys.shard(session), f"conv:{session}")
        with store_errors():
            return bool(await self._client.exists(key))

    async def migrate(self, old: SessionKey, new: SessionKey) -> int:
        """Move the messages that wait under `old` to `new`, in their order. Returns their number.

        Messages of a running turn stay: their worker completes it. A crash in between leaves a message in both
        mailboxes: the next migration enqueues its event id only once.
        """
        waiting = await self.mailboxes.waiting(old)
        for item, incoming in waiting:
            address = replace(incoming.address, session=new)
            await self.enqueue(replace(incoming, address=address), own_event=f"moved:{old}:{item}")
            with store_errors():
                await self._client.xdel(self.keys.of(self.keys.shard(old), f"box:{old}"), item)
        return len(waiting)

    async def check_writable(self, *, safely: bool = False) -> None:
        """Raises StoreError if Redis takes no writes; with `safely`, also if none as safe as messages must be."""
        key = f"{self.keys.prefix}:probe"
        with store_errors():
            await self._client.set(key, "1", px=2000)
            if safely and self._durability:
                await self._durability.wait(key, 1000)

    def _seen_keys(self, shard: int, ids: Sequence[str]) -> list[str]:
        """Keys of the ids of an event and its message."""
        return [self.keys.of(shard, f"seen:{id_}") for id_ in dict.fromkeys(ids) if id_]

    async def _wait_until_safe(self, shard: int) -> None:
        """Wait as `durability` asks for what was written to this shard."""
        if self._durability:
            with store_errors():
                await self._durability.wait(self.keys.of(shard, "clock"), TTL_MS)


def _script(name: str) -> Script:
    return script("bot.inbox", name)


def _batch_class(incoming: Incoming) -> str:
    """The class within which messages share a turn: `m` messages, `o` overheard ones; `c` stands alone."""
    return {"message": "m", "overheard": "o"}.get(incoming.kind, "c")
