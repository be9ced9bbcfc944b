"""Conversations seen from outside: list, look, export, forget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.conversation import SessionKey, Turn
from bot.memory.history import RedisHistory
from bot.memory.keys import HistoryKeys
from bot.storage.errors import store_errors
from bot.storage.scripts import script

PAGE_TURNS = 500
TOMBSTONE_S = 24 * 3600
"""How long a forgotten or moved conversation keeps its generation: longer than any turn of it can still run."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A conversation at a glance. Times are UTC; `earlier` are ids of talks kept by `new`."""

    session: SessionKey
    conversation_id: str
    generation: int
    turns: int
    born_at: datetime
    used_at: datetime
    summary: str = ""
    earlier: tuple[str, ...] = ()


class Sessions:
    """Reads beside `RedisHistory`, never on a turn's way."""

    def __init__(self, client: Any, history: RedisHistory) -> None:
        self._client = client
        self._history = history
        self._keys: HistoryKeys = history.keys

    async def list(self) -> list[SessionInfo]:
        """All conversations that hold something, the latest used first. Walks the keys: cost grows with their number."""
        found: dict[SessionKey, SessionInfo] = {}  # a walk may come by a key twice
        pattern = f"{self._keys.prefix}:{{*}}:state"
        with store_errors():
            async for key in self._client.scan_iter(match=pattern, count=500):
                name = key.decode(errors="replace")
                session = _session(name[len(self._keys.prefix) + 2 : -len("}:state")])
                info = await self.get(session) if session else None
                if info is not None and (info.turns or info.earlier):
                    found[info.session] = info
        return sorted(found.values(), key=lambda info: info.used_at, reverse=True)

    async def totals(self, platform: str, account: str) -> tuple[int, int]:
        """How many conversations are remembered there, and turns in them. Walks the keys, as `list`."""
        infos = [
            info
            for info in await self.list()
            if (info.session.platform, info.session.account) == (platform, account)
        ]
        return len(infos), sum(info.turns for info in infos)

    async def get(self, session: SessionKey) -> SessionInfo | None:
        state, turns, _ = self._keys.state_turns_index(session)
        with store_errors():
            data = await self._client.hgetall(state)
            count = await self._client.hlen(turns) if data else 0
        if not data or b"moved" in data:
            return None
        text = {key.decode(): value.decode() for key, value in data.items()}
        return SessionInfo(
            session,
            text.get("conv", ""),
            int(text.get("gen", 0)),
            int(count),
            _time(text.get("born", "0")),
            _time(text.get("used", "0")),
            text.get("summary", ""),
            tuple(text.get("olds", "").split()),
        )

    async def turns(self, session: SessionKey) -> AsyncIterator[Turn]:
        """Every turn of the present conversation, oldest first."""
        state, _, _ = self._keys.state_turns_index(session)
        with store_errors():
            end = int(await self._client.hget(state, "next") or 0)
        for first in range(0, end, PAGE_TURNS):
            for item in await self._history.between(session, first, min(end, first + PAGE_TURNS)):
                yield item.turn

    async def archived_turns(self, session: SessionKey, conversation: str) -> tuple[Turn, ...]:
        """Every turn of an earlier talk that `new` kept, oldest first."""
        with store_errors():
            old = await self._client.hgetall(self._keys.of(session, f"old:{conversation}"))
        values = sorted((int(seq), value) for seq, value in old.items())
        return tuple(Turn.from_json(value.partition(b" ")[2]) for _, value in values)

    async def export(self, session: SessionKey) -> dict[str, Any]:
        """All that is kept of a conversation, as plain data, earlier talks included."""
        info = await self.get(session)
        turns = [turn.to_dict() async for turn in self.turns(session)]
        earlier: dict[str, list[dict[str, Any]]] = {}
        for conversation in info.earlier if info else ():
            earlier[conversation] = [
                turn.to_dict() for turn in await self.archived_turns(session, conversation)
            ]
        return {
            "session": str(session),
            "conversation_id": info.conversation_id if info else "",
            "summary": info.summary if info else "",
            "turns": turns,
            "earlier": earlier,
        }

    async def forget(self, session: SessionKey) -> int:
        """Erase a conversation and its earlier talks. How many turns it had."""
        info = await self.get(session)
        if info is None:
            return 0
        count = await self._history.reset(session)
        state = self._keys.of(session, "state")
        with store_errors():
            for conversation in info.earlier:
                await self._client.unlink(self._keys.of(session, f"old:{conversation}"))
            await self._client.hdel(state, "olds", "part")
            await self._client.expire(state, TOMBSTONE_S)
        return count

    async def takes_part(self, session: SessionKey) -> bool:
        """Whether the bot spoke in it and was not sent away since."""
        with store_errors():
            following, part, left = await self._client.hmget(
                self._keys.of(session, "state"), "next", "part", "left"
            )
        return not left and (bool(part) or int(following or 0) > 0)

    async def leave(self, session: SessionKey) -> None:
        """Take part no longer, until spoken to again."""
        state = self._keys.of(session, "state")
        with store_errors():
            if await self._client.exists(state):
                await self._client.hset(state, "left", "1")

    async def move(self, old: SessionKey, new: SessionKey) -> bool:
        """Carry a conversation over to another place's key, before what is there. False: there was none.

        What still runs at `old` reads and writes at `new` from the first moment on.
        """
        olds, news = self._keys.state_turns_index(old), self._keys.state_turns_index(new)
        with store_errors():
            if not await self._lead_on(olds[0], news[0], new):
                return False
            state, turns, index = [await self._client.hgetall(key) for key in olds]
            for name in (b"moved", b"as"):
                state.pop(name, None)
            ttl_s = max(1, await self._client.ttl(olds[0]))
            archives = [f"old:{one}" for one in state.get(b"olds", b"").decode().split()]
            for archive in archives:
                await self._copy_hash(self._keys.of(old, archive), self._keys.of(new, archive))
            args = [str(old), ttl_s, state.get(b"next", 0)]
            for data in (state, turns, index):
                args += [2 * len(data), *(one for pair in data.items() for one in pair)]
            await script("bot.memory", "join").run(self._client, news, tuple(args))
            for key in (*olds[1:], *(self._keys.of(old, archive) for archive in archives)):
                await self._client.unlink(key)
            await self._client.hset(olds[0], "as", await self._client.hget(news[0], "gen") or 0)
            await self._client.hdel(olds[0], *(name for name in state if name != b"gen"))
            await self._client.expire(olds[0], TOMBSTONE_S)
        return True

    async def _lead_on(self, old_state: str, new_state: str, new: SessionKey) -> bool:
        """From now on what is written at the old place goes to the new one. Whether there was anything yet."""
        gen, conversation = await self._client.hmget(old_state, "gen", "conv")
        there = await self._client.hget(new_state, "gen")
        ttl_s = await self._client.ttl(old_state)
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.hset(old_state, mapping={"moved": str(new), "as": there or gen or 0})
            pipe.expire(old_state, max(ttl_s, TOMBSTONE_S))
            await pipe.execute()
        return conversation is not None

    async def _copy_hash(self, source: str, target: str) -> None:
        """By value, because the keys may live on different nodes."""
        data = await self._client.hgetall(source)
        if data:
            ttl_s = await self._client.ttl(source)
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hset(target, mapping=data)
                pipe.expire(target, ttl_s if ttl_s > 0 else TOMBSTONE_S)
                await pipe.execute()


def _session(text: str) -> SessionKey | None:
    try:
        return SessionKey.parse(text)
    except ValueError:  # a key of somebody else's under our prefix
        return None


def _time(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
