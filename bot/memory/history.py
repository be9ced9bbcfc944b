"""Conversation history in Redis: turns, window and summary of each conversation.

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
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog
from redis.exceptions import RedisError

from bot.conversation import SessionKey, Turn
from bot.errors import Overtaken
from bot.memory.codec import new_conversation_id, pack_turn, unpack_snapshot, unpack_turn
from bot.memory.edits import edited_turn, message_ids, without_message
from bot.memory.keys import HistoryKeys
from bot.ports import HistorySnapshot, StoredTurn, TurnWrite
from bot.ports.history import NOTHING_LEFT, FoldState
from bot.prompt.builder import MAX_WINDOW_TURNS
from bot.prompt.transcript import tokens_of
from bot.storage.dedicated_connection import DedicatedConnection
from bot.storage.errors import store_errors
from bot.storage.scripts import Script, script

RESET_WAS_FASTER = -2
"""Result of lua/reset.lua when another reset changed the conversation first."""
MAX_ARCHIVES = 20
"""Earlier conversations of a session that `new` keeps; beyond them the oldest is dropped."""

log = structlog.get_logger("keepthread.history")


@dataclass(frozen=True, slots=True)
class _Target:
    """Conversation to write to, and the generation and fence to be compared there."""

    session: SessionKey
    generation: int
    fence: int


class RedisHistory:
    """History port on Redis.

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
        with store_errors():
            reply = await _script("read").call(
                self._client,
                **self.keys.named(session),
                new_conversation=new_conversation_id(),
                now_s=int(time.time()),
                ttl_s=self._ttl_s,
                fence=fence,
                turn_id=turn_id,
            )
        if reply[0] == b"overtaken":
            raise Overtaken("a newer worker runs this conversation", by_worker=True)
        if reply[0] == b"moved":  # a fence belongs to one place: the other place has its own
            return await self.read(SessionKey.parse(reply[1].decode()), turn_id=turn_id)
        return unpack_snapshot(reply)

    async def append(self, write: TurnWrite) -> None:
        target = _Target(
            write.turn.session,
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
                    target = _Target(SessionKey.parse(session.decode()), int(generation), fence=0)
                case [b"edited", bytes() as edited]:
                    turn = replace(write.turn, incoming=unpack_turn(0, edited).turn.incoming)
                    write = replace(write, turn=turn, tokens=tokens_of(turn))
                case _:  # written; or removed meanwhile, and not brought back
                    return

    async def _write(self, target: _Target, write: TurnWrite, edited: bytes) -> Any:
        """Run the script once; `edited` is the stored turn whose edits `write` contains."""
        turn, append = write.turn, _script("append")
        keys, args = append.bind(
            **self.keys.named(target.session),
            generation=target.generation,
            fence=target.fence,
            id=turn.id,
            replaces=write.replaces,
            value=pack_turn(turn, write.tokens),
            first_seq=write.first_seq,
            calibration=round(write.calibration, 3) or 0,
            proven=write.proven.tokens,
            reported=write.proven.reported,
            now_s=int(time.time()),
            ttl_s=self._ttl_s,
            conversation=turn.conversation_id or new_conversation_id(),
            edited=edited,
            max_turns=MAX_WINDOW_TURNS,
            message_ids=[*message_ids(turn), *filter(None, turn.answer_ids)],
        )
        if write.immediate and self._dedicated is not None:
            try:
                return await self._dedicated.send("EVALSHA", append.digest, len(keys), *keys, *args)
            except RedisError as error:  # the same command again, over the pool, does no harm
                log.info("dedicated connection failed", error=repr(error))
        with store_errors():
            return await append.run(self._client, keys, args)

    async def fold(
        self,
        past: HistorySnapshot,
        session: SessionKey,
        *,
        summary: str,
        to: int,
        state: FoldState = NOTHING_LEFT,
    ) -> bool:
        with store_errors():
            is_folded = await _script("fold").call(
                self._client,
                state=self.keys.of(session, "state"),
                generation=past.generation,
                folded=past.summarised_to,
                edits=past.edits,
                end_seq=to,
                summary=summary,
                extract=state.extract,
                extracted=state.extracted_to,
                failures=state.failures,
                retry=state.retry_at,
                halvings=state.halvings,
            )
        return bool(is_folded)

    async def between(self, session: SessionKey, first: int, end: int) -> tuple[StoredTurn, ...]:
        if end <= first:
            return ()
        with store_errors():
            values = await self._client.hmget(
                self.keys.of(session, "turns"), [str(seq) for seq in range(first, end)]
            )
        return tuple(unpack_turn(seq, value) for seq, value in enumerate(values, first) if value)

    async def edit_message(self, session: SessionKey, message_id: str, text: str) -> Turn | None:
        return await self._change(
            session, message_id, lambda turn: edited_turn(turn, message_id, text)
        )

    async def delete_message(self, session: SessionKey, message_id: str) -> Turn | None:
        return await self._change(
            session, message_id, lambda turn: without_message(turn, message_id)
        )

    async def forget_turn(
        self, session: SessionKey, item: StoredTurn, *, fence: int = 0, request_id: str = ""
    ) -> bool:
        """Remove a turn (`undo`); once for the same `request_id`. False: it was changed meanwhile."""
        with store_errors():
            old = await self._client.hget(self.keys.of(session, "turns"), str(item.seq))
            if not old:
                return False
            return await self._swap(session, item, old, None, fence=fence, request_id=request_id)

    async def reset(
        self, session: SessionKey, *, keep: bool = False, fence: int = 0, request_id: str = ""
    ) -> int:
        count = RESET_WAS_FASTER
        with store_errors():
            while count == RESET_WAS_FASTER:
                count = await self._reset(session, keep, fence, request_id)
        if count < 0:
            raise Overtaken("not reset: overtaken", by_worker=True)
        return count

    async def _reset(self, session: SessionKey, keep: bool, fence: int, request_id: str) -> int:
        """Run the script once, on what was read before it."""
        conv, olds = await self._client.hmget(self.keys.of(session, "state"), "conv", "olds")
        conversation, archives = (conv or b"none").decode(), (olds or b"").decode().split()
        kept = archives[: MAX_ARCHIVES - 1] if keep else archives
        count = await _script("reset").call(
            self._client,
            **self.keys.named(session),
            archive=self.keys.archive(session, conversation),
            dropped_archives=[self.keys.archive(session, name) for name in archives[len(kept) :]],
            new_conversation=new_conversation_id(),
            now_s=int(time.time()),
            ttl_s=self._ttl_s,
            keep=int(keep),
            fence=fence,
            request_id=request_id,
            conversation=conversation,
            kept_archives=" ".join(kept),
        )
        return int(count)

    async def find(self, session: SessionKey, message_id: str) -> Turn | None:
        """The turn that a message belongs to; also a message of its answer."""
        with store_errors():
            found = await self._find(session, message_id)
        return found[0].turn if found else None

    async def _find(self, session: SessionKey, message_id: str) -> tuple[StoredTurn, bytes] | None:
        """The turn, and its value as it is stored."""
        _, turns, index = self.keys.state_turns_index(session)
        reply = await _script("find").call(
            self._client, turns=turns, index=index, message_id=message_id
        )
        return (unpack_turn(int(reply[0]), reply[1]), reply[1]) if reply and reply[1] else None

    async def _change(
        self, session: SessionKey, message_id: str, change: Callable[[Turn], Turn | None]
    ) -> Turn | None:
        """Apply `change` to the turn of a message. Returns the turn as it was."""
        with store_errors():
            while found := await self._find(session, message_id):
                item, value = found
                changed = change(item.turn)
                if changed == item.turn:
                    return item.turn
                if await self._swap(session, item, value, changed):
                    return item.turn
        return None

    async def _swap(
        self,
        session: SessionKey,
        item: StoredTurn,
        value: bytes,
        changed: Turn | None,
        *,
        fence: int = 0,
        request_id: str = "",
    ) -> bool:
        """Write `changed` (None: remove the turn) if `value` is still stored. False: it is not."""
        before = item.turn
        kept = set(message_ids(changed)) if changed else set()
        dropped = [id_ for id_ in message_ids(before) if id_ not in kept]
        result = await _script("swap").call(
            self._client,
            **self.keys.named(session),
            seq=item.seq,
            old=value,
            new=pack_turn(changed, tokens_of(changed)) if changed else b"",
            turn_id=before.id,
            fence=fence,
            request_id=request_id,
            dropped_message_ids=dropped if changed else [*dropped, *before.answer_ids],
        )
        if result < 0:
            raise Overtaken("not changed: overtaken", by_worker=True)
        return bool(result)


def _script(name: str) -> Script:
    return script("bot.memory", name)
