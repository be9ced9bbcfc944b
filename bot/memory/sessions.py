"""Administration of conversations: list, read, export, forget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.conversation import SessionKey, Turn
from bot.memory.codec import unpack_turn
from bot.memory.history import RedisHistory
from bot.memory.keys import HistoryKeys
from bot.memory.migration import TOMBSTONE_S, migrate_conversation
from bot.storage.errors import store_errors

PAGE_TURNS = 500


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """Facts about a conversation. Times are UTC; `earlier` are ids of the conversations kept by `new`."""

    session: SessionKey
    conversation_id: str
    generation: int
    turns: int
    born_at: datetime
    used_at: datetime
    summary: str = ""
    earlier: tuple[str, ...] = ()


class Sessions:
    """Operations of commands and the CLI on stored conversations; no turn waits for them."""

    def __init__(self, client: Any, history: RedisHistory) -> None:
        self._client = client
        self._history = history
        self._keys: HistoryKeys = history.keys

    async def list(self) -> list[SessionInfo]:
        """All conversations with turns, the latest used first. Scans the keys: the cost grows with their number."""
        found: dict[SessionKey, SessionInfo] = {}  # a scan may return a key twice
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
        """Number of conversations of a workspace, and of turns in them. Scans the keys, as `list`."""
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
        """All turns of the present conversation, oldest first."""
        state, _, _ = self._keys.state_turns_index(session)
        with store_errors():
            end = int(await self._client.hget(state, "next") or 0)
        for first in range(0, end, PAGE_TURNS):
            for item in await self._history.between(session, first, min(end, first + PAGE_TURNS)):
                yield item.turn

    async def archived_turns(self, session: SessionKey, conversation: str) -> tuple[Turn, ...]:
        """All turns of an earlier conversation that `new` kept, oldest first."""
        with store_errors():
            old = await self._client.hgetall(self._keys.archive(session, conversation))
        items = sorted((int(seq), value) for seq, value in old.items())
        return tuple(unpack_turn(seq, value).turn for seq, value in items)

    async def export(self, session: SessionKey) -> dict[str, Any]:
        """All stored data of a conversation, with the earlier ones that `new` kept."""
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
        """Erase a conversation and the earlier ones that `new` kept. Returns how many turns it had."""
        info = await self.get(session)
        if info is None:
            return 0
        count = await self._history.reset(session)
        state = self._keys.of(session, "state")
        with store_errors():
            for conversation in info.earlier:
                await self._client.unlink(self._keys.archive(session, conversation))
            await self._client.hdel(state, "olds", "part")
            await self._client.expire(state, TOMBSTONE_S)
        return count

    async def takes_part(self, session: SessionKey) -> bool:
        """Whether the bot spoke in it and was not sent away since."""
        with store_errors():
            next_seq, part, left = await self._client.hmget(
                self._keys.of(session, "state"), "next", "part", "left"
            )
        return not left and (bool(part) or int(next_seq or 0) > 0)

    async def leave(self, session: SessionKey) -> None:
        """Take part no longer, until a message is answered there again."""
        state = self._keys.of(session, "state")
        with store_errors():
            if await self._client.exists(state):
                await self._client.hset(state, "left", "1")

    async def migrate(self, old: SessionKey, new: SessionKey) -> bool:
        """Move a conversation to another session key; see `bot.memory.migration`. False: there was none."""
        return await migrate_conversation(self._client, self._keys, old, new)


def _session(text: str) -> SessionKey | None:
    try:
        return SessionKey.parse(text)
    except ValueError:  # a key of another program under our prefix
        return None


def _time(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
