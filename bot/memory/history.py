"""Memory: what was said and answered, per conversation. Every history key is named here.

Keys of one conversation share a hash tag, so each operation is one script on one node:

    <prefix>:{<session>}:state     hash: generation, conversation id, window bounds, summary; of a
                                   conversation that moved: where to
    <prefix>:{<session>}:turns     hash: number of the turn → "<tokens> <turn as JSON>"
    <prefix>:{<session>}:index     hash: `t:<turn id>` and `m:<message id>` → number of the turn;
                                   `e:<turn id>`: its text was edited
    <prefix>:{<session>}:old:<id>  hash: the turns of an earlier conversation (`new`)

The cost of a read or an append depends on the window, never on the conversation's length.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog
from redis.exceptions import RedisError

from bot.conversation import SessionKey, Turn
from bot.errors import Overtaken
from bot.memory.edits import edited_turn, message_ids, without_message
from bot.memory.keys import HistoryKeys
from bot.ports import HistorySnapshot, StoredTurn, TurnWrite
from bot.prompt.builder import MAX_WINDOW_TURNS
from bot.prompt.transcript import tokens_of
from bot.storage.dedicated_connection import DedicatedConnection
from bot.storage.errors import store_errors
from bot.storage.scripts import script

MAX_ARCHIVES = 20
"""Earlier conversations of a session that `new` keeps; beyond them the oldest is dropped."""

log = structlog.get_logger("keepthread.history")


@dataclass(frozen=True, slots=True)
class _Target:
    """Keys to write to, and the generation and fence to be compared there."""

    keys: tuple[str, str, str]
    generation: int
    fence: int


class RedisHistory:
    """The `History` port on Redis.

    Args:
        client: a redis.asyncio client, standalone or cluster.
        prefix: first part of every key.
        ttl: a conversation is forgotten this long after its last use.

        dedicated: the connection of immediate writes; without one they go over the pool.
    """

    def __init__(
        self,
        client: Any,
        prefix: str,
        ttl: timedelta,
        *,
        dedicated: DedicatedConnection | None = None,
    ) -> None:
        self._client = client
        self._ttl_s = max(1, int(ttl.total_seconds()))
        self.keys = HistoryKeys(prefix)
        self._dedicated = dedicated

    async def read(
        self, session: SessionKey, *, turn_id: str = "", fence: int = 0
    ) -> HistorySnapshot:
        if self._dedicated is not None:
            await self._dedicated.ensure_open()
        args = (new_conversation_id(), int(time.time()), self._ttl_s, fence, turn_id)
        with store_errors():
            found = await script("bot.memory", "read").run(
                self._client, self.keys.state_turns_index(session), args
            )
        if found[0] == b"overtaken":
            raise Overtaken("a newer worker runs this conversation", by_worker=True)
        if found[0] == b"moved":  # a fence is of one place: the other one has its own
            return await self.read(SessionKey.parse(found[1].decode()), turn_id=turn_id)
        _, gen, conv, following, first, summary, folded, calibration, known, window, edits = found
        first_seq = int(first)
        return HistorySnapshot(
            conversation_id=conv.decode(),
            generation=int(gen),
            next_seq=int(following),
            summary=summary.decode(),
            summarised_to=int(folded),
            first_seq=first_seq,
            window=tuple(
                _unpack(seq, value) for seq, value in enumerate(window, first_seq) if value
            ),
            calibration=float(calibration),
            known=_unpack(0, known).turn if known else None,
            edits=int(edits),
        )

    async def append(self, write: TurnWrite) -> None:
        target = _Target(
            self.keys.state_turns_index(write.turn.session),
            -1 if write.turn.state == "overheard" else write.turn.generation,
            write.fence,
        )
        edited = b""
        while True:
            match await self._write(target, write, edited):
                case b"generation":
                    raise Overtaken("not written: generation", by_reset=True)
                case b"overtaken":
                    raise Overtaken("not written: overtaken", by_worker=True)
                case [b"moved", bytes() as session, bytes() as generation]:
                    # A fence belongs to one place: the other place has its own.
                    keys = self.keys.state_turns_index(SessionKey.parse(session.decode()))
                    target = _Target(keys, int(generation), fence=0)
                case [b"edited", bytes() as edited]:
                    turn = replace(write.turn, incoming=_unpack(0, edited).turn.incoming)
                    write = replace(write, turn=turn, tokens=tokens_of(turn))
                case _:  # written; or forgotten meanwhile, and not brought back
                    return

    async def _write(self, target: _Target, write: TurnWrite, edited: bytes) -> Any:
        """Run the script once; `edited` is the stored turn whose edits `write` contains."""
        turn = write.turn
        args = (
            target.generation, target.fence, turn.id, write.replaces,
            _pack(turn, write.tokens), write.first_seq, round(write.calibration, 3) or 0,
            int(time.time()), self._ttl_s, turn.conversation_id or new_conversation_id(),
            edited, MAX_WINDOW_TURNS, *message_ids(turn), *filter(None, turn.answer_ids),
        )  # fmt: skip
        append = script("bot.memory", "append")
        if write.immediate and self._dedicated is not None:
            try:
                return await self._dedicated.send(
                    "EVALSHA", append.digest, len(target.keys), *target.keys, *args
                )
            except RedisError as error:  # the same command again, over the pool, does no harm
                log.info("dedicated connection failed", error=repr(error))
        with store_errors():
            return await append.run(self._client, target.keys, args)

    async def fold(
        self, past: HistorySnapshot, session: SessionKey, *, summary: str, to: int
    ) -> bool:
        args = (past.generation, past.summarised_to, past.edits, to, summary)
        with store_errors():
            done = await script("bot.memory", "fold").run(
                self._client, (self.keys.of(session, "state"),), args
            )
        return bool(done)

    async def between(self, session: SessionKey, first: int, end: int) -> tuple[StoredTurn, ...]:
        if end <= first:
            return ()
        with store_errors():
            values = await self._client.hmget(
                self.keys.of(session, "turns"), [str(seq) for seq in range(first, end)]
            )
        return tuple(_unpack(seq, value) for seq, value in enumerate(values, first) if value)

    async def edit_message(self, session: SessionKey, message_id: str, text: str) -> Turn | None:
        return await self._change(
            session, message_id, lambda turn: edited_turn(turn, message_id, text)
        )

    async def delete_message(self, session: SessionKey, message_id: str) -> Turn | None:
        return await self._change(
            session, message_id, lambda turn: without_message(turn, message_id)
        )

    async def forget_turn(
        self, session: SessionKey, found: StoredTurn, *, fence: int = 0, once: str = ""
    ) -> bool:
        """Remove a whole turn (`undo`), at most once for the same `once`. False: it changed meanwhile."""
        with store_errors():
            old = await self._client.hget(self.keys.of(session, "turns"), str(found.seq))
            if not old:
                return False
            return await self._swap(session, found.seq, old, found.turn, None, fence, once)

    async def reset(
        self, session: SessionKey, *, keep: bool = False, fence: int = 0, once: str = ""
    ) -> int:
        state, turns, index = self.keys.state_turns_index(session)
        count = another_was_faster = -2
        with store_errors():
            while count == another_was_faster:
                conv, olds = await self._client.hmget(state, "conv", "olds")
                old, earlier = (conv or b"none").decode(), (olds or b"").decode().split()
                kept = earlier[: MAX_ARCHIVES - 1] if keep else earlier
                archives = [
                    self.keys.of(session, f"old:{one}") for one in (old, *earlier[len(kept) :])
                ]
                args = (
                    new_conversation_id(), int(time.time()), self._ttl_s, int(keep), fence, once,
                    old, " ".join(kept),
                )  # fmt: skip
                count = await script("bot.memory", "reset").run(
                    self._client, (state, turns, index, *archives), args
                )
        if count < 0:
            raise Overtaken("not reset: overtaken", by_worker=True)
        return int(count)

    async def find(self, session: SessionKey, message_id: str) -> Turn | None:
        """The turn a message (or the bot's own answer) belongs to."""
        _, turns, index = self.keys.state_turns_index(session)
        with store_errors():
            found = await script("bot.memory", "find").run(
                self._client, (turns, index), (message_id,)
            )
        return _unpack(int(found[0]), found[1]).turn if found and found[1] else None

    async def _change(
        self, session: SessionKey, message_id: str, change: Callable[[Turn], Turn | None]
    ) -> Turn | None:
        _, turns, index = self.keys.state_turns_index(session)
        with store_errors():
            while True:
                found = await script("bot.memory", "find").run(
                    self._client, (turns, index), (message_id,)
                )
                if not found or not found[1]:
                    return None
                remembered = _unpack(int(found[0]), found[1])
                new = change(remembered.turn)
                if new == remembered.turn:
                    return remembered.turn
                if await self._swap(session, remembered.seq, found[1], remembered.turn, new):
                    return remembered.turn

    async def _swap(
        self,
        session: SessionKey,
        seq: int,
        old: bytes,
        was: Turn,
        new: Turn | None,
        fence: int = 0,
        once: str = "",
    ) -> bool:
        """Write `new` over `was`, if nobody else did."""
        state, turns, index = self.keys.state_turns_index(session)
        kept = set(message_ids(new)) if new else set()
        gone = [one for one in message_ids(was) if one not in kept]
        gone += [] if new else list(was.answer_ids)
        value = _pack(new, tokens_of(new)) if new else b""
        args = (seq, old, value, was.id, fence, once, *gone)
        verdict = await script("bot.memory", "swap").run(self._client, (turns, index, state), args)
        if verdict < 0:
            raise Overtaken("not changed: overtaken", by_worker=True)
        return bool(verdict)


def new_conversation_id() -> str:
    """A UUIDv7, as LangSmith advises for thread ids (RFC 9562, section 5.7)."""
    value = (
        (time.time_ns() // 1_000_000) << 80
        | (0x7 << 76)
        | (uuid.uuid4().int & ~(0xF << 76)) & ((1 << 80) - 1)
    )
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def _pack(turn: Turn, tokens: int) -> bytes:
    return b"%d %s" % (tokens, turn.to_json())


def _unpack(seq: int, value: bytes) -> StoredTurn:
    tokens, _, data = value.partition(b" ")
    return StoredTurn(seq, Turn.from_json(data), int(tokens))
